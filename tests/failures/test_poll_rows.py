"""FAILURES section 5: looking at a task is free, so a look that fails teaches nothing and costs nothing.

Time stands still here; only what a test walks of it passes.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import LookFailed
from gateway.keys import KeyState
from gateway.video import Money, State
from tests.failures.world import FIRST_LOOK_S, PRICE, Clock, Key, Place, World, open_world, secret
from tests.fakes.upstream import (
    HTML,
    Behaviour,
    FakeUpstream,
    accept,
    accept_as,
    answer,
    bytes_then,
    compressed,
    drip,
    error_body,
    look,
    response,
)

FILM = "https://films.example.com/a-ship.mp4"
JSON = error_body()
DONE = look("completed", progress=100, results=[FILM])
DONE_BYTES = response(200, json.dumps({"status": "completed", "progress": 100, "results": [FILM]}).encode())
NO_FILM = look("completed", progress=100)
NOT_FOUND = answer(404, error_body("Task not found", "task_not_found"))


@dataclass
class Scene:
    """One task that runs at one upstream."""

    world: World
    fake: FakeUpstream
    clock: Clock
    id: str

    async def poll(self, *answers: Behaviour) -> dict[str, Any]:
        self.fake.looks.extend(answers)
        return await self.world.poll(self.id)

    @property
    def looks(self) -> int:
        return len(self.fake.gets)

    async def state(self) -> State:
        return (await self.world.task()).state

    async def surprises(self) -> str:
        lines = (await self.world.client.get("/metrics")).text.splitlines()
        return "\n".join(line for line in lines if line.startswith("reelgate_upstream_surprises_total"))


@asynccontextmanager
async def running_task(folder: Path, **sections: Any) -> AsyncIterator[Scene]:
    clock = Clock()
    async with (
        FakeUpstream([accept()]) as fake,
        open_world(folder, Place(fake.url), clock=clock, **sections) as world,
    ):
        created = await world.create()
        clock.walk(FIRST_LOOK_S)
        yield Scene(world, fake, clock, created.json()["id"])
        assert len(fake.posts) == 1, "whatever a look finds, nothing is ever sent again"


# These end by a time-out, and a look after them has to come through before it.
BY_TIME = {"read_s": 1.5, "total_s": 2}
TEACH_NOTHING = {
    "RST": bytes_then(b"", "reset", buys=False),
    "FIN": bytes_then(b"", "finish", buys=False),
    "no answer": bytes_then(b"", "hang", buys=False),
    "an answer in drops": drip(DONE_BYTES[:30], DONE_BYTES[30:], 0.2, buys=False),
    "half an answer": bytes_then(DONE_BYTES[:-30], "reset", buys=False),
    "junk": bytes_then(b"\x00 no HTTP\r\n\r\n", "finish", buys=False),
    "bad gzip": answer(200, b"no gzip", [("Content-Encoding", "gzip")]),
    **{
        f"{status} with JSON": answer(status, JSON, [("Retry-After", "1")])
        for status in (302, 400, 401, 402, 403, 408, 429, 500, 502, 503, 504)
    },
    **{f"{status} with HTML": answer(status, HTML) for status in (403, 408, 429, 500, 503, 521, 524)},
    "500 with nothing": answer(500),
    "500 that says completed": answer(500, json.dumps({"status": "completed", "results": [FILM]}).encode()),
    "401 that says failed": answer(401, json.dumps({"status": "failed"}).encode()),
    "200 with HTML": answer(200, HTML),
    "200 with nothing": answer(200),
    "200 without status": answer(200, b'{"progress": 50}'),
    "200 with a list": answer(200, b"[]"),
    "200 with a number for a status": answer(200, b'{"status": 3}'),
    "204": answer(204),
}


@pytest.mark.parametrize("failing", TEACH_NOTHING)
def test_a_look_that_fails_teaches_nothing_and_backs_off(failing: str, tmp_path: Path) -> None:
    async def play() -> None:
        timeouts = BY_TIME if failing in ("no answer", "an answer in drops") else None
        async with running_task(tmp_path, timeouts=timeouts) as scene:
            polled = await scene.poll(TEACH_NOTHING[failing])
            assert (polled["status"], "error" in polled) == ("pending", False)
            assert scene.looks == 1
            scene.clock.walk(1.9)
            await scene.poll()
            assert scene.looks == 1, "not before the shortest interval"
            scene.clock.walk(0.6)
            assert (await scene.poll(DONE))["status"] == "completed"
            assert scene.looks == 2
            assert scene.world.key_states() == {"first/main": KeyState.OK}, "a look says nothing of a key"

    asyncio.run(play())


def test_failing_looks_become_rare_and_never_end_a_task(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            gaps = []
            last = 0.0
            for _ in range(1_800):  # half an hour of it, a poll a second
                before = scene.looks
                await scene.poll(answer(500, JSON))
                if scene.looks > before:
                    gaps.append(last)
                    last = 0.0
                else:
                    scene.fake.looks.clear()
                scene.clock.walk(1)
                last += 1
            assert len(gaps) < 1_800 / 24 + 10
            assert gaps[1] <= 3
            assert all(24 <= gap <= 31 for gap in gaps[15:])
            assert await scene.state() is State.RUNNING
            assert await scene.world.held() == PRICE
            scene.clock.walk(40)
            assert (await scene.poll(DONE))["results"] == [FILM]

    asyncio.run(play())


def test_one_good_look_ends_the_backing_off(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            for _ in range(8):
                await scene.poll(answer(500, JSON))
                scene.clock.walk(40)
            await scene.poll(look("processing", progress=10))
            scene.clock.walk(2)
            assert (await scene.poll(look("processing", progress=20)))["progress"] == 20

    asyncio.run(play())


# --- what the upstream says of the task ---------------------------------------------------------------------------


def test_a_task_not_found_at_first_is_given_time(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            for _ in range(5):
                assert (await scene.poll(NOT_FOUND))["status"] == "pending"
                scene.clock.walk(10)
            assert (await scene.poll(look("processing", progress=30)))["progress"] == 30

    asyncio.run(play())


@pytest.mark.parametrize("between", [answer(404, HTML), answer(503, JSON)], ids=["404 of an edge", "outage"])
def test_what_an_edge_says_is_no_evidence_that_a_task_is_missing(between: Behaviour, tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            await scene.poll(NOT_FOUND)
            for _ in range(30):
                scene.clock.walk(40)
                await scene.poll(between)
            scene.clock.walk(40)
            await scene.poll(NOT_FOUND)
            assert await scene.state() is State.RUNNING
            scene.clock.walk(40)
            assert (await scene.poll(DONE))["results"] == [FILM]

    asyncio.run(play())


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (NOT_FOUND, "upstream_task_missing"),
        (NO_FILM, "result_missing"),
        (look("completed", progress=100, results=[]), "result_missing"),
        (look("completed", progress=100, results=[None, 7, "", "ftp://films.example.com/a"]), "result_missing"),
    ],
    ids=["404", "no results", "empty results", "no link among the results"],
)
def test_missing_for_ten_minutes_is_a_failure(found: Behaviour, code: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            for _ in range(15):  # from the first to the last look 599 s
                polled = await scene.poll(found)
                assert (polled["status"], "error" in polled) == ("pending", False)
                scene.clock.walk(599 / 14 if scene.looks < 15 else 1)
            assert scene.looks == 15
            assert await scene.world.held() == PRICE
            scene.clock.walk(39)
            polled = await scene.poll(found)
            assert (polled["status"], polled["error"]["code"]) == ("failed", code)
            assert await scene.state() is State.FAILED
            scene.clock.walk(3600)
            assert (await scene.poll(DONE))["status"] == "failed", "final states are final"
            assert scene.looks == 16

    asyncio.run(play())


def test_a_gap_that_mends_itself_starts_the_ten_minutes_anew(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            for _ in range(3):
                await scene.poll(NO_FILM)
                scene.clock.walk(400)
                await scene.poll(look("processing", progress=10))
                scene.clock.walk(100)
            await scene.poll(NO_FILM)
            scene.clock.walk(500)
            assert (await scene.poll(NO_FILM))["status"] == "processing"

    asyncio.run(play())


async def lost_after(scene: Scene, *gaps_s: float) -> list[str]:
    """What a task is called from look to look, so many seconds apart, while the upstream does not know it."""
    words = []
    for gap_s in (0.0, *gaps_s):
        scene.clock.walk(gap_s)
        before = scene.looks
        words.append((await scene.poll(NOT_FOUND))["status"])
        assert scene.looks == before + 1
    return words


def test_a_task_that_is_lost_later_fails_after_two_minutes_and_a_person_judges(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            await scene.poll(look("processing", progress=10))
            scene.clock.walk(60)
            assert await lost_after(scene, 40, 40, 39.9) == ["processing"] * 4
            assert await scene.world.held() == PRICE
            scene.clock.walk(20)
            polled = await scene.poll(NOT_FOUND)
            assert (polled["status"], polled["error"]["code"]) == ("failed", "upstream_task_missing")
            assert (await scene.world.task()).money is Money.SUSPENDED

    asyncio.run(play())


def test_a_task_that_was_never_seen_here_keeps_its_ten_minutes(tmp_path: Path) -> None:
    """Another process may have been told that it is not known, in the first minute; this one cannot know."""

    async def play() -> None:
        async with running_task(tmp_path) as scene:
            scene.clock.walk(61)
            assert "failed" not in await lost_after(scene, *[40] * 14)
            scene.clock.walk(40)
            assert (await scene.poll(NOT_FOUND))["status"] == "failed"

    asyncio.run(play())


def test_no_task_is_lost_by_two_looks(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            await scene.poll(look("processing", progress=10))
            scene.clock.walk(300)
            assert await lost_after(scene, 500, 3) == ["processing", "processing", "failed"]

    asyncio.run(play())


@pytest.mark.parametrize("between", [answer(503, JSON), look("processing", progress=10)], ids=["outage", "found"])
def test_what_comes_between_starts_the_two_minutes_anew(between: Behaviour, tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            await scene.poll(look("processing", progress=10))
            scene.clock.walk(100)
            await lost_after(scene, 40, 40)
            scene.clock.walk(39)
            await scene.poll(between)
            scene.clock.walk(40)
            assert "failed" not in await lost_after(scene, 50, 60)
            assert await scene.state() is State.RUNNING
            scene.clock.walk(40)
            assert (await scene.poll(DONE))["results"] == [FILM]

    asyncio.run(play())


def test_a_new_task_keeps_its_ten_minutes_across_an_outage(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            await scene.poll(NOT_FOUND)
            scene.clock.walk(40)
            await scene.poll(answer(503, JSON))
            scene.clock.walk(60)
            assert "failed" not in await lost_after(scene, *[40] * 14)
            scene.clock.walk(40)
            assert (await scene.poll(look("processing", progress=10)))["progress"] == 10
            scene.clock.walk(2)  # from now on it is no new one any more
            assert await lost_after(scene, 60, 60) == ["processing", "processing", "failed"]

    asyncio.run(play())


def test_a_film_that_is_waited_for_is_not_lost_by_one_look(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            scene.clock.walk(100)
            for _ in range(3):
                await scene.poll(NO_FILM)
                scene.clock.walk(60)
            assert await lost_after(scene, 40, 40) == ["pending"] * 3
            scene.clock.walk(40)
            assert (await scene.poll(DONE))["results"] == [FILM]

    asyncio.run(play())


def test_outages_do_not_count_as_missing(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            for _ in range(40):
                assert (await scene.poll(answer(503, HTML)))["status"] == "pending"
                scene.clock.walk(60)
            assert (await scene.poll(NOT_FOUND))["status"] == "pending"

    asyncio.run(play())


@pytest.mark.parametrize("word", ["queueing", "REVIEWING", "unknown", "succes", "排队中"])
def test_an_unknown_status_word_reads_as_processing_and_is_counted(word: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            assert (await scene.poll(look(word, progress=20)))["status"] == "processing"
            assert await scene.surprises() == (
                'reelgate_upstream_surprises_total{kind="status_word",upstream="first"} 1.0'
            )
            scene.clock.walk(2)
            assert (await scene.poll(DONE))["status"] == "completed"

    asyncio.run(play())


@pytest.mark.parametrize("word", ["Completed", "COMPLETED"])
def test_status_words_are_known_in_any_letter_case(word: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            assert (await scene.poll(look(word, progress=100, results=[FILM])))["results"] == [FILM]
            assert await scene.surprises() == ""

    asyncio.run(play())


def test_a_task_never_goes_back(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            await scene.poll(look("processing", progress=60))
            for backwards in (look("processing", progress=20), look("pending", progress=0), look("pending")):
                scene.clock.walk(2)
                polled = await scene.poll(backwards)
                assert (polled["status"], polled["progress"]) == ("processing", 60)
            scene.clock.walk(2)
            await scene.poll(DONE)
            for _ in range(3):
                scene.clock.walk(600)
                polled = await scene.poll(look("processing", progress=20))
                assert (polled["status"], polled["progress"], polled["results"]) == ("completed", 100, [FILM])
            assert scene.looks == 5

    asyncio.run(play())


def test_a_failed_generation_is_told_with_its_reason(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            reason = {"code": "content_policy_violation", "message": "No, sorry"}
            polled = await scene.poll(look("failed", error=reason))
            assert (polled["status"], polled["error"]) == ("failed", reason)
            assert await scene.world.held() == 0

    asyncio.run(play())


@pytest.mark.parametrize("error", [None, "no", {}, {"code": 7, "message": []}, {"code": "x" * 99}])
def test_a_failed_generation_without_a_readable_reason_still_has_one(error: object, tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            polled = await scene.poll(look("failed", error=error))
            assert (polled["status"], polled["error"]["code"]) == ("failed", "generation_failed")
            assert polled["error"]["message"]

    asyncio.run(play())


@pytest.mark.parametrize(
    ("said", "told"),
    [(33, 33), (33.9, 33), ("33", 33), ("33%", 33), (" 33% ", 33), (250, 99), (-4, 0), (True, 0), (None, 0),
     ("soon", 0), ([], 0), (10**18, 99), ("-5", 0), ("³", 0)],
    ids=lambda value: str(value)[:8],
)  # fmt: skip
def test_progress_is_a_whole_percentage_whatever_is_said(said: object, told: int, tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            polled = await scene.poll(look("processing", progress=said))
            assert (polled["status"], polled["progress"]) == ("processing", told)

    asyncio.run(play())


def test_compressed_answers_are_read_although_nobody_asked_for_them(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            done = json.dumps({"status": "completed", "results": [FILM]}).encode()
            assert (await scene.poll(compressed(200, done, buys=False)))["results"] == [FILM]

    asyncio.run(play())


# --- keys ---------------------------------------------------------------------------------------------------------


def test_a_task_is_polled_with_the_key_that_submitted_it_even_when_that_key_is_retired(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with FakeUpstream([accept_as("task-1"), answer(401, JSON), accept_as("task-2")]) as fake:
            place = Place(fake.url, keys=[Key("main"), Key("spare", weight=1)])
            async with open_world(tmp_path, place, clock=clock) as world:
                first = await world.create("the first")  # main
                second = await world.create("the second")  # spare is refused, so main again
                assert fake.keys_used == [secret("first", name) for name in ("main", "spare", "main")]
                fake.script.extend([answer(401, JSON)])
                assert (await world.create("the third")).status_code == 503
                assert world.key_states() == {"first/main": KeyState.RETIRED, "first/spare": KeyState.RETIRED}
                clock.walk(FIRST_LOOK_S)
                fake.looks.extend([DONE, DONE])
                for created in (first, second):
                    assert (await world.poll(created.json()["id"]))["status"] == "completed"
                assert [get.key for get in fake.gets] == [secret("first", "main")] * 2
                assert {get.path for get in fake.gets} == {"/v1/tasks/task-1", "/v1/tasks/task-2"}

    asyncio.run(play())


def test_a_task_whose_key_is_no_longer_configured_is_not_polled_with_another(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with FakeUpstream() as fake:
            async with open_world(tmp_path, Place(fake.url, keys=[Key("old")]), clock=clock) as world:
                task_id = (await world.create()).json()["id"]
            async with open_world(tmp_path, Place(fake.url, keys=[Key("new")]), clock=clock) as world:
                assert (await world.poll(task_id))["status"] == "pending"
                assert fake.gets == []
                assert await world.states() == [State.RUNNING]

    asyncio.run(play())


def test_the_id_of_an_upstream_cannot_lead_a_look_astray(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with (
            FakeUpstream([accept_as("../credits?x=1#y z")]) as fake,
            open_world(tmp_path, Place(fake.url), clock=clock) as world,
        ):
            task_id = (await world.create()).json()["id"]
            clock.walk(FIRST_LOOK_S)
            fake.looks.append(DONE)
            assert (await world.poll(task_id))["status"] == "completed"
            assert [get.path for get in fake.gets] == ["/v1/tasks/..%2Fcredits%3Fx%3D1%23y%20z"]

    asyncio.run(play())


# --- how often ----------------------------------------------------------------------------------------------------


def test_however_many_poll_one_look_an_interval_goes_upstream(tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            for number in range(1, 4):
                scene.fake.looks.append(look("processing", progress=10 * number))
                for _ in range(3):
                    polled = await asyncio.gather(*(scene.world.poll(scene.id) for _ in range(40)))
                    assert {answer["progress"] for answer in polled} == {10 * number}
                    scene.clock.walk(0.5)
                assert scene.looks == number
                scene.clock.walk(0.5)
            text = (await scene.world.client.get("/metrics")).text
            assert "reelgate_polls_saved_total 240.0" in text

    asyncio.run(play())


def test_pollers_of_one_upstream_do_not_wait_for_each_others_tasks(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, open_world(tmp_path, Place(fake.url), clock=clock) as world:
            ids = [(await world.create(f"ship {number}")).json()["id"] for number in range(20)]
            clock.walk(FIRST_LOOK_S)
            await asyncio.gather(*(world.poll(task_id) for task_id in ids * 5))
            assert Counter(get.path for get in fake.gets).most_common(1)[0][1] == 1
            assert len(fake.gets) == 20

    asyncio.run(play())


# --- the film -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_film_that_the_upstream_no_longer_keeps_has_expired(status: int, tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            await scene.poll(look("completed", progress=100, results=[f"{scene.fake.url}/films/a.mp4"]))
            scene.fake.looks.append(answer(status, HTML))
            reply = await scene.world.client.get(f"/evolink/v1/videos/{scene.id}/content")
            assert (reply.status_code, reply.json()["error"]["code"]) == (410, "result_expired")
            assert (await scene.poll())["status"] == "completed"

    asyncio.run(play())


@pytest.mark.parametrize(
    "link",
    [lambda url: f"{url}/films/a.mp4", lambda url: "http://[::1", lambda url: "http://films.reelgate.invalid/a.mp4"],
    ids=["500", "no address at all", "no such host"],
)
def test_a_film_that_cannot_be_fetched_is_an_upstream_error(link: Callable[[str], str], tmp_path: Path) -> None:
    async def play() -> None:
        async with running_task(tmp_path) as scene:
            await scene.poll(look("completed", progress=100, results=[link(scene.fake.url)]))
            scene.fake.looks.append(answer(500, HTML))
            reply = await scene.world.client.get(f"/evolink/v1/videos/{scene.id}/content")
            assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_error")

    asyncio.run(play())


# --- answers that nobody thought of -------------------------------------------------------------------------------


def test_no_poll_answer_whatever_its_types_is_more_than_a_failed_look(tmp_path: Path) -> None:
    """Seeded nonsense in every field: a client always gets its last known state, and no bug is ever met."""
    values: list[Any] = [None, True, 0, -1, 1.5, 10**18, "", "x", "9" * 5000, "50%", [], [None], [[]], {}, {"a": 1}]
    words: list[Any] = ["processing", "pending", "weird", *values]
    chance = random.Random(7)

    async def play() -> None:
        async with running_task(tmp_path) as scene:
            task = await scene.world.task()
            for _ in range(400):
                fields = ("status", "progress", "results", "result_data", "error", "id", "usage")
                body = {name: chance.choice(words if name == "status" else values) for name in fields}
                scene.fake.looks.append(answer(200, json.dumps(body).encode()))
                try:
                    await scene.world.parts.upstreams.look(task)
                except LookFailed:
                    assert not isinstance(body["status"], str) or not body["status"]
            assert scene.looks == 400

    asyncio.run(play())
