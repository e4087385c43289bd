"""Which process watches which running task, so that each is looked at by one of them.

A process says every few seconds that it is still there (`watchers`); a task belongs to whoever took it (`leases`) for
as long as that one says so. What a process has just sent needs no row: for the first moments it is its sender's. What
is nobody's, or belongs to somebody who has fallen silent, is taken by whoever comes first.

A process that was held up for longer than its word holds must ask again before it looks: its tasks may be another's.
Two who look at the same task for a moment do no harm, because a task's moves are compare-and-set; they only look twice.
"""

from collections.abc import Collection
from functools import partial

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, insert, or_, select, update

from gateway.store.database import Database
from gateway.store.locks import lock
from gateway.store.queries import LAST_ATTEMPT
from gateway.store.rows import COLUMNS, task_of
from gateway.store.schema import attempts, leases, tasks, watchers
from gateway.structs import Struct
from gateway.video import State, Task

LEASE_S = 30.0  # how long a process counts as watching after its last word
SENDERS_S = 15.0  # how long a task is its sender's without a row: three times as long as it takes to write one
TAKEN_MAX = 500  # in one step, so that several who are left share what a dead one watched
_LEASES = "leases"


class Others(Struct, frozen=True):
    """What there is to do for a watcher, as storage has it."""

    holders: frozenset[int]
    """The other processes that hold, or have just sent, a running task."""
    is_word_due: bool
    """This process holds leases, and should say again that it is there."""
    are_free: bool
    """Some running task has nobody."""


class Taken(Struct, frozen=True):
    """What came of a step."""

    tasks: list[Task]
    """What this process watches from now on."""
    held: frozenset[int]
    """All that it watches: others may have taken some of it, had they to think that it is gone."""


class Leases:
    """The leases as one process sees them. Any method may raise StorageDown. `now` is always an argument."""

    def __init__(self, db: Database, instance: int) -> None:
        self._db = db
        self._instance = instance

    async def others(self, now: float) -> Others:
        """Whether there is anything to take or to say; writes nothing."""
        return await self._db.read(partial(others, me=self._instance, now=now))

    async def take(self, now: float, gone: Collection[int]) -> Taken:
        """Say that this process is there until `now + LEASE_S`, and take what is nobody's, or one of the `gone`'s."""
        return await self._db.run(partial(take, me=self._instance, now=now, gone=frozenset(gone)))

    async def leave(self) -> None:
        """This process watches nothing any more."""
        await self._db.run(partial(leave, me=self._instance))


def others(connection: Connection, me: int, now: float) -> Others:
    """What there is to do for the watcher `me`."""
    holder = leases.c.holder
    holders = set(connection.execute(select(holder).distinct().where(holder != me)).scalars())
    unleased = (
        select(attempts.c.owner)
        .join(tasks, LAST_ATTEMPT)
        .where(_is_running, tasks.c.started_at >= now - SENDERS_S, attempts.c.owner != me, ~_is_leased)
    )
    holders |= set(connection.execute(unleased.distinct()).scalars())
    until = connection.execute(select(watchers.c.until).where(watchers.c.instance == me)).scalar()
    holds = connection.execute(select(exists().where(holder == me))).scalar()
    free = connection.execute(_free(me, now, frozenset()).limit(1)).first()
    return Others(frozenset(holders), bool(holds) and (until or 0.0) < now + LEASE_S / 2, free is not None)


def take(connection: Connection, me: int, now: float, gone: frozenset[int]) -> Taken:
    """One after the other, in all processes: what one takes, the next finds taken."""
    lock(connection, _LEASES)
    word = update(watchers).where(watchers.c.instance == me).values(until=now + LEASE_S)
    if not connection.execute(word).rowcount:
        connection.execute(insert(watchers), {"instance": me, "until": now + LEASE_S})
    _forget(connection, me, now, gone)
    found = [task_of(row) for row in connection.execute(_free(me, now, gone).limit(TAKEN_MAX))]
    if found:
        connection.execute(delete(leases).where(leases.c.task_id.in_([task.id for task in found])))
        connection.execute(insert(leases), [{"task_id": task.id, "holder": me} for task in found])
    held = select(leases.c.task_id).where(leases.c.holder == me)
    return Taken(found, frozenset(connection.execute(held).scalars()))


def leave(connection: Connection, me: int) -> None:
    """Nothing is watched by `me` any more."""
    lock(connection, _LEASES)
    connection.execute(delete(leases).where(leases.c.holder == me))
    connection.execute(delete(watchers).where(watchers.c.instance == me))


def _forget(connection: Connection, me: int, now: float, gone: frozenset[int]) -> None:
    """The leases of tasks that are over, and the watchers who are: nobody needs them."""
    over = select(leases.c.task_id).join(tasks, tasks.c.id == leases.c.task_id).where(~_is_running)
    connection.execute(delete(leases).where(leases.c.task_id.in_(over)))
    silent = or_(watchers.c.until < now - LEASE_S, watchers.c.instance.in_(gone))
    connection.execute(delete(watchers).where(watchers.c.instance != me, silent))


def _free(me: int, now: float, gone: frozenset[int]):  # type: ignore[no-untyped-def]  # a Select of twenty-five columns
    """Running tasks that nobody watches, the oldest first."""
    is_silent = or_(watchers.c.until.is_(None), watchers.c.until < now, leases.c.holder.in_(gone))
    is_nobodys = or_(tasks.c.started_at < now - SENDERS_S, attempts.c.owner == me, attempts.c.owner.in_(gone))
    return (
        select(*COLUMNS)
        .join(attempts, LAST_ATTEMPT)
        .outerjoin(leases, leases.c.task_id == tasks.c.id)
        .outerjoin(watchers, watchers.c.instance == leases.c.holder)
        .where(
            _is_running,
            or_(
                and_(leases.c.task_id.is_(None), is_nobodys),
                and_(leases.c.task_id.is_not(None), leases.c.holder != me, is_silent),
            ),
        )
        .order_by(tasks.c.id)
    )


_is_running: ColumnElement[bool] = tasks.c.state == State.RUNNING.value
_is_leased: ColumnElement[bool] = exists().where(leases.c.task_id == tasks.c.id)
