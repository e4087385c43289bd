"""An upstream on a raw loopback socket that does with each request what the test says, and remembers who came.

Requests are read by hand and answered by hand, so that a test decides when each byte is sent, and so that no library
mends what is wrong with one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Self

from tests.world import PROMPT_S

Headers = Sequence[tuple[str, str]]


class Visit:
    """One request, from the upstream's side, on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self._reader = reader
        self._writer = writer
        start, *fields = head[:-4].decode("latin-1").split("\r\n")
        self.method, self.target, _ = start.split(" ")
        self.headers = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        self.body = b""
        self.left = asyncio.Event()
        """The gateway closed the connection."""

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def key(self) -> str:
        return (self.header("authorization") or "").removeprefix("Bearer ")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, in either framing."""
        if self.header("transfer-encoding") == "chunked":
            while size := int(await self._reader.readline(), 16):
                yield await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
            return
        left = int(self.header("content-length") or 0)
        while left:
            piece = await self._reader.read(min(left, 1 << 20))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield piece

    async def read(self) -> bytes:
        async for piece in self.pieces():
            self.body += piece
        return self.body

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def start(self, status: int = 200, headers: Headers = ()) -> None:
        """The beginning of an answer in chunks."""
        lines = [f"HTTP/1.1 {status} Whatever", "Transfer-Encoding: chunked", *(f"{n}: {v}" for n, v in headers)]
        await self.say("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        """One of its chunks; the empty one is its end."""
        await self.say(b"%x\r\n%b\r\n" % (len(data), data))

    async def answer(self, status: int = 200, body: bytes = b"{}", headers: Headers = ()) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *(f"{n}: {v}" for n, v in headers)]
        await self.say("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    async def is_left(self) -> None:
        """Returns when the gateway has closed the connection."""
        async with asyncio.timeout(PROMPT_S):
            with suppress(ConnectionError):
                while await self._reader.read(1 << 16):
                    pass
        self.left.set()


Play = Callable[[Visit], Awaitable[Any]]


async def agreeable(visit: Visit) -> None:
    """Reads everything and finds it good."""
    await visit.read()
    await visit.answer()


class Upstream:
    """Plays the same with everybody who comes, until it is told to play something else."""

    def __init__(self, play: Play = agreeable) -> None:
        self.play = play
        self.visits: list[Visit] = []
        self.faults: list[BaseException] = []
        self._serving: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()
        assert self.faults == []

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def keys_used(self) -> list[str]:
        return [visit.key for visit in self.visits]

    async def visit(self, number: int = 0) -> Visit:
        """The visit of that number, once it has come."""
        async with asyncio.timeout(PROMPT_S):
            while len(self.visits) <= number:
                self._news.clear()
                await self._news.wait()
        return self.visits[number]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            visit = Visit(reader, writer, head)
            self.visits.append(visit)
            self._news.set()
            await self.play(visit)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the gateway went away, as it may; or the test is over
        except Exception as error:
            self.faults.append(error)
        finally:
            self._serving.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def config(*keys: str, rest: str = "", more: str = "") -> str:
    """A gateway that passes on to the fake with these keys, each of an account of its own."""
    listed = ", ".join(f"{{id: {key}, value: sk-up-{key}{more}}}" for key in keys or ("main",))
    return f"""
upstreams:
  - {{name: other, provider: evolink, base_url: "${{UPSTREAM}}", keys: [{listed}]}}
passthrough: {{upstream: other}}
{rest}
"""
