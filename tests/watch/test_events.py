"""Server-sent events: every change as it comes, in the dialect's own words, until the end."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from gateway.dialects import DIALECTS
from gateway.flows import callers
from gateway.web import events
from tests.watch.streams import following
from tests.watch.test_watcher import OFTEN, RARELY, key_of_carol, looks, number_of, second, until
from tests.world import ALICE, BOB, PROMPT_S, SLOW, SPEECHES, Clock, bearer, error_of, id_of, world


@pytest.mark.parametrize("dialect", SPEECHES)
def test_a_reader_is_told_every_status_until_the_last_in_the_dialects_own_answer(dialect: str, tmp_path: Path) -> None:
    words = SPEECHES[dialect].words

    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock, on_socket=True) as it:
            word = id_of(await it.create(dialect))
            async with following(it, word, f"/{dialect}") as reader:
                assert (await reader.block()).retry_ms == events.COME_BACK_MS
                assert reader.response.headers["cache-control"] == "no-cache, no-transform"
                told, read = reader.response.headers, (await it.read(word, dialect)).headers
                assert told["x-reelgate-task-id"] == word
                for name in ("upstream", "attempts", "price"):
                    assert told[f"x-reelgate-{name}"] == read[f"x-reelgate-{name}"]
                assert "retry-after" not in told  # it is told as it comes: there is nothing to ask again
                seen = [await reader.event()]
                for seconds in (10, 60):
                    clock.walk(seconds)
                    while SPEECHES[dialect].word(seen[-1].data) != words[1 if seconds == 10 else 2]:
                        seen.append(await reader.event())
                assert await reader.rest() == []
            assert SPEECHES[dialect].word(seen[0].data) == words[0]
            assert len({event.id for event in seen}) == len(seen)
            assert seen[-1].data == (await it.read(word, dialect)).json()

    asyncio.run(scenario())


@pytest.mark.parametrize("asked", DIALECTS)
def test_the_path_decides_the_dialect_then_the_header_then_the_task(asked: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, on_socket=True) as it:
            word = await it.finished_film("newapi")
            async with following(it, word) as reader:
                own = (await reader.event()).data
            assert own == (await it.read(word, "newapi")).json()
            async with following(it, word, f"/{asked}") as by_path:
                told = (await by_path.event()).data
            async with following(it, word, x_reelgate_dialect=asked) as by_header:
                assert (await by_header.event()).data == told
            async with following(it, word, f"/{asked}", x_reelgate_dialect="toapis") as by_both:
                assert (await by_both.event()).data == told
            reads = {name: speech.read for name, speech in SPEECHES.items()} | {
                "openai": "/v1/videos/{id}",
                "minimax": "/v1/query/video_generation?task_id={id}",
            }
            polled = await it.http.get(f"/{asked}{reads[asked].format(id=word)}", headers=bearer(ALICE))
            assert polled.json() == told

    asyncio.run(scenario())


def test_a_reader_who_comes_back_is_not_told_again_what_it_knows(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock, on_socket=True) as it:
            word = id_of(await it.create())
            async with following(it, word) as reader:
                first = await reader.event()
            assert first.id is not None
            async with following(it, word, last_event_id=first.id) as again:
                clock.walk(60)
                told = await again.event()
                assert told.id != first.id
                assert told.data["status"] != "pending"
            async with following(it, word, last_event_id="what nobody gave out") as anew:
                assert (await anew.event()).data["status"] in ("processing", "completed")

    asyncio.run(scenario())


def test_a_reader_who_knows_the_end_is_told_to_come_no_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, on_socket=True) as it:
            for config in ("", "results: {links: gateway}"):
                word = await it.finished_film()
                async with following(it, word) as reader:
                    last = await reader.event()
                    assert await reader.rest() == []
                headers = {**bearer(ALICE), "last-event-id": str(last.id)}
                answer = await it.http.get(f"/v1/tasks/{word}/events", headers=headers)
                assert (answer.status_code, answer.content) == (204, b""), config

    asyncio.run(scenario())


def test_ids_are_the_same_in_another_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "results: {links: gateway}", on_socket=True) as it:
            word = await it.finished_film()
            async with following(it, word) as reader:
                last = await reader.event()
            async with second(it, tmp_path, "results: {links: gateway}") as (_, http):
                headers = {**bearer(ALICE), "last-event-id": str(last.id), "host": it.base_url.removeprefix("http://")}
                assert (await http.get(f"/v1/tasks/{word}/events", headers=headers)).status_code == 204

    asyncio.run(scenario())


def test_a_silent_stream_is_kept_alive_by_pings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PING_S", 0.1)

    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW, on_socket=True) as it:
            word = id_of(await it.create())
            async with following(it, word) as reader:
                await reader.event()
                for _ in range(3):
                    assert (await reader.block()).comments == ["ping"]
            assert looks(it) == 0

    asyncio.run(scenario())


def test_a_reader_whose_right_ends_is_told_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PING_S", 0.1)

    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW, on_socket=True) as it:
            word = id_of(await it.create())
            async with following(it, word) as reader, following(it, word) as other:
                await reader.event()
                assert (await other.block()).retry_ms
                deleted = await it.http.delete(f"/v1/videos/{word}", headers=bearer(ALICE))
                assert deleted.status_code == 200
                await reader.rest()
                await other.rest()
            assert (await it.http.get(f"/v1/tasks/{word}/events", headers=bearer(ALICE))).status_code == 404

    asyncio.run(scenario())


@pytest.mark.parametrize("ends_by", ["revocation", "deletion"])
def test_a_reader_whose_right_has_ended_is_not_told_the_news(ends_by: str, tmp_path: Path) -> None:
    """However often there is some: nobody waits for a ping to ask whether it may be told."""

    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock, on_socket=True) as it:
            carol = await key_of_carol(it)
            word = id_of(await it.create(key=carol))
            async with following(it, word, key=carol) as reader:
                assert (await reader.event()).data["status"] == "pending"
                if ends_by == "revocation":
                    await callers.revoke_key("carol", it.parts)
                else:
                    await it.http.delete(f"/v1/videos/{word}", headers=bearer(carol))
                clock.walk(3_600)  # the film is there, and so is its link
                assert [event.name for event in await reader.rest()] == []

    asyncio.run(scenario())


def test_whoever_may_not_read_the_task_may_not_follow_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            for path, key, status, dialect in (
                (f"/v1/tasks/{word}/events", BOB, 404, "evolink"),
                (f"/newapi/v1/tasks/{word}/events", BOB, 400, "newapi"),
                (f"/toapis/v1/tasks/{word}/events", "sk-rg-nobody", 401, "toapis"),
                ("/v1/tasks/nonsense/events", ALICE, 404, "evolink"),
            ):
                answer = await it.http.get(path, headers=bearer(key))
                assert answer.status_code == status
                error_of(dialect, answer)
            wrong = await it.http.post(f"/v1/tasks/{word}/events", headers=bearer(ALICE))
            assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
            unknown = await it.http.get(
                f"/v1/tasks/{word}/events", headers={**bearer(ALICE), "x-reelgate-dialect": "latin"}
            )
            assert unknown.status_code == 400

    asyncio.run(scenario())


def test_there_is_a_limit_to_how_many_follow(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, f"{RARELY}\nbounds: {{streams: 3}}", speed=SLOW, on_socket=True) as it:
            word = id_of(await it.create())
            path = f"/v1/tasks/{word}/events"
            async with following(it, word), following(it, word):
                refused = await it.http.get(path, headers=bearer(ALICE))
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")

            async with asyncio.timeout(PROMPT_S):  # the places of those who left
                while True:
                    async with it.http.stream("GET", path, headers=bearer(ALICE)) as answer:
                        if answer.status_code == 200:
                            break
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_a_stream_that_is_open_for_very_long_asks_the_reader_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STREAM_MAX_S", 0.2)
    monkeypatch.setattr(events, "PING_S", 0.1)

    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW, on_socket=True) as it:
            async with following(it, id_of(await it.create())) as reader:
                last = (await reader.rest())[-1]
            assert (last.comments, last.retry_ms) == (["come back"], events.COME_BACK_SOON_MS)

    asyncio.run(scenario())


def test_a_reader_who_leaves_leaves_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW, on_socket=True) as it:
            word = id_of(await it.create())
            before = len(asyncio.all_tasks())
            async with following(it, word) as reader:
                await reader.event()
                assert number_of(word) in it.parts.memory.signals
            await until(lambda: len(it.parts.memory.signals) == 0 and len(asyncio.all_tasks()) <= before)

    asyncio.run(scenario())


def test_a_reader_who_reads_nothing_holds_up_nobody_and_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its buffers are filled with pings; what it misses is not kept for it."""
    monkeypatch.setattr(events, "STALL_S", 0.5)
    monkeypatch.setattr(events, "PING_S", 0.0)
    monkeypatch.setattr(events, "_PING", b": " + b"x" * 1_000_000 + b"\n\n")

    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW, on_socket=True) as it:
            word = id_of(await it.create())
            address = httpx.URL(it.base_url)
            reader, writer = await asyncio.open_connection(address.host, address.port, limit=1_024)
            head = f"GET /v1/tasks/{word}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ALICE}\r\n\r\n"
            writer.write(head.encode())
            await until(lambda: number_of(word) in it.parts.memory.signals or bool(it.parts.memory.rendered))
            assert (await it.read(word)).status_code == 200
            await until(lambda: "499" in (it.parts.metrics.exposition().decode()))
            assert reader is not None
            writer.close()

    asyncio.run(scenario())


def test_data_is_one_line_whatever_a_prompt_holds(tmp_path: Path) -> None:
    prompt = "two\nlines\r\nand \u2028 a \u2029 third\x85: data: {} \n\nevent: status"

    async def scenario() -> None:
        async with world(tmp_path, on_socket=True) as it:
            word = await it.finished_film(prompt=prompt)
            async with following(it, word, "/openai") as reader:
                event = await reader.event()
            assert event.data["prompt"] == prompt
            assert event.data == json.loads(
                (await it.http.get(f"/openai/v1/videos/{word}", headers=bearer(ALICE))).content
            )

    asyncio.run(scenario())
