"""An open gateway on a socket, until it is told to stop."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.serving.connection import Connection
from gateway.serving.house import House
from gateway.serving.limits import Limits
from gateway.serving.places import places

BACKLOG = 2048  # what uvicorn itself asks for
GRACE_S = 25  # leaves the promised 30 s of CONTRACT section 5 a margin for closing storage


def settle() -> None:
    """Everything is open: what there is now lives as long as the process, so the collector need not look at it again.

    Every answer leaves a few objects; a pass for each few hundred of them would cost more than they do.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a command's story to its end on the fastest event loop that is installed."""
    with asyncio.Runner(loop_factory=uvicorn.Config(_nothing, log_config=None).get_loop_factory()) as runner:
        runner.run(story)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises OSError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only where it knows that it is TCP; with it
    # on, an answer in two writes waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """The base URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: ASGIApp, listener: socket.socket, *, limits: Limits, on_stop: Callable[[], None]) -> None:
    """Answer on `listener` until SIGTERM or SIGINT; `on_stop` is told at once when one comes, a second one hurries."""
    server = _Server(_settings(app, limits))

    def stop() -> None:
        on_stop()
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets=[listener])


@asynccontextmanager
async def running(app: ASGIApp, listener: socket.socket, limits: Limits | None = None) -> AsyncIterator[str]:
    """The same beside other work in this event loop; gives the base URL, and stops at the end."""
    server = _Server(_settings(app, limits or Limits()))
    answering = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield address_of(listener)
    finally:
        server.should_exit = True
        await answering


def _settings(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    protocol = partial(Connection, House(app, limits, places(limits)))
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


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for an application where uvicorn is only asked for its choice of event loop."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which raise the signal again and so end the process before its parts
    are closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
