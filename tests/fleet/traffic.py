"""Clients as there are: they keep their connections, come at a steady rate, and write down whatever goes wrong.

Nothing is repeated here. A connection that the gateway has closed between two requests is opened anew, as every pool
does; one that ends in the middle of a request is a failure.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from tests.world import ALICE, PROMPT_S, SPEECHES

SPEECH = SPEECHES["evolink"]
VISITORS = 16
CREATE_EVERY = 4  # of a visitor's requests; the others are polls
FRESH_EVERY = 10  # this one asks for its connection to be closed


class Broken(Exception):
    """A request was not answered."""


class Visitor:
    """One client with at most one connection."""

    def __init__(self, base_url: str) -> None:
        at = urlsplit(base_url)
        self._host, self._port = at.hostname or "", at.port or 80
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether its connection is open at both ends."""
        return self._line is not None and not self._line[0].at_eof()

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, closes: bool = False
    ) -> tuple[int, bytes]:
        """Status and body. Raises Broken."""
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\nauthorization: Bearer {ALICE}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
        head += "connection: close\r\n\r\n" if closes else "\r\n"
        try:
            async with asyncio.timeout(PROMPT_S):
                reader, writer = await self._connected()
                writer.write(head.encode() + content)
                return await self._answer(reader)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.close()
            raise Broken(f"{method} {path}: {error!r}") from error

    def close(self) -> None:
        if self._line is not None:
            self._line[1].close()
            self._line = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self.is_connected:
            self.close()
        if self._line is None:
            self._line = await asyncio.open_connection(self._host, self._port)
        return self._line

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(first.split()[1]), body


class Traffic:
    """Creates and polls, so many a second, and what came of them."""

    def __init__(self, base_url: str, rate: float) -> None:
        self._base_url = base_url
        self._every_s = VISITORS / rate
        self.statuses: Counter[int] = Counter()
        self.broken: list[str] = []
        self.tasks: list[str] = []

    async def visit(self) -> None:
        """One visitor's requests, until cancelled."""
        visitor = Visitor(self._base_url)
        loop = asyncio.get_running_loop()
        number, due = 0, loop.time()
        try:
            while True:
                number, due = number + 1, max(due + self._every_s, loop.time() - 1)
                await asyncio.sleep(due - loop.time())
                try:
                    await self._ask(visitor, number)
                except Broken as error:
                    self.broken.append(str(error))
        finally:
            visitor.close()

    async def _ask(self, visitor: Visitor, number: int) -> None:
        closes = number % FRESH_EVERY == 0
        if not self.tasks or number % CREATE_EVERY == 0:
            status, body = await visitor.ask("POST", SPEECH.create, SPEECH.body, closes=closes)
            if status == 200:
                self.tasks.append(json.loads(body)["id"])
        else:
            path = SPEECH.read.format(id=self.tasks[number * 7919 % len(self.tasks)])
            status, _ = await visitor.ask("GET", path, closes=closes)
        self.statuses[status] += 1

    def assert_everybody_was_answered(self) -> None:
        assert self.broken == []
        assert set(self.statuses) == {200}, self.statuses


@asynccontextmanager
async def traffic(base_url: str, rate: float = 200.0) -> AsyncIterator[Traffic]:
    """Traffic for as long as the block lasts; what is on its way at the end is waited for."""
    it = Traffic(base_url, rate)
    visits = [asyncio.create_task(it.visit()) for _ in range(VISITORS)]
    try:
        yield it
    finally:
        for visit in visits:
            visit.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*visits, return_exceptions=True)
