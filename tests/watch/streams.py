"""A reader of server-sent events, as the standard says they are read."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.world import ALICE, PROMPT_S, World, bearer


@dataclass
class Event:
    """One event, or where `name` is None what else came between two empty lines."""

    name: str | None = None
    id: str | None = None
    data: Any = None
    retry_ms: int | None = None
    comments: list[str] = field(default_factory=list)


class Reader:
    """A stream that is being read."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def event(self) -> Event:
        """The next event `status`. Raises StopAsyncIteration at the end."""
        while (block := await self.block()).name is None:
            pass
        assert block.name == "status"
        return block

    async def rest(self) -> list[Event]:
        """All blocks until the end."""
        found = []
        while True:
            try:
                found.append(await self.block())
            except StopAsyncIteration:
                return found

    async def block(self) -> Event:
        """Whatever comes next. Raises StopAsyncIteration at the end."""
        block = Event()
        async with asyncio.timeout(PROMPT_S):
            while line := await anext(self._lines):
                name, _, value = line.partition(": ")
                if name in ("", ":"):
                    block.comments.append(value)
                elif name == "event":
                    block.name = value
                elif name == "id":
                    block.id = value
                elif name == "data":
                    block.data = json.loads(value)
                elif name == "retry":
                    block.retry_ms = int(value)
                else:
                    raise AssertionError(f"a field that no reader knows: {line!r}")
        return block


@asynccontextmanager
async def following(it: World, word: str, prefix: str = "", key: str = ALICE, **headers: str) -> AsyncIterator[Reader]:
    """The stream of a task, open."""
    path = f"{prefix}/v1/tasks/{word}/events"
    asked = {**bearer(key), **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with it.http.stream("GET", path, headers=asked) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Reader(response)
