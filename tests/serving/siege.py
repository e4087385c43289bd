"""A gateway in a process of its own, an honest client, and a thousand sockets that take their time.

`python -m tests.serving.siege` is the long run, with the limits that a gateway has by itself, and tells how much the
honest client felt of it; `test_siege.py` makes a short one. Each slow socket goes on for as long as it is let; only the
gateway ends it.
"""

import argparse
import asyncio
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway import sandbox
from tests.life.process import ROOT, Process, serve
from tests.serving.payloads import AUTH, HOST, get, length, post
from tests.world import ALICE, PROMPT_S, SLOW, SPEECHES, bearer, id_of

SOCKETS = 1_000
TICK_S = 0.25
SHORT = "server: {limits: {header_s: 1, body_s: 1, idle_s: 5}}"
GIVE_UP_S = 300.0  # against hanging; nobody is allowed more than 75 s
_SPARE_DESCRIPTORS = 100
_LEAST_URGENT = 19
_ITS_OWN = 8  # descriptors that the gateway may open meanwhile: to storage, and to the upstream that it asks
_ALL_THERE = b"all there\n"
_CHECK_EVERY_S = 0.25  # no more often: it takes the honest client's time
_POLLS, _POLLS_MAX = 1_000, 100_000  # alone, once before and once after; and beside them
_POLL_EVERY_S = 0.005
_PIPELINED = 20
_SMALL = 2_048  # bytes that a slow reader's window holds

Slow = Callable[[asyncio.AbstractEventLoop, socket.socket], Awaitable[None]]


@dataclass(frozen=True)
class Report:
    """What came of one siege. Latencies are of the honest client's polls."""

    mode: str
    sockets: int
    calm: tuple[float, float]
    besieged: tuple[float, float]
    polls: int
    gone_after_s: float
    """From the first slow socket until the gateway held none of them."""

    def __str__(self) -> str:
        calm, besieged = (f"p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms" for p50, p99 in (self.calm, self.besieged))
        return (
            f"{self.mode}: {self.sockets} slow sockets, all let go {self.gone_after_s:.1f} s after the first; an "
            f"honest client's {self.polls} polls: {calm} alone, {besieged} beside them"
        )


async def _heads(loop: asyncio.AbstractEventLoop, line: socket.socket) -> None:
    await loop.sock_sendall(line, b"GET /healthz HTTP/1.1\r\n" + HOST)
    while True:
        await asyncio.sleep(TICK_S)
        await loop.sock_sendall(line, b"X: y\r\n")


async def _bodies(loop: asyncio.AbstractEventLoop, line: socket.socket) -> None:
    await loop.sock_sendall(line, post(length(100_000)))
    while True:
        await asyncio.sleep(TICK_S)
        await loop.sock_sendall(line, b" ")


async def _readers(loop: asyncio.AbstractEventLoop, line: socket.socket) -> None:
    await loop.sock_sendall(line, get(HOST + AUTH, line=b"GET /v1/models HTTP/1.1\r\n") * _PIPELINED)
    while True:
        await asyncio.sleep(TICK_S)
        await loop.sock_recv(line, 1)


MODES: Mapping[str, Slow] = {"heads": _heads, "bodies": _bodies, "reading": _readers}


async def besiege(folder: Path, mode: str, sockets: int = SOCKETS, config: str = "", *, polls: int = _POLLS) -> Report:
    """Poll alone, then beside so many slow sockets until all of them are let go, then alone again: a machine is not as
    quick in one minute as in the next, and the worst hundredth of few polls says little."""
    async with (
        sandbox.running(speed=SLOW) as upstream,
        serve(folder, upstream, config) as process,
        httpx.AsyncClient(base_url=process.base_url, trust_env=False, timeout=PROMPT_S) as http,
    ):
        speech = SPEECHES["evolink"]
        created = await http.post(f"/evolink{speech.create}", json=speech.body, headers=bearer(ALICE))
        place = f"/evolink{speech.read.format(id=id_of(created))}"
        calm = await _poll(http, place, asyncio.Event(), at_most=polls)
        over = asyncio.Event()
        polling = asyncio.create_task(_poll(http, place, over, at_most=_POLLS_MAX))
        try:
            gone_after_s = await _siege(process, mode, sockets)
        finally:
            over.set()
            besieged = await polling
        calm += await _poll(http, place, asyncio.Event(), at_most=polls)
    return Report(mode, sockets, _p50_p99(calm), _p50_p99(besieged), len(besieged), gone_after_s)


