"""Several gateways on one storage, each a `reelgate serve` of its own, before one sandbox."""

import asyncio
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from gateway import sandbox
from gateway.store import Database, Registry
from tests.life.process import Process, serve
from tests.postgres import fresh_database
from tests.world import GIVE_UP_S, SLOW, SPEECHES, bearer

PRICE = 280_000  # millionths, of the video that `create` orders
KINDS = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Fleet:
    """The gateways, a client of theirs, and the sandbox behind them."""

    crowd: list[httpx.AsyncClient]
    processes: list[Process]
    url: str
    simulated: Starlette

    def videos(self) -> list[dict[str, Any]]:
        """Every video the sandbox accepted and billed."""
        found: list[dict[str, Any]] = self.simulated.state.sandbox.videos()
        return found

    async def create(
        self, number: int, key: str, prompt: str, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Order a video at one of the gateways; they take turns by number."""
        speech, process = SPEECHES["evolink"], self.processes[number % len(self.processes)]
        http = self.crowd[number % len(self.crowd)]
        body = {**speech.body, "prompt": prompt}
        return await http.post(process.base_url + speech.create, json=body, headers={**bearer(key), **(headers or {})})

    async def creates(self, count: int, keys: Iterable[str], prompt: str = "film") -> list[httpx.Response]:
        """So many at once, by these keys in turn."""
        by = itertools.cycle(keys)
        return await asyncio.gather(*(self.create(number, next(by), f"{prompt} {number}") for number in range(count)))


@asynccontextmanager
async def fleet(
    folder: Path, kind: str, config: str, *arguments: str, size: int = 4, speed: float = SLOW
) -> AsyncIterator[Fleet]:
    """Open everything, each gateway with these arguments; the books are audited when the gateways are gone."""
    url = f"sqlite:///{folder / 'reelgate.db'}" if kind == "sqlite" else fresh_database()
    config = f"{config}\nstorage: {{url: {json.dumps(url)}}}\n"
    simulated = sandbox.create_app(balance_usd=1_000_000, speed=speed)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(sandbox.running(app=simulated))
        http = await stack.enter_async_context(crowd())
        starting = [serve(folder, upstream, config, "--log-level", "warning", *arguments) for _ in range(size)]
        processes = await asyncio.gather(*(stack.enter_async_context(process) for process in starting))
        yield Fleet(http, processes, url, simulated)
    assert await drift(url) == []


@asynccontextmanager
async def crowd(size: int = 24) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients for many requests at once: what one of them does for a request grows with those that it has open."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    trust = ssl.create_default_context()
    async with AsyncExitStack() as stack:
        clients = [
            httpx.AsyncClient(trust_env=False, timeout=GIVE_UP_S, limits=limits, verify=trust) for _ in range(size)
        ]
        yield [await stack.enter_async_context(client) for client in clients]


async def drift(url: str) -> list[str]:
    """What does not add up in a storage that no gateway here has open."""
    database = Database.open(url)
    try:
        return await Registry(database).audit()
    finally:
        await database.close()
