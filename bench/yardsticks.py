"""What the gateway is measured beside: the least that could do the same job on the same server.

Run as `python -m bench.yardsticks route PORT FILE`, a bare Starlette app whose one route answers the bytes of FILE,
or `… forward PORT URL`, an ASGI application that does nothing but carry a body to URL and the answer back.
"""

import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

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


def forward(url: str) -> ASGIApp:
    """Carries a body to `url` on a connection of its own, and the answer back. No routing, no checks, no storage."""
    trust = ssl.create_default_context()
    once = httpx.Limits(max_connections=1, max_keepalive_connections=0)
    timeout = httpx.Timeout(60.0, connect=5.0).as_dict()

    async def carry(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["method"] == "POST":
            # As the gateway's paid submits: the same client library, a transport of its own for each.
            request = httpx.Request("POST", url, content=body, headers=_HEADERS, extensions={"timeout": timeout})
            async with httpx.AsyncHTTPTransport(verify=trust, trust_env=False, limits=once) as transport:
                reply = await transport.handle_async_request(request)
                status, answer = reply.status_code, await reply.aread()
                await reply.aclose()
        else:
            status, answer = 200, b"{}"  # whether it is up
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return carry


YARDSTICKS: Mapping[str, Callable[[str], ASGIApp]] = {"route": route, "forward": forward}


if __name__ == "__main__":
    kind, port, target = sys.argv[1:]
    uvicorn.run(
        YARDSTICKS[kind](target),
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=75,
    )
