"""The freeze: no create is taken, and everything that was taken before goes on."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.admin.person import CONFIG, told
from tests.world import ALICE, SLOW, SPEECHES, World, bearer, error_of, id_of, world

ONE_AT_A_TIME = """
queue: {max_tasks: 10, max_wait_s: 3600}
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${UPSTREAM}/evolink
    keys: [{id: main, value: sk-up, max_tasks: 1}]
"""


@pytest.mark.parametrize("dialect", SPEECHES)
def test_creates_are_refused_in_every_dialect_and_nothing_is_sent(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            frozen = await told(it, "POST", "/freeze")
            assert (frozen["frozen"], frozen["since"] > 0) == (True, True)
            answer = await it.create(dialect)
            assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
            assert "frozen" in error_of(dialect, answer)["message"]
            assert "retry-after" not in answer.headers
            assert it.requests() == []
            assert sum((await it.parts.registry.state_counts()).values()) == 0
            assert await told(it, "POST", "/unfreeze") == {"frozen": False, "since": None}
            assert (await it.create(dialect)).status_code == 200

    asyncio.run(scenario())


def test_polls_films_and_questions_go_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            running = id_of(await it.create())
            done = await it.finished_film()
            await told(it, "POST", "/freeze")
            assert (await it.finish(running))["status"] == "completed"
            film = await it.http.get(f"/v1/videos/{done}/content", headers=bearer(ALICE))
            assert (film.status_code, film.content[4:8]) == (200, b"ftyp")
            for path in ("/v1/models", "/v1/credits", "/v1/balance", "/v1/videos"):
                assert (await it.http.get(path, headers=bearer(ALICE))).status_code == 200

    asyncio.run(scenario())


def test_a_repeat_of_what_was_taken_before_gets_its_first_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it:
            headers = {**bearer(ALICE), "idempotency-key": "once"}
            first = await _create(it, headers)
            await told(it, "POST", "/freeze")
            again = await _create(it, headers)
            assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
            assert again.content == first.content
            assert (await _create(it, {**headers, "idempotency-key": "twice"})).status_code == 503

    asyncio.run(scenario())


def test_readiness_says_it_and_stays_ready_for_polls(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            before = await it.http.get("/readyz")
            assert (before.status_code, before.json()["status"], before.json()["frozen"]) == (200, "ready", False)
            await told(it, "POST", "/freeze")
            frozen = await it.http.get("/readyz")
            assert (frozen.status_code, frozen.json()["status"], frozen.json()["frozen"]) == (200, "frozen", True)

    asyncio.run(scenario())


def test_a_freeze_outlives_the_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            since = (await told(it, "POST", "/freeze"))["since"]
        async with world(tmp_path, CONFIG) as it:
            assert (await it.create()).status_code == 503
            assert (await told(it, "POST", "/freeze"))["since"] == since
            await told(it, "POST", "/unfreeze")
            assert (await it.create()).status_code == 200

    asyncio.run(scenario())


def test_what_waits_in_the_queue_is_not_sent_before_the_thaw(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG + ONE_AT_A_TIME) as it:
            running = id_of(await it.create())
            waiting = id_of(await it.create(prompt="the second"))
            await told(it, "POST", "/freeze")
            await it.finish(running)
            await asyncio.sleep(1.0)  # several turns of the queue
            assert len(it.videos()) == 1
            assert (await told(it, "GET", f"/tasks/{waiting}"))["task"]["state"] == "queued"
            await told(it, "POST", "/unfreeze")
            assert (await it.finish(waiting))["status"] == "completed"

    asyncio.run(scenario())


async def _create(it: World, headers: dict[str, str]) -> httpx.Response:
    return await it.http.post("/v1/videos/generations", json=dict(SPEECHES["evolink"].body), headers=headers)
