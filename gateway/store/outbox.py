"""Whom to tell of the end of a task, and how far that has come: callbacks that outlive the process.

A letter is written in the transaction that ends its task, so no end is without one. Whoever delivers it takes it for a
time; if he does not come back within it (a killed process), somebody takes it again. So a letter is delivered at least
once, and more often only where a process ended, or storage failed, between a delivery and its note.

Of two who hold one letter, because the first was late, only the second has a say: every taking is counted, and what is
written down names its number.
"""

from collections import Counter
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Connection, Select, Update, and_, func, insert, literal_column, select, update

from gateway import ids
from gateway.store.database import Database
from gateway.store.queries import find
from gateway.store.schema import outbox, tasks
from gateway.structs import Struct, field, replace
from gateway.video import Task

_LOOKED_AT_ONCE = 256  # letters that are due; more of them in one look would only be the same few hosts'
# Spelt out, and not as a parameter: SQLite uses an index on some rows only where it can see that they are meant.
_IS_DUE = outbox.c.state == literal_column("'due'")
_OF_TASK = tasks.c.id == outbox.c.task_id


class Fate(StrEnum):
    """How it ended with a letter."""

    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    WITHDRAWN = "withdrawn"
    """What it says is no longer so, or wanted by nobody."""


class Letter(Struct, frozen=True):
    """What the caller of a task is to be told, by whoever has taken it."""

    task: Task
    number: int
    """Which end of the task it tells of, from 1."""
    host: str
    """Where it goes, as far as one receiver is told from another."""
    taken: int
    failures: int
    body: bytes | None = None
    """None before the first attempt."""

    @property
    def id(self) -> str:
        """The same at every attempt."""
        return f"msg_{ids.word(self.task.id).rpartition('_')[2]}_{self.number}"

    @property
    def url(self) -> str:
        return self.task.request.callback_url or ""


class Out(Struct, frozen=True):
    """The letters that are on the way, and how many may be: in all, to one host, and of one caller."""

    most: int
    host_most: int
    caller_most: int
    hosts: Counter[str] = field(default_factory=Counter)
    callers: Counter[str] = field(default_factory=Counter)

    @property
    def places(self) -> int:
        """How many more may be on the way."""
        return self.most - self.hosts.total()

    def has_place(self, host: str, caller: str) -> bool:
        return self.places > 0 and self.hosts[host] < self.host_most and self.callers[caller] < self.caller_most

    def full_hosts(self) -> list[str]:
        return [host for host, count in self.hosts.items() if count >= self.host_most]

    def full_callers(self) -> list[str]:
        return [caller for caller, count in self.callers.items() if count >= self.caller_most]

    def set_out(self, host: str, caller: str) -> None:
        self.hosts[host] += 1
        self.callers[caller] += 1

    def come_back(self, host: str, caller: str) -> None:
        self.hosts[host] -= 1
        self.callers[caller] -= 1