async def _poll(http: httpx.AsyncClient, place: str, over: asyncio.Event, *, at_most: int) -> list[float]:
    """The latencies of polls, one after the other; each must be answered well."""
    found = []
    while len(found) < at_most and not over.is_set():
        started = time.perf_counter()
        answer = await http.get(place, headers=bearer(ALICE))
        found.append(time.perf_counter() - started)
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(_POLL_EVERY_S)
    return found


async def _siege(process: Process, mode: str, sockets: int) -> float:
    """Keep every socket busy until the gateway has none of them left; how long that took. They are held by a process of
    their own, so that an honest client here does not share its turns with them."""
    before, started = process.descriptors(), time.monotonic()
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.serving.siege", "--sockets", str(sockets), "--hold", mode, process.base_url),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert holder.stdout is not None
    try:
        async with asyncio.timeout(GIVE_UP_S):
            assert await holder.stdout.readline() == _ALL_THERE
        for _ in range(int(GIVE_UP_S / _CHECK_EVERY_S)):
            if await asyncio.to_thread(process.descriptors) <= before + _ITS_OWN:
                return time.monotonic() - started
            await asyncio.sleep(_CHECK_EVERY_S)
        raise AssertionError(f"{process.descriptors() - before} sockets are still held")
    finally:
        holder.kill()
        await holder.wait()


async def hold(base_url: str, slow: Slow, sockets: int) -> None:
    """All the slow sockets, until this process is killed. That the gateway closed one is no reason for it to go. It
    gives way to everybody: elsewhere it would be another machine, whose work takes no time from the honest."""
    seen: set[int] = set()

    async def one() -> None:
        host, _, port = base_url.removeprefix("http://").rpartition(":")
        loop = asyncio.get_running_loop()
        with socket.socket() as line:
            line.setblocking(False)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
            await loop.sock_connect(line, (host, int(port)))
            seen.add(line.fileno())
            if len(seen) == sockets:
                sys.stdout.buffer.write(_ALL_THERE)
                sys.stdout.buffer.flush()
            with suppress(ConnectionError):
                await slow(loop, line)
            await asyncio.Event().wait()

    os.nice(_LEAST_URGENT)
    _raise_descriptors(sockets + _SPARE_DESCRIPTORS)
    await asyncio.gather(*(one() for _ in range(sockets)))


def _p50_p99(latencies: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(latencies, n=100)
    return cuts[49], cuts[98]


def _raise_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.serving.siege")
    parser.add_argument("--sockets", type=int, default=SOCKETS)
    parser.add_argument("--mode", choices=MODES, action="append", help="only this one")
    parser.add_argument("--hold", nargs=2, metavar=("MODE", "URL"), help="hold the sockets of another's run")
    options = parser.parse_args()
    if options.hold is not None:
        held, base_url = options.hold
        asyncio.run(hold(base_url, MODES[held], options.sockets))
    for mode in options.mode or MODES:
        with tempfile.TemporaryDirectory() as folder:
            report = asyncio.run(besiege(Path(folder), mode, options.sockets))
        print(report, flush=True)
        if report.besieged[1] >= 2 * report.calm[1]:
            raise SystemExit(f"{mode}: the honest client waited more than twice as long")


if __name__ == "__main__":
    main()
