"""A line to an upstream: one connection that is made for one request, and the answer that is read from it.

Reelgate's own, and not a transport of httpx, because of what has to be known about it, and because of what it costs.
Nothing of a request is written before the connection and its TLS handshake are done, so an error until then proves that
nothing was sent; from then on every end is told apart (FAILURES section 2). What is made of the answer is for whoever
uses the line: a paid call takes it whole, a crossing passes it on as it comes.

The errors are httpx's all the same: one table says what each of them proves, for every kind of call (`transport.py`).

Rules for editors of this file:

1. One connection, one request. No reuse, no redirect, no proxy, no second attempt.
2. An answer has one end, and the first thing that ends it counts: either it is whole, or an error says why not.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import lru_cache
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, AddressFamily, SocketKind
from typing import Any, TypeVar, cast

import aiohappyeyeballs
import httptools
import httpx

from gateway.structs import Struct
from gateway.wire import trust

# FAILURES T12. Also of what is no body in the middle of an answer: trailers, and what stands beside a chunk's length.
HEAD_BYTES_MAX = 100 << 10
# A host with a dead address among good ones: the next is tried beside it (RFC 8305, section 5).
NEXT_ADDRESS_AFTER_S = 0.25

Address = tuple[AddressFamily, SocketKind, int, str, Any]
Made = TypeVar("Made", bound=asyncio.Protocol)


class NoHttp(httpx.RemoteProtocolError):
    """What answers speaks something else (FAILURES T11)."""


class Place(Struct, frozen=True):
    """Where an address leads."""

    is_tls: bool
    host: str
    port: int
    path: str
    name: str
    """What the field `Host` says."""


@lru_cache(64)
def place(url: str) -> Place:
    """As httpx reads it: names in the alphabet of names, what a path may not hold escaped. Raises httpx.InvalidURL."""
    read = httpx.URL(url)
    is_tls = read.scheme == "https"
    port = read.port or (443 if is_tls else 80)
    return Place(is_tls, read.raw_host.decode(), port, read.raw_path.decode(), read.netloc.decode())


async def connect(to: Place, make: Callable[[], Made], deadline: float) -> Made:
    """A line that stands, TLS included, before the event loop's time is `deadline`.

    Raises httpx's ConnectError and ConnectTimeout.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(deadline):
            return await _connect(to, make, _literal(to.host, to.port) or await _look_up(to), loop)
    except TimeoutError as error:
        raise httpx.ConnectTimeout("no connection in time") from error
    except OSError as error:  # ssl.SSLError and socket.gaierror are of its kind
        raise httpx.ConnectError("no connection") from error


async def _connect(
    to: Place, make: Callable[[], Made], addresses: Sequence[Address], loop: asyncio.AbstractEventLoop
) -> Made:
    secured, name = (trust(), to.host) if to.is_tls else (None, None)
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


async def _look_up(to: Place) -> Sequence[Address]:
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(to.host, to.port, type=SOCK_STREAM, proto=IPPROTO_TCP)


@lru_cache(64)
def _literal(host: str, port: int) -> Sequence[Address]:
    """An address that needs no name server; none where it is a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return ()
    family, at = (AF_INET6, (host, port, 0, 0)) if address.version == 6 else (AF_INET, (host, port))
    return ((family, SOCK_STREAM, IPPROTO_TCP, "", at),)


class Line(asyncio.Protocol):
    """One connection, and what its answer says of its own end. A user of it says what becomes of head, body and end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._is_over = self._is_whole = False
        self._is_writing = False  # more is to be sent than the kernel takes
        self._unsent = 0  # bytes of it, when it was last looked at
        self._head_bytes = 0
        self._status = 0  # 0: no head is there yet
        self._headers: list[tuple[bytes, bytes]] = []

    def close(self) -> None:
        """Nothing more is wanted, and nothing that is still to be sent is."""
        self._is_over = True
        if self._is_whole and not self._transport.get_write_buffer_size():
            self._transport.close()
        else:
            self._transport.abort()

    def has_sent_more(self) -> bool:
        """Whether bytes left since this was last asked. Only what is left of them tells: the transport does not."""
        before, self._unsent = self._unsent, self._transport.get_write_buffer_size()
        return before != self._unsent

    # --- for the user of the line ------------------------------------------------------------------------------------

    def moved(self) -> None:
        """Bytes moved, in either direction."""

    def begun(self) -> None:
        """The head is there."""

    def take(self, piece: bytes) -> None:
        """More of the body."""
        raise NotImplementedError

    def ended(self, error: BaseException | None) -> None:
        """The answer is whole, or broken by an error. Told once."""
        raise NotImplementedError

    def end(self, error: BaseException | None) -> None:
        """Whatever comes after this is not heard."""
        if not self._is_over:
            self._is_over, self._is_whole = True, error is None
            self.ended(error)

    def end_with_the_line(self) -> None:
        """The upstream says nothing more. Where nothing else tells the end of a body, this does (RFC 9112, 6.3)."""
        is_told = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)
        if self._status and not is_told:
            self.end(None)
        else:
            self.end(httpx.RemoteProtocolError("the connection was closed without a whole answer"))

    # --- the transport's side ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none of asyncio's classes
        self._transport.set_write_buffer_limits(high=0)  # every byte that is not the kernel's yet is told

    def pause_writing(self) -> None:
        self._is_writing = True

    def resume_writing(self) -> None:
        self._is_writing = False
        self.moved()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self.moved()
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.end(NoHttp("an answer in another protocol"))
        except httptools.HttpParserError as error:
            self.end(NoHttp(f"no HTTP: {error}"))
        if self._head_bytes > HEAD_BYTES_MAX:
            self.end(httpx.RemoteProtocolError("the headers do not end"))

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self.end_with_the_line()
        elif self._is_writing:
            self.end(httpx.WriteError(str(exc)))
        else:
            self.end(httpx.ReadError(str(exc)))

    # --- the parser's side -------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # a trailer says nothing
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:  # an answer is still to come (RFC 9110, 15.2)
            self._headers.clear()
        elif not 200 <= status < 600:
            self.end(NoHttp("a status that is none"))
        else:
            self._status, self._head_bytes = status, 0
            self.begun()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        if not self._is_over:
            self.take(body)

    def on_message_complete(self) -> None:
        if self._status:
            self.end(None)
