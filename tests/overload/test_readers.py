"""Looks, waits, streams, films, other routes, lists, callbacks: what does not fit is refused, or told what is known."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.store import Out
from gateway.web import operations
from tests.admin.person import CONFIG, ask, told
from tests.fakes.upstream import FakeUpstream, accept, gated, look
from tests.overload.conftest import Run
from tests.overload.world import assert_alive, assert_refused, begin, eventually, until
from tests.passthrough.upstream import Upstream, Visit, config
from tests.watch.streams import following
from tests.watch.test_watcher import number_of
from tests.world import ALICE, BOB, SLOW, World, bearer, id_of, world

PACE = "polling: {min_interval_s: 0.02, max_interval_s: 0.02}"
OPENED = 'preflight: {images: "off", allow_private_networks: ["127.0.0.0/8"]}'


def test_looks_at_a_slow_upstream_leave_room_for_others_and_polls_are_told_what_is_known(
    run: Run, tmp_path: Path
) -> None:
    async def story() -> None:
        gate = asyncio.Event()
        async with FakeUpstream([accept() for _ in range(6)]) as fake:
            fake.looks.extend(gated(gate, look("processing")) for _ in range(6))
            async with world(tmp_path, f"{PACE}\nbounds: {{looks: 5}}", upstream=fake.url) as it:
                words = [id_of(await it.create()) for _ in range(6)]
                looks = it.parts.bounds.looks
                await until(lambda: looks.taken == len(fake.gets) == 4)
                under_way = {number for number, watch in it.parts.memory.watches.items() if watch.under_way}
                left = [word for word in words if number_of(word) not in under_way]
                assert len(left) == 2
                for word in left:
                    assert (await it.read(word)).json()["status"] == "pending"
                assert len(fake.gets) == 4
                assert looks.try_to_take("another upstream") is not None
                await assert_alive(it)
                gate.set()
                await until(lambda: len({get.path for get in fake.gets}) == 6)

    run(story)


def test_one_who_would_wait_where_too_many_wait_is_answered_at_once(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, f"{PACE}\nbounds: {{waits: 3}}", speed=SLOW) as it:
            word = id_of(await it.create())
            waits = it.parts.bounds.waits
            waiting = await begin(waits, 2, lambda: it.read(word, prefer="wait=60"))
            answer = await it.read(word, prefer="wait=60")
            assert answer.status_code == 200
            assert "preference-applied" not in answer.headers
            assert int(answer.headers["retry-after"]) >= 1
            await assert_alive(it)
            it.parts.stories.stop_creates()  # wakes whoever waits
            for read in await asyncio.gather(*waiting):
                assert read.headers["preference-applied"] == "wait=60"
            assert waits.taken == 0

    run(story)


def test_streams_of_one_caller_leave_room_for_another(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        keys = {"alice": ALICE, "bob": BOB}
        people = ", ".join(f"{{id: {name}, value: {key}, team: films}}" for name, key in keys.items())
        settings = f"teams: [{{id: films}}]\nvirtual_keys: [{people}]\nbounds: {{streams: 3}}"
        async with world(tmp_path, settings, speed=SLOW, on_socket=True) as it:
            word = id_of(await it.create())
            path = f"/v1/tasks/{word}/events"
            async with following(it, word), following(it, word):
                await assert_refused(it, "streams", await it.http.get(path, headers=bearer(ALICE)))
                async with it.http.stream("GET", path, headers=bearer(BOB)) as other:
                    assert other.status_code == 200
                    await assert_refused(it, "streams", await it.http.get(path, headers=bearer(BOB)))
                    assert (await it.read(word)).status_code == 200
                    await assert_alive(it)
            await until(lambda: it.parts.bounds.streams.taken == 0)

    run(story)


async def endless(visit: Visit) -> None:
    """Begins an answer, and goes on when the reader has gone."""
    await visit.read()
    await visit.start(200, [("Content-Type", "video/mp4")])
    await visit.chunk(b"\0" * 1024)
    await visit.is_left()


async def stuck_readers(it: World, path: str, count: int, key: str = ALICE) -> list[httpx.Response]:
    """Readers that have the beginning of an answer and take no more of it."""
    begun = []
    for _ in range(count):
        answer = await it.http.send(it.http.build_request("GET", path, headers=bearer(key)), stream=True)
        assert answer.status_code == 200
        begun.append(answer)
    return begun


def test_downloads_that_do_not_end_leave_room_for_others(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Upstream(endless) as host, FakeUpstream([accept(), accept()]) as fake:
            fake.looks.extend(look("completed", results=[f"{host.url}/film.mp4"]) for _ in range(2))
            settings = f"{PACE}\n{OPENED}\nbounds: {{films: 3}}"
            async with world(tmp_path, settings, upstream=fake.url, on_socket=True) as it:
                words = {key: id_of(await it.create(key=key)) for key in (ALICE, BOB)}
                for key, word in words.items():
                    await _completed(it, word, key)
                paths = {key: f"/v1/videos/{word}/content" for key, word in words.items()}
                begun = await stuck_readers(it, paths[ALICE], 2)
                assert len(host.visits) == 2
                await assert_refused(it, "films", await it.http.get(paths[ALICE], headers=bearer(ALICE)))
                assert len(host.visits) == 2
                begun += await stuck_readers(it, paths[BOB], 1, BOB)
                await assert_refused(it, "films", await it.http.get(paths[BOB], headers=bearer(BOB)))
                assert (await it.read(words[ALICE])).status_code == 200
                await assert_alive(it)
                for answer in begun:
                    await answer.aclose()
                await until(lambda: it.parts.bounds.films.taken == 0)
                for answer in await stuck_readers(it, paths[ALICE], 1):
                    await answer.aclose()

    run(story)


async def _completed(it: World, word: str, key: str) -> None:
    async def is_completed() -> bool:
        return bool((await it.read(word, key=key)).json()["status"] == "completed")

    await eventually(is_completed)


def test_a_film_that_cannot_be_had_gives_its_place_back(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "bounds: {films: 1}") as it:
            gone = await it.finished_film(prompt="p #sandbox:expired-link")
            for _ in range(3):
                answer = await it.http.get(f"/v1/videos/{gone}/content", headers=bearer(ALICE))
                assert answer.status_code == 410
            assert it.parts.bounds.films.taken == 0

    run(story)


def test_requests_passed_on_that_do_not_end_leave_room_for_others(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with Upstream(endless) as upstream:
            settings = config(rest="bounds: {passthrough: 3}")
            async with world(tmp_path, settings, upstream=upstream.url, on_socket=True) as it:
                begun = await stuck_readers(it, "/v1/chat", 2)
                for path in ("/v1/chat", "/v1/models?upstream=true"):
                    refused = await it.http.get(path, headers=bearer(ALICE))
                    await assert_refused(it, "passthrough", refused, is_create=path == "/v1/chat")
                assert len(upstream.visits) == 2
                begun += await stuck_readers(it, "/v1/chat", 1, BOB)
                assert (await it.http.get("/v1/models", headers=bearer(ALICE))).status_code == 200
                await assert_alive(it)
                for answer in begun:
                    await answer.aclose()
                await until(lambda: it.parts.bounds.passthrough.taken == 0)
                for answer in await stuck_readers(it, "/v1/chat", 1):
                    await answer.aclose()

    run(story)


def test_long_lists_hold_up_no_other_read_and_no_decision(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "WITHIN_S", 0.04)  # as it is outside of tests: a scrape does not wait for them

    async def story() -> None:
        async with world(tmp_path, CONFIG + "bounds: {listings: 3}") as it:
            word = await it.finished_film()
            listing = Blocked(it)
            await listing.begun()
            lists = await begin(it.parts.bounds.listings, 2, lambda: told(it, "GET", "/tasks"))
            refused = await ask(it, "GET", "/usage")
            await assert_refused(it, "listings", refused)
            assert await told(it, "POST", "/freeze")
            assert await told(it, "POST", "/unfreeze")
            it.parts.memory.tasks.clear()
            assert (await it.read(word)).json()["status"] == "completed"
            assert id_of(await it.create())
            listing.go.set()
            for answer in await asyncio.gather(*lists):
                assert {task["id"] for task in answer["tasks"]} >= {word}
            assert it.parts.bounds.listings.taken == 0

    run(story)


class Blocked:
    """A question to storage that takes as long as the test likes."""

    def __init__(self, it: World) -> None:
        self.go = threading.Event()
        self._has_begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def step(connection: Any) -> bool:
            loop.call_soon_threadsafe(self._has_begun.set)
            return self.go.wait(60)

        self.end = asyncio.ensure_future(it.parts.database.survey(step))

    async def begun(self) -> None:
        await self._has_begun.wait()


def test_callbacks_on_the_way_are_counted_with_all_the_rest(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async def silent(visit: Visit) -> None:
            await visit.read()
            await visit.is_left()

        async with Upstream(silent) as receiver, world(tmp_path, f"{OPENED}\nbounds: {{callbacks: 2}}") as it:
            for _ in range(3):
                await it.finished_film(callback_url=f"{receiver.url}/hook")
            await until(lambda: it.parts.bounds.callbacks.taken == 1)  # half of two
            assert len(receiver.visits) == 1
            assert Out(2, 2, 1).has_place("host", "bob")
            await assert_alive(it)

    run(story)
