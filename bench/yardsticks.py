"""What the gateway is measured beside: the least that could do the same job on the same server.

Run as `python -m bench.yardsticks route PORT FILE`, a bare Starlette app whose one route answers the bytes of FILE,
or `… httpx PORT URL`, an ASGI application that does nothing but carry a body to URL and the answer back; `paid_call`
does the same with the gateway's own client, and `durable PORT URL FILE` writes to FILE, a database, before the call and
after it, and goes on when that is on the disk: what no gateway can do without that never buys twice.
"""

import asyncio
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import paid_call
from gateway.store.database import Database
from gateway.transport import Timeouts
from gateway.wire import Call

_HEADERS = {
    "authorization": "Bearer upstream-secret",
    "accept": "application/json",
    "accept-encoding": "identity",
    "content-type": "application/json",
}


def route(file: str) -> ASGIApp:
    """One route that answers the same bytes, whoever asks."""
    body = Path(file).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/v1/tasks/{id}", answer)])


def by_httpx(url: str) -> ASGIApp:
    """With httpx, and a transport of its own for each call, so that its connection is fresh."""
    trust = ssl.create_default_context()
    once = httpx.Limits(max_connections=1, max_keepalive_connections=0)
    timeout = httpx.Timeout(60.0, connect=5.0).as_dict()

    async def post(body: bytes) -> tuple[int, bytes]:
        request = httpx.Request("POST", url, content=body, headers=_HEADERS, extensions={"timeout": timeout})
        async with httpx.AsyncHTTPTransport(verify=trust, trust_env=False, limits=once) as transport:
            reply = await transport.handle_async_request(request)
            answer = await reply.aread()
            await reply.aclose()
        return reply.status_code, answer

    return forward(post)


def by_paid_call(url: str) -> ASGIApp:
    """With what carries the gateway's paid submits."""

    async def post(body: bytes) -> tuple[int, bytes]:
        return await _pay(url, body)

    return forward(post)


def durably(url: str, file: str) -> ASGIApp:
    """The same between two commits to FILE, in a thread like that which commits for the gateway."""
    database, numbers = Database.open(f"sqlite:///{file}"), count(1)

    async def post(body: bytes) -> tuple[int, bytes]:
        number = next(numbers)
        await database.run(partial(_write, "INSERT INTO calls VALUES (?, ?, NULL)", (number, body)))
        status, answer = await _pay(url, body)
        await database.run(partial(_write, "UPDATE calls SET answer = ? WHERE id = ?", (answer, number)))
        return status, answer

    table = "CREATE TABLE calls (id INTEGER PRIMARY KEY, body BLOB, answer BLOB)"
    asyncio.run(database.run(partial(_write, table, ())))
    return forward(post)


async def _pay(url: str, body: bytes) -> tuple[int, bytes]:
    answer = await paid_call.send_once(Call("submit", "POST", url, body), _HEADERS, Timeouts())
    return answer.status, answer.body


def _write(text: str, values: tuple[Any, ...], connection: Connection) -> None:
    connection.exec_driver_sql(text, values)


def forward(post: Callable[[bytes], Awaitable[tuple[int, bytes]]]) -> ASGIApp:
    """Carries a body on a connection of its own, and the answer back. No routing, no checks, no storage."""

    async def carry(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["method"] == "POST":
            status, answer = await post(body)
        else:
            status, answer = 200, b"{}"  # whether it is up
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return carry


YARDSTICKS: Mapping[str, Callable[..., ASGIApp]] = {
    "route": route,
    "httpx": by_httpx,
    "paid_call": by_paid_call,
    "durable": durably,
}


if __name__ == "__main__":
    kind, port, *targets = sys.argv[1:]
    uvicorn.run(
        YARDSTICKS[kind](*targets),
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=75,
    )
