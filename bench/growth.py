"""How the cost of a poll and of a create grows: with stored tasks, with virtual keys, with clients that wait.

Processor time is compared, because it hardly suffers from what else the machine does.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.laboratory import Laboratory
from bench.load import Order
from bench.plan import SETTLE_S, Plan
from bench.processes import Server, ServerFailed
from bench.rows import Row
from gateway import ids
from gateway.store import Database, prepare
from gateway.store.rows import row_of
from gateway.store.schema import accounts, attempts, entries, tasks
from gateway.video import Mode, Money, State, Task, VideoRequest

GROWTH_MAX = 1.20
KEYS = (1, 100, 1_000)
WAITING = (1, 1_000)
_CONNECTIONS = 16
_PRICE = 280_000
_BATCH = 20_000
_REQUEST = VideoRequest(model="MiniMax-Hailuo-2.3", prompt="a ship at dawn", resolution="768P", duration_s=6)


@dataclass(frozen=True, slots=True)
class Place:
    """One size of one thing."""

    says: str
    gateway: AbstractContextManager[Server]
    waiting: int = 0


def rows(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """A row of polls and one of creates for each thing that grows."""
    histories = [(f"{count:,}", _history(lab.folder / f"history-{count}.db", count)) for count in plan.stored]
    yield from _grown("stored tasks", lab, plan, [Place(says, lab.gateway(database=file)) for says, file in histories])
    yield from _grown("virtual keys", lab, plan, [Place(f"{count:,}", lab.gateway(keys=count)) for count in KEYS])
    yield from _grown(
        "waiting clients", lab, plan, [Place(f"{count:,}", lab.gateway(), waiting=count) for count in WAITING]
    )
    for _, file in histories:
        file.unlink(missing_ok=True)


def _grown(thing: str, lab: Laboratory, plan: Plan, places: Sequence[Place]) -> Iterator[Row]:
    """One size after the other, the least first: the others are compared with it."""
    costs: list[dict[str, list[float]]] = [{"poll": [], "create": []} for _ in places]
    orders: dict[str, Callable[[Server], Order]] = {
        "poll": lab.poll_order,
        "create": lambda server: lab.create_order(),
    }
    for number, place in enumerate(places):
        with place.gateway as server, _waiting(lab, server, place.waiting):
            for kind, order_for in orders.items():
                order = order_for(server)
                lab.wrk.fire(server, order, connections=_CONNECTIONS, seconds=1)
                for _ in range(plan.rounds):
                    time.sleep(SETTLE_S)
                    done = lab.wrk.fire(server, order, connections=_CONNECTIONS, seconds=plan.round_s)
                    costs[number][kind].append(done.cpu_us)
    for kind in orders:
        told = [median(cost[kind]) for cost in costs]
        growth = max(told) / told[0]
        yield Row(
            f"{kind} with {places[-1].says} {thing}",
            f"{told[-1]:,.0f} µs",
            f"{told[0]:,.0f} µs with {places[0].says}",
            " / ".join(f"{place.says}: {cost:,.0f} µs" for place, cost in zip(places, told, strict=True)),
            f"<= {GROWTH_MAX:.2f} of it",
            growth <= GROWTH_MAX,
            raw={"us": costs, "growth": growth, "goal": GROWTH_MAX},
        )


@contextmanager
def _waiting(lab: Laboratory, server: Server, count: int) -> Iterator[None]:
    """So many clients that follow one task by server-sent events, on connections of their own."""
    if not count:
        yield
        return
    path = lab.poll_order(server).path + "/events"
    fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "bench", **lab.headers}.items())
    request = f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode()

    async def come() -> list[asyncio.StreamWriter]:
        writers = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request)
            writers.append(writer)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise ServerFailed(f"a client that waits was told {head[:60]!r}")
        return writers

    with asyncio.Runner() as runner:
        writers = runner.run(come())
        yield
        for writer in writers:
            writer.close()


def _history(file: Path, count: int) -> Path:
    """A database with so many finished tasks of the last year, with their attempts and the lines of their money."""
    asyncio.run(_prepared(file))
    now = time.time()
    first_at = now - 365 * 86_400
    with sqlite3.connect(file, isolation_level=None) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        for start in range(0, count, _BATCH):
            made = [_finished(first_at + number * 30) for number in range(start, min(count, start + _BATCH))]
            connection.execute("BEGIN")
            _insert(connection, tasks.name, [_row(task) for task in made])
            _insert(connection, attempts.name, [_attempt(task) for task in made])
            _insert(connection, entries.name, [line for task in made for line in _lines(task)])
            connection.execute("COMMIT")
        if count:
            account = {"owner": "key:bench", "starts_at": -1e18, "ends_at": 1e18, "limit": None, "available": None}
            _insert(connection, accounts.name, [{**account, "held": 0, "spent": _PRICE * count}])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


async def _prepared(file: Path) -> None:
    database = Database.open(f"sqlite:///{file}")
    await prepare(database)
    await database.close()


def _insert(connection: sqlite3.Connection, table: str, found: list[dict[str, object]]) -> None:
    names = list(found[0])
    columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    statement = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - names of our own
    connection.executemany(statement, [tuple(row[name] for name in names) for row in found])


def _finished(at: float) -> Task:
    return Task(
        id=ids.new_number(at),
        state=State.COMPLETED,
        caller="bench",
        team=None,
        dialect="evolink",
        request=_REQUEST,
        fingerprint=f"{at:.0f}",
        mode=Mode.TEXT,
        price=_PRICE,
        currency="USD",
        money=Money.SETTLED,
        upstream="fixed",
        key_id="main",
        created_at=at,
    )


def _row(task: Task) -> dict[str, object]:
    at = task.created_at
    ended = {"upstream_id": f"task-{task.id}", "started_at": at, "finished_at": at + 60, "link": "https://films.test/a"}
    return {**row_of(task), **ended}


def _attempt(task: Task) -> dict[str, object]:
    at = task.created_at
    told = {"upstream": task.upstream, "key_id": task.key_id, "fingerprint": task.fingerprint, "owner": 0}
    return {"task_id": task.id, "number": 1, **told, "started_at": at, "ended_at": at + 1, "outcome": "accepted"}


def _lines(task: Task) -> list[dict[str, object]]:
    line = {"task_id": task.id, "amount": _PRICE, "at": task.created_at}
    return [{**line, "number": 1, "kind": "reserve"}, {**line, "number": 2, "kind": "settle"}]
