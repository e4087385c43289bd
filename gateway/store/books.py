"""What the person who runs the gateway asks: which tasks there are, the whole story of one, who spent what.

Questions only. A page of tasks is found by its ids alone before any row is read, so that asking for one state among a
hundred thousand tasks reads the index and not the tasks. Ids sort by age (`ids.py`), so a stretch of time is a stretch
of the primary key.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Connection,
    Integer,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)

from gateway import ids
from gateway.periods import DAY_S, Window, date_of, window_of
from gateway.store.accounts import key_owner, sums, team_owner
from gateway.store.database import Database
from gateway.store.films import going
from gateway.store.prepared import Prepared
from gateway.store.queries import find, seen_by
from gateway.store.rows import COLUMNS, task_of
from gateway.store.schema import accounts, attempts, entries, tasks, waiting
from gateway.store.totals import Totals, totals
from gateway.store.troubles import Refusal, Trouble, failures, refusals
from gateway.structs import Struct, field
from gateway.video import Balance, Budget, Caller, Money, Route, State, Task

GROUPS = ("key", "team", "model", "upstream", "day")
_NOTHING = (0, 0)


class Wanted(Struct, frozen=True, kw_only=True):
    """Which tasks are asked for; None where all are. `since` and `until` bound when they were ordered."""

    state: State | None = None
    is_suspended: bool = False
    """Only those whose money waits for a person."""
    caller: str | None = None
    team: str | None = None
    model: str | None = None
    upstream: str | None = None
    since: float | None = None
    until: float | None = None
    seen_by: Caller | None = None
    """Only those that this caller may see."""


class Attempt(Struct, frozen=True, kw_only=True):
    """One try to buy a task's video."""

    number: int
    upstream: str
    key_id: str
    started_at: float
    ended_at: float | None
    outcome: str
    row: str | None
    """The line of FAILURES that judged it."""
    http_status: int | None
    reason: str | None
    reserved: float | None
    """What the upstream said it set aside, in its own unit."""


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the ledger."""

    number: int
    kind: str
    amount: int
    at: float
    reason: str | None


class Story(Struct, frozen=True):
    """All that is known of a task."""

    task: Task
    attempts: tuple[Attempt, ...]
    entries: tuple[Entry, ...]
    waits_since: float | None
    """Since when it stands in the queue, if it does."""


class Usage(Struct):
    """What the tasks of one group cost; millionths. `suspended` is the part of `held` that waits for a person."""

    held: int = 0
    suspended: int = 0
    spent: int = 0
    tasks: dict[State, int] = field(default_factory=dict)


class Books:
    """The questions, asked of one database. Any of them may raise StorageDown."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def page(self, wanted: Wanted, limit: int, after: int | None = None) -> list[Task]:
        """The tasks asked for, newest first; with `after`, those that are older than that one."""
        return await self._db.survey(partial(page, wanted=wanted, limit=limit, after=after))

    async def story(self, task_id: int) -> Story | None:
        """The whole story of a task."""
        return await self._db.read(partial(story, task_id=task_id))

    async def usage(self, by: str, wanted: Wanted) -> dict[str, Usage]:
        """What the tasks asked for cost, by one of GROUPS; "" are those without a team."""
        return await self._db.survey(partial(usage, by=by, wanted=wanted))

    async def failures(self, since: float) -> list[Trouble]:
        """Why tasks have failed that were ordered since then, the most frequent cause first."""
        return await self._db.survey(partial(failures, since=since))

    async def refusals(self, routes: Collection[Route]) -> dict[Route, Refusal]:
        """What each of these upstream keys was last refused with, as far as that is not long ago."""
        return await self._db.survey(partial(refusals, routes=routes))

    async def going(self, limit: int) -> list[Task]:
        """Finished films that are not kept, those first that were finished first."""
        return await self._db.survey(partial(going, limit=limit))

    async def took(self, at_most: int, since: float) -> list[tuple[float, float]]:
        """Of the completed ones among the newest tasks: when each was ordered, and how many seconds its film took from
        the upstream's acceptance. Of the newest alone, so that it costs the same however many there are."""
        return await self._db.survey(partial(took, at_most=at_most, since=since))

    async def balances(
        self, keys: Mapping[str, Budget | None], teams: Mapping[str, Budget | None], now: float
    ) -> tuple[dict[str, Balance], dict[str, Balance]]:
        """The balance of every one of these keys and teams, in the current stretch of its budget."""
        return await self._db.survey(partial(_balances, keys=keys, teams=teams, now=now))

    async def totals(self, keys: Mapping[str, Budget | None], teams: Mapping[str, Budget | None], now: float) -> Totals:
        """How things stand in all, with the balances of these keys and teams."""

        def ask(connection: Connection) -> Totals:
            return totals(connection, *_balances(connection, keys, teams, now))

        return await self._db.survey(ask)


