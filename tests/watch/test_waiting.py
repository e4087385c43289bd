"""Polls that wait, polls that know already, and what an answer says of when to ask again."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.flows import callers
from gateway.memory import kind_of
from gateway.structs import replace
from gateway.video import State
from gateway.web.waiting import WAIT_MAX_S
from tests.watch.test_watcher import OFTEN, RARELY, key_of_carol, looks, number_of, second, until
from tests.world import ALICE, PROMPT_S, SLOW, SPEECHES, Clock, World, bearer, id_of, world

LONG = "wait=60"


async def has_waiter(it: World, word: str) -> None:
    await until(lambda: number_of(word) in it.parts.memory.signals)


@pytest.mark.parametrize("dialect", SPEECHES)
def test_a_poll_that_would_rather_wait_is_answered_when_the_status_changes(dialect: str, tmp_path: Path) -> None:
    words = SPEECHES[dialect].words

    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock) as it:
            word = id_of(await it.create(dialect))
            for seconds, state in ((10, 1), (60, 2)):
                asking = asyncio.create_task(it.read(word, dialect, prefer=LONG))
                await has_waiter(it, word)
                clock.walk(seconds)
                answer = await asking
                assert SPEECHES[dialect].word(answer.json()) == words[state]
                assert answer.headers["preference-applied"] == LONG
            began = time.monotonic()
            assert SPEECHES[dialect].word((await it.read(word, dialect, prefer=LONG)).json()) == words[2]
            assert time.monotonic() - began < 60  # what is over does not change

    asyncio.run(scenario())


def test_a_failure_and_a_new_submission_end_the_waiting_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock) as it:
            word = id_of(await it.create(prompt="p #sandbox:fail-content"))
            asking = asyncio.create_task(it.read(word, prefer=LONG))
            await has_waiter(it, word)
            clock.walk(120)
            while (answer := (await asking).json())["status"] == "processing":  # seen at work before it failed
                asking = asyncio.create_task(it.read(word, prefer=LONG))
            assert answer["status"] == "failed"

    asyncio.run(scenario())


def test_when_nothing_changes_the_wait_ends_in_time_with_what_there_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OFTEN, speed=SLOW) as it:
            word = id_of(await it.create())
            began = time.monotonic()
            answer = await it.read(word, prefer="wait=1")
            assert answer.json()["status"] == "pending"
            assert time.monotonic() - began >= 1
            assert it.parts.memory.signals == {}

    asyncio.run(scenario())


def test_waiting_costs_no_look(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it:
            word = id_of(await it.create())
            await asyncio.gather(*(it.read(word, prefer="wait=1") for _ in range(100)))
            assert looks(it) == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("said", "applied"),
    [
        ("wait=0", "wait=0"),
        ("respond-async, wait=0", "wait=0"),
        ('Wait = "0"', "wait=0"),
        ("wait=0; foo=bar", "wait=0"),
        ("wait=-1", None),
        ("wait=soon", None),
        ("wait=1.5", None),
        ("wait", None),
        ("wait=99999999999", None),
        ("await=5", None),
        ("respond-async", None),
        ("", None),
    ],
)
def test_what_is_no_wait_is_ignored_and_what_is_is_said_to_be_applied(
    said: str, applied: str | None, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it:
            answer = await it.read(id_of(await it.create()), prefer=said)
            assert answer.status_code == 200
            assert answer.headers.get("preference-applied") == applied

    asyncio.run(scenario())


def test_nobody_waits_longer_than_is_granted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            answer = await it.read(await it.finished_film(), prefer="wait=86400")
            assert answer.headers["preference-applied"] == f"wait={WAIT_MAX_S}"

    asyncio.run(scenario())


def test_a_client_that_leaves_while_it_waits_is_waited_for_no_longer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW, on_socket=True) as it:
            word = id_of(await it.create())
            asking = asyncio.create_task(it.read(word, prefer=LONG))
            await has_waiter(it, word)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await until(lambda: len(it.parts.memory.signals) == 0)

    asyncio.run(scenario())


def test_a_wait_for_a_task_that_is_deleted_meanwhile_ends_at_once_and_finds_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it:
            word = id_of(await it.create())
            asking = asyncio.create_task(it.read(word, prefer=LONG))
            await has_waiter(it, word)
            began = time.monotonic()
            await it.http.delete(f"/v1/videos/{word}", headers=bearer(ALICE))
            answer = await asking
            assert answer.status_code == 404
            assert "x-reelgate-task-id" not in answer.headers
            assert time.monotonic() - began < 30

    asyncio.run(scenario())


def test_a_wait_with_a_key_that_is_revoked_meanwhile_is_told_no_link(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock) as it:
            carol = await key_of_carol(it)
            word = id_of(await it.create(key=carol))
            asking = asyncio.create_task(it.read(word, key=carol, prefer=LONG))
            await has_waiter(it, word)
            await callers.revoke_key("carol", it.parts)
            clock.walk(3_600)
            answer = await asking
            assert answer.status_code == 401
            assert "x-reelgate-task-id" not in answer.headers

    asyncio.run(scenario())


def test_a_task_that_another_gateway_deleted_is_told_by_no_poll_that_asks_storage(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it:
            word = id_of(await it.create())
            async with second(it, tmp_path, OFTEN) as (_, http):
                path = f"/v1/tasks/{word}"
                assert (await http.get(path, headers=bearer(ALICE))).status_code == 200
                await it.http.delete(f"/v1/videos/{word}", headers=bearer(ALICE))
                await asyncio.sleep(0.1)  # until that one asks again
                assert (await http.get(path, headers=bearer(ALICE))).status_code == 404

    asyncio.run(scenario())


def test_a_film_that_another_gateway_made_and_deleted_is_given_by_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock) as it:
            word = id_of(await it.create())
            async with second(it, tmp_path, RARELY) as (_, http):
                asked = [f"/v1/videos/{word}/content", f"/minimax/v1/files/retrieve?file_id={number_of(word)}"]
                assert (await http.get(f"/v1/tasks/{word}", headers=bearer(ALICE))).status_code == 200
                clock.walk(3_600)
                await it.finish(word)
                assert (await http.get(asked[0], headers=bearer(ALICE))).status_code == 200
            async with second(it, tmp_path, RARELY) as (other, http):
                other.parts.memory.keep(replace(it.parts.memory.tasks[number_of(word)], state=State.RUNNING))
                other.parts.memory.watch(number_of(word)).due_at = float("inf")  # nobody asks again for a while
                await it.http.delete(f"/v1/videos/{word}", headers=bearer(ALICE))
                found = [await http.get(path, headers=bearer(ALICE)) for path in asked]
                assert [answer.status_code for answer in found] == [404, 200]
                assert found[1].json()["base_resp"]["status_code"] == 2013

    asyncio.run(scenario())


# --- what the client knows already


@pytest.mark.parametrize("dialect", SPEECHES)
def test_a_client_that_knows_the_answer_is_told_so_in_few_words(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock, on_socket=True) as it:
            word = id_of(await it.create(dialect))
            first = await it.read(word, dialect)
            tag = first.headers["etag"]
            for said in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
                again = await it.read(word, dialect, **{"if-none-match": said})
                assert (again.status_code, again.content) == (304, b"")
                assert again.headers["etag"] == tag
                assert int(again.headers["retry-after"]) >= 1
                assert "content-type" not in again.headers
            for said in ('"other"', tag[:-2] + '"', "nonsense", ""):
                assert (await it.read(word, dialect, **{"if-none-match": said})).status_code == 200
            clock.walk(60)
            await it.finish(word)
            over = await it.read(word, dialect, **{"if-none-match": tag})
            assert over.status_code == 200
            assert over.headers["etag"] != tag
            assert (await it.read(word, dialect, **{"if-none-match": over.headers["etag"]})).status_code == 304

    asyncio.run(scenario())


def test_two_dialects_and_two_tasks_never_share_a_tag(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            words = [await it.finished_film() for _ in range(2)]
            tags = {(await it.read(word, name)).headers["etag"] for word in words for name in SPEECHES}
            assert len(tags) == 2 * len(SPEECHES)

    asyncio.run(scenario())


def test_links_of_the_gateway_are_signed_anew_and_yet_known(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "results: {links: gateway}", on_socket=True) as it:
            word = await it.finished_film()
            first = await it.read(word)
            tag = first.headers["etag"]
            known = await it.read(word, **{"if-none-match": tag})
            assert known.status_code == 304
            elsewhere = await it.read(word, **{"if-none-match": tag, "host": "127.0.0.2"})
            assert elsewhere.status_code == 200  # its link leads to another address

    asyncio.run(scenario())


def test_a_wait_with_a_tag_ends_with_news_or_with_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock) as it:
            word = id_of(await it.create())
            tag = (await it.read(word)).headers["etag"]
            still = await it.read(word, prefer="wait=1", **{"if-none-match": tag})
            assert still.status_code == 304
            clock.walk(60)
            news = await it.read(word, prefer=LONG, **{"if-none-match": tag})
            assert news.status_code == 200

    asyncio.run(scenario())


# --- when to ask again


def test_an_answer_says_when_the_next_look_is_due(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it:
            word = id_of(await it.create())
            answer = await it.read(word)
            due_in_s = it.parts.memory.watches[number_of(word)].due_at - it.parts.clock()
            assert due_in_s <= int(answer.headers["retry-after"]) <= due_in_s + 5

    asyncio.run(scenario())


@pytest.mark.parametrize(("duration_s", "after_ms"), [(6, 2000), (90, 3000), (180, 6000), (3000, 10_000)])
def test_the_rhythm_for_clients_that_fix_it_once_follows_what_was_learnt(
    duration_s: float, after_ms: int, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "polling: {min_interval_s: 2, max_interval_s: 30}", speed=SLOW) as it:
            word = id_of(await it.create())
            task = await it.parts.registry.get(number_of(word))
            assert task is not None
            for _ in range(10):
                it.parts.memory.durations.learn(kind_of(task), duration_s)
            assert (await it.read(word)).headers["openai-poll-after-ms"] == str(after_ms)

    asyncio.run(scenario())


# --- how far it is

UNREPORTED = """
upstreams:
  - {name: sandbox, provider: minimax, base_url: "${UPSTREAM}/minimax", keys: [{id: main, value: sk-up-main-key}]}
