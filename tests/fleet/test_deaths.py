"""Workers die, and so does the parent: nothing is lost, nothing is bought twice, and the others go on."""

import asyncio
import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from gateway import sandbox
from tests.fakes.upstream import FakeUpstream, accept, gated
from tests.fleet.test_change import are_gone, says
from tests.fleet.traffic import Broken, Visitor
from tests.life.process import START_S, Process, is_alive, serve, until
from tests.world import ALICE, PROMPT_S, SLOW, SPEECHES, bearer

CREATE = SPEECHES["evolink"].create
CREATES = 16
ONCE = httpx.Limits(max_keepalive_connections=0)  # a connection for each request, so that all workers have some
SERIES = re.compile(r'^reelgate_requests_total\{.*route="(\S+)",status="200"\} (\S+)$', re.MULTILINE)


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=PROMPT_S, headers=bearer(ALICE), limits=ONCE)


async def order(http: httpx.AsyncClient, process: Process, prompt: str) -> httpx.Response | None:
    """The answer to a create, None where its worker died meanwhile."""
    try:
        return await http.post(process.base_url + CREATE, json={**SPEECHES["evolink"].body, "prompt": prompt})
    except httpx.TransportError:
        return None


async def counts(process: Process) -> dict[str, float]:
    visitor = Visitor(process.base_url)
    status, text = await visitor.ask("GET", "/metrics", closes=True)
    assert status == 200
    return {route: float(value) for route, value in SERIES.findall(text.decode())}


async def are_counted(count: int, process: Process) -> None:
    """Exactly so many creates, as soon as every worker had a moment to tell; and never fewer than were told before."""
    found = 0.0
    async with asyncio.timeout(START_S):
        while found < count:
            found, before = (await counts(process)).get(CREATE, 0.0), found
            assert before <= found <= count
            await asyncio.sleep(0.1)


def test_what_a_killed_worker_was_sending_is_in_doubt_and_is_never_bought_again(tmp_path: Path) -> None:
    async def story() -> None:
        gate = asyncio.Event()
        async with (
            FakeUpstream([gated(gate, accept())] * CREATES) as upstream,
            serve(tmp_path, upstream.url, "", "--workers", "2") as process,
            client() as http,
        ):
            creating = [asyncio.create_task(order(http, process, f"film {number}")) for number in range(CREATES)]
            await upstream.wait_for_posts(CREATES)
            killed = min(process.workers())
            os.kill(killed, signal.SIGKILL)
            await says(process, "was ended by SIGKILL; its place is filled again at once")
            await are_gone(process, {killed})
            gate.set()
            answers = [answer for answer in await asyncio.gather(*creating) if answer is not None]
            assert {answer.status_code for answer in answers} <= {200}
            assert 0 < len(answers) < CREATES, "both workers had some"
            listed = f"{process.base_url}/openai/v1/videos?limit=100"
            async with asyncio.timeout(START_S):
                while True:
                    tasks = (await http.get(listed)).json()["data"]
                    doubtful = [task for task in tasks if task.get("submission") == "unconfirmed"]
                    if len(doubtful) == CREATES - len(answers):
                        break
                    await asyncio.sleep(0.1)
            assert len(tasks) == CREATES
            assert not {task["id"] for task in doubtful} & {answer.json()["id"] for answer in answers}
            assert len(upstream.posts) == CREATES, "nothing was sent again"

    asyncio.run(story())


def test_a_dead_worker_s_place_is_filled_and_no_count_goes_backwards(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            sandbox.running(app=sandbox.create_app(speed=SLOW)) as upstream,
            serve(tmp_path, upstream, "", "--workers", "2") as process,
            client() as http,
        ):
            for number in range(20):
                assert await order(http, process, f"film {number}")
            await are_counted(20, process)
            for death in range(1, 4):
                victims = process.workers()
                os.kill(victims.pop(), signal.SIGKILL)
                # The port answers all the while: the other worker takes what would have been the dead one's.
                for number in range(10):
                    assert (await order(http, process, f"film {death} {number}")) is not None
                await are_counted(20 + 10 * death, process)
                await until(lambda: len(process.workers()) == 2)
            await are_counted(50, process)

    asyncio.run(story())


def test_workers_end_when_their_parent_is_killed_so_that_another_can_have_the_port(tmp_path: Path) -> None:
    async def story() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9", "", "--workers", "2") as process:
            workers = process.workers()
            process.signal(signal.SIGKILL)
            await process.ended()
            await until(lambda: not any(map(is_alive, workers)))
            port = process.base_url.rpartition(":")[2]
            async with serve(tmp_path, "http://127.0.0.1:9", "", "--workers", "2", "--port", port) as again:
                assert again.base_url == process.base_url

    asyncio.run(story())


def test_a_second_fleet_cannot_slip_onto_the_port_of_another(tmp_path: Path) -> None:
    async def story() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9", "", "--workers", "2") as process:
            port = process.base_url.rpartition(":")[2]
            with pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1:{port}"):
                async with serve(tmp_path, "http://127.0.0.1:9", "", "--workers", "2", "--port", port):
                    pass

    asyncio.run(story())


def test_a_storage_that_is_not_ours_is_refused_once_with_status_1(tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "reelgate.db").write_text("somebody's letters, long enough to be a file " * 100)
        with pytest.raises(AssertionError) as caught:
            async with serve(tmp_path, "http://127.0.0.1:9", "", "--workers", "3"):
                pass
        assert str(caught.value).count("reelgate: storage: ") == 1

    asyncio.run(story())


def test_a_stuck_worker_does_not_hold_back_the_metrics(tmp_path: Path) -> None:
    async def story() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9", "", "--workers", "2") as process:
            stuck = min(process.workers())
            os.kill(stuck, signal.SIGSTOP)
            try:
                answered = 0
                for _ in range(16):  # some connections are the stuck one's, as with any server
                    visitor = Visitor(process.base_url)
                    try:
                        async with asyncio.timeout(2):
                            status, _ = await visitor.ask("GET", "/metrics", closes=True)
                        answered += status == 200
                    except (TimeoutError, Broken):
                        visitor.close()
                assert answered
            finally:
                os.kill(stuck, signal.SIGCONT)

    asyncio.run(story())
