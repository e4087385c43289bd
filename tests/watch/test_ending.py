"""SIGTERM while somebody waits, follows, or the gateway itself waits for an upstream; and what a kill leaves."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from gateway import sandbox
from gateway.web import events
from tests.fakes.upstream import FakeUpstream, accept, bytes_then
from tests.life.process import Process, serve
from tests.life.test_shutdown import AT_ONCE_S
from tests.watch.streams import Reader
from tests.watch.test_watcher import until
from tests.world import ALICE, PROMPT_S, SPEECHES, Clock, bearer, id_of

OFTEN = "polling: {min_interval_s: 0.05, max_interval_s: 0.05}"


@asynccontextmanager
async def a_client(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=process.base_url, headers=bearer(ALICE), trust_env=False, timeout=PROMPT_S
    ) as http:
        yield http


async def create(http: httpx.AsyncClient) -> str:
    return id_of(await http.post("/v1/videos/generations", json=dict(SPEECHES["evolink"].body)))


def test_at_sigterm_streams_end_with_a_hint_and_polls_that_wait_with_what_there_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            FakeUpstream([accept()]) as upstream,
            serve(tmp_path, upstream.url, OFTEN) as process,
            a_client(process) as http,
            a_client(process) as other,
        ):
            word = await create(http)
            async with http.stream("GET", f"/v1/tasks/{word}/events") as response:
                reader = Reader(response)
                while (await reader.event()).data["status"] != "processing":  # and so it stays
                    pass
                waiting = asyncio.create_task(other.get(f"/v1/tasks/{word}", headers={"prefer": "wait=60"}))
                await asyncio.sleep(0.5)
                assert not waiting.done()
                began = time.monotonic()
                process.signal(signal.SIGTERM)
                last = (await reader.rest())[-1]
                assert (last.comments, last.retry_ms) == (["come back"], events.COME_BACK_SOON_MS)
            assert (await waiting).json()["status"] == "processing"
            assert await process.ended() == 0
            assert time.monotonic() - began < AT_ONCE_S
            assert "Traceback" not in process.said()

    asyncio.run(scenario())


def test_a_look_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with FakeUpstream([accept()]) as upstream, serve(tmp_path, upstream.url, OFTEN) as process:
            upstream.looks.extend([bytes_then(b"", "hang", buys=False)] * 10)
            async with a_client(process) as http:
                await create(http)
                await until(lambda: any(one.method == "GET" for one in upstream.requests))
                began = time.monotonic()
                process.signal(signal.SIGTERM)
                assert await process.ended() == 0
                assert time.monotonic() - began < AT_ONCE_S
                assert "Traceback" not in process.said()

    asyncio.run(scenario())


def test_what_a_killed_replica_watched_another_brings_to_its_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        app = sandbox.create_app(speed=1, clock=clock, balance_usd=1_000)
        async with (
            sandbox.running(app=app) as url,
            serve(tmp_path, url, OFTEN) as survivor,
            serve(tmp_path, url, OFTEN) as victim,
            a_client(survivor) as http,
        ):
            async with a_client(victim) as its_own:
                word = await create(its_own)
            victim.signal(signal.SIGKILL)
            await victim.ended()
            clock.walk(60)
            answer = await http.get(f"/v1/tasks/{word}/events")  # ends with the task
            assert '"status":"completed"' in answer.text

    asyncio.run(scenario())


def test_the_next_start_brings_everything_to_its_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        app = sandbox.create_app(speed=1, clock=clock, balance_usd=1_000)
        async with sandbox.running(app=app) as url:
            async with serve(tmp_path, url, OFTEN) as process, a_client(process) as http:
                words = [await create(http) for _ in range(5)]
                process.signal(signal.SIGTERM)
                assert await process.ended() == 0
            clock.walk(60)
            async with serve(tmp_path, url, OFTEN) as again, a_client(again) as http:
                answers = await asyncio.gather(
                    *(http.get(f"/v1/tasks/{word}/events", timeout=PROMPT_S) for word in words)
                )
                for answer in answers:
                    assert '"status":"completed"' in answer.text

    asyncio.run(scenario())
