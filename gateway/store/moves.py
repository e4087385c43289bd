"""The moves of a task's life (DESIGN section 4): each a plain function of a connection, run as one transaction.

Every move is a compare-and-set: it names the states it may leave, and the number of the attempt it speaks of, so that
a stale task moves nothing. A move that is not allowed raises and leaves everything as it was. Final states are final.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from gateway.errors import GatewayError, QueueFull, UpstreamError
from gateway.keys import Limit
from gateway.store import films, ledger, outbox
from gateway.store.accounts import lock_owners
from gateway.store.limits import judge_limits
from gateway.store.locks import lock
from gateway.store.prepared import Prepared
from gateway.store.queries import find, opened_by
from gateway.store.rests import judge_key
from gateway.store.rows import OPENED_COLUMNS, changes_of, request_text, row_of
from gateway.store.schema import attempts, tasks, waiting
from gateway.store.twins import find_twin, free_key, joined, keep_claim
from gateway.structs import Struct, replace
from gateway.video import (
    NO_CLAIM,
    Caller,
    Claim,
    Failure,
    Look,
    Money,
    Receipt,
    Route,
    State,
    Status,
    Task,
    VideoRequest,
)

# Which states a move may leave. `open` leaves none; whatever is not here is refused.
SOURCES: Mapping[str, frozenset[State]] = {
    "dispatch": frozenset({State.QUEUED}),
    "drop": frozenset({State.QUEUED}),
    "requeue": frozenset({State.OPENED}),
    "turn": frozenset({State.OPENED}),
    "start": frozenset({State.OPENED, State.UNCONFIRMED}),
    "doubt": frozenset({State.OPENED}),
    "abandon": frozenset({State.OPENED, State.UNCONFIRMED}),
    "note": frozenset({State.RUNNING}),
    "relocate": frozenset({State.COMPLETED}),
    # One for each state: a task that was found in doubt may be accepted before this is written, on PostgreSQL.
    "fail running": frozenset({State.RUNNING}),
    "fail unconfirmed": frozenset({State.UNCONFIRMED}),
    "adopt": frozenset({State.UNCONFIRMED, State.FAILED}),
    "resolve": frozenset({State.FAILED}),
}
GIVEN_UP = SOURCES["fail running"] | SOURCES["fail unconfirmed"]
"""The states in which a task may be given up."""
TOUCH_S = (
    60  # how stale the stored `looked_at` may become while looks find nothing new: a write a minute, not one a look
)

CANCELLED = "cancelled"
"""The code of a task whose owner wanted it no more, and needs nobody to tell him so."""
_UNEXPLAINED = Failure("generation_failed", "The upstream reported that the generation failed.")


class WrongState(Exception):
    """The task is not where this move could take it on; nothing was changed. `found` is None for no such task."""

    def __init__(self, task_id: int, move: str, found: State | None) -> None:
        super().__init__(f"task {task_id} cannot {move}: it is {found or 'not here'}")
        self.task_id = task_id
        self.move = move
        self.found = found


class ReceiptTaken(Exception):
    """Another task holds this upstream id already (FAILURES H5, CONTRACT section 7); nothing was changed."""

    def __init__(self, task_id: int, holder_id: int) -> None:
        super().__init__(f"task {task_id} was given an upstream id that task {holder_id} holds")
        self.task_id = task_id
        self.holder_id = holder_id


class Wait(Struct, frozen=True):
    """How a task may wait for a key: the whole request, the places in the queue, and when a key may be free again."""

    request: VideoRequest
    places: int
    retry_after: int | None


class Verdict(Struct, frozen=True):
    """What became of an attempt, for the record: the house's word, the row of FAILURES, the status line."""

    reason: str
    row: str | None = None
    http_status: int | None = None

    @classmethod
    def of(cls, error: GatewayError) -> Self:
        """The verdict that an error of ours stands for."""
        if isinstance(error, UpstreamError):
            return cls(error.code, error.row, error.http_status)
        return cls(error.code)


_OPEN_TASK = Prepared(insert(tasks).inline(), OPENED_COLUMNS)
_OPEN_ATTEMPT = Prepared(
    insert(attempts).inline(),
    ["task_id", "number", "upstream", "key_id", "fingerprint", "owner", "started_at", "outcome"],
)
_END_ATTEMPT = Prepared(
    update(attempts).where(attempts.c.task_id == bindparam("of_task"), attempts.c.number == bindparam("of_attempt")),
    ["outcome", "ended_at", "row", "http_status", "reason", "reserved"],
)
# Why it was in doubt stays to be read.
_ADOPT_ATTEMPT = (
    update(attempts)
    .where(attempts.c.task_id == bindparam("of_task"), attempts.c.number == bindparam("of_attempt"))
    .values(outcome="accepted", reason="adopted")
)
_HIDE = update(tasks).where(tasks.c.id == bindparam("of_task")).values(hidden=True)
_TOUCH = update(tasks).where(tasks.c.id == bindparam("of_task")).values(looked_at=bindparam("at"))
_WAIT = insert(waiting)
_WAITS_NO_MORE = delete(waiting).where(waiting.c.task_id == bindparam("of_task"))
_QUEUE = "queue"  # the places in it are counted by one at a time
_RECOVERY = "recovery"  # replicas that start together find the same tasks
_MOVES: dict[tuple[str, tuple[str, ...]], Prepared] = {}


