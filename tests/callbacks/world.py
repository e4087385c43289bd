"""The smallest world of a callback: a real outbox, a door that remembers, and a clock that stands still."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from gateway.bounds import Bounds
from gateway.egress import EgressRefused, Reason
from gateway.flows.callbacks import Courier
from gateway.memory import Memory
from gateway.metrics import Metrics
from gateway.parts import Settings
from gateway.secret import Secret
from gateway.store import Database, Outbox, Registry
from gateway.stories import Stories
from gateway.structs import replace
from gateway.video import Failure, Look, Receipt, Status, Task
from tests.store.conftest import NOW
from tests.store.conftest import World as StoreWorld
from tests.world import PROMPT_S

HOOK = "https://caller.example/hook?token=hook-secret"
SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
FILM = "https://cdn.example/film.mp4"


class Clock:
    """A clock that stands still until the test walks it forward."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def walk(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Visit:
    """One attempt, as its receiver saw it."""

    at: float
    url: str
    body: bytes
    headers: Mapping[str, str]


@dataclass
class Door:
    """Answers in turn with a status or a reason why there is none; the last answer stays. Every exchange takes time."""

    clock: Clock
    answers: list[int | Reason] = field(default_factory=lambda: [200])
    takes_s: float = 0.0
    hangs_at: str | None = None
    """A host that never answers."""
    is_open: asyncio.Event | None = None
    """No answer is given before this is set."""
    visits: list[Visit] = field(default_factory=list)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.visits.append(Visit(self.clock(), url, body, headers))
        if self.hangs_at is not None and self.hangs_at in url:
            await asyncio.get_running_loop().create_future()
        if self.is_open is not None:
            await self.is_open.wait()
        self.clock.walk(self.takes_s)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Reason):
            raise EgressRefused("the address could not be used", answer)
        return answer


class Upstreams:
    """Links to films live a day."""

    life_s = 86_400

    def link_life_s(self, task: Task) -> int:
        return self.life_s


@dataclass
class Office:
    """One process of the gateway, as far as callbacks are concerned."""

    registry: Registry
    outbox: Outbox
    clock: Clock
    door: Door
    parts: Any
    courier: Courier
    base: StoreWorld

    async def ended(self, dialect: str = "evolink", url: str | None = HOOK, **changes: Any) -> Task:
        """A task that has just been completed, or failed where the look says so."""
        task = await self.running(dialect, url)
        look = Look(Status.COMPLETED, link=FILM)
        if changes.get("fails"):
            look = Look(Status.FAILED, failure=Failure("generation_failed", "it could not be made"))
        return await self.registry.note(task.id, look, self.clock())

    async def running(self, dialect: str = "evolink", url: str | None = HOOK) -> Task:
        request = replace(
            self.base.request, dialect=dialect, callback_url=url, reached_at="http://gateway.example:8080"
        )
        self.base.now = self.clock()
        task = await self.base.opened(self.registry, request=request)
        return await self.registry.start(task, Receipt(f"u-{task.id}"), self.clock())

    async def deliver(self) -> int:
        """Make every attempt that is due now, and wait for its end; how many there were."""
        attempts = await self.courier.set_out()
        await asyncio.gather(*attempts)
        return len(attempts)

    def outcomes(self) -> dict[str, int]:
        """What the metrics count."""
        lines = self.parts.metrics.exposition().decode().splitlines()
        found = [
            line.removeprefix('reelgate_callbacks_total{outcome="') for line in lines if "callbacks_total{" in line
        ]
        return {name: int(float(count)) for name, _, count in (line.partition('"} ') for line in found)}


async def until(holds: Callable[[], object]) -> None:
    """Wait for what must come soon."""
    deadline = time.monotonic() + PROMPT_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def office(base: Any, clock: Clock | None = None, **settings: Any) -> AsyncIterator[Office]:
    """Open one on the database of a store's world. Several may be open at once, and each may end without a word."""
    database: Database
    async with base.database() as database:
        yield make_office(base, database, clock or Clock(), **settings)


def make_office(base: Any, database: Database, clock: Clock, **settings: Any) -> Office:
    registry, outbox, door = Registry(database), Outbox(database), Door(clock)
    parts = SimpleNamespace(
        registry=registry,
        outbox=outbox,
        clock=clock,
        door=door,
        upstreams=Upstreams(),
        archive=None,
        memory=Memory(),
        bounds=Bounds(),
        metrics=Metrics(),
        stories=Stories(),
        settings=Settings(link_secret=b"links", **settings),
    )
    return Office(registry, outbox, clock, door, parts, Courier(parts), base)  # type: ignore[arg-type]
