"""FAILURES T14 to T17: storage that fails before and after, a gateway that died, clients that leave or cannot wait."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from gateway import serving
from gateway.errors import StorageDown
from gateway.flows import carry, receipts, sweep, watch
from gateway.keys import KeyState
from gateway.store import Database
from gateway.store.journal import Journal
from gateway.video import Mode, Offer, Route, State, VideoRequest
from tests.failures.world import CREATE, FIRST_LOOK_S, LOCAL, PRICE, Clock, Key, Place, World, open_world
from tests.fakes.upstream import (
    FakeUpstream,
    accept,
    accept_as,
    answer,
    assert_nothing_bought_twice,
    bytes_then,
    error_body,
    gated,
    look,
    reset_unread,
    slowly,
)

FILM = "https://films.example.com/a-ship.mp4"


@pytest.fixture
def impatient_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked file is given up after milliseconds, not seconds."""
    impatient = SimpleNamespace(open=partial(Database.open, busy_timeout_s=0.03))
    monkeypatch.setattr("gateway.app.Database", impatient)
    monkeypatch.setattr(carry, "STORAGE_RETRIES_S", (0.01, 0.01))
    monkeypatch.setattr(receipts, "SLOW_S", 60)  # a slow machine writes no second line into the journal


class Lock:
    """Another process that holds the database file."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def take(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


@contextmanager
def held(world: World) -> Iterator[Lock]:
    with closing(Lock(world.database)) as lock:
        yield lock


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that is not there yet: a minute at most."""
    deadline = time.monotonic() + 60
    while not await holds():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.01)


# --- T14 and T15: before the submit -------------------------------------------------------------------------------


