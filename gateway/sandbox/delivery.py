"""How an answer leaves: well, late, in pieces, or not at all.

Cutting a connection needs the socket, which ASGI keeps to itself; `serving.py` lends it through the scope. An answer
that is billed and never arrives is the one failure this sandbox exists for, so it must be a real one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from gateway.sandbox.calls import Answer, Manner

TRANSPORT = "reelgate.sandbox.transport"  # the extension of the scope that lends the socket


@dataclass(frozen=True, slots=True)
class Line:
    """The connection an answer leaves by. The request body must have been read to its end."""

    scope: Scope
    receive: Receive
    send: Send
    speed: float

    async def client_leaves(self, within_s: float) -> bool:
        """Wait; True as soon as the client has gone away, False when the time is over."""
        try:
            async with asyncio.timeout(within_s):
                await self.gone()
        except TimeoutError:
            return False
        return True

    async def hang_up(self) -> None:
        """Close the socket after what was written, and wait until the server has noticed."""
        transport = self.scope.get("extensions", {}).get(TRANSPORT)
        if transport is None:
            raise RuntimeError("this script word cuts a connection: it needs `running` or `serve`, not a test client")
        transport.close()
        await self.gone()

    async def gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def deliver(answer: Answer, line: Line) -> None:
    """Send the answer in its manner."""
    await _MANNERS[answer.manner](answer, line)


async def _well(answer: Answer, line: Line) -> None:
    await _start(answer, line)
    await line.send({"type": "http.response.body", "body": answer.body})


async def _slow(answer: Answer, line: Line) -> None:
    if not await line.client_leaves(answer.number):
        await _well(answer, line)


async def _drip(answer: Answer, line: Line) -> None:
    await _start(answer, line)
    for position in range(len(answer.body)):
        if await line.client_leaves(answer.number):
            return
        await line.send({"type": "http.response.body", "body": answer.body[position : position + 1], "more_body": True})
    await line.send({"type": "http.response.body", "body": b""})


async def _half(answer: Answer, line: Line) -> None:
    await _start(answer, line)
    size = answer.number if answer.number >= 1 else answer.number * len(answer.body)
    size = int(min(size, len(answer.body) - 1))  # all of it would be a good answer
    await line.send({"type": "http.response.body", "body": answer.body[:size], "more_body": True})
    await line.hang_up()


async def _hang(answer: Answer, line: Line) -> None:
    if not await line.client_leaves(answer.number / line.speed):
        await line.hang_up()


async def _drop(_: Answer, line: Line) -> None:
    await line.hang_up()


async def _start(answer: Answer, line: Line) -> None:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await line.send({"type": "http.response.start", "status": answer.status, "headers": raw_headers})


_MANNERS: Mapping[Manner, Callable[[Answer, Line], Awaitable[None]]] = {
    Manner.WELL: _well,
    Manner.SLOW: _slow,
    Manner.DRIP: _drip,
    Manner.HALF: _half,
    Manner.HANG: _hang,
    Manner.DROP: _drop,
}
