"""A lane groups what waits, wakes everybody with one call, and never loses a waiter."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from gateway.errors import StorageDown
from gateway.store.lane import Job, Lane


class Diary:
    """A worker without a database that writes down what it was given, and can be held back."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.go = threading.Event()
        self.is_broken = False
        self.is_closed = False

    def do(self, jobs: Sequence[Job]) -> None:
        self.go.wait(10)
        if self.is_broken:
            raise ArithmeticError("a bug in the worker")
        if jobs:
            self.groups.append(len(jobs))
        for job in jobs:
            job.value = job.step(None)

    def close(self) -> None:
        self.is_closed = True


def lane_of(diary: Diary, *, waiting_max: int = 100, group_max: int = 10) -> Lane:
    lane = Lane("test", [diary], waiting_max=waiting_max, group_max=group_max)
    lane.start()
    return lane


async def settle() -> None:
    await asyncio.sleep(0.02)


def test_what_waits_is_done_in_groups_no_larger_than_allowed(run):
    async def story() -> None:
        diary = Diary()
        lane = lane_of(diary)
        first = asyncio.create_task(lane.run(lambda _: "first"))
        await settle()
        others = [asyncio.create_task(lane.run(lambda _, n=n: n)) for n in range(25)]
        await settle()
        diary.go.set()
        assert await first == "first"
        assert await asyncio.gather(*others) == list(range(25))
        assert diary.groups == [1, 10, 10, 5]
        await lane.close()

    run(story)


def test_a_group_wakes_its_loop_with_one_call(run):
    async def story() -> None:
        diary = Diary()
        lane = lane_of(diary)
        held = asyncio.create_task(lane.run(lambda _: None))
        await settle()
        loop, calls = asyncio.get_running_loop(), []
        wake = loop.call_soon_threadsafe

        def counted(callback, *args, **kwargs):
            calls.append(callback)
            return wake(callback, *args, **kwargs)

        loop.call_soon_threadsafe = counted
        waiters = [asyncio.create_task(lane.run(lambda _: None)) for _ in range(10)]
        await settle()
        diary.go.set()
        await asyncio.gather(held, *waiters)
        assert len(calls) == 2  # one for the first job, one for the ten
        await lane.close()

    run(story)


def test_a_full_lane_refuses_at_once_and_says_when_to_come_back(run):
    async def story() -> None:
        diary = Diary()
        lane = lane_of(diary, waiting_max=3)
        waiters = [asyncio.create_task(lane.run(lambda _: "done"))]
        await settle()  # the first is being worked on, so three more may wait
        waiters += [asyncio.create_task(lane.run(lambda _: "done")) for _ in range(3)]
        await settle()
        with pytest.raises(StorageDown) as caught:
            await lane.run(lambda _: "done")
        assert caught.value.retry_after == 5
        diary.go.set()
        assert await asyncio.gather(*waiters) == ["done"] * 4
        await lane.close()

    run(story)


def test_close_finishes_what_waits_and_takes_no_more(run):
    async def story() -> None:
        diary = Diary()
        lane = lane_of(diary)
        waiters = [asyncio.create_task(lane.run(lambda _: "done")) for _ in range(35)]
        await settle()
        closing = asyncio.create_task(lane.close())
        await settle()
        with pytest.raises(StorageDown):
            await lane.run(lambda _: "late")
        diary.go.set()
        await closing
        assert await asyncio.gather(*waiters) == ["done"] * 35
        assert diary.is_closed
        await lane.close()  # twice is as good as once

    run(story)


def test_a_bug_in_the_worker_reaches_everybody_who_waits(run):
    async def story() -> None:
        diary = Diary()
        lane = lane_of(diary)
        diary.is_broken = True
        waiters = [asyncio.create_task(lane.run(lambda _: None)) for _ in range(3)]
        await settle()
        diary.go.set()
        for waiter in waiters:
            with pytest.raises(ArithmeticError):
                await waiter
        diary.is_broken = False
        assert await lane.run(lambda _: "again") == "again"
        await lane.close()

    run(story)


def test_a_waiter_whose_loop_is_gone_harms_nobody(run):
    diary = Diary()
    lane = lane_of(diary)

    async def leave() -> None:
        waiter = asyncio.create_task(lane.run(lambda _: None))
        await settle()
        waiter.cancel()

    asyncio.run(leave())

    async def story() -> None:
        diary.go.set()
        assert await lane.run(lambda _: "here") == "here"
        await lane.close()

    run(story)
