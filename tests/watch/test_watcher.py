"""The watcher: tasks are looked at without anybody asking, and no oftener however many ask."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway import ids
from gateway.app import Gateway, gateway
from gateway.flows import callers, watch
from gateway.memory import kind_of
from gateway.store import LEASE_S
from gateway.video import Look, State, Task
from gateway.virtual_keys import VirtualKey
from tests.fakes.upstream import FakeUpstream, answer
from tests.world import ALICE, PROMPT_S, SLOW, Clock, World, bearer, id_of, make_config, world

OFTEN = "polling: {min_interval_s: 0.05, max_interval_s: 0.05}"
RARELY = "polling: {min_interval_s: 30, max_interval_s: 30}"


def looks(it: World) -> int:
    return len(it.requests("GET"))


def number_of(word: str) -> int:
    number = ids.number_of(word)
    assert number is not None
    return number


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PROMPT_S):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.01)


async def stored(it: World, word: str) -> State:
    task = await it.parts.registry.get(number_of(word))
    assert task is not None
    return task.state


@asynccontextmanager
async def second(it: World, folder: Path, config: str = "") -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    """Another gateway on the same storage, before the same upstream."""
    async with gateway(make_config(folder, it.sandbox_url, config)) as opened:
        transport = httpx.ASGITransport(opened.app)
        async with httpx.AsyncClient(base_url="http://127.0.0.1", transport=transport, timeout=PROMPT_S) as http:
            yield opened, http


async def key_of_carol(it: World) -> str:
    """The text of a key that a person made, and can take away again."""
    _, secret = await callers.create_key(VirtualKey(id="carol"), it.parts)
    return secret.reveal()


def mine(opened: Gateway | World) -> set[int]:
    return {task_id for task_id, found in opened.parts.memory.watches.items() if found.is_mine}


def test_a_film_that_nobody_asks_for_is_found_and_paid_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = id_of(await it.create())
            await until(lambda: it.parts.memory.tasks[number_of(word)].state is State.COMPLETED)
            assert await stored(it, word) is State.COMPLETED
            assert it.parts.memory.watches == {}

    asyncio.run(scenario())


def test_looks_go_on_by_themselves_and_polls_add_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "polling: {min_interval_s: 0.2, max_interval_s: 0.2}", speed=SLOW) as it:
            word = id_of(await it.create())
            began, first = time.monotonic(), looks(it)

            async def ask() -> None:
                while looks(it) < first + 6:
                    assert (await it.read(word)).status_code == 200
                    await asyncio.sleep(0.01)

            async with asyncio.timeout(PROMPT_S):
                await asyncio.gather(*(ask() for _ in range(20)))
            # Each at least the interval after the one before it; the first may have been due at once.
            assert looks(it) - first <= (time.monotonic() - began) / 0.2 + 1

    asyncio.run(scenario())


def test_polls_that_come_when_a_look_is_due_share_that_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it:
            word = id_of(await it.create())
            await it.read(word)
            assert looks(it) == 0
            it.parts.memory.watches[number_of(word)].due_at = it.parts.clock() - 1
            await asyncio.gather(*(it.read(word) for _ in range(50)))
            assert looks(it) == 1
            await asyncio.gather(*(it.read(word) for _ in range(50)))
            assert looks(it) == 1

    asyncio.run(scenario())


def test_a_look_that_fails_is_not_repeated_at_once_however_many_ask(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with FakeUpstream() as upstream, world(tmp_path, OFTEN, upstream=upstream.url) as it:
            upstream.looks.extend([answer(500, b"{}")] * 1000)
            word = id_of(await it.create())
            gets = lambda: [one for one in upstream.requests if one.method == "GET"]  # noqa: E731
            await until(lambda: len(gets()) == 1)
            began = time.monotonic()
            while len(gets()) < 3:
                assert (await it.read(word)).status_code == 200
                await asyncio.sleep(0.02)
                assert time.monotonic() - began < PROMPT_S
            assert time.monotonic() - began >= 2.0  # a second, and then one and a half

    asyncio.run(scenario())


def test_looks_at_one_upstream_are_bounded_and_a_slow_one_delays_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOKS_AT_ONCE", 2)

    async def scenario() -> None:
        async with world(tmp_path, OFTEN, speed=SLOW) as it:
            under_way, most = 0, 0
            look = it.parts.upstreams.look

            async def slow_look(task: Task) -> Look:
                nonlocal under_way, most
                under_way, most = under_way + 1, max(most, under_way + 1)
                await asyncio.sleep(0.05)
                under_way -= 1
                return await look(task)

            monkeypatch.setattr(it.parts.upstreams, "look", slow_look)
            await asyncio.gather(*(it.create() for _ in range(12)))
            before = looks(it)
            await until(lambda: looks(it) >= before + 20)
            assert most == 2

    asyncio.run(scenario())


# --- after a restart


def test_what_was_running_is_watched_again_and_the_looks_are_spread_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it:
            words = [id_of(await it.create()) for _ in range(40)]
        async with world(tmp_path, RARELY, upstream="http://127.0.0.1:9") as again:
            numbers = {number_of(word) for word in words}
            await until(lambda: mine(again) == numbers)
            now = again.parts.clock()
            ahead = sorted(found.due_at - now for found in again.parts.memory.watches.values())
            assert ahead[0] < 10
            assert ahead[-1] > 20
            assert ahead[20] > 3

    asyncio.run(scenario())


def test_what_was_learnt_of_durations_is_learnt_from_storage_after_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            words = [await it.finished_film() for _ in range(4)]
            task = await it.parts.registry.get(number_of(words[0]))
            assert task is not None
            assert it.parts.memory.durations.expected_s(kind_of(task), 0.0) is not None
        async with world(tmp_path) as again:
            durations = again.parts.memory.durations
            await until(lambda: durations.expected_s(kind_of(task), 0.0) is not None)
            assert again.parts.memory.durations.expected_s(kind_of(task)._replace(model="X"), 0.0) is None

    asyncio.run(scenario())


# --- several processes


def test_of_two_gateways_one_watches_and_the_other_reads_along(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock) as it, second(it, tmp_path, OFTEN) as (other, http):
            words = [id_of(await it.create()) for _ in range(3)]
            for word in words:
                read = await http.get(f"/v1/tasks/{word}", headers=bearer(ALICE))
                assert read.json()["status"] in ("pending", "processing")
            assert mine(it) == {number_of(word) for word in words}
            assert mine(other) == set()
            clock.walk(60)
            for word in words:
                async with asyncio.timeout(PROMPT_S):
                    while True:
                        read = await http.get(f"/v1/tasks/{word}", headers=bearer(ALICE))
                        if read.json()["status"] == "completed":
                            break
                        await asyncio.sleep(0.02)
            assert mine(other) == set()
            calls = other.parts.metrics.exposition().decode()
            assert 'operation="poll"' not in calls

    asyncio.run(scenario())


def test_who_waits_at_a_gateway_that_does_not_watch_is_told_all_the_same(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, OFTEN, speed=1, clock=clock) as it, second(it, tmp_path, OFTEN) as (other, http):
            word = id_of(await it.create())
            headers = {**bearer(ALICE), "prefer": "wait=60"}
            asking = asyncio.create_task(http.get(f"/v1/tasks/{word}", headers=headers))
            await until(lambda: number_of(word) in other.parts.memory.signals)
            clock.walk(10)
            assert (await asking).json()["status"] == "processing"
            clock.walk(60)
            assert (await http.get(f"/v1/tasks/{word}", headers=headers)).json()["status"] == "completed"
            assert mine(other) == set()

    asyncio.run(scenario())


def test_what_a_process_that_died_watched_is_watched_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CLAIM_EVERY_S", 0.1)

    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it, second(it, tmp_path, RARELY) as (other, _):
            words = {number_of(id_of(await it.create())) for _ in range(3)}
            await until(lambda: mine(it) == words)
            await asyncio.sleep(0.5)
            assert mine(other) == set()
            # From now on nothing holds the number of the first one, as after a kill.
            number = it.parts.presence.number

            async def dead(numbers: Iterable[int]) -> set[int]:
                return {number} & set(numbers)

            monkeypatch.setattr(other.parts.presence, "dead", dead)
            await until(lambda: mine(other) == words)

    asyncio.run(scenario())


def test_a_process_that_was_silent_for_too_long_lets_go_of_what_others_have_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it, second(it, tmp_path, RARELY) as (other, _):
            words = {number_of(id_of(await it.create())) for _ in range(3)}
            await watch.watch(watch.Watcher(), it.parts)
            assert mine(it) == words
            await other.parts.leases.take(it.parts.clock() + LEASE_S + 1, frozenset())
            monkeypatch.setattr(watch, "_has_reason", lambda *_: True)  # its next word, which is due by then
            await watch.watch(watch.Watcher(), it.parts)
            assert mine(it) == set()

    asyncio.run(scenario())


def test_a_look_that_is_brought_forward_comes_then_and_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, RARELY, speed=SLOW) as it:
            number = number_of(id_of(await it.create()))
            await until(lambda: it.parts.memory.watches[number].due_at > 0)
            found = it.parts.memory.watches[number]
            for _ in range(3):
                found.due_at = it.parts.clock() + 0.2
                it.parts.memory.take_note(number, found)
            assert looks(it) == 0
            await until(lambda: looks(it) == 1)
            await asyncio.sleep(0.5)
            assert looks(it) == 1
            assert found.due_at > it.parts.clock() + 20

    asyncio.run(scenario())
