"""Bytes out, answers in: a client that mends nothing, and an application that remembers what reached it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.world import PROMPT_S


@dataclass(frozen=True)
class Answer:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """One connection, seen from the client's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def stop_sending(self) -> None:
        self._writer.write_eof()

    async def answer(self, *, to_head: bool = False) -> Answer | None:
        """The next answer; None where the connection is closed instead. Interim answers are answers."""
        async with asyncio.timeout(PROMPT_S):
            try:
                text = await self._reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
                return None
            except ConnectionResetError:
                return None
            line, *fields = text.decode("latin-1").split("\r\n")[:-2]
            version, status = line.split(" ")[:2]
            assert version in ("HTTP/1.1", "HTTP/1.0"), line
            headers = {name.lower(): value for name, value in (item.split(": ", 1) for item in fields)}
            assert len(headers) == len(fields), fields
            return Answer(int(status), headers, await self._body(int(status), headers, to_head=to_head))

    async def answers(self) -> list[Answer]:
        """All there are until the connection is closed."""
        found = []
        while (answer := await self.answer()) is not None:
            found.append(answer)
        return found

    async def _body(self, status: int, headers: dict[str, str], *, to_head: bool) -> bytes:
        if to_head or status < 200 or status in (204, 304):
            return b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self._reader.readuntil(b"\r\n"), 16):
                body += (await self._reader.readexactly(size + 2))[:-2]
            assert await self._reader.readexactly(2) == b"\r\n"
            return body
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return await self._reader.read()

    def abort(self) -> None:
        """Leave, with whatever was still to be sent."""
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def connected(base_url: str) -> AsyncIterator[Line]:
    """A connection of one's own."""
    host, _, port = base_url.removeprefix("http://").rpartition(":")
    line = Line(*await asyncio.open_connection(host, int(port)))
    try:
        yield line
    finally:
        await line.close()


@dataclass
class Arrival:
    """One request as the application was given it; `body_bytes` is -1 while not all of a body was."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    port: int
    body_bytes: int
    _count: int = field(default=0, repr=False)

    def note(self, message: Message) -> None:
        if message["type"] == "http.request":
            self._count += len(message["body"])
            if not message["more_body"]:
                self.body_bytes = self._count


class Recorder:
    """Stands before an application, offers what it offers, and remembers."""

    def __init__(self, app: Any) -> None:
        self._app: ASGIApp = app
        self.refuse = app.refuse
        self.vital = app.vital
        self.arrivals: list[Arrival] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        unread = -1 if has_body else 0
        arrival = Arrival(scope["method"], scope["raw_path"].decode(), scope["headers"], scope["client"][1], unread)
        self.arrivals.append(arrival)

        async def noted() -> Message:
            message = await receive()
            arrival.note(message)
            return message

        await self._app(scope, noted, send)
