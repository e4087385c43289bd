"""A wire between a proxy and the gateway that keeps a copy of what went up, and a reader of another make for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import h11

from tests.serving.payloads import Seen
from tests.world import PROMPT_S


class Tap:
    """What each connection carried up, by the port that the gateway sees it come from."""

    def __init__(self) -> None:
        self.url = ""
        self.sent: dict[int, bytearray] = {}

    @asynccontextmanager
    async def before(self, gateway_url: str) -> AsyncIterator["Tap"]:
        host, _, port = gateway_url.removeprefix("http://").rpartition(":")
        lines: set[asyncio.Task[None]] = set()

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            up_reader, up_writer = await asyncio.open_connection(host, int(port))
            kept = self.sent[up_writer.get_extra_info("sockname")[1]] = bytearray()
            await asyncio.gather(_pass_on(reader, up_writer, kept), _pass_on(up_reader, writer, bytearray()))

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            lines.add(asyncio.create_task(carry(reader, writer)))

        async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self
            async with asyncio.timeout(PROMPT_S):  # the proxy is gone, so every line comes to its end
                await asyncio.gather(*lines)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            kept += data
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def requests_in(data: bytes) -> list[Seen]:
    """The requests in what a proxy sent, as h11 reads them; up to the first that it finds none."""
    found: list[Seen] = []
    with suppress(h11.RemoteProtocolError):
        while data:
            reading = h11.Connection(h11.SERVER, max_incomplete_event_size=200_000)
            reading.receive_data(data)
            request = reading.next_event()
            if not isinstance(request, h11.Request):
                break
            place = request.method.decode(), request.target.decode("latin-1").removeprefix("http://g")
            found.append((*place, -1))
            body_bytes = 0
            while isinstance(event := reading.next_event(), h11.Data):
                body_bytes += len(event.data)
            if not isinstance(event, h11.EndOfMessage):
                break
            found[-1] = (*place, body_bytes)
            data, _ = reading.trailing_data
    return found
