"""Raw upstreams for what owns its connections, and the event loops on which it is tested."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvloop

from gateway import line

Meet = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Story = Callable[[], Awaitable[None]]
Play = Callable[[Story], None]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
# They tell of the end of a connection in their own ways.
LOOPS: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


NO_ANSWERS = [
    b"",
    b"HTTP/1.1 2",
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    b"HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"y" * line.HEAD_BYTES_MAX,
    b"SSH-2.0-OpenSSH\r\n\r\n",
]
"""What an upstream may say that is no answer to anything."""


def run(loop_factory: LoopFactory, story: Story) -> None:
    async def whole() -> None:
        await story()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(whole())


async def takes_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It neither reads nor answers, until the test is over."""
    await asyncio.Event().wait()


@asynccontextmanager
async def upstream(meet: Meet, *, secured: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that meets each connection, until the end of the test; its base URL."""
    meetings: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meetings.append((asyncio.ensure_future(meet(reader, writer)), writer))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=secured)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        for meeting, writer in meetings:
            meeting.cancel()
            writer.transport.abort()
        await asyncio.gather(*(meeting for meeting, _ in meetings), return_exceptions=True)
        await asyncio.sleep(0.01)  # the transports close in the loop's next round
