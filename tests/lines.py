"""Raw upstreams for what owns its connections, and the event loops on which it is tested."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvloop

Meet = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Story = Callable[[], Awaitable[None]]
Play = Callable[[Story], None]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]
# They tell of the end of a connection in their own ways.
LOOPS: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def run(loop_factory: LoopFactory, story: Story) -> None:
    async def whole() -> None:
        await story()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(whole())


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
