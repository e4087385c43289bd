"""What is asked of a gateway of which some kind of work is full."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from gateway.bounds import Bound
from gateway.store import Wanted
from tests.callbacks.world import until
from tests.world import PROMPT_S, World

__all__ = ["Work", "assert_alive", "assert_refused", "begin", "eventually", "order_count", "until"]

Work = asyncio.Task[Any]


async def begin(bound: Bound, count: int, ask: Callable[[], Awaitable[Any]]) -> list[Work]:
    """So much work of a kind, once all of it has its place."""
    before = bound.taken
    begun: list[Work] = [asyncio.ensure_future(ask()) for _ in range(count)]
    await until(lambda: bound.taken == before + count)
    assert not any(work.done() for work in begun)
    return begun


async def assert_refused(it: World, what: str, answer: httpx.Response, *, is_create: bool = False) -> None:
    """It was told to come back, and counted."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers.get("x-should-retry") == ("true" if is_create else None)
    told = (await it.http.get("/metrics")).text
    name = f'reelgate_overload_refusals_total{{what="{what}"}}'
    (line,) = (line for line in told.splitlines() if line.startswith(name))
    assert float(line.rpartition(" ")[2]) >= 1


async def eventually(holds: Callable[[], Awaitable[object]]) -> None:
    """Ask until it is so."""
    async with asyncio.timeout(PROMPT_S):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


async def assert_alive(it: World) -> None:
    """Whoever watches is answered."""
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await it.http.get(path)).status_code == 200, path


async def order_count(it: World) -> int:
    """How many tasks there are, and so how many reservations."""
    return len(await it.parts.books.page(Wanted(), 1_000))
