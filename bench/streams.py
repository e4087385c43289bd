"""Streams that are passed on: processor time for an event, and memory for a large body."""

import asyncio
import time
from collections.abc import Callable, Iterator

from bench import rivals
from bench.laboratory import Laboratory
from bench.load import Order
from bench.plan import Plan
from bench.processes import Server, ServerFailed
from bench.rows import Row

LISTENERS = 16
EVENT_US_MAX, GROWTH_MIB_MAX = 60, 16
_BODY_BYTES = 200_000_000
_MIB = 1 << 20
_WITHIN_S = 60


def rows(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """Events and a large body, through the gateway and through nginx."""
    with lab.gateway() as gateway, rivals.nginx(lab) as nginx:
        for server in (gateway, nginx):
            _listen(lab, server, plan.events // 10)
        ours, theirs = (_listen(lab, server, plan.events) for server in (gateway, nginx))
        yield Row(
            f"streamed event, {LISTENERS} listeners, processor time",
            f"{ours:,.0f} µs",
            f"{theirs:,.0f} µs nginx",
            goal=f"<= {EVENT_US_MAX} µs",
            met=ours <= EVENT_US_MAX,
            raw={"us": ours, "nginx_us": theirs, "goal": EVENT_US_MAX},
        )
        before = gateway.rss_bytes()
        ours_s, theirs_s = (_download(lab, server) for server in (gateway, nginx))
        grown_mib = (gateway.peak_bytes() - before) / _MIB
        yield Row(
            "200 MB through, growth at its peak",
            f"{grown_mib:+.1f} MiB",
            compared=f"{_BODY_BYTES / ours_s / 1e6:,.0f} MB/s, nginx {_BODY_BYTES / theirs_s / 1e6:,.0f} MB/s",
            goal=f"<= {GROWTH_MIB_MAX} MiB",
            met=grown_mib <= GROWTH_MIB_MAX,
            raw={"grown_mib": grown_mib, "seconds": ours_s, "nginx_seconds": theirs_s, "goal": GROWTH_MIB_MAX},
        )


def _listen(lab: Laboratory, server: Server, events: int) -> float:
    """Microseconds of the server's processor time for one event that one listener got."""

    async def all_of_them() -> None:
        heard = [bytearray() for _ in range(LISTENERS)]
        async with asyncio.timeout(_WITHIN_S):
            await asyncio.gather(*(_hear(lab, server, f"/v1/events/{events}", text.extend) for text in heard))
        if any(text.count(b"data: ") != events for text in heard):
            raise ServerFailed(f"{server.name} lost events")

    cpu_s = server.cpu_s()
    asyncio.run(all_of_them())
    return (server.cpu_s() - cpu_s) / (events * LISTENERS) * 1e6


def _download(lab: Laboratory, server: Server) -> float:
    """Seconds."""

    async def one() -> None:
        async with asyncio.timeout(_WITHIN_S):
            size = await _hear(lab, server, f"/v1/bytes/{_BODY_BYTES}", lambda piece: None)
        if size != _BODY_BYTES:
            raise ServerFailed(f"{server.name} passed on {size} bytes of {_BODY_BYTES}")

    started = time.perf_counter()
    asyncio.run(one())
    return time.perf_counter() - started


async def _hear(lab: Laboratory, server: Server, path: str, take: Callable[[bytes], object]) -> int:
    """Hand over the answer's body as it lies on the wire; how many bytes that were."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
    writer.write(Order("GET", path, lab.headers).on_the_wire())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise ServerFailed(f"{server.name} answered {path} with {head[:60]!r}")
    size = 0
    while piece := await reader.read(1 << 18):
        size += len(piece)
        take(piece)
    writer.close()
    return size