polling: {min_interval_s: 0.05, max_interval_s: 0.05}
"""


def test_where_the_upstream_reports_no_progress_it_is_estimated_and_marked(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, UNREPORTED, speed=1, clock=clock) as it:
            word = id_of(await it.create())
            task = await it.parts.registry.get(number_of(word))
            assert task is not None
            before = (await it.read(word)).json()
            assert before["progress"] == 0
            assert "estimated_time" not in before["task_info"]
            for _ in range(10):
                it.parts.memory.durations.learn(kind_of(task), 4.0)
            clock.walk(10)
            shown = [0]
            async with asyncio.timeout(PROMPT_S):
                while shown[-1] < 30:
                    answer = (await it.read(word)).json()
                    shown.append(answer["progress"])
                    await asyncio.sleep(0.05)
            assert shown == sorted(shown)
            assert answer["task_info"]["estimated_time"] >= 4
            assert answer["task_info"]["progress_estimated"] is True
            toapis, newapi = [(await it.read(word, name)).json() for name in ("toapis", "newapi")]
            assert toapis["metadata"] == {"progress_estimated": True}
            assert newapi["metadata"]["progress_estimated"] is True
            assert toapis["progress"] >= 30
            stored = await it.parts.registry.get(number_of(word))
            assert stored is not None
            assert stored.progress == 0  # never written down
            clock.walk(60)
            over = await it.finish(word)
            assert over["progress"] == 100
            assert "progress_estimated" not in over["task_info"]

    asyncio.run(scenario())


def test_where_the_upstream_reports_progress_it_alone_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock) as it:
            word = id_of(await it.create())
            task = await it.parts.registry.get(number_of(word))
            assert task is not None
            for _ in range(10):
                it.parts.memory.durations.learn(kind_of(task), 1.0)
            clock.walk(15)
            answer = (await it.read(word, prefer=LONG)).json()
            stored = await it.parts.registry.get(number_of(word))
            assert stored is not None
            assert answer["progress"] == stored.progress
            assert "progress_estimated" not in answer["task_info"]

    asyncio.run(scenario())
