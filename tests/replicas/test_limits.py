"""`max_tasks` and `rpm` of an upstream key hold over all processes: exactly for what waits in the queue; for what is
created directly, but for what two processes do before they have heard of each other, which takes a second."""

import asyncio
from pathlib import Path

import httpx

from gateway.flows import queue
from gateway.video import State
from tests.replicas.world import eventually, street, sync
from tests.world import FAST, Clock, World, id_of

MAX_3 = "{id: main, value: sk-up-main-key, max_tasks: 3}"
RPM_3 = "{id: main, value: sk-up-main-key, rpm: 3}"
QUEUE = "{max_tasks: 100}"


async def order(replica: World, count: int, first: int = 1) -> list[httpx.Response]:
    """So many films at once, each with a prompt of its own."""
    return await asyncio.gather(*(replica.create(prompt=f"film {number}") for number in range(first, first + count)))


def statuses(answers: list[httpx.Response]) -> list[int]:
    return sorted(answer.status_code for answer in answers)


def test_tasks_in_flight_are_those_of_all_processes(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage) as here, here.replica(MAX_3) as one, here.replica(MAX_3) as other:
            assert statuses(await order(one, 2)) == [200, 200]
            await sync(one, other)
            assert statuses(await order(other, 2, first=3)) == [200, 429]
            await sync(one, other)
            assert statuses(await order(one, 1, first=5)) == [429]
            assert len(one.videos()) == 3

    asyncio.run(story())


def test_two_that_have_not_heard_of_each_other_take_at_most_one_share_each(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage) as here, here.replica(MAX_3) as one, here.replica(MAX_3) as other:
            await asyncio.gather(order(one, 5), order(other, 5, first=6))
            assert 3 <= len(one.videos()) <= 6
            await sync(one, other)
            assert statuses([*(await order(one, 2, first=11)), *(await order(other, 2, first=13))]) == [429] * 4

    asyncio.run(story())


def test_a_place_that_one_process_frees_is_free_for_the_other(tmp_path: Path, storage: str) -> None:
    single = "{id: main, value: sk-up-main-key, max_tasks: 1}"

    async def story() -> None:
        async with (
            street(tmp_path, storage, speed=FAST) as here,
            here.replica(single) as one,
            here.replica(single) as other,
        ):
            word = id_of(await one.create())
            await other.finish(word)
            await sync(one, other)
            assert id_of(await one.create(prompt="the next"))

    asyncio.run(story())


def test_submits_of_the_minute_are_those_of_all_processes(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        clock = Clock()
        async with (
            street(tmp_path, storage, clock=clock) as here,
            here.replica(RPM_3) as one,
            here.replica(RPM_3) as other,
        ):
            assert statuses(await order(one, 2)) == [200, 200]
            clock.walk(20)
            await sync(one, other)
            assert statuses(await order(other, 2, first=3)) == [200, 429]
            await sync(one, other)
            (refused,) = await order(one, 1, first=5)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "40")
            clock.walk(41)
            assert statuses([*(await order(one, 1, first=6)), *(await order(other, 1, first=7))]) == [200, 200]

    asyncio.run(story())


def test_the_minute_is_not_forgotten_in_a_restart(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        clock = Clock()
        async with street(tmp_path, storage, clock=clock) as here:
            async with here.replica(RPM_3) as before:
                assert statuses(await order(before, 4)) == [200, 200, 200, 429]
            async with here.replica(RPM_3) as after:
                assert statuses(await order(after, 1, first=5)) == [429]
                clock.walk(61)
                assert statuses(await order(after, 1, first=6)) == [200]

    asyncio.run(story())


def test_the_queue_is_sent_once_by_whoever_comes_first_and_never_faster_than_the_key_may(
    tmp_path: Path, storage: str
) -> None:
    films = 14

    async def story() -> None:
        clock = Clock()
        async with (
            street(tmp_path, storage, clock=clock) as here,
            here.replica(RPM_3, queue=QUEUE) as one,
            here.replica(RPM_3, queue=QUEUE) as other,
        ):
            assert statuses(await order(one, 3)) == [200] * 3
            await sync(one, other)
            answers = [*(await order(one, 5, first=4)), *(await order(other, 6, first=9))]
            assert [answer.json()["submission"] for answer in answers] == ["queued"] * 11
            for minute in range(1, 5):
                clock.walk(61)
                # Both know that there is room, at the same moment.
                await asyncio.gather(*(queue.dispatch(replica.parts) for replica in (one, other)))
                due = min(films, 3 * (minute + 1))
                await eventually(lambda due=due: len(one.videos()) >= due)  # type: ignore[misc]
                assert len(one.videos()) == due
            assert len({request["json"]["prompt"] for request in one.requests("POST")}) == films
            assert len(one.requests("POST")) == films, "no submit was refused, and none was made twice"

    asyncio.run(story())


def test_what_waits_is_sent_when_the_other_process_frees_the_only_place(tmp_path: Path, storage: str) -> None:
    single = "{id: main, value: sk-up-main-key, max_tasks: 1}"

    async def story() -> None:
        async with (
            street(tmp_path, storage, speed=FAST) as here,
            here.replica(single, queue=QUEUE) as one,
            here.replica(single, queue=QUEUE) as other,
        ):
            words = [id_of(await replica.create(prompt=f"film {n}")) for n in range(4) for replica in (one, other)]
            answers = await asyncio.gather(*(one.finish(word) for word in words))
            assert [answer["status"] for answer in answers] == ["completed"] * 8
            assert len(one.requests("POST")) == 8
            assert (await one.parts.registry.state_counts())[State.COMPLETED] == 8

    asyncio.run(story())
