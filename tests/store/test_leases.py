"""Which process watches which task: one at a time, whoever dies, and whatever the clock says."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from gateway.store import LEASE_S, Database, Leases, Registry
from gateway.store.leases import SENDERS_S, TAKEN_MAX
from gateway.video import Failure, Receipt, State, Task
from tests.store.conftest import World

Run = Callable[[Callable[[], Awaitable[None]]], None]
ONE, OTHER, THIRD = 1, 2, 3
NOBODY: frozenset[int] = frozenset()


async def running(world: World, db: Database, sender: int, number: int = 0) -> Task:
    """A task that a process has just sent."""
    registry = Registry(db, sender)
    task = await world.opened(registry)
    return await registry.start(task, Receipt(f"u-{sender}-{number}-{task.id}"), world.now)


def ids(tasks: list[Task]) -> set[int]:
    return {task.id for task in tasks}


def test_the_sender_takes_its_own_at_once_and_the_others_leave_it_alone(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            task = await running(world, db, ONE)
            assert (await Leases(db, OTHER).take(world.now, NOBODY)).tasks == []
            assert ids((await Leases(db, ONE).take(world.now, NOBODY)).tasks) == {task.id}
            assert (await Leases(db, ONE).take(world.now, NOBODY)).tasks == []  # it has it
            assert (await Leases(db, OTHER).take(world.now + SENDERS_S + 1, NOBODY)).tasks == []

    run(story)


def test_what_its_sender_never_took_is_free_after_a_moment_or_at_once_when_the_sender_is_gone(
    world: World, run: Run
) -> None:
    async def story() -> None:
        async with world.database() as db:
            task = await running(world, db, ONE)
            other = Leases(db, OTHER)
            assert (await other.others(world.now)).holders == {ONE}
            assert not (await other.others(world.now)).are_free
            assert (await other.others(world.now + SENDERS_S + 1)).are_free
            assert ids((await other.take(world.now, frozenset({ONE}))).tasks) == {task.id}

    run(story)


def test_a_lease_ends_with_the_silence_of_its_holder(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            task = await running(world, db, ONE)
            one, other = Leases(db, ONE), Leases(db, OTHER)
            await one.take(world.now, NOBODY)
            last = world.now + LEASE_S
            assert (await other.take(last, NOBODY)).tasks == []
            assert not (await other.others(last)).are_free
            assert (await other.others(last + 1)).are_free
            assert ids((await other.take(last + 1, NOBODY)).tasks) == {task.id}

    run(story)


def test_whoever_says_in_time_that_it_is_there_keeps_what_it_has(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            await running(world, db, ONE)
            one, other = Leases(db, ONE), Leases(db, OTHER)
            await one.take(world.now, NOBODY)
            for seconds in range(0, 200, 10):
                assert (await one.others(world.now + seconds)).is_word_due == (seconds > 0 and seconds % 20 == 0)
                if seconds % 20 == 0:
                    assert len((await one.take(world.now + seconds, NOBODY)).held) == 1
                assert (await other.take(world.now + seconds, NOBODY)).tasks == []

    run(story)


def test_whoever_says_its_word_is_told_what_it_still_has(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            tasks = [await running(world, db, ONE, number) for number in range(2)]
            one, other = Leases(db, ONE), Leases(db, OTHER)
            assert (await one.take(world.now, NOBODY)).held == ids(tasks)
            later = world.now + LEASE_S + 1
            back = await one.take(later, NOBODY)
            assert back.tasks == []
            assert back.held == ids(tasks)  # nobody was there to take them
            later += LEASE_S + 1
            assert ids((await other.take(later, NOBODY)).tasks) == ids(tasks)
            assert (await one.take(later, NOBODY)).held == NOBODY

    run(story)


def test_the_dead_are_not_waited_for(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            task = await running(world, db, ONE)
            await Leases(db, ONE).take(world.now, NOBODY)
            other = Leases(db, OTHER)
            assert (await other.others(world.now)).holders == {ONE}
            assert ids((await other.take(world.now, frozenset({ONE}))).tasks) == {task.id}
            assert (await other.others(world.now)).holders == NOBODY

    run(story)


def test_whoever_leaves_leaves_its_tasks_to_the_others(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            task = await running(world, db, ONE)
            one = Leases(db, ONE)
            await one.take(world.now, NOBODY)
            await one.leave()
            later = world.now + SENDERS_S + 1
            assert ids((await Leases(db, OTHER).take(later, NOBODY)).tasks) == {task.id}

    run(story)


def test_only_running_tasks_are_watched_and_what_is_over_leaves_no_trace(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            registry = Registry(db, ONE)
            found = [await world.in_state(registry, state) for state in State]
            live = next(task for task in found if task.state is State.RUNNING)
            one = Leases(db, ONE)
            assert ids((await one.take(world.now + 1, NOBODY)).tasks) == {live.id}
            await registry.fail(live.id, Failure("x", "gone"), world.now + 2)
            await one.take(world.now + 3, NOBODY)
            assert world.execute("SELECT * FROM leases") == []
            await Leases(db, OTHER).take(world.now + 3 * LEASE_S, NOBODY)
            assert world.execute("SELECT instance FROM watchers") == [(OTHER,)]
            assert await one.others(world.now) == await Leases(db, THIRD).others(
                world.now
            )  # nothing to do, nobody there

    run(story)


def test_many_who_take_at_once_never_take_the_same(world: World) -> None:
    """Each on connections of its own, as processes have them."""

    async def prepare() -> set[int]:
        async with world.database() as db:
            return {(await running(world, db, 99, number)).id for number in range(40)}

    async def taker(me: int, start: threading.Barrier, found: list[int]) -> None:
        async with world.database() as db:
            start.wait(30)
            for step in range(4):
                taken = await Leases(db, me).take(world.now + SENDERS_S + 1 + step, NOBODY)
                found.extend(task.id for task in taken.tasks)

    everything = asyncio.run(prepare())
    start, found = threading.Barrier(4), [list[int]() for _ in range(4)]
    threads = [
        threading.Thread(target=lambda me=me: asyncio.run(taker(me, start, found[me - 1]))) for me in range(1, 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    taken = [task_id for one in found for task_id in one]
    assert sorted(taken) == sorted(everything)
    held = dict(world.execute("SELECT task_id, holder FROM leases"))
    assert held == {task_id: me for me, one in enumerate(found, 1) for task_id in one}


def test_one_step_takes_no_more_than_its_share(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            registry = Registry(db, 99)
            tasks = await asyncio.gather(*(world.opened(registry) for _ in range(TAKEN_MAX + 10)))
            await asyncio.gather(*(registry.start(task, Receipt(f"u-{task.id}"), world.now) for task in tasks))
            later = world.now + SENDERS_S + 1
            assert len((await Leases(db, ONE).take(later, NOBODY)).tasks) == TAKEN_MAX
            assert len((await Leases(db, OTHER).take(later, NOBODY)).tasks) == 10

    run(story)


def test_the_completed_among_the_newest_tasks_are_what_is_learnt_from(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            for _ in range(2):
                for state in State:
                    await world.in_state(registry, state)
                world.now += 100
            found = await registry.finished_lately(1_000)
            assert [task.state for task in found] == [State.COMPLETED] * 2
            assert found[0].id < found[1].id
            assert len(await registry.finished_lately(len(State))) == 1
            assert await registry.finished_lately(0) == []

    run(story)