def page(connection: Connection, wanted: Wanted, limit: int, after: int | None) -> list[Task]:
    """The ids first, then their rows."""
    numbers = select(tasks.c.id).where(*_conditions(connection, wanted)).order_by(tasks.c.id.desc()).limit(limit)
    if after is not None:
        numbers = numbers.where(tasks.c.id < after)
    chosen = list(connection.execute(numbers).scalars())
    rows = connection.execute(select(*COLUMNS).where(tasks.c.id.in_(chosen)).order_by(tasks.c.id.desc()))
    return [task_of(row) for row in rows]


def story(connection: Connection, task_id: int) -> Story | None:
    """The task, its attempts, its lines in the ledger, and its place in the queue."""
    task = find(connection, task_id)
    if task is None:
        return None
    tried = connection.execute(select(attempts).where(attempts.c.task_id == task_id).order_by(attempts.c.number))
    lines = connection.execute(select(entries).where(entries.c.task_id == task_id).order_by(entries.c.number))
    waits_since = connection.execute(select(waiting.c.since).where(waiting.c.task_id == task_id)).scalar()
    return Story(
        task,
        tuple(
            Attempt(
                number=row.number,
                upstream=row.upstream,
                key_id=row.key_id,
                started_at=row.started_at,
                ended_at=row.ended_at,
                outcome=row.outcome,
                row=row.row,
                http_status=row.http_status,
                reason=row.reason,
                reserved=row.reserved,
            )
            for row in tried
        ),
        tuple(
            Entry(number=row.number, kind=row.kind, amount=row.amount, at=row.at, reason=row.reason) for row in lines
        ),
        waits_since,
    )


def usage(connection: Connection, by: str, wanted: Wanted) -> dict[str, Usage]:
    """By group, in the order of their names."""
    group = _group(connection, by).label("of")
    query = (
        select(group, tasks.c.state, tasks.c.money, func.count(), func.sum(tasks.c.price))
        .where(*_conditions(connection, wanted))
        .group_by(group, tasks.c.state, tasks.c.money)
    )
    found: dict[str, Usage] = {}
    for name, state, money, count, price in connection.execute(query):
        _add(found.setdefault(_name_of(by, name), Usage()), State(state), Money(money), count, int(price or 0))
    return dict(sorted(found.items()))


def _balances(
    connection: Connection, keys: Mapping[str, Budget | None], teams: Mapping[str, Budget | None], now: float
) -> tuple[dict[str, Balance], dict[str, Balance]]:
    owners = {key_owner(name): budget for name, budget in keys.items()}
    owners |= {team_owner(name): budget for name, budget in teams.items()}
    found = balances(connection, owners, now)
    return (
        {name: found[key_owner(name)] for name in keys},
        {name: found[team_owner(name)] for name in teams},
    )


def took(connection: Connection, at_most: int, since: float) -> list[tuple[float, float]]:
    """In no order."""
    newest = select(tasks.c.id).where(tasks.c.id >= ids.first_number(since)).order_by(tasks.c.id.desc()).limit(at_most)
    query = select(tasks.c.created_at, tasks.c.finished_at - tasks.c.started_at).where(
        tasks.c.id.in_(newest.scalar_subquery()), tasks.c.state == State.COMPLETED.value
    )
    return [(at, max(0.0, seconds)) for at, seconds in connection.execute(query) if at >= since]


def balances(connection: Connection, owners: Mapping[str, Budget | None], now: float) -> dict[str, Balance]:
    """Of every owner, from its account; where the account of this stretch is not made yet, from its tasks."""
    by_period: dict[str | None, list[str]] = {}
    for owner, budget in owners.items():
        by_period.setdefault(None if budget is None else budget.period, []).append(owner)
    found: dict[str, tuple[int, int]] = {}
    for period, those in by_period.items():
        window = window_of(period, now)
        found |= _accounts_of(connection, window, those)
        without = [owner for owner in those if owner not in found]
        for owner in _counted_elsewhere(connection, window, without) if without else ():
            found[owner] = sums(connection, owner, window)
    return {
        owner: Balance(None if budget is None else budget.amount, *found.get(owner, _NOTHING))
        for owner, budget in owners.items()
    }


