"""A paid call: one request on a connection that is made for it, and what comes back.

Reelgate's own, and not a transport of httpx, because of what has to be known about it, and because of what it costs.
Nothing of the request is written before the connection and its TLS handshake are done, so an error until then proves
that nothing was sent; from then on every end is told apart (FAILURES section 2). An httpx transport that is used once
takes ten times the processor time, most of a create's (`make bench` has both).

The errors are httpx's all the same: one table says what each of them proves, for every kind of call (`transport.py`).

Rules for editors of this file:

1. One connection, one request. No reuse, no redirect, no proxy, no second attempt.
2. Whatever is not a whole answer says so: by an error until the headers are there, by `is_whole` after them.
3. The deadline is over everything. The limit between two reads starts anew whenever a byte moved, in either direction.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, AddressFamily, SocketKind
from typing import Any, cast

import aiohappyeyeballs
import httptools
import httpx

from gateway.transport import REPLY_BYTES_MAX, Timeouts
from gateway.wire import Call, trust

HEAD_BYTES_MAX = 100 << 10  # FAILURES T12
# A host with a dead address among good ones: the next is tried beside it (RFC 8305, section 5).
NEXT_ADDRESS_AFTER_S = 0.25

Address = tuple[AddressFamily, SocketKind, int, str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
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
    place, body = _place(call.url), call.body or b""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.total_s
    line = await _connect(place, min(deadline, loop.time() + limits.connect_s))
    try:
        return await line.exchange(
            place.head(call.method, headers, len(body)), body, read_s=limits.read_s, deadline=deadline
        )
    finally:
        line.close()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an address leads."""

    is_tls: bool
    host: str
    port: int
    path: str
    name: str
    """What the field `Host` says."""

    def head(self, method: str, headers: Mapping[str, str], length: int) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        start = f"{method} {self.path} HTTP/1.1\r\nhost: {self.name}\r\n"
        return f"{start}{fields}content-length: {length}\r\nconnection: close\r\n\r\n".encode("latin-1")


@lru_cache(64)
def _place(url: str) -> _Place:
    """As httpx reads it: names in the alphabet of names, what a path may not hold escaped."""
    read = httpx.URL(url)
    is_tls = read.scheme == "https"
    port = read.port or (443 if is_tls else 80)
    return _Place(is_tls, read.raw_host.decode(), port, read.raw_path.decode(), read.netloc.decode())


async def _connect(place: _Place, deadline: float) -> "_Line":
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(deadline):
            line = await _line(place, _literal(place.host, place.port) or await _look_up(place), loop)
    except TimeoutError as error:
        raise httpx.ConnectTimeout("no connection in time") from error
    except OSError as error:  # ssl.SSLError and socket.gaierror are of its kind
        raise httpx.ConnectError("no connection") from error
    return line


async def _line(place: _Place, addresses: Sequence[Address], loop: asyncio.AbstractEventLoop) -> "_Line":
    make, secured = partial(_Line, loop), trust() if place.is_tls else None
    name = place.host if place.is_tls else None
    if len(addresses) == 1:  # the usual case, without a second look-up by the event loop
        host, port = addresses[0][4][:2]
        return (await loop.create_connection(make, host, port, ssl=secured, server_hostname=name))[1]
    with ExitStack() as unless_connected:
        connection = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=NEXT_ADDRESS_AFTER_S, loop=loop
        )
        unless_connected.callback(connection.close)
        _, line = await loop.create_connection(make, sock=connection, ssl=secured, server_hostname=name)
        unless_connected.pop_all()
    return line


async def _look_up(place: _Place) -> Sequence[Address]:
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(place.host, place.port, type=SOCK_STREAM, proto=IPPROTO_TCP)


@lru_cache(64)
def _literal(host: str, port: int) -> Sequence[Address]:
    """An address that needs no name server; none where it is a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return ()
    family, at = (AF_INET6, (host, port, 0, 0)) if address.version == 6 else (AF_INET, (host, port))
    return ((family, SOCK_STREAM, IPPROTO_TCP, "", at),)


class _Line(asyncio.Protocol):
    """One connection, from the first byte written to the last one read. What ends it first counts."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._done: asyncio.Future[Answer] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._read_s = self._moved_at = 0.0
        self._unsent = 0
        self._is_writing = False
        self._head_bytes = 0
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    # --- the caller's side -------------------------------------------------------------------------------------------

    async def exchange(self, head: bytes, body: bytes, *, read_s: float, deadline: float) -> Answer:
        self._read_s, self._deadline, self._moved_at = read_s, deadline, self._loop.time()
        self._transport.set_write_buffer_limits(high=0)  # every byte that is not the kernel's yet is told
        self._transport.writelines((head, body))
        self._watch()
        return await self._done

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._done.done() and not self._done.cancelled() and self._done.exception() is None:
            self._transport.close()
        else:
            self._done.cancel()
            self._transport.abort()

    def _watch(self) -> None:
        """Ends what stands still, or takes too long in all."""
        now, unsent = self._loop.time(), self._transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._moved_at = unsent, now
        ends_at = min(self._deadline, self._moved_at + self._read_s)
        if now < ends_at:
            self._timer = self._loop.call_at(ends_at, self._watch)
        elif self._is_writing:
            self._fail(httpx.WriteTimeout("the request could not be sent in time"))
        else:
            self._fail(httpx.ReadTimeout("no answer in time"))

    def _fail(self, error: httpx.TransportError) -> None:
        """The end of the line: an error before the headers are there, a broken body after them."""
        if self._done.done():
            return
        if self._status:
            self._finish(is_whole=False)
        else:
            self._done.set_exception(error)

    def _finish(self, *, is_whole: bool) -> None:
        if not self._done.done():
            body = bytes(self._body[:REPLY_BYTES_MAX])
            self._done.set_result(Answer(self._status, self._headers, body, is_whole))

    # --- the transport's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none of asyncio's classes

    def pause_writing(self) -> None:
        self._is_writing = True

    def resume_writing(self) -> None:
        self._is_writing = False
        self._moved_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        if self._done.done():
            return
        self._moved_at = self._loop.time()
        if not self._status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(httpx.RemoteProtocolError("an answer in another protocol"))
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError(f"no HTTP: {error}"))
        if not self._status and self._head_bytes > HEAD_BYTES_MAX:
            self._fail(httpx.RemoteProtocolError("the headers do not end"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done() and exc is None and self._ends_with_the_line():
            self._finish(is_whole=True)
        elif exc is None:
            self._fail(httpx.RemoteProtocolError("the connection was closed without an answer"))
        elif self._is_writing:
            self._fail(httpx.WriteError(str(exc)))
        else:
            self._fail(httpx.ReadError(str(exc)))

    def _ends_with_the_line(self) -> bool:
        """Whether nothing but the end of the connection tells the end of this body (RFC 9112, 6.3)."""
        return bool(self._status) and not self._headers.keys() & {"content-length", "transfer-encoding"}

    # --- the parser's side -------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._status:  # a trailer says nothing
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:  # an answer is still to come (RFC 9110, 15.2)
            self._headers.clear()
        elif not 200 <= status < 600:
            self._fail(httpx.RemoteProtocolError("a status that is none"))
        else:
            self._status = status

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > REPLY_BYTES_MAX:
            self._finish(is_whole=False)

    def on_message_complete(self) -> None:
        if self._status:
            self._finish(is_whole=True)
