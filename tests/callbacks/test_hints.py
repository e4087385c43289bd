"""Hints: who calls on an attempt's own path makes us look, and is believed in nothing but what a look confirms."""

import asyncio
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import ids
from gateway.app import gateway
from gateway.signing import attempt_token
from gateway.video import State
from tests.callbacks.world import until
from tests.world import FAST, SLOW, World, id_of, make_config, world

# Nobody looks by himself while a test looks on, and of several hints only the first makes somebody look.
QUIET = "polling: {min_interval_s: 3600, max_interval_s: 3600}\n"
REACHABLE = "server: {answer_within_s: 60, public_url: 'https://films.example'}\n"
OUTSIDE = QUIET + REACHABLE
MINIMAX = "upstreams: [{name: sandbox, provider: minimax, base_url: '${UPSTREAM}/minimax', keys: [{value: sk-up}]}]\n"


def path_of(task_id: str, it: World, attempt: int = 1) -> str:
    number = ids.number_of(task_id)
    assert number is not None
    return f"/v1/callbacks/{attempt_token(number, attempt, it.parts.settings.hint_secret)}"


async def call(it: World, path: str, said: Any = None, **more: Any) -> httpx.Response:
    return await it.http.post(path, json={"status": "completed"} if said is None else said, **more)


def looks(it: World) -> int:
    return len(it.requests("GET"))


async def state_of(task_id: str, it: World) -> State:
    task = await it.parts.registry.get(ids.number_of(task_id) or 0)
    assert task is not None
    return task.state


def test_a_hint_is_a_look_at_once_and_what_it_says_is_not_believed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create())
            before = looks(it)
            answer = await call(it, path_of(task_id, it), {"status": "failed", "id": "x", "error": {"code": "no"}})
            assert (answer.status_code, answer.content) == (200, b"{}")
            await until(lambda: looks(it) == before + 1)
            assert await state_of(task_id, it) is State.RUNNING

    asyncio.run(scenario())


def test_a_task_that_is_over_is_found_so_by_the_hint(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=FAST) as it:
            task_id = id_of(await it.create())
            await until(lambda: it.videos()[0]["state"] == "completed")
            await call(it, path_of(task_id, it))
            known = it.parts.memory.tasks
            await until(lambda: known[ids.number_of(task_id) or 0].state is State.COMPLETED)

    asyncio.run(scenario())


def test_however_often_somebody_calls_looks_keep_their_shortest_interval(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create())
            before = looks(it)
            for _ in range(50):
                assert (await call(it, path_of(task_id, it))).status_code == 200
            await asyncio.sleep(0.1)
            assert looks(it) == before + 1

    asyncio.run(scenario())


def test_a_hint_that_comes_too_soon_after_a_look_brings_the_next_look_forward(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create())
            await call(it, path_of(task_id, it))
            watch = it.parts.memory.watch(ids.number_of(task_id) or 0)
            await until(lambda: watch.looked_at is not None and watch.under_way is None)
            agenda, later = it.parts.memory.agenda, time.time() + 3 * 3600
            assert list(agenda.due(math.inf))
            watch.due_at, watch.noted_at = later, None  # the watcher's own plan
            it.parts.memory.take_note(ids.number_of(task_id) or 0, watch)
            await call(it, path_of(task_id, it))
            await until(lambda: agenda.next_at() == watch.due_at < later)
            assert watch.looked_at is not None
            assert 0 <= watch.due_at - watch.looked_at - 3600 <= 1
            assert looks(it) == 1

    asyncio.run(scenario())


def test_a_path_that_is_not_ours_is_no_path(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create())
            good = path_of(task_id, it)
            before = looks(it)
            wrong = [
                good[:-1],
                good + "0",
                good.replace(".1.", ".2."),
                good.rpartition(".")[0],
                "/v1/callbacks/",
                "/v1/callbacks/x",
            ]
            for path in wrong:
                assert (await call(it, path)).status_code == 404, path
            assert (await it.http.get(good)).status_code == 405
            await asyncio.sleep(0.1)
            assert looks(it) == before

    asyncio.run(scenario())


def test_without_an_address_outside_there_is_no_such_path(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, QUIET, speed=SLOW) as it:
            task_id = id_of(await it.create())
            assert (await call(it, path_of(task_id, it))).status_code == 404

    asyncio.run(scenario())


