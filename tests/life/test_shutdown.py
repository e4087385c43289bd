"""SIGTERM: no new creates, what runs is finished and written down, and the process ends soon and well."""

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest

from gateway import sandbox
from tests.life.process import Process, serve
from tests.world import ALICE, SPEECHES, bearer, id_of

SLOW_S = 1.5


async def create(http: httpx.AsyncClient, process: Process, prompt: str) -> httpx.Response:
    body = {**SPEECHES["evolink"].body, "prompt": prompt}
    return await http.post(f"{process.base_url}/v1/videos/generations", json=body, headers=bearer(ALICE))


async def read(http: httpx.AsyncClient, process: Process, task_id: str) -> dict[str, object]:
    answer = await http.get(f"{process.base_url}/v1/tasks/{task_id}", headers=bearer(ALICE))
    assert answer.status_code == 200
    found: dict[str, object] = answer.json()
    return found


async def bought(http: httpx.AsyncClient, upstream: str) -> int:
    return len((await http.get(f"{upstream}/_sandbox/videos")).json())


async def buys(http: httpx.AsyncClient, upstream: str) -> None:
    """Wait until something was bought."""
    for _ in range(500):
        if await bought(http, upstream):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was bought")


@pytest.mark.parametrize("answer_within_s", [8, 0.2], ids=["the client waits", "the client was answered early"])
def test_a_create_in_flight_is_finished_and_recorded(answer_within_s: float, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sandbox.running() as upstream, httpx.AsyncClient(trust_env=False, timeout=10) as http:
            config = f"server: {{answer_within_s: {answer_within_s}}}"
            async with serve(tmp_path, upstream, config) as process:
                creating = asyncio.create_task(create(http, process, f"p #sandbox:slow={SLOW_S}"))
                await buys(http, upstream)
                if answer_within_s < SLOW_S:
                    await creating
                began = time.monotonic()
                process.signal(signal.SIGTERM)
                answer = await creating
                assert await process.ended() == 0
                assert time.monotonic() - began < SLOW_S + 3
                assert "Traceback" not in process.said()
            assert answer.json().get("submission") == ("sending" if answer_within_s < SLOW_S else None)
            async with serve(tmp_path, upstream, config) as again:
                found = await read(http, again, id_of(answer))
                assert found["status"] in ("pending", "processing")
                assert "submission" not in found  # it is running, and nobody has to guess
                assert await bought(http, upstream) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_gateway_ends_at_once_although_clients_are_connected(number: signal.Signals, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9") as process, httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{process.base_url}/healthz")).status_code == 200  # and stays connected
            began = time.monotonic()
            process.signal(number)
            assert await process.ended() == 0
            assert time.monotonic() - began < 3
            assert "Traceback" not in process.said()

    asyncio.run(scenario())


def test_while_it_shuts_down_it_takes_no_new_creates(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sandbox.running() as upstream, httpx.AsyncClient(trust_env=False, timeout=10) as http:
            async with serve(tmp_path, upstream) as process:
                late = httpx.AsyncClient(trust_env=False, timeout=10)
                assert (await late.get(f"{process.base_url}/healthz")).status_code == 200
                creating = asyncio.create_task(create(http, process, "p #sandbox:slow=1"))
                await buys(http, upstream)
                process.signal(signal.SIGTERM)
                await asyncio.sleep(0.1)
                try:
                    refused = await create(late, process, "too late")
                except httpx.TransportError:
                    pass  # nobody listens any more
                else:
                    assert (refused.status_code, refused.headers["x-should-retry"]) == (503, "true")
                await late.aclose()
                assert (await creating).status_code == 200
                assert await process.ended() == 0
            assert await bought(http, upstream) == 1

    asyncio.run(scenario())