def open_task(
    connection: Connection, task: Task, caller: Caller, claim: Claim, owner: int, wait: Wait | None = None
) -> Task:
    """Write the intention down: the task, its reservation, and its first attempt, or its place in the queue (FAILURES
    section 1, order of writes, 1). `owner` is the process that will send it.

    Returns the task itself, or the one it was opened as before, and then changes nothing. Raises KeyReused,
    BudgetSpent, TooFast, TooManyTasks or QueueFull.
    """
    lock_owners(connection, task.caller, task.team)
    if claim != NO_CLAIM:
        twin = find_twin(connection, task.caller, task.fingerprint, claim, task.created_at)
        if twin is not None:
            joined(connection, twin, claim)
            return twin
    judge_limits(connection, caller, task.created_at)
    ledger.reserve(connection, task, caller)
    _OPEN_TASK.run(connection, row_of(task))
    ledger.record(connection, task)
    if wait is None:
        _open_attempt(connection, task, owner, task.created_at)
    else:
        _wait(connection, task, wait)
    keep_claim(connection, task, claim)
    return task


def dispatch(
    connection: Connection, task: Task, route: Route, owner: int, now: float, limit: Limit | None = None
) -> Task:
    """Queued → opened: there is room on a key. Raises KeyFull where all processes together leave none."""
    if limit is not None:
        judge_key(connection, limit, now)
    dispatched = _move(
        connection,
        "dispatch",
        task,
        state=State.OPENED,
        attempts=task.attempts + 1,
        upstream=route.upstream,
        key_id=route.key_id,
    )
    connection.execute(_WAITS_NO_MORE, {"of_task": task.id})
    _open_attempt(connection, dispatched, owner, now)
    return dispatched


def requeue(connection: Connection, task: Task, verdict: Verdict, wait: Wait, now: float) -> Task:
    """Opened → queued: surely refused, for rate alone, and nowhere else to go now."""
    queued = _move(connection, "requeue", task, state=State.QUEUED)
    _end_attempt(connection, task, "refused", now, verdict)
    _wait(connection, queued, wait)
    return queued


def drop(connection: Connection, task_id: int, failure: Failure, now: float) -> Task:
    """Queued → failed: it waited too long, or its owner wants it no more. Nothing was sent, nothing is spent."""
    task = _found(connection, "drop", task_id)
    is_told = failure.code != CANCELLED
    dropped = _end(connection, "drop", task, Money.RELEASED, now, is_told=is_told, state=State.FAILED, failure=failure)
    connection.execute(_WAITS_NO_MORE, {"of_task": task.id})
    free_key(connection, task.id)
    return dropped


def turn(connection: Connection, task: Task, verdict: Verdict, route: Route, owner: int, now: float) -> Task:
    """Opened → opened: one route surely refused, the next is intended."""
    number = task.attempts + 1
    turned = _move(connection, "turn", task, attempts=number, upstream=route.upstream, key_id=route.key_id)
    _end_attempt(connection, task, "refused", now, verdict)
    _open_attempt(connection, turned, owner, now)
    return turned


def start(connection: Connection, task: Task, receipt: Receipt, now: float) -> Task:
    """Opened or unconfirmed → running. A task that holds this very receipt is returned as it is."""
    try:
        started = _move(connection, "start", task, state=State.RUNNING, upstream_id=receipt.upstream_id, started_at=now)
    except WrongState:
        found = find(connection, task.id)
        if found and (found.upstream, found.upstream_id) == (task.upstream, receipt.upstream_id):
            return found
        raise
    _end_attempt(connection, task, "accepted", now, reserved=receipt.reserved)
    return started


def doubt(connection: Connection, task: Task, verdict: Verdict, now: float) -> Task:
    """Opened → unconfirmed: it may have been accepted, so the price stays held."""
    doubted = _move(connection, "doubt", task, state=State.UNCONFIRMED)
    _end_attempt(connection, task, "doubt", now, verdict)
    return doubted


