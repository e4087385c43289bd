"""The auditor: do the lines of the ledger lead to where the money of each task stands, and do the accounts add up?

Everything is counted anew from the lines and the tasks; nothing is believed because a row says so. An empty answer
means that the books are exact to the millionth.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, and_, exists, literal, select

from gateway.periods import Window
from gateway.store.accounts import sums
from gateway.store.ledger import KINDS
from gateway.store.schema import accounts, entries, tasks
from gateway.video import Money

_LEADS = {(source, kind): target for (source, target), kind in KINDS.items()}


def audit(connection: Connection) -> list[str]:
    """One sentence for everything that does not add up."""
    return [*_wrong_ledgers(connection), *_wrong_accounts(connection), *_uncovered(connection)]


def _wrong_ledgers(connection: Connection) -> Iterator[str]:
    lines = (
        select(tasks.c.id, tasks.c.price, tasks.c.money, entries.c.number, entries.c.kind, entries.c.amount)
        .join(entries, entries.c.task_id == tasks.c.id, isouter=True)
        .order_by(tasks.c.id, entries.c.number)
    )
    for (task_id, price, money), rows in groupby(connection.execute(lines), key=lambda row: row[:3]):
        wrong = _wrong_lines(price, Money(money), [row[3:] for row in rows if row[3] is not None])
        if wrong is not None:
            yield f"task {task_id}: {wrong}"


def _wrong_lines(price: int | None, money: Money, lines: Sequence[Any]) -> str | None:
    if price is None:
        return "it has no price, and lines in the ledger" if lines else None
    if not lines or lines[0][1] != "reserve":
        return "its price was never reserved"
    stands: Money | None = Money.HELD
    for expected, (number, kind, amount) in enumerate(lines, 1):
        if number != expected or amount != price:
            return f"line {number} does not follow, or moves {amount} instead of {price}"
        if expected > 1:
            stands = None if stands is None else _LEADS.get((stands, kind))
    return None if stands is money else f"its lines lead to {stands}, and it says {money}"


def _wrong_accounts(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(accounts)).all():
        held, spent = sums(connection, row.owner, Window(row.starts_at, row.ends_at))
        if (row.held, row.spent) != (held, spent):
            said = f"says {row.held} held and {row.spent} spent"
            yield f"account {row.owner} from {row.starts_at:.0f}: {said}, its tasks make {held} and {spent}"


def _uncovered(connection: Connection) -> Iterator[str]:
    """A reservation that no account counts would be outside of every budget."""
    for owner, is_owned in (("key:", tasks.c.caller), ("team:", tasks.c.team)):
        covers = and_(
            accounts.c.owner == literal(owner) + is_owned,
            accounts.c.starts_at <= tasks.c.created_at,
            accounts.c.ends_at > tasks.c.created_at,
        )
        uncovered = select(tasks.c.id).where(tasks.c.price.is_not(None), is_owned.is_not(None), ~exists().where(covers))
        for (task_id,) in connection.execute(uncovered):
            yield f"task {task_id}: no account of its {owner.rstrip(':')} counts it"
