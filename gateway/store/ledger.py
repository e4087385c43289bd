"""The ledger: reserve when a task opens; settle, release or suspend when it ends. Lines are only ever added.

Every function here is part of a move (`moves.py`) and shares its transaction, so the money of a task moves exactly when
its state does. Who may move what from where is decided there by compare-and-set on the state; that a reservation is
resolved once, and that accounts add up, the constraints of `schema.py` say again. A task without a price has no lines.
"""

from sqlalchemy import Connection, bindparam, func, insert, select

from gateway.store import accounts
from gateway.store.prepared import Prepared
from gateway.store.schema import entries
from gateway.video import Caller, Money, Task

_RESERVED = Prepared(insert(entries).inline(), ["task_id", "number", "kind", "amount", "at"])
_NEXT = select(func.max(entries.c.number) + 1).where(entries.c.task_id == bindparam("of_task")).scalar_subquery()
_ADDED = Prepared(insert(entries).inline().values(number=_NEXT), ["task_id", "kind", "amount", "at", "reason"])

# Where the money of a task may go, and the line that says so. Nothing leaves SETTLED or RELEASED.
KINDS = {
    (Money.HELD, Money.SETTLED): "settle",
    (Money.HELD, Money.RELEASED): "release",
    (Money.HELD, Money.SUSPENDED): "suspend",
    (Money.SUSPENDED, Money.HELD): "resume",
    (Money.SUSPENDED, Money.SETTLED): "settle",
    (Money.SUSPENDED, Money.RELEASED): "release",
}


def reserve(connection: Connection, task: Task, caller: Caller) -> None:
    """Hold the price of a task that is being opened. Raises BudgetSpent, and then nothing is held."""
    if task.price is not None:
        accounts.reserve(connection, caller, task.price, task.created_at)


def record(connection: Connection, task: Task) -> None:
    """The first line of a task, after the task itself, which it names."""
    if task.price is not None:
        line = {"task_id": task.id, "number": 1, "kind": "reserve", "amount": task.price, "at": task.created_at}
        _RESERVED.run(connection, line)


def move(connection: Connection, task: Task, to: Money, now: float, reason: str | None = None) -> None:
    """Take the money of a task on from where it stands. `task` is as it was before the move."""
    if task.price is None or to is task.money:
        return
    kind = KINDS[task.money, to]
    if to is Money.SETTLED:
        accounts.settle(connection, task)
    elif to is Money.RELEASED:
        accounts.release(connection, task)
    line = {"task_id": task.id, "of_task": task.id, "kind": kind, "amount": task.price, "at": now, "reason": reason}
    _ADDED.run(connection, line)