def abandon(
    connection: Connection, task: Task, failure: Failure, verdict: Verdict, now: float, is_told: bool = False
) -> Task:
    """Opened or unconfirmed → refused: surely nothing was bought. `is_told`: its caller already has the task's id, so
    the answer to its create cannot say so any more, and the callback must."""
    abandoned = _end(
        connection, "abandon", task, Money.RELEASED, now, is_told=is_told, state=State.REFUSED, failure=failure
    )
    _end_attempt(connection, task, "refused", now, verdict)
    free_key(connection, task.id)
    return abandoned


def note(connection: Connection, task_id: int, look: Look, now: float, *, failed_is_spent: bool) -> Task:
    """Running → running, completed or failed, as a look found it. A final task is returned as it is.

    `failed_is_spent`: what the upstream charges for a generation that failed, everything or nothing.
    """
    task = _found(connection, "note", task_id)
    if task.is_final:
        return task
    if task.state is not State.RUNNING:
        raise WrongState(task_id, "note", task.state)
    changes = news(task, look, now)
    if "state" in changes:  # on PostgreSQL two looks may end it side by side: the second finds it ended
        lock_owners(connection, task.caller, task.team)
        task = _found(connection, "note", task_id)
        if task.is_final:
            return task
    match changes.get("state"):
        case State.COMPLETED:
            return _end(connection, "note", task, Money.SETTLED, **changes)
        case State.FAILED:
            money = Money.SETTLED if failed_is_spent else Money.RELEASED
            return _end(connection, "note", task, money, **changes)
    return _move(connection, "note", task, **changes) if changes else replace(task, looked_at=now)


def news(task: Task, look: Look, now: float) -> dict[str, Any]:
    """What a look changes in a running task; empty when it is not worth a write.

    Progress never falls and work once seen stays seen (FAILURES section 5, regress). Completed without a link is
    incomplete and counts as still running. When nothing else is new, `looked_at` is written once in TOUCH_S.
    """
    if look.status is Status.COMPLETED and look.link is not None:
        return {"state": State.COMPLETED, "link": look.link, "progress": 100, "finished_at": now, "looked_at": now}
    if look.status is Status.FAILED:
        return {"state": State.FAILED, "failure": look.failure or _UNEXPLAINED, "finished_at": now, "looked_at": now}
    changes: dict[str, Any] = {}
    if look.progress is not None and look.progress > task.progress:
        changes["progress"] = min(look.progress, 100)
    if look.status is not Status.PENDING and not task.generating:
        changes["generating"] = True
    if changes or task.looked_at is None or now - task.looked_at >= TOUCH_S:
        changes["looked_at"] = now
    return changes


def touch(connection: Connection, task_id: int, now: float) -> None:
    """In any state: when the task was last looked at."""
    connection.execute(_TOUCH, {"of_task": task_id, "at": now})


def relocate(connection: Connection, task_id: int, link: str, now: float) -> Task:
    """Completed → completed, with another link to the same video."""
    task = _found(connection, "relocate", task_id)
    return _move(connection, "relocate", task, link=link, looked_at=now)


def hide(connection: Connection, task_id: int) -> Task:
    """In any state: nobody reads the task any more, and its life goes on."""
    task = _found(connection, "hide", task_id)
    connection.execute(_HIDE, {"of_task": task_id})
    return replace(task, hidden=True)


def fail(connection: Connection, task_id: int, failure: Failure, now: float, sources: frozenset[State]) -> Task:
    """Running or unconfirmed → failed, where a look will bring nothing more. Only from one of `sources`.

    It proves nothing about money, which is suspended until a person says what became of it (FAILURES sections 1, 5).
    """
    task = _found(connection, "fail", task_id)
    if task.state not in sources & GIVEN_UP:
        raise WrongState(task_id, "fail", task.state)
    return _end(connection, f"fail {task.state}", task, Money.SUSPENDED, now, state=State.FAILED, failure=failure)


def adopt(connection: Connection, task_id: int, receipt: Receipt, now: float) -> Task:
    """Unconfirmed, or failed with its money suspended → running: a person knows under which id it was accepted.

    A task that holds this very receipt is returned as it is.
    """
    task = _found(connection, "adopt", task_id)
    if task.state is State.RUNNING and task.upstream_id == receipt.upstream_id:
        return task
    if task.state is not State.UNCONFIRMED and task.money is not Money.SUSPENDED:
        raise WrongState(task_id, "adopt", task.state)
    lock_owners(connection, task.caller, task.team)
    ledger.move(connection, task, Money.HELD, now, "adopted")
    running = _move(
        connection,
        "adopt",
        task,
        state=State.RUNNING,
        money=Money.HELD,
        upstream_id=receipt.upstream_id,
        started_at=task.started_at or now,
        finished_at=None,
        failure=None,
    )
    connection.execute(_ADOPT_ATTEMPT, {"of_task": task.id, "of_attempt": task.attempts, "ended_at": now})
    return running


