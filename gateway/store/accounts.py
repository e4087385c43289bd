"""What a caller and its team hold and have spent, and whether they may hold more.

An account is one owner in one stretch of time: the sum over the tasks that were opened in it. It is kept as a row, so
that `limit = available + held + spent` is a constraint of the database and no create adds up a month of videos. The row
of a new stretch, or of a budget that is new in the configuration, is made from the tasks themselves when the first
create needs it: nothing is reset, and nothing runs at midnight.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, bindparam, case, func, insert, select, update

from gateway.errors import BudgetSpent
from gateway.money import render_micros
from gateway.periods import LIFETIME, Window, window_of
from gateway.store.locks import lock
from gateway.store.prepared import Prepared
from gateway.store.schema import accounts, tasks
from gateway.video import Balance, Budget, Caller, Money, Task

_COVERS = and_(
    accounts.c.owner.in_((bindparam("key_owner"), bindparam("team_owner"))),
    accounts.c.starts_at <= bindparam("at"),
    accounts.c.ends_at > bindparam("at"),
)
_COVERING = Prepared(
    select(accounts.c.owner, accounts.c.starts_at, accounts.c.ends_at, accounts.c.limit, accounts.c.available).where(
        _COVERS
    )
)


_HELD, _SPENT, _AVAILABLE = accounts.c.held, accounts.c.spent, accounts.c.available
_PRICE: Any = bindparam("price")


def _moving(**sums: Any) -> Prepared:
    """Moves a price within every account that covers a task."""
    return Prepared(update(accounts).where(_COVERS).values(sums))


_RESERVE = _moving(held=_HELD + _PRICE, available=_AVAILABLE - _PRICE)
_SETTLE = _moving(held=_HELD - _PRICE, spent=_SPENT + _PRICE)
_RELEASE = _moving(held=_HELD - _PRICE, available=_AVAILABLE + _PRICE)


class _Owner(NamedTuple):
    """Who has an account: a virtual key, or a team."""

    name: str
    budget: Budget | None

    @property
    def word(self) -> str:
        return "this key" if self.name.startswith("key:") else "this key's team"


def key_owner(key_id: str) -> str:
    """The account holder of a virtual key."""
    return f"key:{key_id}"


def team_owner(team: str) -> str:
    """The account holder of a team."""
    return f"team:{team}"


def lock_owners(connection: Connection, key_id: str, team: str | None) -> None:
    """Nobody else moves the money of these two, or counts their tasks, before this step is durable."""
    lock(connection, key_owner(key_id), *([] if team is None else [team_owner(team)]))


def reserve(connection: Connection, caller: Caller, price: int, now: float) -> None:
    """Hold the price in the accounts of the key and its team. Raises BudgetSpent, and then nothing is held."""
    covering = _covering(connection, caller, now)
    for owner in _owners(caller):
        if not _is_up_to_date(covering, owner, now):
            _bring_up_to_date(connection, owner, now)
            covering = _covering(connection, caller, now)
        available = next(row[4] for row in covering if tuple(row[:3]) == (owner.name, *_window(owner, now)))
        if available is not None and available < price:
            raise BudgetSpent(_too_dear(owner, price, available, now))
    _RESERVE.run(connection, _parameters(caller.key_id, caller.team, now, price))


def settle(connection: Connection, task: Task) -> None:
    """Held → spent, in every account that covers the task."""
    _SETTLE.run(connection, _parameters(task.caller, task.team, task.created_at, task.price))


def release(connection: Connection, task: Task) -> None:
    """Held → available, in every account that covers the task."""
    _RELEASE.run(connection, _parameters(task.caller, task.team, task.created_at, task.price))


def balances(connection: Connection, caller: Caller, now: float) -> tuple[Balance, Balance]:
    """The key's own balance and its team's (without a team: the key's again), in the current stretch of each."""
    found = [_balance(connection, owner, now) for owner in _owners(caller)]
    return found[0], found[-1]


def balance_of(connection: Connection, owner: str, budget: Budget | None, now: float) -> Balance:
    """The balance of one account holder."""
    return _balance(connection, _Owner(owner, budget), now)


def _owners(caller: Caller) -> Iterator[_Owner]:
    yield _Owner(key_owner(caller.key_id), caller.budget)
    if caller.team is not None:
        yield _Owner(team_owner(caller.team), caller.team_budget)


def _window(owner: _Owner, now: float) -> Window:
    return LIFETIME if owner.budget is None else window_of(owner.budget.period, now)


def _covering(connection: Connection, caller: Caller, now: float) -> list[Any]:
    return _COVERING.run(connection, _parameters(caller.key_id, caller.team, now)).fetchall()


def _parameters(key_id: str, team: str | None, at: float, price: int | None = None) -> dict[str, Any]:
    owner = key_owner(key_id)
    return {"key_owner": owner, "team_owner": owner if team is None else team_owner(team), "at": at, "price": price}


def _is_up_to_date(covering: Sequence[Sequence[Any]], owner: _Owner, now: float) -> bool:
    """Whether the owner's budget, as it is configured now, is the only one that is kept in these accounts.

    One that was taken away, or counted in other stretches, must not go on limiting.
    """
    limits = {tuple(row[1:3]): row[3] for row in covering if row[0] == owner.name}
    current = _window(owner, now)
    expected = None if owner.budget is None else owner.budget.amount
    others = (limit for window, limit in limits.items() if window != current)
    return current in limits and limits[current] == expected and all(limit is None for limit in others)


def _too_dear(owner: _Owner, price: int, available: int, now: float) -> str:
    left = f"{owner.word} has {render_micros(max(0, available))} left of its budget"
    return f"{left}, and this video costs {render_micros(price)}"


_OTHERS = update(accounts).where(accounts.c.owner == bindparam("of_owner")).values(limit=None, available=None)
_OF_WINDOW = and_(
    accounts.c.owner == bindparam("of_owner"),
    accounts.c.starts_at == bindparam("from_"),
    accounts.c.ends_at == bindparam("until"),
)


def _bring_up_to_date(connection: Connection, owner: _Owner, now: float) -> None:
    """Make the account of the current stretch, or give it the limit that is configured now; no other has a limit.

    A limit that was lowered below what is held and spent already is kept as that sum, so that nothing is available.
    """
    window = _window(owner, now)
    key = {"of_owner": owner.name, "from_": window.starts_at, "until": window.ends_at}
    connection.execute(_OTHERS, {"of_owner": owner.name})
    row = connection.execute(select(accounts.c.held, accounts.c.spent).where(_OF_WINDOW), key).one_or_none()
    held, spent = (row[0], row[1]) if row is not None else sums(connection, owner.name, window)
    limit = None if owner.budget is None else max(owner.budget.amount, held + spent)
    available = None if limit is None else limit - held - spent
    if row is not None:
        connection.execute(update(accounts).where(_OF_WINDOW), {**key, "limit": limit, "available": available})
    else:
        values = {"owner": owner.name, **window._asdict(), "limit": limit, "available": available}
        connection.execute(insert(accounts), {**values, "held": held, "spent": spent})


def sums(connection: Connection, owner: str, window: Window) -> tuple[int, int]:
    """(held, spent) by the tasks themselves, in millionths: what an account of this owner and stretch must say."""
    row = connection.execute(_SUMS[owner.partition(":")[0]], {"of": owner.partition(":")[2], **window._asdict()}).one()
    return int(row[0] or 0), int(row[1] or 0)


def _summing(column: Any) -> Select[Any]:
    is_held = tasks.c.money.in_((Money.HELD.value, Money.SUSPENDED.value))
    return select(
        func.sum(case((is_held, tasks.c.price))),
        func.sum(case((tasks.c.money == Money.SETTLED.value, tasks.c.price))),
    ).where(
        column == bindparam("of"),
        tasks.c.created_at >= bindparam("starts_at"),
        tasks.c.created_at < bindparam("ends_at"),
    )


_SUMS = {"key": _summing(tasks.c.caller), "team": _summing(tasks.c.team)}


def _balance(connection: Connection, owner: _Owner, now: float) -> Balance:
    window = _window(owner, now)
    key = {"of_owner": owner.name, "from_": window.starts_at, "until": window.ends_at}
    row = connection.execute(select(accounts.c.held, accounts.c.spent).where(_OF_WINDOW), key).one_or_none()
    held, spent = (row[0], row[1]) if row is not None else sums(connection, owner.name, window)
    return Balance(None if owner.budget is None else owner.budget.amount, held, spent)
