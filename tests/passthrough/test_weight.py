"""What a large body weighs: a gateway in a process of its own, measured from outside while 200 MB go through."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.life.process import Process, serve
from tests.passthrough.upstream import Upstream, Visit, config
from tests.world import ALICE, bearer

PIECE = bytes(range(256)) * 1024
COUNT = 800  # of a quarter of a MiB: 200 MiB
SIZE = COUNT * len(PIECE)
GROWTH_MAX = 16 << 20

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


def weight(process: Process, field: str) -> int:
    """Bytes of memory: `VmRSS` now, `VmHWM` at the most since it was last reset."""
    status = Path(f"/proc/{process._started.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def forget_the_most(process: Process) -> None:
    Path(f"/proc/{process._started.pid}/clear_refs").write_text("5")


async def sink(visit: Visit) -> None:
    size = 0
    async for piece in visit.pieces():
        size += len(piece)
    await visit.answer(200, b"%d" % size)


async def source(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
    for _ in range(COUNT):
        await visit.say(PIECE)


async def echo(visit: Visit) -> None:
    await visit.start()
    async for piece in visit.pieces():
        await visit.chunk(piece)
    await visit.chunk(b"")


async def upload() -> AsyncIterator[bytes]:
    for _ in range(COUNT):
        yield PIECE


async def send(http: httpx.AsyncClient, *, is_framed: bool) -> None:
    length = {"content-length": str(SIZE)} if is_framed else {}
    answer = await http.post("/v1/files", content=upload(), headers={**bearer(ALICE), **length})
    assert answer.text == str(SIZE)


async def fetch(http: httpx.AsyncClient) -> None:
    taken = 0
    async with http.stream("GET", "/v1/files/1/content", headers=bearer(ALICE)) as answer:
        assert answer.headers["content-length"] == str(SIZE)
        async for chunk in answer.aiter_raw():
            taken += len(chunk)
    assert taken == SIZE


async def both(port: int) -> None:
    """Up and down at once, which httpx as a client cannot."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/audio HTTP/1.1\r\nHost: g\r\nConnection: close\r\nAuthorization: Bearer {ALICE}\r\n"
    writer.write(f"{head}Content-Length: {SIZE}\r\n\r\n".encode())

    async def send_all() -> None:
        async for piece in upload():
            writer.write(piece)
            await writer.drain()

    sending = asyncio.create_task(send_all())
    taken = 0
    while piece := await reader.read(1 << 18):
        taken += len(piece)
    await sending
    writer.close()
    await writer.wait_closed()
    assert taken > SIZE  # the bytes and their framing


def test_200_mb_in_any_direction_and_framing_leave_the_memory_flat(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Upstream(sink) as upstream,
            serve(tmp_path, upstream.url, config()) as process,
            httpx.AsyncClient(base_url=process.base_url, timeout=60, trust_env=False) as http,
        ):
            assert (await http.post("/v1/warm", json={}, headers=bearer(ALICE))).status_code == 200
            before = weight(process, "VmRSS")
            forget_the_most(process)
            grown = {}
            await send(http, is_framed=True)
            grown["up"] = weight(process, "VmHWM") - before
            await send(http, is_framed=False)
            grown["up in chunks"] = weight(process, "VmHWM") - before
            upstream.play = source
            await fetch(http)
            grown["down"] = weight(process, "VmHWM") - before
            upstream.play = echo
            await both(http.base_url.port or 0)
            grown["both"] = weight(process, "VmHWM") - before
            print({name: f"{size / 2**20:.1f} MiB" for name, size in grown.items()})
            assert max(grown.values()) < GROWTH_MAX, grown

    asyncio.run(scenario())
