"""The smallest world a store needs: a database, a request, and somebody who asks.

A test that takes `world` runs on both kinds of database; one that is about files takes `file`.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.store import Database, Registry, Verdict, Wait, prepare
from gateway.store.schema import metadata
from gateway.video import Caller, Failure, Look, Mode, Offer, Receipt, Route, State, Status, Task, VideoRequest
from tests.postgres import clean_database

NOW = 1_800_000_000.0
PROMPT = "A secret cat walks over a piano"


@dataclass
class World:
    url: str
    now: float = NOW
    request: VideoRequest = field(
        default_factory=lambda: VideoRequest(
            model="MiniMax-Hailuo-2.3", prompt=PROMPT, resolution="768P", duration_s=6, dialect="evolink"
        )
    )
    offer: Offer = field(default_factory=lambda: Offer("MiniMax-Hailuo-2.3", Mode.TEXT, "768P", 6, 280_000))
    caller: Caller = field(default_factory=lambda: Caller("alice"))
    route: Route = field(default_factory=lambda: Route("evo", "key-1"))

    @property
    def path(self) -> Path:
        """The file."""
        assert self.url.startswith(_FILE)
        return Path(self.url.removeprefix(_FILE))

    @property
    def refusal(self) -> type[Exception]:
        """What somebody else is told who breaks a rule of the database."""
        return sqlite3.IntegrityError if self.url.startswith(_FILE) else psycopg.errors.IntegrityError

    @asynccontextmanager
    async def database(self, **options: Any) -> AsyncIterator[Database]:
        db = Database.open(self.url, **options)
        try:
            await prepare(db)
            yield db
        finally:
            await db.close()

    @asynccontextmanager
    async def registry(self, **options: Any) -> AsyncIterator[Registry]:
        async with self.database(**options) as db:
            yield Registry(db)

    async def opened(self, registry: Registry, **changes: Any) -> Task:
        given = {"request": self.request, "caller": self.caller, "offer": self.offer, "place": self.route}
        task, is_new = await registry.open(**{**given, **changes}, currency="USD", now=self.now)
        assert is_new
        return task

    async def in_state(self, registry: Registry, state: State) -> Task:
        """A fresh task in this state, brought there by the moves themselves."""
        task = await self.opened(registry)
        later = self.now + 1
        if state is State.QUEUED:
            verdict = Verdict("rate_limited", "H20", 429)
            await registry.requeue(task, verdict, Wait(task.request, 100, None), later)
        elif state is State.UNCONFIRMED:
            await registry.doubt(task, Verdict("submission_unconfirmed", "T9"), later)
        elif state is State.REFUSED:
            await registry.abandon(task, Failure("rate_limited", "busy"), Verdict("rate_limited", "H20", 429), later)
        elif state in (State.RUNNING, State.COMPLETED, State.FAILED):
            await registry.start(task, Receipt(f"u-{task.id}"), later)
            if state is State.COMPLETED:
                await registry.note(task.id, Look(Status.COMPLETED, link="https://x/v.mp4"), later)
            if state is State.FAILED:
                await registry.note(task.id, Look(Status.FAILED, failure=Failure("generation_failed", "no")), later)
        found = await registry.get(task.id)
        assert found is not None
        assert found.state is state
        return found

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What somebody else sees in the database, or does to it: a connection of its own, outside of the house."""
        if self.url.startswith(_FILE):
            with closing(sqlite3.connect(self.path)) as connection, connection:
                return connection.execute(sql, values).fetchall()
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(sql.replace("?", "%s"), values)  # type: ignore[arg-type]  # written in a test
            return [] if cursor.description is None else cursor.fetchall()

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table."""
        return {
            name: self.execute(f"SELECT * FROM {name} ORDER BY {', '.join(table.primary_key.columns.keys())}")  # noqa: S608
            for name, table in metadata.tables.items()
        }


_FILE = "sqlite:///"


@pytest.fixture
def file(tmp_path: Path) -> World:
    """A world whose database is a file."""
    return World(f"{_FILE}{tmp_path / 'tasks.db'}")


@pytest.fixture
def server() -> World:
    """A world whose database is on a server."""
    return World(clean_database())


@pytest.fixture(params=["file", "server"], ids=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> World:
    """A world on either kind of database."""
    found: World = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs the story of a test, which must be over within half a minute."""

    def run_story(story: Callable[[], Awaitable[None]]) -> None:
        asyncio.run(asyncio.wait_for(story(), 30))

    return run_story