def test_t14_an_intention_of_a_gateway_that_was_killed_reads_as_unconfirmed_and_is_never_sent_again(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        clock = Clock()
        async with FakeUpstream() as fake:
            async with open_world(tmp_path, Place(fake.url), clock=clock) as world:
                request = VideoRequest(model="MiniMax-Hailuo-2.3", prompt="a ship", dialect="evolink")
                offer = Offer("MiniMax-Hailuo-2.3", Mode.TEXT, "768P", 6, PRICE)
                route = Route("first", "main")
                await world.parts.registry.open(request, LOCAL, offer, route, currency="USD", now=clock())
            async with open_world(tmp_path, Place(fake.url), clock=clock) as world:
                task = await world.task()
                polled = await world.poll(str(task.id))
                assert (polled["status"], polled["submission"]) == ("pending", "unconfirmed")
                assert await world.held() == PRICE
            assert fake.connections == 0

    asyncio.run(play())


@pytest.mark.usefixtures("impatient_storage")
def test_t15_while_storage_is_down_nothing_is_sent_and_no_place_on_a_key_is_lost(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            FakeUpstream() as fake,
            open_world(tmp_path, Place(fake.url, keys=[Key(rpm=1, max_tasks=1)]), clock=Clock()) as world,
        ):
            with held(world) as lock:
                lock.take()
                for _ in range(3):
                    reply = await world.create()
                    assert reply.status_code == 503
                    error = reply.json()["error"]
                    assert (error["code"], error["type"]) == ("service_unavailable", "service_unavailable_error")
                    assert reply.headers["retry-after"] == "5"
                    assert reply.headers["x-should-retry"] == "true"
                assert (await world.client.get("/readyz")).status_code == 503
                lock.release()
            assert fake.connections == 0
            assert await world.tasks() == []
            assert (await world.create()).status_code == 200
            assert fake.accepted == 1

    asyncio.run(play())


# --- T16: after the submit ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient_storage")
def test_t16_a_receipt_that_storage_cannot_take_survives_in_the_journal_and_a_restart(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with FakeUpstream([accept_as("task-that-was-bought")]) as fake:
            place = Place(fake.url)
            async with open_world(tmp_path, place, clock=clock) as world:
                with held(world) as lock:
                    fake.on_post = lambda received: lock.take()
                    reply = await world.create()
                    assert reply.status_code == 200
                    task_id = reply.json()["id"]
                    assert "submission" not in reply.json()
                    journal = Journal.beside(world.database).path
                    (entry,) = [json.loads(line) for line in journal.read_text().splitlines() if line]
                    assert entry["upstream_id"] == "task-that-was-bought"
                    polled = await world.poll(task_id)
                    assert (polled["status"], "submission" in polled) == ("pending", False)
                    lock.release()
                assert await world.states() == [State.OPENED]
            async with open_world(tmp_path, place, clock=clock) as world:
                assert not journal.exists()
                assert await world.states() == [State.RUNNING]
                await watch.watch(watch.Watcher(), world.parts)  # it is nobody's since the restart
                clock.walk(FIRST_LOOK_S)
                fake.looks.append(look("completed", progress=100, results=[FILM]))
                assert (await world.poll(task_id))["results"] == [FILM]
                assert fake.gets[-1].path == "/v1/tasks/task-that-was-bought"
            assert len(fake.posts) == fake.accepted == 1

    asyncio.run(play())


@pytest.mark.usefixtures("impatient_storage")
def test_t16_the_journal_is_applied_as_soon_as_storage_is_back(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, open_world(tmp_path, Place(fake.url), clock=clock) as world:
            with held(world) as lock:
                fake.on_post = lambda received: lock.take()
                task_id = (await world.create()).json()["id"]
                with pytest.raises(StorageDown):
                    await world.parts.journal.replay(world.parts.registry)
                assert world.parts.journal.path.exists()
                lock.release()
            assert await world.parts.journal.replay(world.parts.registry) == 1
            assert await world.states() == [State.RUNNING]
            assert not world.parts.journal.path.exists()
            clock.walk(FIRST_LOOK_S)
            fake.looks.append(look("completed", progress=100, results=[FILM]))
            assert (await world.poll(task_id))["status"] == "completed"
            assert len(fake.posts) == 1

    asyncio.run(play())


@pytest.mark.usefixtures("impatient_storage")
def test_t16_storage_that_fails_for_a_moment_has_the_receipt_with_the_next_sweep(tmp_path: Path) -> None:
    async def play() -> None:
        async with FakeUpstream() as fake, open_world(tmp_path, Place(fake.url), clock=Clock()) as world:
            start, failures = world.parts.registry.start, iter([StorageDown("down"), StorageDown("still down")])

            async def fail_twice(*args: Any, **options: Any) -> Any:
                for failure in failures:
                    raise failure
                return await start(*args, **options)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.parts.registry, "start", fail_twice)
                created = await world.create()
                assert created.status_code == 200
                assert "submission" not in created.json()
                assert world.parts.journal.path.exists(), "safe before anybody is answered"
            await sweep.sweep(world.parts)
            assert await world.states() == [State.RUNNING]
            assert not world.parts.journal.path.exists()

    asyncio.run(play())


@pytest.mark.usefixtures("impatient_storage")
def test_t16_with_storage_and_journal_gone_the_receipt_stays_in_memory(
    tmp_path: Path,
) -> None:
    async def play() -> None:
        async with FakeUpstream() as fake, open_world(tmp_path, Place(fake.url), clock=Clock()) as world:

            def disk_is_gone(*args: Any, **options: Any) -> None:
                raise OSError(5, "Input/output error")

            with held(world) as lock, pytest.MonkeyPatch.context() as patch:
                patch.setattr(Journal, "append", disk_is_gone)
                fake.on_post = lambda received: lock.take()
                reply = await world.create()
                lock.release()
            assert (reply.status_code, reply.json()["status"]) == (200, "pending")
            assert await world.states() == [State.OPENED]
            await sweep.sweep(world.parts)
            assert await world.states() == [State.RUNNING]
            assert await world.held() == PRICE
            assert fake.accepted == len(fake.posts) == 1

    asyncio.run(play())


@pytest.mark.usefixtures("impatient_storage")
def test_a_refusal_that_cannot_be_written_down_is_sent_nowhere_else(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            FakeUpstream([answer(429, error_body())]) as first,
            FakeUpstream() as second,
            open_world(
                tmp_path,
                Place(first.url),
                Place(second.url, "second", priority=1, keys=[Key(max_tasks=1)]),
                clock=Clock(),
            ) as world,
        ):
            with held(world) as lock:
                first.on_post = lambda received: lock.take()
                reply = await world.create("the first")
                assert (reply.status_code, reply.headers["x-should-retry"]) == (503, "true")
                assert second.connections == 0
                lock.release()
            assert await world.held() == PRICE, "it reads as a doubt until it is looked into"
            assert (await world.create("the second")).status_code == 200, "no place on the other key was lost"

    asyncio.run(play())


# --- T17: clients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", ["with FIN", "with RST"])
def test_t17_a_client_that_leaves_in_the_middle_has_bought_exactly_one_video(leaves: str, tmp_path: Path) -> None:
    async def play() -> None:
        gate, clock = asyncio.Event(), Clock()
        async with (
            FakeUpstream([gated(gate, accept())]) as fake,
            open_world(tmp_path, Place(fake.url), clock=clock) as world,
        ):
            with serving.bind("127.0.0.1", 0) as listener:
                async with serving.running(world.opened.app, listener):
                    host, port = listener.getsockname()
                    _, writer = await asyncio.open_connection(host, port)
                    body = json.dumps({"model": "MiniMax-Hailuo-2.3", "prompt": "a ship at dawn"}).encode()
                    head = f"POST {CREATE} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer x\r\n"
                    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                    await fake.wait_for_posts(1)
                    if leaves == "with RST":
                        writer.transport.abort()
                    writer.close()
                    await writer.wait_closed()
                    assert await world.states() == [State.OPENED]
                    await asyncio.sleep(0.05)  # the gateway hears of it
                    gate.set()

                    async def is_running() -> bool:
                        return await world.states() == [State.RUNNING]

                    await until(is_running)
            task = await world.task()
            clock.walk(FIRST_LOOK_S)
            assert (await world.poll(str(task.id)))["status"] == "processing"
            assert fake.accepted == len(fake.posts) == 1

    asyncio.run(play())


def test_a_gateway_that_is_told_to_stop_finishes_what_it_sends(tmp_path: Path) -> None:
    async def play() -> None:
        async with FakeUpstream([slowly(0.3, accept())]) as fake:
            async with open_world(tmp_path, Place(fake.url), clock=Clock()) as world:
                creating = asyncio.create_task(world.create())
                await fake.wait_for_posts(1)
                world.parts.stories.stop_creates()
                late = await world.create("too late")
                assert (late.status_code, late.headers["x-should-retry"]) == (503, "true")
                assert (await creating).status_code == 200
                assert len(fake.posts) == 1
            async with open_world(tmp_path, Place(fake.url), clock=Clock()) as world:
                assert await world.states() == [State.RUNNING]

    asyncio.run(play())


# --- the early answer ---------------------------------------------------------------------------------------------

QUICK = {"answer_within_s": 0.1}


def test_a_slow_upstream_does_not_keep_the_client_waiting(tmp_path: Path) -> None:
    async def play() -> None:
        gate, clock = asyncio.Event(), Clock()
        async with (
            FakeUpstream([gated(gate, accept())]) as fake,
            open_world(tmp_path, Place(fake.url), clock=clock, server=QUICK) as world,
        ):
            reply = await world.create()
            assert (reply.status_code, reply.json()["submission"]) == (200, "sending")
            assert reply.headers["x-should-retry"] == "false"
            task_id = reply.json()["id"]
            polled = await world.poll(task_id)
            assert (polled["status"], polled["submission"]) == ("pending", "sending")
            gate.set()

            async def is_running() -> bool:
                return "submission" not in await world.poll(task_id)

            await until(is_running)
            clock.walk(FIRST_LOOK_S)
            assert (await world.poll(task_id))["status"] == "processing"
            assert await world.states() == [State.RUNNING]
            assert_nothing_bought_twice(fake)
            assert fake.accepted == len(fake.posts) == 1

    asyncio.run(play())


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid_request"), (401, "service_unavailable"), (404, "upstream_error"), (429, "rate_limit_exceeded")],
)
def test_a_refusal_after_the_early_answer_makes_the_task_failed_and_unspent(
    status: int, code: str, tmp_path: Path
) -> None:
    async def play() -> None:
        gate = asyncio.Event()
        async with (
            FakeUpstream([gated(gate, answer(status, error_body("the sentence of the upstream")))]) as fake,
            open_world(tmp_path, Place(fake.url), clock=Clock(), server=QUICK) as world,
        ):
            reply = await world.create()
            assert (reply.status_code, reply.json()["submission"]) == (200, "sending")
            task_id = reply.json()["id"]
            gate.set()

            async def is_over() -> bool:
                return bool((await world.poll(task_id))["status"] == "failed")

            await until(is_over)
            polled = await world.poll(task_id)
            assert polled["error"]["code"] == code
            assert polled["error"]["message"]
            assert "submission" not in polled
            assert await world.states() == [State.REFUSED]
            assert await world.held() == 0
            assert fake.accepted == 0

    asyncio.run(play())


def test_a_doubt_after_the_early_answer_reads_as_unconfirmed(tmp_path: Path) -> None:
    async def play() -> None:
        gate = asyncio.Event()
        async with (
            FakeUpstream([gated(gate, bytes_then(b"", "finish", buys=True))]) as fake,
            open_world(tmp_path, Place(fake.url), clock=Clock(), server=QUICK) as world,
        ):
            reply = await world.create()
            assert reply.json()["submission"] == "sending"
            gate.set()

            async def is_in_doubt() -> bool:
                return bool((await world.poll(reply.json()["id"]))["submission"] == "unconfirmed")

            await until(is_in_doubt)
            assert await world.held() == PRICE
            assert fake.accepted == len(fake.posts) == 1

    asyncio.run(play())


# --- what an upstream says twice, and bugs ------------------------------------------------------------------------


def test_h5_an_id_that_another_task_holds_is_a_doubt_and_counted(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        script = [accept_as("task-seen-before"), accept_as("task-seen-before")]
        async with FakeUpstream(script) as fake, open_world(tmp_path, Place(fake.url), clock=clock) as world:
            first = await world.create("the first")
            clock.walk(1)
            second = await world.create("the second")
            assert (first.status_code, "submission" in first.json()) == (200, False)
            assert (second.status_code, second.json()["submission"]) == (200, "unconfirmed")
            assert second.headers["x-should-retry"] == "false"
            assert await world.states() == [State.UNCONFIRMED, State.RUNNING]
            assert await world.held() == 2 * PRICE
            assert 'reelgate_upstream_surprises_total{kind="known_id",upstream="first"} 1.0' in await metrics(world)
            assert_nothing_bought_twice(fake)

    asyncio.run(play())


def test_h5_the_same_id_at_another_upstream_is_another_task(tmp_path: Path) -> None:
    async def play() -> None:
        async with FakeUpstream([accept_as("task-1")]) as first, FakeUpstream([accept_as("task-1")]) as second:
            said = Place(first.url, keys=[Key(rpm=1)]), Place(second.url, "second", priority=1)
            async with open_world(tmp_path, *said, clock=Clock()) as world:
                for prompt in ("the first", "the second"):
                    assert (await world.create(prompt)).status_code == 200
                assert await world.states() == [State.RUNNING] * 2

    asyncio.run(play())


def test_a_bug_after_the_submit_is_told_as_doubt_and_nothing_is_sent_again(tmp_path: Path) -> None:
    async def play() -> None:
        async with FakeUpstream() as fake, open_world(tmp_path, Place(fake.url), clock=Clock()) as world:

            async def bug(*args: Any, **options: Any) -> None:
                raise ZeroDivisionError

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.parts.registry, "start", bug)
                reply = await world.create()
            assert (reply.status_code, reply.json()["submission"]) == (200, "unconfirmed")
            assert await world.held() == PRICE
            assert fake.accepted == len(fake.posts) == 1

    asyncio.run(play())


def test_a_doubt_that_nobody_resolves_is_given_up_in_time_and_gives_its_key_room_again(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with (
            FakeUpstream([reset_unread()]) as fake,
            open_world(tmp_path, Place(fake.url, keys=[Key(max_tasks=1)]), clock=clock) as world,
        ):
            task_id = (await world.create("the first")).json()["id"]
            assert (await world.create("the second")).status_code == 429
            clock.walk(1799)
            await sweep.sweep(world.parts)
            assert (await world.poll(task_id))["submission"] == "unconfirmed"
            clock.walk(2)
            await sweep.sweep(world.parts)
            polled = await world.poll(task_id)
            assert (polled["status"], polled["error"]["code"]) == ("failed", "submission_unconfirmed")
            assert (await world.create("the third")).status_code == 200
            assert world.key_states() == {"first/main": KeyState.OK}
            assert [post.prompt for post in fake.posts] == ["the third"]

    asyncio.run(play())


def test_an_intention_whose_story_ended_with_a_bug_is_put_in_doubt_by_the_sweep(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, open_world(tmp_path, Place(fake.url), clock=clock) as world:
            submit = world.parts.upstreams.submit

            async def bug(*args: Any, **options: Any) -> None:
                await submit(*args, **options)
                raise ZeroDivisionError

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.parts.upstreams, "submit", bug)
                created = await world.create()
                assert (created.status_code, created.json()["submission"]) == (200, "unconfirmed")
            assert await world.states() == [State.OPENED]
            clock.walk(3600)
            await sweep.sweep(world.parts)
            assert (await world.poll(created.json()["id"]))["status"] in ("pending", "failed")
            assert await world.states() in ([State.UNCONFIRMED], [State.FAILED])
            assert len(fake.posts) == 1

    asyncio.run(play())


@pytest.mark.parametrize("bug", [ZeroDivisionError, asyncio.CancelledError])
def test_a_receipt_survives_whatever_ends_the_story(bug: type[BaseException], tmp_path: Path) -> None:
    async def play() -> None:
        async with FakeUpstream() as fake, open_world(tmp_path, Place(fake.url), clock=Clock()) as world:

            async def broken(*args: Any, **options: Any) -> None:
                raise bug

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.parts.registry, "start", broken)
                created = await world.create()
                assert (created.status_code, created.json()["submission"]) == (200, "unconfirmed")
            await sweep.sweep(world.parts)
            assert await world.states() == [State.RUNNING]
            assert fake.accepted == len(fake.posts) == 1

    asyncio.run(play())


def test_a_receipt_that_comes_while_the_journal_is_replayed_is_not_removed_with_it(tmp_path: Path) -> None:
    async def play() -> None:
        async with FakeUpstream() as fake, open_world(tmp_path, Place(fake.url), clock=Clock()) as world:
            start, journal = world.parts.registry.start, world.parts.journal

            async def down(*args: Any, **options: Any) -> None:
                raise StorageDown("down")

            async def start_while_another_comes(*args: Any, **options: Any) -> Any:
                if journal.path.read_text().count("task-") == 1:
                    journal.append(7, "somewhere", "main", "task-of-another", at=1.0)
                return await start(*args, **options)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.parts.registry, "start", down)
                await world.create()
                patch.setattr(world.parts.registry, "start", start_while_another_comes)
                await sweep.sweep(world.parts)
                assert "task-of-another" in journal.path.read_text()
            await sweep.sweep(world.parts)
            assert await world.states() == [State.RUNNING]
            assert "task-of-another" in journal.rejected_path.read_text()

    asyncio.run(play())


def test_a_story_that_is_cancelled_while_sending_is_told_as_doubt(tmp_path: Path) -> None:
    async def play() -> None:
        async with FakeUpstream() as fake, open_world(tmp_path, Place(fake.url), clock=Clock()) as world:
            submit = world.parts.upstreams.submit

            async def cancelled(*args: Any, **options: Any) -> None:
                await submit(*args, **options)
                raise asyncio.CancelledError

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.parts.upstreams, "submit", cancelled)
                created = await world.create()
            assert (created.status_code, created.json()["submission"]) == (200, "unconfirmed")
            assert created.headers["x-should-retry"] == "false"
            assert fake.accepted == 1

    asyncio.run(play())


async def metrics(world: World) -> str:
    reply: httpx.Response = await world.client.get("/metrics")
    return reply.text
