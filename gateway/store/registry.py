"""A task's life in storage: every step one transaction, answered when it is durable.

The rules stand in `moves.py`, the questions in `queries.py`; this is the face that the stories see. `now` is always
an argument. Any method may raise StorageDown, and then the step did not happen, unless the error `may_be_done`.
"""

import secrets
from collections.abc import Callable, Iterable
from functools import partial

from sqlalchemy import Connection, insert, select

from gateway import ids
from gateway.aside import aside
from gateway.errors import StorageDown
from gateway.keys import Limit
from gateway.store import accounts, films, limits, moves, queries, twins
from gateway.store import audit as auditing
from gateway.store.commits import find_written
from gateway.store.database import Database
from gateway.store.lane import RuleBroken
from gateway.store.locks import lock
from gateway.store.moves import ReceiptTaken, Verdict, Wait
from gateway.store.schema import meta
from gateway.structs import replace
from gateway.video import (
    NO_CLAIM,
    Balance,
    Caller,
    Claim,
    Failure,
    Look,
    Money,
    Offer,
    Receipt,
    Route,
    State,
    Task,
    VideoRequest,
    Waiting,
)

_SECRET_BYTES = 32
_ID_TRIES = 5  # two creates of one millisecond collide once in four million
_SWEPT_MAX = 1000  # doubt is rare; a sweep that finds more comes round again


