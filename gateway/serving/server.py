"""An open gateway on a socket, until it is told to stop."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.serving.connection import Connection
from gateway.serving.house import House
from gateway.serving.limits import Limits
from gateway.serving.places import places

BACKLOG = 2048  # what uvicorn itself asks for
GRACE_S = 26  # leaves the promised 30 s of CONTRACT section 5 a margin for closing storage
FIRST_WORD_S = 1.0  # whoever has just connected has said by then what it came for
_LOOK_S = 0.05
# In one turn of the event loop; those who are here already must have their turns, too.
_TAKEN_A_TURN = 256


SETTLED_AFTER_S = 0.5  # when it answers already, and the first who waited were answered


def open_undisturbed() -> None:
    """While a gateway is being opened, nothing is garbage. A while later, what there is by then lives as long as the
    process, so that the collector need not look at it again."""
    gc.disable()
    asyncio.get_running_loop().call_later(SETTLED_AFTER_S, _settle)


def _settle() -> None:
    """What there is now lives as long as the process.

    Every answer leaves a few objects; a pass for each few hundred of them would cost more than they do.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a command's story to its end on the fastest event loop that is installed."""
    with asyncio.Runner(loop_factory=uvicorn.Config(_nothing, log_config=None).get_loop_factory()) as runner:
        runner.run(story)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises OSError when the address is taken."""
    listener = _bound(host, port, shares=False)
    try:
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def bind_several(host: str, port: int, count: int) -> list[socket.socket]:
    """So many listening sockets on one port, among which the system spreads connections. Raises OSError when the
    address is taken, also by others who would share it: two who share a port unawares answer each other's clients."""
    with _bound(host, port, shares=False) as alone:
        port = alone.getsockname()[1]
    listeners: list[socket.socket] = []
    try:
        for _ in range(count):
            listeners.append(_bound(host, port, shares=True))
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    for listener in listeners:
        listener.listen(BACKLOG)
    return listeners


def _bound(host: str, port: int, *, shares: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if family == socket.AF_INET6:
        host = host.strip("[]")  # in which it stands in an address, and so some write it here
    # The protocol is named because asyncio switches Nagle's algorithm off only where it knows that it is TCP; with it
    # on, an answer in two writes waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """The base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def running(app: ASGIApp, listener: socket.socket, limits: Limits | None = None) -> AsyncIterator[str]:
    """The same beside other work in this event loop; gives the base URL, and stops at the end."""
    server = Server(app, limits or Limits(), listener)
    answering = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield address_of(listener)
    finally:
        server.should_exit = True
        await answering


def _settings(app: ASGIApp, protocol: Callable[..., Connection]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], protocol),  # a class to uvicorn, which only ever calls it
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        proxy_headers=False,  # the address from outside is server.public_url, not a header that anyone can send
        timeout_graceful_shutdown=GRACE_S,
    )


def _who_wait(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait to be accepted, until nobody does, or the one who did has left."""
    while listener.fileno() >= 0:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        yield accepted


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for an application where uvicorn is only asked for its choice of event loop."""


class Server(uvicorn.Server):
    """uvicorn's server with an end of our own. Signals are not its business: it would raise them again, and so end the
    process before its parts are closed."""

    def __init__(self, app: ASGIApp, limits: Limits, listener: socket.socket) -> None:
        self._house = House(app, limits, places(limits))
        super().__init__(_settings(app, self._arrived))
        self.is_accepting = asyncio.Event()
        self._listeners = [listener]
        self._kept: dict[int, tuple[asyncio.Server, socket.socket]] = {}
        """Listeners of others who are away, by their descriptors."""
        self._taking: set[asyncio.Future[Any]] = set()
        self._is_about_to_take = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_accepting.set()

    async def accept_too(self, descriptor: int) -> None:
        """Answer on a listener of somebody who is away, too, until `accept_no_more`."""
        if not self.should_exit and self._listeners and descriptor not in self._kept:
            listener = socket.socket(fileno=os.dup(descriptor))
            server = await asyncio.get_running_loop().create_server(self._protocol, sock=listener)
            self._kept[descriptor] = (server, listener)

    def accept_no_more(self, descriptor: int) -> None:
        """Its own worker is back. What waits there is not lost: others have the same socket open."""
        if descriptor in self._kept:
            server, _ = self._kept.pop(descriptor)
            server.close()

    def say_goodbye(self) -> None:
        """Every answer from now on closes its connection."""
        self._house.is_leaving = True
        for connection in self._connections():
            connection.take_leave()

    def stop_accepting(self) -> None:
        """Take what waits to be accepted, and nothing after it: what waits when a listener is closed is reset."""
        for listener in self._listeners:
            self._take(_who_wait(listener))
        for server in (*self.servers, *(kept for kept, _ in self._kept.values())):
            server.close()
        self.servers, self._listeners, self._kept = [], [], {}

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered, or about to come."""
        return bool(self._taking) or any(connection.is_busy for connection in self._connections())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """What uvicorn does; but whoever has just connected may say what it came for."""
        self.say_goodbye()
        self.stop_accepting()
        for connection in self._connections():
            if connection.has_spoken:
                connection.shutdown()
        for _ in range(round(FIRST_WORD_S / _LOOK_S)):
            if self.force_exit or (not self._taking and all(it.has_spoken for it in self._connections())):
                break
            await asyncio.sleep(_LOOK_S)
        await super().shutdown(sockets)

    def _take_more(self) -> None:
        """Who came beside the one that the event loop has taken. libuv takes one in a turn, and a turn is a tenth of a
        second long where five hundred creates are under way: whoever came anew would wait for as long as they go on."""
        self._is_about_to_take = False
        for listener in (*self._listeners, *(listener for _, listener in self._kept.values())):
            self._take(islice(_who_wait(listener), _TAKEN_A_TURN))

    def _take(self, connections: Iterable[socket.socket]) -> None:
        for accepted in connections:
            accepted.setblocking(False)
            connecting = asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted)
            taking = asyncio.ensure_future(connecting)
            self._taking.add(taking)
            taking.add_done_callback(self._taking.discard)

    def _protocol(self) -> Connection:
        return self._arrived(self.config, self.server_state, self.lifespan.state)

    def _arrived(self, *settings: Any, **named: Any) -> Connection:
        if not self._is_about_to_take:
            self._is_about_to_take = True
            asyncio.get_running_loop().call_soon(self._take_more)
        return Connection(self._house, *settings, **named)

    def _connections(self) -> list[Connection]:
        return cast(list[Connection], list(self.server_state.connections))
