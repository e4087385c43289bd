"""What every test here needs."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture
def run() -> Run:
    """Run a story in an event loop of its own, against hanging within a minute."""

    async def within(story: Callable[[], Awaitable[None]]) -> None:
        async with asyncio.timeout(90):
            await story()

    def runs(story: Callable[[], Awaitable[None]]) -> None:
        asyncio.run(within(story))

    return runs
