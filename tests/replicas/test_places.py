"""The places on a key are those that storage knows of, however they were lost sight of."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StorageDown
from gateway.keys import Standing
from gateway.video import Failure, Route, Task
from tests.replicas.world import eventually, street, sync
from tests.world import Clock, World, id_of

MAIN = "{id: main, value: sk-up-main-key, max_tasks: 2}"
TWO_KEYS = (
    "{id: main, value: sk-up-main-key, account: one, max_tasks: 1}",
    "{id: spare, value: sk-up-spare-key, account: one, max_tasks: 1}",
)


def live(replica: World) -> int:
    """Tasks in flight on the first key's account."""
    ((_, sights),) = replica.parts.upstreams.sights()
    return sights[0].live_tasks


async def some_task(replica: World, *, but: Task | None = None) -> Task:
    """The only task in flight that this replica knows, but for one."""
    (task,) = [task for task in replica.parts.memory.tasks.values() if but is None or task.id != but.id]
    return task


def test_what_happens_while_storage_is_read_is_newer_than_what_was_read(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here, here.replica(MAIN) as one:
            upstreams = one.parts.upstreams
            id_of(await one.create(prompt="the first"))
            first = await some_task(one)
            with upstreams.hearing() as hear:
                upstreams.finished(first)
                id_of(await one.create(prompt="the second"))
                hear(Standing({first.id: Route("sandbox", "main")}, {}, []))
            assert live(one) == 1, "the first is over, and the second there, although the answer says otherwise"
            upstreams.finished(await some_task(one, but=first))
            assert live(one) == 0

    asyncio.run(story())


def test_two_readings_at_once_do_not_mislead_each_other(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here, here.replica(MAIN) as one:
            upstreams = one.parts.upstreams
            id_of(await one.create())
            task = await some_task(one)
            stale = Standing({task.id: Route("sandbox", "main")}, {}, [])
            with upstreams.hearing() as hear_first:
                with upstreams.hearing() as hear_second:
                    upstreams.finished(task)
                    hear_second(stale)
                hear_first(stale)
            assert live(one) == 0

    asyncio.run(story())


def test_a_place_that_was_lost_sight_of_is_found_again(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here, here.replica(MAIN) as one:
            id_of(await one.create())
            task = await some_task(one)
            one.parts.upstreams.finished(task)  # it is not
            await sync(one)
            assert live(one) == 1
            failure = Failure("submission_unconfirmed", "given up beside the gateway")
            await one.parts.registry.fail(task.id, failure, now=one.parts.clock())
            await sync(one)
            assert live(one) == 0

    asyncio.run(story())


def test_a_refusal_that_storage_cannot_take_gives_the_place_back_at_once_and_the_task_its_own_later(
    tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        clock = Clock()

        async def down(*args: Any, **kwargs: Any) -> Task:
            raise StorageDown("no answer")

        async with street(tmp_path, storage, clock=clock) as here, here.replica(MAIN) as one:
            monkeypatch.setattr(one.parts.registry, "abandon", down)
            assert (await one.create(prompt="a ship #sandbox:400")).status_code == 400
            await sync(one)
            assert live(one) == 0
            clock.walk(61)  # nobody will write it down any more: in storage it may have been accepted
            await sync(one)
            assert live(one) == 1

    asyncio.run(story())


def test_a_place_whose_task_storage_could_not_take_is_free(
    tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async def down(*args: Any, **kwargs: Any) -> Any:
            raise StorageDown("no answer")

        async with street(tmp_path, storage, clock=Clock()) as here, here.replica(MAIN) as one:
            with monkeypatch.context() as broken:
                broken.setattr(one.parts.registry, "open", down)
                assert (await one.create()).status_code == 503
            assert live(one) == 0

    asyncio.run(story())


def test_a_refused_key_gives_its_place_to_the_next_of_its_account(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here, here.replica(*TWO_KEYS) as one:
            answer = await one.create(prompt="a ship #sandbox:401=1")
            assert (answer.status_code, answer.headers["x-reelgate-attempts"]) == (200, "2")
            assert live(one) == 1
            await sync(one)
            assert live(one) == 1
            one.parts.upstreams.finished(await some_task(one))
            assert live(one) == 0

    asyncio.run(story())


def test_a_task_that_goes_back_into_the_queue_takes_no_place(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        clock = Clock()
        async with (
            street(tmp_path, storage, clock=clock) as here,
            here.replica(MAIN, queue="{max_tasks: 5}") as one,
        ):
            answer = await one.create(prompt="a ship #sandbox:429=1")
            assert answer.json()["submission"] == "queued"
            assert live(one) == 0
            await sync(one)
            assert live(one) == 0

    asyncio.run(story())


def test_a_task_from_the_queue_has_its_place_whoever_sends_it(tmp_path: Path, storage: str) -> None:
    waiting = "{max_tasks: 5}"

    async def story() -> None:
        clock = Clock()
        async with (
            street(tmp_path, storage, clock=clock) as here,
            here.replica(MAIN, queue=waiting) as one,
            here.replica(MAIN, queue=waiting) as other,
        ):
            other.parts.admission.is_frozen = True  # it sends nothing that waits
            answer = await one.create(prompt="a ship #sandbox:429=1")
            assert answer.json()["submission"] == "queued"
            one.parts.admission.is_frozen, other.parts.admission.is_frozen = True, False
            clock.walk(3)  # the key rests no more
            await eventually(lambda: len(other.videos()) == 1)
            await eventually(lambda: live(other) == 1)
            await sync(one, other)
            assert live(one) == live(other) == 1
            other.parts.upstreams.finished(await some_task(other))
            assert live(other) == 0

    asyncio.run(story())