class Registry:
    """Opens tasks, moves them through their states, and answers questions about them.

    A move takes the task as this class last gave it out, and returns it as it is now. A move from a state that does
    not allow it raises WrongState and changes nothing.
    """

    def __init__(self, db: Database, instance: int = 0) -> None:
        """`instance` is this process, in the attempts it makes (`presence.py`)."""
        self._db = db
        self._instance = instance

    # --- a task's life -------------------------------------------------------------------------------------------

    async def open(
        self,
        request: VideoRequest,
        caller: Caller,
        offer: Offer,
        place: Route | Wait,
        *,
        currency: str,
        now: float,
        claim: Claim = NO_CLAIM,
    ) -> tuple[Task, bool]:
        """Make the intention durable: the task, its reservation, and its first attempt, or its place in the queue. The
        bool says that the task is new, and in nobody's hands yet.

        When the claim finds that it was opened before, that task comes back and nothing is changed. Raises KeyReused,
        QueueFull, BudgetSpent, TooFast or TooManyTasks where the caller's own limits forbid one more, and MayWait where
        storage went away and does not say whether the task has its place in the queue.
        """
        route, kept = None if isinstance(place, Wait) else place, await _to_keep(request)
        task = Task(
            id=0,
            state=State.QUEUED if route is None else State.OPENED,
            attempts=0 if route is None else 1,
            caller=caller.key_id,
            team=caller.team,
            dialect=request.dialect,
            request=kept,
            fingerprint=kept.fingerprint(),
            mode=offer.mode,
            price=offer.price,
            currency=currency,
            upstream="" if route is None else route.upstream,
            key_id="" if route is None else route.key_id,
            created_at=now,
        )
        wait = place if isinstance(place, Wait) else None
        for tries_left in reversed(range(_ID_TRIES)):
            task = replace(task, id=ids.new_number(now))
            try:
                opened = await self._db.run(
                    partial(moves.open_task, task=task, caller=caller, claim=claim, owner=self._instance, wait=wait)
                )
            except RuleBroken:
                if tries_left == 0 or await self.get(task.id) is None:
                    raise  # no collision: the row itself breaks a rule
            except StorageDown as down:
                if not down.may_be_done:
                    raise
                opened = await find_written(task, down, self._db)
                break
            else:
                break
        # What was found after a lost answer may have left the queue by then: whoever took it from there carries it.
        return opened, opened.id == task.id and opened.state is task.state

    async def find_twin(
        self, request: VideoRequest, caller: Caller, claim: Claim, now: float, *, after_writes: bool = False
    ) -> Task | None:
        """The task this create was opened as before, if any. Raises KeyReused. `open` has the last word.

        With `after_writes`, the opens that wait to be written are waited for.
        """
        fingerprint = await self.fingerprint(request)
        step = partial(twins.find_twin, caller=caller.key_id, fingerprint=fingerprint, claim=claim, now=now)
        if not after_writes:
            return await self._db.read(step)

        def after_them(connection: Connection) -> Task | None:
            accounts.lock_owners(connection, caller.key_id, caller.team)
            twin = step(connection)
            if twin is not None:
                twins.joined(connection, twin, claim)
            return twin

        return await self._db.run(after_them)

    async def fingerprint(self, request: VideoRequest) -> str:
        """What two requests share exactly if they ask for the same, whatever their pictures are labelled; 64 hex
        digits."""
        return (await _to_keep(request)).fingerprint()

    async def turn(self, task: Task, verdict: Verdict, route: Route, now: float) -> Task:
        """After a sure refusal: end this attempt and intend the next, with another route. Only from opened."""
        step = partial(moves.turn, task=task, verdict=verdict, route=route, owner=self._instance, now=now)
        return await self._db.run(step)

    async def dispatch(self, task: Task, route: Route, now: float, limit: Limit | None = None) -> Task:
        """A task that waited gets a key: queued → opened, and its next attempt is intended.

        Raises KeyFull where that would be more than `limit` allows, with what all other processes use the key for.
        """
        step = partial(moves.dispatch, task=task, route=route, owner=self._instance, now=now, limit=limit)
        return await self._db.run(step)

    async def requeue(self, task: Task, verdict: Verdict, wait: Wait, now: float) -> Task:
        """After a sure refusal for rate, with no other key free: opened → queued. Raises QueueFull."""
        return await self._db.run(partial(moves.requeue, task=task, verdict=verdict, wait=wait, now=now))

    async def drop(self, task_id: int, failure: Failure, now: float) -> Task:
        """A task that waits is wanted no more, or waited too long: queued → failed, and nothing is spent."""
        return await self._db.run(partial(moves.drop, task_id=task_id, failure=failure, now=now))

    async def start(self, task: Task, receipt: Receipt, now: float) -> Task:
        """Keep the proof of acceptance: opened or unconfirmed → running.

        A task that holds this very receipt already is returned as it is, so that a repeat does no harm. ReceiptTaken
        when another task holds it (FAILURES H5).
        """
        return await self._take_receipt(partial(moves.start, task=task, receipt=receipt, now=now), task, receipt)

    async def doubt(self, task: Task, verdict: Verdict, now: float) -> Task:
        """It may have been accepted: opened → unconfirmed. The price stays held and nothing is sent again."""
        return await self._db.run(partial(moves.doubt, task=task, verdict=verdict, now=now))

    async def abandon(
        self, task: Task, failure: Failure, verdict: Verdict, now: float, *, is_told: bool = False
    ) -> Task:
        """Surely nothing was bought: opened or unconfirmed → refused. `is_told` by callback, because its caller has the
        task's id already."""
        step = partial(moves.abandon, task=task, failure=failure, verdict=verdict, now=now, is_told=is_told)
        return await self._db.run(step)

    async def note(self, task_id: int, look: Look, now: float, *, failed_is_spent: bool = False) -> Task:
        """Write down what a look at the upstream found. A final task is returned as it is.

        A look that finds nothing new costs no write, except that `looked_at` is stored once a minute
        (`moves.TOUCH_S`); the task that is returned always says `looked_at=now` while it runs. `failed_is_spent` says
        that the upstream charges for a generation that failed.
        """
        task = await self.get(task_id)
        if task is not None and task.is_final:
            return task
        if task is not None and task.state is State.RUNNING and not moves.news(task, look, now):
            return replace(task, looked_at=now)
        step = partial(moves.note, task_id=task_id, look=look, now=now, failed_is_spent=failed_is_spent)
        return await self._db.run(step)

    async def touch(self, task_id: int, now: float) -> None:
        """A look taught nothing; when it was is known all the same."""
        await self._db.run(partial(moves.touch, task_id=task_id, now=now))

    async def relocate(self, task_id: int, link: str, now: float) -> Task:
        """Give a completed task another link to its video."""
        return await self._db.run(partial(moves.relocate, task_id=task_id, link=link, now=now))

    async def hide(self, task_id: int) -> Task:
        """Let nobody read the task any more; what it costs and how it ends does not change."""
        return await self._db.run(partial(moves.hide, task_id=task_id))

    async def fail(
        self, task_id: int, failure: Failure, now: float, from_states: Iterable[State] = moves.GIVEN_UP
    ) -> Task:
        """Give up on a task, if it still is in one of these states: running or unconfirmed → failed.

        Its money is suspended: only a person says what became of it.
        """
        sources = frozenset(from_states)
        return await self._db.run(partial(moves.fail, task_id=task_id, failure=failure, now=now, sources=sources))

    async def adopt(self, task_id: int, receipt: Receipt, now: float) -> Task:
        """A person knows under which id a doubtful or given-up task was accepted: → running. Raises ReceiptTaken."""
        step = partial(moves.adopt, task_id=task_id, receipt=receipt, now=now)
        return await self._take_receipt(step, await self.get(task_id), receipt)

    async def _take_receipt(self, step: Callable[[Connection], Task], task: Task | None, receipt: Receipt) -> Task:
        try:
            return await self._db.run(step)
        except RuleBroken:
            if task is None:
                raise
            holder = partial(queries.holder_of, upstream=task.upstream, upstream_id=receipt.upstream_id)
            holder_id = await self._db.read(holder)
            if holder_id is None or holder_id == task.id:
                raise
            raise ReceiptTaken(task.id, holder_id) from None

    async def resolve(self, task_id: int, money: Money, reason: str, now: float) -> Task:
        """A person says what became of suspended money, or that a doubtful task was not accepted: RELEASED, SETTLED."""
        return await self._db.run(partial(moves.resolve, task_id=task_id, money=money, reason=reason, now=now))

    async def senders(self) -> set[int]:
        """The processes that some attempt without an outcome belongs to, this one not among them."""
        return await self._db.read(queries.senders) - {self._instance}

    async def recover(self, now: float, owners: Iterable[int] | None = None) -> int:
        """Put in doubt what these processes were sending when they ended; None: every process (FAILURES T14)."""
        step = partial(moves.recover, now=now, owners=None if owners is None else frozenset(owners))
        return await self._db.run(step)

    # --- films -----------------------------------------------------------------------------------------------------

    async def claim_films(self, now: float, *, lease_s: float, limit: int) -> list[tuple[Task, int]]:
        """Films to fetch now, with the tries each has had; no other process gets them for `lease_s` seconds."""
        if await self._db.read(films.count_due) == 0:  # the usual case needs no write
            return []
        return await self._db.run(partial(films.claim, now=now, lease_s=lease_s, limit=limit))

    async def film_kept(self, task_id: int, byte_count: int, now: float) -> None:
        """The film is in the archive."""
        await self._db.run(partial(films.kept, task_id=task_id, byte_count=byte_count, now=now))

    async def put_film_off(self, task_id: int, due_at: float) -> None:
        """The film could not be fetched: again at this time."""
        await self._db.run(partial(films.put_off, task_id=task_id, due_at=due_at))

    async def lose_film(self, task_id: int) -> None:
        """The film is nowhere any more."""
        await self._db.run(partial(films.lose, task_id=task_id))

    async def film_is_kept(self, task_id: int) -> bool | None:
        """True where the archive has the film, False where it is gone, None where it has not been fetched."""
        return await self._db.read(partial(films.is_kept, task_id=task_id))

    async def expired_films(self, kept_before: float, *, limit: int) -> list[int]:
        """The tasks whose films were kept before this time, the oldest first."""
        return await self._db.read(partial(films.expired, kept_before=kept_before, limit=limit))

    async def forget_films(self, finished_before: float) -> int:
        """What nobody fetched while its link lived is gone; returns how many films."""
        if await self._db.read(films.count_due) == 0:
            return 0
        return await self._db.run(partial(films.forget_due, finished_before=finished_before))

    async def judge_limits(self, caller: Caller, now: float) -> None:
        """Raise TooManyTasks or TooFast where one more task would be more than the caller may have now."""
        await self._db.read(partial(limits.judge_limits, caller=caller, now=now))

    # --- questions -----------------------------------------------------------------------------------------------

    async def get(self, task_id: int) -> Task | None:
        """The task of this number. Whether a caller may see it is `Caller.may_see`."""
        return await self._db.read(partial(queries.find, task_id=task_id))

    async def of_caller(
        self, caller: Caller, limit: int, *, after: int | None = None, oldest_first: bool = False
    ) -> list[Task]:
        """The tasks that the caller may see, newest first unless asked otherwise; with `after`, what follows it."""
        step = partial(queries.of_caller, caller=caller, limit=limit, after=after, oldest_first=oldest_first)
        return await self._db.read(step)

    async def finished_lately(self, at_most: int) -> list[Task]:
        """The completed ones among the newest tasks, the oldest first."""
        return await self._db.read(partial(queries.finished_lately, at_most=at_most))

    async def unconfirmed(self, before: float, limit: int = _SWEPT_MAX) -> list[Task]:
        """Tasks whose doubt arose before this time (not: that were created before it), oldest doubt first."""
        return await self._db.read(partial(queries.unconfirmed, before=before, limit=limit))

    async def opened(self, before: float, limit: int = _SWEPT_MAX) -> list[Task]:
        """Tasks still opened whose last attempt began before this time, oldest first."""
        return await self._db.read(partial(queries.opened, before=before, limit=limit))

    async def waiting(self) -> list[Waiting]:
        """Of each caller and model, the task that has waited for a key the longest."""
        return await self._db.read(queries.waiting_heads)

    async def waiting_request(self, task_id: int) -> tuple[Task, VideoRequest] | None:
        """A task that waits, and its whole request, inline images and all."""
        return await self._db.read(partial(queries.waiting_request, task_id=task_id))

    async def waiting_since(self, before: float) -> list[int]:
        """The tasks that have waited since before this time."""
        return await self._db.read(partial(queries.waiting_since, before=before))

    async def live_counts(self) -> dict[tuple[str, str], int]:
        """How many opened, running and unconfirmed tasks each (upstream, key id) carries."""
        return await self._db.read(queries.live_counts)

    async def state_counts(self) -> dict[State, int]:
        """How many tasks stand in each state; states without tasks are there with 0."""
        return await self._db.survey(queries.state_counts)

    async def balances(self, caller: Caller, now: float) -> tuple[Balance, Balance]:
        """What the key, and its team (without one: the key), may spend and have spent in the current period."""
        return await self._db.read(partial(accounts.balances, caller=caller, now=now))

    async def audit(self) -> list[str]:
        """One sentence for everything in the books that does not add up; none is as it must be."""
        return await self._db.read_apart(auditing.audit)

    async def secret(self, name: str) -> bytes:
        """A random secret of this database, made when it is first asked for and the same ever after."""
        return bytes.fromhex(await self._db.run(partial(_secret, name=f"secret:{name}")))


async def _to_keep(request: VideoRequest) -> VideoRequest:
    return await aside(request.inline_characters(), request.to_keep)


def _secret(connection: Connection, name: str) -> str:
    # Looked up and made while nobody else can, so two processes cannot make two.
    lock(connection, name)
    found = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()
    if found is None:
        found = secrets.token_hex(_SECRET_BYTES)
        connection.execute(insert(meta), {"name": name, "value": found})
    return found
