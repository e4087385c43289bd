"""A network in memory and an event loop whose clock jumps: hours pass in milliseconds, to the second."""

import asyncio
import selectors
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpcore

Script = AsyncIterator[bytes]
OK = b"HTTP/1.1 200 OK\r\n"


class _Jumping(selectors.DefaultSelector):
    """Instead of waiting for a timer it moves the clock there."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0 if timeout else timeout)
        if not found and timeout:
            self.now += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(story: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(story())  # type: ignore[arg-type]


def now() -> float:
    """Seconds since the story began; rounded, because a timer may be a clock's resolution early."""
    return round(asyncio.get_running_loop().time(), 1)


class Stream(httpcore.AsyncNetworkStream):
    """One connection. `script` yields what the host says next, whenever it is asked."""

    def __init__(self, peer: tuple[str, int], script: Script, *, greets: bool = True) -> None:
        self._peer = peer
        self._script = script
        self._greets = greets
        self.sent = b""
        self.is_closed = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await anext(self._script, b"")

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.sent += buffer

    async def aclose(self) -> None:
        self.is_closed = True

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        if not self._greets:
            await asyncio.Event().wait()
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._peer if info == "server_addr" else None


class Network(httpcore.AsyncNetworkBackend):
    """Every connection comes about and plays the script, but to the `dead` addresses."""

    def __init__(self, script: Callable[[], Script], *, dead: tuple[str, ...] = (), greets: bool = True) -> None:
        self._script = script
        self._dead = dead
        self._greets = greets
        self.streams: list[Stream] = []
        self.asked: list[str] = []

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: Any = None, socket_options: Any = None
    ) -> httpcore.AsyncNetworkStream:
        self.asked.append(host)
        if host in self._dead:
            assert timeout is not None
            await asyncio.sleep(timeout)
            raise httpcore.ConnectTimeout
        stream = Stream((host, port), self._script(), greets=self._greets)
        self.streams.append(stream)
        return stream


async def says(*pieces: bytes, every_s: float = 0.0, endless: bytes = b"") -> Script:
    """The pieces, a pause before each, and then one more for ever if it is said."""
    for piece in pieces:
        await asyncio.sleep(every_s)
        yield piece
    while endless:
        await asyncio.sleep(every_s)
        yield endless


async def silence() -> Script:
    await asyncio.Event().wait()
    yield b""