def _conditions(connection: Connection, wanted: Wanted) -> Iterable[ColumnElement[bool]]:
    if wanted.state is not None:
        yield tasks.c.state == wanted.state.value
    if wanted.is_suspended:
        yield tasks.c.money == literal_column(f"'{Money.SUSPENDED.value}'")  # as the partial index says it
    for column, value in (
        (tasks.c.caller, wanted.caller),
        (tasks.c.team, wanted.team),
        (tasks.c.upstream, wanted.upstream),
        (_group(connection, "model"), wanted.model),
    ):
        if value is not None:
            yield column == value
    if wanted.seen_by is not None:
        yield from seen_by(wanted.seen_by)
    # The key's stretch is what is read, the column's what is meant: a clock may stand before the first id there is.
    if wanted.since is not None:
        yield tasks.c.id >= ids.first_number(wanted.since)
        yield tasks.c.created_at >= wanted.since
    if wanted.until is not None:
        yield tasks.c.id <= ids.last_number(wanted.until)
        yield tasks.c.created_at < wanted.until


def _group(connection: Connection, by: str) -> ColumnElement[Any]:
    return {
        "key": tasks.c.caller,
        "team": func.coalesce(tasks.c.team, ""),
        "upstream": tasks.c.upstream,
        "model": _MODEL[connection.dialect.name],
        "day": _DAY[connection.dialect.name],
    }[by]


# A request is text in both databases, and each has its own way into it; SQLite's integers round down, PostgreSQL's not.
_MODEL: Mapping[str, ColumnElement[Any]] = {
    "sqlite": func.json_extract(tasks.c.request, "$.model"),
    "postgresql": cast(tasks.c.request, JSON).op("->>")(literal_column("'model'")),
}
_DAY: Mapping[str, ColumnElement[Any]] = {
    "sqlite": cast(tasks.c.created_at / DAY_S, Integer),
    "postgresql": cast(func.floor(tasks.c.created_at / DAY_S), Integer),
}


def _name_of(by: str, value: Any) -> str:
    return date_of(int(value) * DAY_S) if by == "day" else str(value)


def _add(into: Usage, state: State, money: Money, count: int, price: int) -> None:
    into.tasks[state] = into.tasks.get(state, 0) + count
    if money is Money.SETTLED:
        into.spent += price
    if money in (Money.HELD, Money.SUSPENDED):
        into.held += price
    if money is Money.SUSPENDED:
        into.suspended += price


def _accounts_of(connection: Connection, window: Window, owners: Sequence[str]) -> dict[str, tuple[int, int]]:
    rows = _ask(_ACCOUNTS, connection, window, owners)
    return {owner: (held, spent) for owner, held, spent in rows}


def _counted_elsewhere(connection: Connection, window: Window, owners: Sequence[str]) -> list[str]:
    """Owners with accounts of other stretches that share some time with this one: their budget was changed."""
    return [owner for (owner,) in _ask(_OVERLAPPING, connection, window, owners)]


def _ask(
    statements: Mapping[str, Prepared], connection: Connection, window: Window, owners: Sequence[str]
) -> list[Sequence[Any]]:
    kind = connection.dialect.name
    values = {"owners": _NAMES[kind](owners), "from_": window.starts_at, "until": window.ends_at}
    return list(statements[kind].run(connection, values).fetchall())


# A thousand names are one value, because SQLAlchemy takes longer to write a thousand parameters than SQLite to find the
# rows; and each kind of database has its own way to say that.
_NAMES: Mapping[str, Callable[[Sequence[str]], Any]] = {"sqlite": json.dumps, "postgresql": list}
_IS_ASKED_FOR: Mapping[str, ColumnElement[bool]] = {
    "sqlite": accounts.c.owner.in_(select(func.json_each(bindparam("owners")).table_valued("value").c.value)),
    "postgresql": accounts.c.owner == any_(bindparam("owners", type_=ARRAY(Text))),
}
_IS_OF_WINDOW = and_(accounts.c.starts_at == bindparam("from_"), accounts.c.ends_at == bindparam("until"))
_OVERLAPS = and_(accounts.c.starts_at < bindparam("until"), accounts.c.ends_at > bindparam("from_"))
_ACCOUNTS = {
    kind: Prepared(select(accounts.c.owner, accounts.c.held, accounts.c.spent).where(is_asked_for, _IS_OF_WINDOW))
    for kind, is_asked_for in _IS_ASKED_FOR.items()
}
_OVERLAPPING = {
    kind: Prepared(select(accounts.c.owner).distinct().where(is_asked_for, _OVERLAPS))
    for kind, is_asked_for in _IS_ASKED_FOR.items()
}
