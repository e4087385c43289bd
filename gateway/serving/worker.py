"""A process that answers until it is told to end: alone, or as a worker of a fleet, which has a line to its parent."""

import asyncio
import socket
from contextlib import suppress

from starlette.types import ASGIApp

from gateway.fleet.place import GIVE, READY, RETIRE, TAKE, Place
from gateway.serving.ending import Ending, Told
from gateway.serving.limits import Limits
from gateway.serving.server import Server

_LINE_BYTES_MAX = 4096


async def serve(
    app: ASGIApp, listener: socket.socket, *, limits: Limits, leave_s: float, told: Told, line: "Line | None" = None
) -> None:
    """Answer on `listener` until a signal, or the parent at the other end of `line`, brings the end (`ending.py`)."""
    server = Server(app, limits, listener)
    ending = Ending(server, told, leave_s)
    ending.listen()
    if line is None:
        await server.serve(sockets=[listener])
    else:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(line.follow(server, ending))
            await server.serve(sockets=[listener])
            following.cancel()


class Line:
    """A worker's end of the line to its parent (`fleet/place.py`)."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def follow(self, server: Server, ending: Ending) -> None:
        """Say that this worker answers, and do what the parent says, until it is gone: then nobody would be left to
        hold the port, or to end this process."""
        line = socket.socket(fileno=self._place.line)
        reader, writer = await asyncio.open_unix_connection(sock=line, limit=_LINE_BYTES_MAX)
        await server.is_accepting.wait()
        writer.write(f"{READY}\n".encode())
        with suppress(ConnectionError):
            while said := await reader.readline():
                word, *numbers = said.decode().split()
                await self._do(word, [self._place.listeners[int(number)] for number in numbers], server, ending)
        writer.close()
        ending.stop()

    async def _do(self, word: str, listeners: list[int], server: Server, ending: Ending) -> None:
        if word == RETIRE:
            ending.retire()
        for number in listeners:
            if word == TAKE:
                await server.accept_too(number)
            elif word == GIVE:
                server.accept_no_more(number)
