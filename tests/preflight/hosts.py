"""Hosts of pictures, on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Answer = Callable[[str, dict[str, str]], Awaitable[bytes | AsyncIterator[bytes]]]
OPENED = 'preflight: {allow_private_networks: ["127.0.0.0/8"]}\n'


@dataclass
class Host:
    """A host that remembers who asked for what: (path, headers)."""

    url: str = ""
    place: tuple[str, int] = ("", 0)
    visits: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@asynccontextmanager
async def hosting(answer: Answer, address: str = "127.0.0.1") -> AsyncIterator[Host]:
    """A host that gives these answers, byte for byte, each on a connection of its own."""
    host = Host()

    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        try:
            await play(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the gateway went away, as it may; or the test is over
        finally:
            serving.discard(asyncio.current_task())
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path = start.split(" ")[1]
        host.visits.append((path, headers))
        said = await answer(path, headers)
        if isinstance(said, bytes):
            writer.write(said)
            await writer.drain()
            return
        async for piece in said:
            writer.write(piece)
            await writer.drain()

    server = await asyncio.start_server(serve, address, 0)
    async with server:
        host.place = server.sockets[0].getsockname()
        host.url = f"http://{host.place[0]}:{host.place[1]}"
        try:
            yield host
        finally:
            left = [task for task in serving if task is not None]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)


def whole(data: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer with all of the file, from a host that knows no ranges."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def part(data: bytes, size: int | str, *headers: str) -> bytes:
    """The beginning of a file of that size, from a host that knows ranges."""
    told = f"Content-Range: bytes 0-{len(data) - 1}/{size}"
    return whole(data, told, *headers, status="206 Partial Content")


def always(said: bytes) -> Answer:
    async def answer(path: str, headers: dict[str, str]) -> bytes:
        return said

    return answer


def by_path(files: dict[str, bytes]) -> Answer:
    """`/name` is a file of the table."""

    async def answer(path: str, headers: dict[str, str]) -> bytes:
        return files[path.removeprefix("/")]

    return answer
