"""Several gateways in this process at one storage, before one sandbox. Each is a replica: they share nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from starlette.applications import Starlette

from gateway import sandbox
from gateway.app import gateway
from gateway.flows import neighbours
from gateway.keys import KeyState
from tests.world import GIVE_UP_S, SLOW, World, anywhere, make_config

ADMIN = "the-admin-key"
NO_LIMIT = "{id: main, value: sk-up-main-key}"


@dataclass(frozen=True)
class Street:
    """The sandbox, the storage, and the clock that all replicas have in common."""

    folder: Path
    storage: str
    sandbox_url: str
    simulated: Starlette
    clock: Callable[[], float]

    @asynccontextmanager
    async def replica(self, *keys: str, queue: str = "null") -> AsyncIterator[World]:
        """One more gateway. Each of `keys` is a key of its upstream, as it stands in the configuration."""
        config = (
            f"storage: {{url: '{self.storage}'}}\n"
            f"queue: {queue}\n"
            f"admin_key: {ADMIN}\n"
            f"upstreams: [{{name: sandbox, provider: evolink, base_url: '{self.sandbox_url}/evolink', "
            f"keys: [{', '.join(keys or (NO_LIMIT,))}]}}]\n"
        )
        async with AsyncExitStack() as stack:
            settings = make_config(self.folder, self.sandbox_url, config)
            opened = await stack.enter_async_context(gateway(settings, clock=self.clock, resolve=anywhere))
            transport = httpx.ASGITransport(opened.app)
            client = httpx.AsyncClient(
                base_url="http://127.0.0.1", transport=transport, trust_env=False, timeout=GIVE_UP_S
            )
            yield World(await stack.enter_async_context(client), opened, self.simulated, self.sandbox_url)


@asynccontextmanager
async def street(
    folder: Path, storage: str, *, clock: Callable[[], float] = time.time, speed: float = SLOW
) -> AsyncIterator[Street]:
    """Open the sandbox; nobody lives here yet."""
    simulated = sandbox.create_app(speed=speed, clock=clock, balance_usd=1_000_000)
    async with sandbox.running(app=simulated) as url:
        yield Street(folder, storage, url, simulated, clock)


async def sync(*replicas: World) -> None:
    """What the background does every second, now: all tell, then all hear."""
    for replica in (*replicas, *replicas):
        await neighbours.sync(replica.parts)


def states(replica: World) -> Mapping[str, KeyState]:
    """Key → state, as this replica sees it."""
    return {key: state for _, key, state in replica.parts.upstreams.key_states()}


async def eventually(is_so: Callable[[], bool], within_s: float = GIVE_UP_S) -> None:
    """Wait for what the background brings about."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - it is the background of a gateway that brings it
            await asyncio.sleep(0.02)