class Outbox:
    """The letters of one database, for all processes that share it. Any method may raise StorageDown."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def next_due_at(self, out: Out) -> float | None:
        """When the next letter falls due that has a place beside those that are out; None where none will."""
        return await self._db.read(partial(_next_due_at, out=out))

    async def take(self, out: Out, now: float, until: float) -> list[Letter]:
        """Letters that are due and have a place beside those that are out, longest first, for whoever calls to deliver
        before `until`. `out` is left as it was."""
        return await self._db.run(partial(_take, out=out, now=now, until=until))

    async def keep_body(self, letter: Letter) -> bool:
        """Write down what every attempt will say. False where somebody else has taken the letter meanwhile."""
        return await self._db.run(partial(_change, change=_of(letter).values(body=letter.body)))

    async def again(self, letter: Letter, answer: str, at: float) -> bool:
        """An attempt failed, and the next is due at this time. False as above; then nothing was written."""
        failed = _of(letter).values(failures=letter.failures + 1, answer=answer, due_at=at)
        return await self._db.run(partial(_change, change=failed))

    async def end(self, letter: Letter, fate: Fate, answer: str | None, now: float) -> bool:
        """There is no next attempt. False as above."""
        ended = _of(letter).values(state=fate.value, answer=answer, ended_at=now, body=None)
        return await self._db.run(partial(_change, change=ended))


def write(connection: Connection, task: Task, now: float) -> None:
    """In the transaction that ends the task: its caller is to be told, and of this end only."""
    of_task = outbox.c.task_id == task.id
    is_last = select(func.coalesce(func.max(outbox.c.number), 0)).where(of_task)
    number = connection.execute(is_last).scalar_one() + 1
    if number > 1:
        withdrawn = {"state": Fate.WITHDRAWN.value, "ended_at": now, "body": None}
        connection.execute(update(outbox).where(of_task, _IS_DUE).values(withdrawn))
    letter = {"task_id": task.id, "number": number, "host": _host_of(task.request.callback_url or "")}
    connection.execute(
        insert(outbox), {**letter, "state": "due", "due_at": now, "taken": 0, "failures": 0, "created_at": now}
    )


def _next_due_at(connection: Connection, out: Out) -> float | None:
    query = select(outbox.c.due_at).join(tasks, _OF_TASK).where(_IS_DUE).order_by(outbox.c.due_at).limit(1)
    return connection.execute(_beside(query, out)).scalar_one_or_none()


def _take(connection: Connection, out: Out, now: float, until: float) -> list[Letter]:
    taken: list[Letter] = []
    # A step may run more than once, so what it takes is counted in a copy.
    then = replace(out, hosts=out.hosts.copy(), callers=out.callers.copy())
    while then.places > 0:
        due = connection.execute(_beside(_DUE.where(outbox.c.due_at <= now), then)).all()
        for task_id, number, host, caller in due:
            if then.has_place(host, caller):
                then.set_out(host, caller)
                taken.append(_take_one(connection, task_id, number, until))
        if len(due) < _LOOKED_AT_ONCE:
            break
    return taken


def _take_one(connection: Connection, task_id: int, number: int, until: float) -> Letter:
    is_it = _is(task_id, number)
    connection.execute(update(outbox).where(is_it).values(taken=outbox.c.taken + 1, due_at=until))
    columns = (outbox.c.host, outbox.c.taken, outbox.c.failures, outbox.c.body)
    host, taken, failures, body = connection.execute(select(*columns).where(is_it)).one()
    task = find(connection, task_id)
    assert task is not None  # noqa: S101  # a foreign key sees to it
    return Letter(task, number, host, taken, failures, None if body is None else bytes(body))


def _change(connection: Connection, change: Update) -> bool:
    return connection.execute(change).rowcount == 1


def _of(letter: Letter) -> Update:
    """A change that only whoever took the letter last can make."""
    return update(outbox).where(_is(letter.task.id, letter.number), outbox.c.taken == letter.taken, _IS_DUE)


def _is(task_id: int, number: int) -> ColumnElement[bool]:
    return and_(outbox.c.task_id == task_id, outbox.c.number == number)


def _beside(query: Select[Any], out: Out) -> Select[Any]:
    """Without the letters that have no place beside those that are out."""
    hosts, callers = out.full_hosts(), out.full_callers()
    if hosts:
        query = query.where(outbox.c.host.not_in(hosts))
    if callers:
        query = query.where(tasks.c.caller.not_in(callers))
    return query


# What another process is just taking is passed over, where it does not lock the whole database anyway.
_DUE = (
    select(outbox.c.task_id, outbox.c.number, outbox.c.host, tasks.c.caller)
    .join(tasks, _OF_TASK)
    .where(_IS_DUE)
    .order_by(outbox.c.due_at)
    .limit(_LOOKED_AT_ONCE)
    .with_for_update(skip_locked=True, of=outbox)
)


def _host_of(url: str) -> str:
    """Host and port. An address that cannot be read goes nowhere; its door says so."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    return f"{parts.hostname}:{port or parts.scheme}"
