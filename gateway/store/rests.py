"""How the upstreams stand, for all processes together: what rests, what is in flight, what was submitted lately.

What one process learns of a key, an account or an upstream is a row, so that its neighbours know it too, and the next
process after a restart. Of two that speak of the same the later one holds, whoever writes first. No secret is kept
here: a rest that was learnt of a key names the key's secret by a digest that only this database can make.
"""

from collections.abc import Collection, Sequence
from functools import partial

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select, update

from gateway.keys import JUST_LATER_S, Limit, Rest, Standing, Why
from gateway.store.database import Database
from gateway.store.locks import lock
from gateway.store.prepared import Prepared
from gateway.store.queries import LIVE
from gateway.store.schema import attempts, rests, tasks
from gateway.structs import replace
from gateway.video import Route

MINUTE_S = 60.0
FORGOTTEN_AFTER_S = 7 * 86_400.0  # every process has long heard that it is over, or is gone
# FAILURES T1 to T4: nothing has left the machine, so it was no submit of the minute.
_UNSENT = ("T1", "T2", "T3", "T4")

_WAS_SENT = or_(attempts.c.row.is_(None), and_(*[attempts.c.row != row for row in _UNSENT]))

_SAME = and_(
    rests.c.upstream == bindparam("of_upstream"),
    rests.c.why == bindparam("of_why"),
    rests.c.whose == bindparam("of_whom"),
    rests.c.model == bindparam("of_model"),
)
_WHEN_LEARNT = select(rests.c.learnt_at).where(_SAME)
_REPLACE = update(rests).where(_SAME)
_IN_FLIGHT = Prepared(
    select(tasks.c.id, tasks.c.upstream, tasks.c.key_id).where(tasks.c.state.in_([state.value for state in LIVE]))
)
_SUBMITS = Prepared(
    select(attempts.c.started_at)
    .where(
        attempts.c.upstream == bindparam("of_upstream"),
        attempts.c.key_id == bindparam("of_key"),
        attempts.c.started_at > bindparam("since"),
        attempts.c.owner != bindparam("me"),
        _WAS_SENT,
    )
    .order_by(attempts.c.started_at)
)
_IN_FLIGHT_OF_ACCOUNT = (
    select(func.count())
    .select_from(tasks)
    .where(
        tasks.c.state.in_([state.value for state in LIVE]),
        tasks.c.upstream == bindparam("of_upstream"),
        tasks.c.key_id.in_(bindparam("of_keys", expanding=True)),
    )
)
_SUBMITS_OF_ACCOUNT = (
    select(func.count())
    .select_from(attempts)
    .where(
        attempts.c.upstream == bindparam("of_upstream"),
        attempts.c.key_id.in_(bindparam("of_keys", expanding=True)),
        attempts.c.started_at > bindparam("since"),
        _WAS_SENT,
    )
)
_RESTS = Prepared(
    select(
        rests.c.upstream,
        rests.c.why,
        rests.c.whose,
        rests.c.model,
        rests.c.until,
        rests.c.streak,
        rests.c.learnt_at,
        rests.c.credential,
    )
)


class KeyFull(Exception):
    """All processes together use the key as much as it may be used; nothing was changed."""


class Rests:
    """What one process tells the others about upstreams, and hears of them. Any method may raise StorageDown."""

    def __init__(self, db: Database, instance: int = 0) -> None:
        """`instance` is this process, in the attempts it makes (`presence.py`)."""
        self._db = db
        self._instance = instance

    async def keep(self, learnt: Sequence[tuple[str, Rest]]) -> None:
        """Tell the others what was learnt, each with the name of its upstream. What they learnt later stays."""
        await self._db.run(partial(keep, learnt=learnt))

    async def end(self, route: Route, account: str, now: float) -> int:
        """A person says that a key is good again: whatever was learnt of it and of its account is over, for all.
        Returns how much that was."""
        return await self._db.run(partial(end, route=route, account=account, now=now))

    async def standing(self, now: float, limited: Collection[Route]) -> Standing:
        """How things stand. `limited` are the keys whose submits of a minute count."""
        return await self._db.read(partial(standing, now=now, limited=limited, instance=self._instance))


def keep(connection: Connection, learnt: Sequence[tuple[str, Rest]]) -> None:
    """Write down what is later than what is there, and forget what has long been over."""
    lock(connection, "rests")
    for upstream, rest in learnt:
        same = {"of_upstream": upstream, "of_why": rest.why.value, "of_whom": rest.of, "of_model": rest.model}
        what = {
            "until": rest.until,
            "streak": rest.streak,
            "learnt_at": rest.learnt_at,
            "credential": rest.credential,
        }
        learnt_at = connection.execute(_WHEN_LEARNT, same).scalar()
        if learnt_at is None:
            row = {"upstream": upstream, "why": rest.why.value, "whose": rest.of, "model": rest.model}
            connection.execute(insert(rests), {**row, **what})
        elif rest.learnt_at > learnt_at:
            connection.execute(_REPLACE.values(**what), same)
    newest = max((rest.learnt_at for _, rest in learnt), default=0.0)
    long_ago = newest - FORGOTTEN_AFTER_S
    connection.execute(delete(rests).where(rests.c.until < long_ago, rests.c.learnt_at < long_ago))


def end(connection: Connection, route: Route, account: str, now: float) -> int:
    """Write down that nothing rests any more that this key would have to wait for, but its upstream itself."""
    over = [
        (upstream, replace(rest, until=0.0, streak=0, learnt_at=max(now, rest.learnt_at + JUST_LATER_S)))
        for upstream, rest in _known(connection)
        if upstream == route.upstream and rest.until > now and rest.of == (route.key_id if rest.is_of_key else account)
    ]
    keep(connection, over)
    return len(over)


def judge_key(connection: Connection, limit: Limit, now: float) -> None:
    """Raise KeyFull if one more task would be more than the key may have, whichever process has the others."""
    lock(connection, f"account:{limit.upstream}:{limit.account}")
    of_account = {"of_upstream": limit.upstream, "of_keys": limit.keys}
    if limit.max_tasks is not None:
        in_flight = connection.execute(_IN_FLIGHT_OF_ACCOUNT, of_account).scalar_one()
        if in_flight >= limit.max_tasks:
            raise KeyFull(f"{limit.account} has {in_flight} tasks in flight")
    if limit.rpm is not None:
        submits = connection.execute(_SUBMITS_OF_ACCOUNT, {**of_account, "since": now - MINUTE_S}).scalar_one()
        if submits >= limit.rpm:
            raise KeyFull(f"{limit.account} had {submits} submits in the last minute")


def standing(connection: Connection, now: float, limited: Collection[Route], instance: int) -> Standing:
    """All of it, as it is at one moment."""
    in_flight = {
        task_id: Route(upstream, key_id) for task_id, upstream, key_id in _IN_FLIGHT.run(connection, {}).fetchall()
    }
    submits = {}
    for route in limited:
        parameters = {"of_upstream": route.upstream, "of_key": route.key_id, "since": now - MINUTE_S, "me": instance}
        found = _SUBMITS.run(connection, parameters).fetchall()
        if found:
            submits[route] = [row[0] for row in found]
    return Standing(in_flight, submits, _known(connection))


def _known(connection: Connection) -> list[tuple[str, Rest]]:
    return [
        (upstream, Rest(Why(why), of, model, until, streak, learnt_at, credential))
        for upstream, why, of, model, until, streak, learnt_at, credential in _RESTS.run(connection, {}).fetchall()
    ]
