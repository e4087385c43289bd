"""The server, and sockets that can be cut."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.sandbox.app import PROTOCOLS, create_app
from gateway.sandbox.delivery import TRANSPORT

_LOG = logging.getLogger("reelgate.sandbox")
# Two seconds for answers on their way to notice, at the end, that their connections are cut.
_STOP_ROUNDS, _STOP_ROUND_S = 200, 0.01


def serve(
    host: str = "127.0.0.1", port: int = 8090, speed: float = 1.0, *, seed: int | None = None, balance_usd: int = 100
) -> None:
    """Serve until Ctrl-C or SIGTERM. Prints one line; OSError where the address is taken."""
    app = create_app(speed=speed, seed=seed, balance_usd=balance_usd)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_until_signalled(host, port, app))


@contextlib.asynccontextmanager
async def running(
    host: str = "127.0.0.1",
    port: int = 0,
    speed: float = 1.0,
    *,
    clock: Callable[[], float] = time.time,
    seed: int | None = None,
    balance_usd: int = 100,
    app: Starlette | None = None,
) -> AsyncIterator[str]:
    """A sandbox in this event loop for as long as the block lasts; gives its base URL. Port 0 is any free one.

    `app` is one that `create_app` made, for who wants to keep hold of its memory; the settings are then its own.
    """
    config = _config(app or create_app(speed=speed, clock=clock, seed=seed, balance_usd=balance_usd))
    config.load()
    state = ServerState()
    # Without `uvicorn.Server`: it takes the signals of the process, which belong to whoever runs this loop, and waits
    # for the answers on their way, of which some here never come.
    listener = _bind(host, port)
    server = await asyncio.get_running_loop().create_server(
        lambda: CuttableProtocol(config, state, {}), sock=listener, backlog=config.backlog
    )
    try:
        yield _base_url(host, listener)
    finally:
        server.close()
        await _end(state)
        await server.wait_closed()


async def _serve_until_signalled(host: str, port: int, app: Starlette) -> None:
    async with running(host, port, app=app) as base_url:
        addresses = "  ".join(f"{base_url}/{protocol.name}" for protocol in PROTOCOLS)
        print(f"Sandbox: {addresses}  log: {base_url}/_sandbox/requests", flush=True)
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            # Windows has no such handlers; there, Ctrl-C interrupts the whole loop.
            with contextlib.suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's own, but the application can reach the socket, and no word reaches the server's logs."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # The gateway may serve in this process too, and its logs are not ours to write into or to configure.
        self.logger = _LOG
        self.access_log = False
        inner: Any = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {TRANSPORT: self.transport}
            await inner(scope, receive, send)

        self.app = app


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,  # links are made from the Host header alone
        server_header=False,
    )


async def _end(state: ServerState) -> None:
    """Cut every connection, and those just being accepted; what still answers notices that, or is stopped."""
    for _ in range(_STOP_ROUNDS):
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(_STOP_ROUND_S)
        if not state.connections and not state.tasks:
            return
    for task in list(state.tasks):
        task.cancel()


def _bind(host: str, port: int) -> socket.socket:
    """Bound before anything starts, so that the port is known and a taken one is the caller's OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if family == socket.AF_INET6:
        host = host.strip("[]")  # in which it stands in an address, and so some write it here
    # The protocol is named because asyncio switches Nagle's algorithm off only where it knows that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _base_url(host: str, listener: socket.socket) -> str:
    shown = f"[{host.strip('[]')}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
