"""SIGTERM: no new creates, what runs is finished and written down, and the process ends soon and well."""

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest

from gateway.serving import GRACE_S
from tests.fakes.upstream import FakeUpstream, accept, gated
from tests.life.process import Process, serve
from tests.world import ALICE, PROMPT_S, SPEECHES, bearer, id_of

AT_ONCE_S = 20.0  # what waited for a client or an upstream would take longer
assert AT_ONCE_S < GRACE_S


def a_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=PROMPT_S)


async def create(http: httpx.AsyncClient, process: Process, prompt: str = "a ship") -> httpx.Response:
    body = {**SPEECHES["evolink"].body, "prompt": prompt}
    return await http.post(f"{process.base_url}/v1/videos/generations", json=body, headers=bearer(ALICE))


async def read(http: httpx.AsyncClient, process: Process, task_id: str) -> dict[str, object]:
    answer = await http.get(f"{process.base_url}/v1/tasks/{task_id}", headers=bearer(ALICE))
    assert answer.status_code == 200
    found: dict[str, object] = answer.json()
    return found


async def takes_no_more(http: httpx.AsyncClient, process: Process) -> None:
    """Wait until the gateway has heard that it has to stop."""
    async with asyncio.timeout(PROMPT_S):
        while True:
            try:
                answer = await http.get(f"{process.base_url}/readyz")
            except httpx.TransportError:
                return  # nobody listens any more
            if not answer.json()["checks"]["accepting"]:
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("answer_within_s", [60, 0.2], ids=["the client waits", "the client was answered early"])
def test_a_create_in_flight_is_finished_and_recorded(answer_within_s: float, tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()
        async with FakeUpstream([gated(gate, accept())]) as upstream, a_client() as http, a_client() as other:
            config = f"server: {{answer_within_s: {answer_within_s}}}"
            async with serve(tmp_path, upstream.url, config) as process:
                creating = asyncio.create_task(create(http, process))
                await upstream.wait_for_posts(1)
                if answer_within_s < 1:
                    await creating
                process.signal(signal.SIGTERM)
                await takes_no_more(other, process)
                gate.set()
                began = time.monotonic()
                answer = await creating
                assert await process.ended() == 0
                assert time.monotonic() - began < AT_ONCE_S
                assert "Traceback" not in process.said()
            assert answer.json().get("submission") == ("sending" if answer_within_s < 1 else None)
            async with serve(tmp_path, upstream.url, config) as again:
                found = await read(http, again, id_of(answer))
                assert found["status"] in ("pending", "processing")
                assert "submission" not in found  # it is running, and nobody has to guess
            assert upstream.accepted == len(upstream.posts) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_idle_gateway_ends_at_once_although_clients_are_connected(number: signal.Signals, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9") as process, a_client() as http:
            assert (await http.get(f"{process.base_url}/healthz")).status_code == 200  # and stays connected
            began = time.monotonic()
            process.signal(number)
            assert await process.ended() == 0
            assert time.monotonic() - began < AT_ONCE_S
            assert "Traceback" not in process.said()

    asyncio.run(scenario())


def test_a_gateway_that_sighup_stops_says_that_it_takes_several_workers_to_reload(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9") as process:
            process.signal(signal.SIGHUP)
            assert await process.ended() == 0
            assert process.said().count("SIGHUP stops this process") == 1
            assert "server.workers: 2 or more" in process.said()

    asyncio.run(scenario())


def test_under_nohup_a_gateway_outlives_its_terminal(tmp_path: Path) -> None:
    async def scenario() -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` leaves it to what it starts
        try:
            async with serve(tmp_path, "http://127.0.0.1:9") as process, a_client() as http:
                process.signal(signal.SIGHUP)
                for _ in range(5):
                    assert (await http.get(f"{process.base_url}/readyz")).json()["checks"]["accepting"]
                    await asyncio.sleep(0.02)
        finally:
            signal.signal(signal.SIGHUP, before)

    asyncio.run(scenario())


def test_a_gateway_that_a_script_started_in_the_background_hears_sigint(tmp_path: Path) -> None:
    """A shell without job control has what it starts with `&` ignore it."""

    async def scenario() -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            async with serve(tmp_path, "http://127.0.0.1:9") as process:
                process.signal(signal.SIGINT)
                assert await process.ended() == 0
        finally:
            signal.signal(signal.SIGINT, before)

    asyncio.run(scenario())


def test_while_it_shuts_down_it_takes_no_new_creates(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()
        async with FakeUpstream([gated(gate, accept())]) as upstream, a_client() as http, a_client() as late:
            async with serve(tmp_path, upstream.url) as process:
                assert (await late.get(f"{process.base_url}/healthz")).status_code == 200
                creating = asyncio.create_task(create(http, process))
                await upstream.wait_for_posts(1)
                process.signal(signal.SIGTERM)
                await takes_no_more(late, process)
                try:
                    refused = await create(late, process, "too late")
                except httpx.TransportError:
                    pass  # nobody listens any more
                else:
                    assert (refused.status_code, refused.headers["x-should-retry"]) == (503, "true")
                assert not creating.done()
                gate.set()
                assert (await creating).status_code == 200
                assert await process.ended() == 0
            assert upstream.accepted == len(upstream.posts) == 1

    asyncio.run(scenario())
