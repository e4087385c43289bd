"""A paid call: one request on a line that is made for it, and what comes back.

An httpx transport that is used once takes ten times the processor time of a line, most of a create's (`make bench` has
both).

Rules for editors of this file, beside those of `line.py`:

1. Whatever is not a whole answer says so: by an error until the headers are there, by `is_whole` after them.
2. The deadline is over everything. The limit between two reads starts anew whenever a byte moved, in either direction.
"""

import asyncio
from collections.abc import Mapping
from functools import partial

import httpx

from gateway.line import Line, Place, connect, place
from gateway.structs import Struct
from gateway.transport import REPLY_BYTES_MAX, Timeouts
from gateway.wire import Call


class Answer(Struct, frozen=True):
    """What came back: the body as it was sent, up to the cap, and whether that is all of it."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; values of one name are joined by commas."""
    body: bytes
    is_whole: bool


async def send_once(call: Call, headers: Mapping[str, str], limits: Timeouts) -> Answer:
    """Send the call, with these headers, and give its answer, within the limits.

    Raises httpx's ConnectError, ConnectTimeout, WriteError, WriteTimeout, ReadError, ReadTimeout, RemoteProtocolError.
    """
    to, body = place(call.url), call.body or b""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.total_s
    line = await connect(to, partial(_PaidLine, loop), min(deadline, loop.time() + limits.connect_s))
    try:
        return await line.exchange(
            _head(to, call.method, headers, len(body)), body, read_s=limits.read_s, deadline=deadline
        )
    finally:
        line.close()


def _head(to: Place, method: str, headers: Mapping[str, str], length: int) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"{method} {to.path} HTTP/1.1\r\nhost: {to.name}\r\n"
    return f"{start}{fields}content-length: {length}\r\nconnection: close\r\n\r\n".encode("latin-1")


class _PaidLine(Line):
    """A line whose answer is taken whole."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._done: asyncio.Future[Answer] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._read_s = self._moved_at = 0.0
        self._body = bytearray()

    async def exchange(self, head: bytes, body: bytes, *, read_s: float, deadline: float) -> Answer:
        self._read_s, self._deadline, self._moved_at = read_s, deadline, self._loop.time()
        self._transport.writelines((head, body))
        self._watch()
        return await self._done

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._done.done() and not self._done.cancelled():
            self._done.exception()  # it is known, also where who waited for it was cancelled
        super().close()

    def moved(self) -> None:
        self._moved_at = self._loop.time()

    def take(self, piece: bytes) -> None:
        self._body += piece
        if len(self._body) > REPLY_BYTES_MAX:
            self.end(httpx.ReadError("the body is longer than is read"))

    def ended(self, error: BaseException | None) -> None:
        """An error before the headers are there, a broken body after them."""
        if self._done.done():  # cancelled
            return
        if error is not None and not self._status:
            self._done.set_exception(error)
        else:
            body = bytes(self._body[:REPLY_BYTES_MAX])
            self._done.set_result(Answer(self._status, _joined(self._headers), body, error is None))

    def _watch(self) -> None:
        """Ends what stands still, or takes too long in all."""
        if self.has_sent_more():
            self.moved()
        now = self._loop.time()
        ends_at = min(self._deadline, self._moved_at + self._read_s)
        if now < ends_at:
            self._timer = self._loop.call_at(ends_at, self._watch)
        elif self._is_writing:
            self.end(httpx.WriteTimeout("the request could not be sent in time"))
        else:
            self.end(httpx.ReadTimeout("no answer in time"))


def _joined(fields: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in fields:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = headers.get(key)
        headers[key] = text if known is None else f"{known}, {text}"
    return headers