def resolve(connection: Connection, task_id: int, money: Money, reason: str, now: float) -> Task:
    """A person says what became of money that nobody else can judge: RELEASED or SETTLED, with the reason why.

    Unconfirmed → refused where it is released; failed with its money suspended stays failed.
    """
    task = _found(connection, "resolve", task_id)
    if task.state is State.UNCONFIRMED and money is Money.RELEASED:
        failure = Failure("upstream_error", "the upstream did not accept this video")
        released = _end(connection, "abandon", task, money, now, reason=reason, state=State.REFUSED, failure=failure)
        free_key(connection, task.id)
        return released
    if task.money is not Money.SUSPENDED:
        raise WrongState(task_id, "resolve", task.state)
    return _end(connection, "resolve", task, money, task.finished_at or now, at=now, reason=reason, is_told=False)


def recover(connection: Connection, now: float, owners: frozenset[int] | None) -> int:
    """Tasks that these processes had opened → unconfirmed: whoever was sending them is gone (FAILURES T14)."""
    lock(connection, _RECOVERY)
    recovered = 0
    for task in opened_by(connection, owners):
        with suppress(WrongState):  # its outcome came meanwhile, from a process that was only slow
            doubt(connection, task, Verdict("submission_unconfirmed", row="T14"), now)
            recovered += 1
    return recovered


def _found(connection: Connection, move: str, task_id: int) -> Task:
    task = find(connection, task_id)
    if task is None:
        raise WrongState(task_id, move, None)
    return task


def _end(
    connection: Connection,
    move: str,
    task: Task,
    money: Money,
    finished_at: float,
    *,
    at: float | None = None,
    reason: str | None = None,
    is_told: bool = True,
    **changes: Any,
) -> Task:
    """A move that ends a task, and takes its money where it goes, in the one transaction; `is_told` by callback, where
    the caller wished for one."""
    lock_owners(connection, task.caller, task.team)
    ended = _move(connection, move, task, money=money, finished_at=finished_at, **changes)
    ledger.move(connection, task, money, finished_at if at is None else at, reason)
    if ended.state is State.COMPLETED:
        films.finish(connection, ended, finished_at)
    if is_told and task.request.callback_url is not None:
        outbox.write(connection, ended, finished_at)
    return ended


def _move(connection: Connection, move: str, task: Task, **changes: Any) -> Task:
    """Write the changes if the task still is where the move may begin, else raise WrongState.

    What the row holds beyond the changes is what `task` holds: in the states a caller's own task moves from, nothing
    but state, attempt and money can have changed behind its back, and those are compared.
    """
    columns = changes_of(changes)
    shape = (move, tuple(columns))
    prepared = _MOVES.get(shape)
    if prepared is None:
        prepared = _MOVES[shape] = _leaving(SOURCES[move], shape[1])
    compared = {"of_task": task.id, "of_attempt": task.attempts, "of_money": task.money.value}
    if prepared.run(connection, {**columns, **compared}).rowcount != 1:
        found = find(connection, task.id)
        raise WrongState(task.id, move, None if found is None else found.state)
    return replace(task, **changes)


def _leaving(sources: frozenset[State], columns: tuple[str, ...]) -> Prepared:
    statement = update(tasks).where(
        tasks.c.id == bindparam("of_task"),
        tasks.c.attempts == bindparam("of_attempt"),
        tasks.c.money == bindparam("of_money"),
        or_(*[tasks.c.state == state.value for state in sorted(sources)]),
    )
    return Prepared(statement, columns)


def _open_attempt(connection: Connection, task: Task, owner: int, now: float) -> None:
    _OPEN_ATTEMPT.run(
        connection,
        {
            "task_id": task.id,
            "number": task.attempts,
            "upstream": task.upstream,
            "key_id": task.key_id,
            "fingerprint": task.fingerprint,
            "owner": owner,
            "started_at": now,
            "outcome": "intent",
        },
    )


def _end_attempt(
    connection: Connection,
    task: Task,
    outcome: str,
    now: float,
    verdict: Verdict | None = None,
    reserved: float | None = None,
) -> None:
    _END_ATTEMPT.run(
        connection,
        {
            "of_task": task.id,
            "of_attempt": task.attempts,
            "outcome": outcome,
            "ended_at": now,
            "row": verdict and verdict.row,
            "http_status": verdict and verdict.http_status,
            "reason": verdict and verdict.reason,
            "reserved": reserved,
        },
    )


def _wait(connection: Connection, task: Task, wait: Wait) -> None:
    lock(connection, _QUEUE)
    (count,) = connection.execute(select(func.count()).select_from(waiting)).one()
    if count >= wait.places:
        raise QueueFull(f"{count} tasks wait for a key already", retry_after=wait.retry_after)
    row = {"task_id": task.id, "caller": task.caller, "model": task.request.model, "since": task.created_at}
    connection.execute(_WAIT, {**row, "request": request_text(wait.request)})