@pytest.mark.parametrize("challenge", ["a1b2c3", "", 'ü\u2028"', 17, None])
def test_minimaxs_challenge_is_answered_with_itself(challenge: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create())
            before = looks(it)
            answer = await call(it, path_of(task_id, it), {"challenge": challenge})
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/json"
            assert answer.json() == {"challenge": challenge}
            await asyncio.sleep(0.05)
            assert looks(it) == before

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b'{"id":1,"id":2}', b'"challenge"', b"\xff", b"x" * 100_000],
    ids=lambda body: str(body[:12]),
)
def test_a_body_that_nobody_can_read_is_a_hint_all_the_same(body: bytes, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create())
            before = looks(it)
            answer = await it.http.post(
                path_of(task_id, it), content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 200
            await until(lambda: looks(it) == before + 1)

    asyncio.run(scenario())


EVIDENCE = [("", "id"), (MINIMAX, "task_id")]


@pytest.mark.parametrize(("upstream", "field"), EVIDENCE, ids=["evolink", "minimax"])
def test_a_task_in_doubt_is_taken_up_when_a_look_finds_what_a_callback_names(
    upstream: str, field: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE + upstream, speed=SLOW) as it:
            created = await it.create(prompt="a ship #sandbox:drop-after-accept")
            assert created.json()["submission"] == "unconfirmed"
            task_id = id_of(created)
            ((video),) = it.videos()
            await call(it, path_of(task_id, it), {field: video["id"], "status": "processing"})
            known = it.parts.memory.tasks
            await until(lambda: known[ids.number_of(task_id) or 0].state is State.RUNNING)
            task = await it.parts.registry.get(ids.number_of(task_id) or 0)
            assert task is not None
            assert task.upstream_id == video["id"]
            assert len(it.videos()) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "said",
    [
        {"id": "task-unified-1-nobody"},
        {"id": ""},
        {"id": "x" * 257},
        {"id": 5},
        {"id": None},
        {"id": ["{video}"]},
        {"task_id": "{video}"},
        {"data": {"id": "{video}"}},
        [],
    ],
    ids=str,
)
def test_a_task_in_doubt_stays_so_where_nothing_is_proved(said: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create(prompt="a ship #sandbox:drop-after-accept"))
            (video,) = it.videos()
            told = json.loads(json.dumps(said).replace("{video}", video["id"]))
            assert (await call(it, path_of(task_id, it), told)).status_code == 200
            await asyncio.sleep(0.15)
            assert await state_of(task_id, it) is State.UNCONFIRMED

    asyncio.run(scenario())


def test_the_id_of_another_task_is_no_evidence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            other = id_of(await it.create())
            task_id = id_of(await it.create(prompt="a ship #sandbox:drop-after-accept"))
            theirs = it.videos()[0]["id"]
            await call(it, path_of(task_id, it), {"id": theirs})
            await until(lambda: "which is another task" in caplog.text)
            assert await state_of(task_id, it) is State.UNCONFIRMED
            assert await state_of(other, it) is State.RUNNING

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())


def test_an_attempt_that_was_refused_proves_nothing_about_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create(prompt="a ship #sandbox:drop-after-accept"))
            (video,) = it.videos()
            await call(it, path_of(task_id, it, attempt=0), {"id": video["id"]})
            await until(lambda: "which it had refused" in caplog.text)
            assert await state_of(task_id, it) is State.UNCONFIRMED

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())


def test_however_often_somebody_calls_about_a_task_in_doubt_storage_and_upstream_are_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create(prompt="a ship #sandbox:drop-after-accept"))
            for number in range(50):
                await call(it, path_of(task_id, it), {"id": f"task-{number}"})
            await asyncio.sleep(0.1)
            assert looks(it) == 1

    asyncio.run(scenario())


def test_another_process_of_the_gateway_takes_a_hint_as_well(tmp_path: Path) -> None:
    """Whichever of them the upstream reaches: this one has never heard of the task."""

    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create())
            async with gateway(make_config(tmp_path, it.sandbox_url, OUTSIDE)) as other:
                before = looks(it)
                transport = httpx.ASGITransport(other.app)
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                    assert (await http.post(path_of(task_id, it), json={})).status_code == 200
                await until(lambda: looks(it) == before + 1)

    asyncio.run(scenario())


def test_a_hint_about_what_is_long_over_or_was_never_there_is_answered_and_nothing_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, REACHABLE, speed=FAST) as it:
            task_id = await it.finished_film()
            before = looks(it)
            assert (await call(it, path_of(task_id, it))).status_code == 200
            assert (await call(it, path_of("4611686018427387905", it))).status_code == 200
            await asyncio.sleep(0.1)
            assert looks(it) == before

    asyncio.run(scenario())


def test_no_path_of_an_attempt_stands_in_any_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OUTSIDE, speed=SLOW) as it:
            task_id = id_of(await it.create(prompt="a ship #sandbox:drop-after-accept"))
            path = path_of(task_id, it)
            await call(it, path, {"id": "nobody"})
            await call(it, path + "0")
            await asyncio.sleep(0.1)
            assert path.rpartition(".")[2] not in caplog.text

    with caplog.at_level(logging.DEBUG, "reelgate"):
        asyncio.run(scenario())
