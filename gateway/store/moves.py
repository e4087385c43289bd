"""The moves of a task's life (DESIGN section 4): each a plain function of a connection, run as one transaction.

Every move is a compare-and-set: it names the states it may leave, and the number of the attempt it speaks of, so that
a stale task moves nothing. A move that is not allowed raises and leaves everything as it was. Final states are final.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from sqlalchemy import Connection, Update, bindparam, insert, or_, select, update

from gateway.errors import GatewayError, UpstreamError
from gateway.store.limits import judge_limits
from gateway.store.queries import find
from gateway.store.rows import changes_of, row_of
from gateway.store.schema import attempts, tasks
from gateway.store.twins import find_twin, free_key, keep_key
from gateway.video import Caller, Claim, Failure, Look, Receipt, Route, State, Status, Task

# Which states a move may leave. `open` leaves none; whatever is not here is refused.
SOURCES: Mapping[str, frozenset[State]] = {
    "turn": frozenset({State.OPENED}),
    "start": frozenset({State.OPENED, State.UNCONFIRMED}),
    "doubt": frozenset({State.OPENED}),
    "abandon": frozenset({State.OPENED, State.UNCONFIRMED}),
    "note": frozenset({State.RUNNING}),
    "relocate": frozenset({State.COMPLETED}),
    "fail": frozenset({State.RUNNING, State.UNCONFIRMED}),
}
TOUCH_S = (
    60  # how stale the stored `looked_at` may become while looks find nothing new: a write a minute, not one a look
)

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


@dataclass(frozen=True, slots=True)
class Verdict:
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


_OPEN_TASK = insert(tasks).inline()  # inline: nothing to fetch back, which is a third of the time
_OPEN_ATTEMPT = insert(attempts).inline()
_HIDE = update(tasks).where(tasks.c.id == bindparam("of_task")).values(hidden=True)
_TOUCH = update(tasks).where(tasks.c.id == bindparam("of_task")).values(looked_at=bindparam("at"))
_END_ATTEMPT = update(attempts).where(
    attempts.c.task_id == bindparam("of_task"), attempts.c.number == bindparam("of_attempt")
)


def _leaving(sources: frozenset[State]) -> Update:
    # Not `state IN (...)`: SQLAlchemy writes that text anew for every execution.
    return update(tasks).where(
        tasks.c.id == bindparam("of_task"),
        tasks.c.attempts == bindparam("of_attempt"),
        or_(*[tasks.c.state == state for state in sorted(sources)]),
    )


_LEAVING = {move: _leaving(sources) for move, sources in SOURCES.items()}


def open_task(connection: Connection, task: Task, caller: Caller, claim: Claim) -> Task:
    """Write the intention down: the task and its first attempt (FAILURES section 1, order of writes, 1).

    Returns the task itself, or the one it was opened as before, and then changes nothing. Raises KeyReused, TooFast
    or TooManyTasks.
    """
    if claim.key is not None or claim.is_repeat:
        twin = find_twin(connection, task.caller, task.fingerprint, claim, task.created_at)
        if twin is not None:
            return twin
    judge_limits(connection, caller, task.created_at)
    connection.execute(_OPEN_TASK, row_of(task))
    _open_attempt(connection, task, task.created_at)
    if claim.key is not None:
        keep_key(connection, task, claim.key, task.created_at)
    return task


def turn(connection: Connection, task: Task, verdict: Verdict, route: Route, now: float) -> Task:
    """Opened → opened: one route surely refused, the next is intended."""
    number = task.attempts + 1
    turned = _move(connection, "turn", task, attempts=number, upstream=route.upstream, key_id=route.key_id)
    _end_attempt(connection, task, "refused", now, verdict)
    _open_attempt(connection, turned, now)
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


def abandon(connection: Connection, task: Task, failure: Failure, verdict: Verdict, now: float) -> Task:
    """Opened or unconfirmed → refused: surely nothing was bought."""
    abandoned = _move(connection, "abandon", task, state=State.REFUSED, failure=failure, finished_at=now)
    _end_attempt(connection, task, "refused", now, verdict)
    free_key(connection, task.id)
    return abandoned


def note(connection: Connection, task_id: int, look: Look, now: float) -> Task:
    """Running → running, completed or failed, as a look found it. A final task is returned as it is."""
    task = _found(connection, "note", task_id)
    if task.is_final:
        return task
    if task.state is not State.RUNNING:
        raise WrongState(task_id, "note", task.state)
    changes = news(task, look, now)
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
    """Running or unconfirmed → failed, where a look will bring nothing more. Only from one of `sources`."""
    task = _found(connection, "fail", task_id)
    if task.state not in sources:
        raise WrongState(task_id, "fail", task.state)
    return _move(connection, "fail", task, state=State.FAILED, failure=failure, finished_at=now)


def recover(connection: Connection, now: float) -> int:
    """Every opened task → unconfirmed: whoever was sending it is gone (FAILURES T14)."""
    opened = select(tasks.c.id).where(tasks.c.state == State.OPENED)
    connection.execute(
        update(attempts).where(attempts.c.outcome == "intent", attempts.c.task_id.in_(opened)),
        {"outcome": "doubt", "row": "T14", "reason": "submission_unconfirmed", "ended_at": now},
    )
    recovered = connection.execute(update(tasks).where(tasks.c.state == State.OPENED), {"state": State.UNCONFIRMED})
    return recovered.rowcount


def _found(connection: Connection, move: str, task_id: int) -> Task:
    task = find(connection, task_id)
    if task is None:
        raise WrongState(task_id, move, None)
    return task


def _move(connection: Connection, move: str, task: Task, **changes: Any) -> Task:
    """Write the changes if the task still is where the move may begin, else raise WrongState.

    What the row holds beyond the changes is what `task` holds: in the states a caller's own task moves from, nothing
    but state and attempt can have changed behind its back, and those are compared.
    """
    values = {"of_task": task.id, "of_attempt": task.attempts, **changes_of(changes)}
    if connection.execute(_LEAVING[move], values).rowcount != 1:
        found = find(connection, task.id)
        raise WrongState(task.id, move, None if found is None else found.state)
    return replace(task, **changes)


def _open_attempt(connection: Connection, task: Task, now: float) -> None:
    connection.execute(
        _OPEN_ATTEMPT,
        {
            "task_id": task.id,
            "number": task.attempts,
            "upstream": task.upstream,
            "key_id": task.key_id,
            "fingerprint": task.fingerprint,
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
    connection.execute(
        _END_ATTEMPT,
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
