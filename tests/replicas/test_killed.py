"""A neighbour that is killed: what it was sending is in doubt for everybody, without anybody being restarted."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from gateway import sandbox
from gateway.flows import sweep
from tests.life.process import serve
from tests.world import ALICE, GIVE_UP_S, SLOW, SPEECHES, bearer

EARLY = "server: {answer_within_s: 0.2}"


def test_what_a_killed_neighbour_was_sending_reads_unconfirmed(tmp_path: Path, storage: str) -> None:
    # A dead neighbour is known within 60 s (CONTRACT section 7): everybody looks for one with every sweep.
    assert sweep.EVERY_S * 2 < 60
    config = f"{EARLY}\nstorage: {{url: '{storage}'}}"

    async def story() -> None:
        async with (
            sandbox.running(speed=SLOW) as upstream,
            serve(tmp_path, upstream, config) as survivor,
            serve(tmp_path, upstream, config) as neighbour,
            httpx.AsyncClient(timeout=GIVE_UP_S) as http,
        ):
            speech = SPEECHES["evolink"]
            body = {**speech.body, "prompt": "a ship #sandbox:hang"}
            address = f"{neighbour.base_url}/evolink{speech.create}"
            created = await http.post(address, json=body, headers=bearer(ALICE))
            assert created.json()["submission"] == "sending"
            path = f"/evolink{speech.read.format(id=created.headers['x-reelgate-task-id'])}"

            async def read() -> dict[str, Any]:
                answer = await http.get(f"{survivor.base_url}{path}", headers=bearer(ALICE))
                assert answer.status_code == 200, answer.text
                told: dict[str, Any] = answer.json()
                return told

            assert (await read())["submission"] == "sending"
            neighbour.signal(signal.SIGKILL)
            await neighbour.ended()
            await _until(read, lambda told: told["submission"] == "unconfirmed")
            orders = await http.get(f"{upstream}/_sandbox/requests")
            assert [entry["method"] for entry in orders.json()].count("POST") == 1

    asyncio.run(story())


async def _until(read: Callable[[], Any], is_so: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + 2 * GIVE_UP_S
    while not is_so(told := await read()):
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.1)
