"""The outbox: which ends are told, in one transaction with them, and who may take which letter for how long."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import StorageDown
from gateway.store import CANCELLED, Fate, Out, Outbox, Registry, Verdict, Wait
from gateway.structs import replace
from gateway.video import Caller, Failure, Look, Money, Receipt, State, Status, Task
from tests.callbacks.world import FILM, HOOK
from tests.store.conftest import NOW, World

Run = Callable[[Callable[[], Awaitable[None]]], None]
LATER = NOW + 100
REFUSED = Verdict("rate_limited", "H20", 429)
FAILURE = Failure("upstream_error", "it failed")


async def _running(world: World, registry: Registry, url: str | None = HOOK, caller: Caller | None = None) -> Task:
    request = replace(world.request, callback_url=url)
    task = await world.opened(registry, request=request, **({} if caller is None else {"caller": caller}))
    return await registry.start(task, Receipt(f"u-{task.id}"), NOW)


async def _unconfirmed(world: World, registry: Registry) -> Task:
    task = await world.opened(registry, request=replace(world.request, callback_url=HOOK))
    return await registry.doubt(task, Verdict("submission_unconfirmed", "T9"), NOW)


async def _queued(world: World, registry: Registry) -> Task:
    task = await world.opened(registry, request=replace(world.request, callback_url=HOOK))
    return await registry.requeue(task, REFUSED, Wait(task.request, 100, None), NOW)


async def _completed(world: World, registry: Registry) -> None:
    await registry.note((await _running(world, registry)).id, Look(Status.COMPLETED, link=FILM), LATER)


async def _failed(world: World, registry: Registry) -> None:
    await registry.note((await _running(world, registry)).id, Look(Status.FAILED, failure=FAILURE), LATER)


async def _given_up(world: World, registry: Registry) -> None:
    await registry.fail((await _unconfirmed(world, registry)).id, FAILURE, LATER)


async def _judged_after_it_was_given_up(world: World, registry: Registry) -> None:
    await _given_up(world, registry)
    ((task_id,),) = world.execute("SELECT id FROM tasks")
    await registry.resolve(task_id, Money.SETTLED, "it is on the invoice", LATER + 1)


async def _released_by_a_person(world: World, registry: Registry) -> None:
    await registry.resolve((await _unconfirmed(world, registry)).id, Money.RELEASED, "asked them", LATER)


async def _waited_too_long(world: World, registry: Registry) -> None:
    await registry.drop((await _queued(world, registry)).id, Failure("queue_timeout", "too long"), LATER)


async def _cancelled(world: World, registry: Registry) -> None:
    await registry.drop((await _queued(world, registry)).id, Failure(CANCELLED, "by its owner"), LATER)


async def _refused_to_the_callers_face(world: World, registry: Registry) -> None:
    task = await world.opened(registry, request=replace(world.request, callback_url=HOOK))
    await registry.abandon(task, FAILURE, REFUSED, LATER)


async def _refused_after_the_caller_had_its_id(world: World, registry: Registry) -> None:
    task = await world.opened(registry, request=replace(world.request, callback_url=HOOK))
    await registry.abandon(task, FAILURE, REFUSED, LATER, is_told=True)


async def _wished_for_no_callback(world: World, registry: Registry) -> None:
    task = await _running(world, registry, url=None)
    await registry.note(task.id, Look(Status.COMPLETED, link=FILM), LATER)


async def _seen_completed_twice(world: World, registry: Registry) -> None:
    await _completed(world, registry)
    ((task_id,),) = world.execute("SELECT id FROM tasks")
    await registry.note(task_id, Look(Status.COMPLETED, link=FILM), LATER + 1)
    await registry.relocate(task_id, FILM + "?again", LATER + 2)


@pytest.mark.parametrize(
    ("ends", "letters"),
    [
        (_completed, 1),
        (_failed, 1),
        (_given_up, 1),
        (_judged_after_it_was_given_up, 1),
        (_released_by_a_person, 1),
        (_waited_too_long, 1),
        (_cancelled, 0),
        (_refused_to_the_callers_face, 0),
        (_refused_after_the_caller_had_its_id, 1),
        (_wished_for_no_callback, 0),
        (_seen_completed_twice, 1),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)).strip("_"),
)
def test_an_end_is_told_where_the_caller_cannot_know_of_it(
    ends: Callable[[World, Registry], Awaitable[None]], letters: int, world: World, run: Run
) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            await ends(world, registry)

    run(story)
    assert (
        world.execute("SELECT number, state, due_at, host FROM outbox")
        == [(1, "due", LATER, "caller.example:https")] * letters
    )


def test_an_end_whose_letter_cannot_be_written_has_not_come(file: World, run: Run) -> None:
    async def story() -> None:
        async with file.registry() as registry:
            task = await _running(file, registry)
            file.execute("ALTER TABLE outbox RENAME TO gone")
            with pytest.raises(StorageDown):
                await registry.note(task.id, Look(Status.COMPLETED, link=FILM), LATER)
            found = await registry.get(task.id)
            assert found is not None
            assert (found.state, found.money) == (State.RUNNING, Money.HELD)

    run(story)


def test_what_is_taken_is_nobody_elses_until_its_time_is_over(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            await _completed(world, Registry(db))
            outbox = Outbox(db)
            assert await outbox.take(Out(9, 9, 9), LATER - 0.001, LATER + 15) == []
            (first,) = await outbox.take(Out(9, 9, 9), LATER, LATER + 15)
            assert await outbox.next_due_at(Out(9, 9, 9)) == LATER + 15
            assert await outbox.take(Out(9, 9, 9), LATER + 14.999, LATER + 30) == []
            (second,) = await outbox.take(Out(9, 9, 9), LATER + 15, LATER + 30)
            assert (first.id, first.url) == (second.id, second.url)
            # What the first one does now changes nothing.
            before = world.everything()
            assert not await outbox.keep_body(replace(first, body=b"late"))
            assert not await outbox.again(first, "500", LATER)
            assert not await outbox.end(first, Fate.DELIVERED, "200", LATER)
            assert world.everything() == before
            assert await outbox.keep_body(replace(second, body=b"{}"))
            assert await outbox.end(second, Fate.DELIVERED, "200", LATER + 16)
            assert await outbox.next_due_at(Out(9, 9, 9)) is None
            assert not await outbox.end(second, Fate.GIVEN_UP, "500", LATER + 17), "it is over"

    run(story)


def test_no_host_gets_more_than_its_share_however_long_its_queue(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            registry, outbox = Registry(db), Outbox(db)
            for _ in range(300):  # more than are looked at at once
                task = await _running(world, registry, "https://Crowded.example:8443/hook")
                await registry.note(task.id, Look(Status.COMPLETED, link=FILM), LATER)
            task = await _running(world, registry, "https://quiet.example/hook")
            await registry.note(task.id, Look(Status.COMPLETED, link=FILM), LATER + 1)
            out = Out(21, 3, 21, Counter({"crowded.example:8443": 1}), Counter({"alice": 1}))
            taken = await outbox.take(out, LATER + 2, LATER + 20)
            assert Counter(letter.host for letter in taken) == {"crowded.example:8443": 2, "quiet.example:https": 1}
            assert len(await outbox.take(Out(5, 100, 5), LATER + 2, LATER + 20)) == 5
            full = Out(99, 3, 99, Counter({"crowded.example:8443": 3}))
            assert await outbox.next_due_at(full) == LATER + 20

    run(story)


def test_no_caller_gets_more_than_its_share_however_many_hosts_it_names(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            registry, outbox = Registry(db), Outbox(db)
            for number in range(300):
                task = await _running(world, registry, f"https://dead-{number}.example/hook")
                await registry.note(task.id, Look(Status.COMPLETED, link=FILM), LATER)
            task = await _running(world, registry, "https://quiet.example/hook", Caller("bob"))
            await registry.note(task.id, Look(Status.COMPLETED, link=FILM), LATER + 1)
            taken = await outbox.take(Out(20, 3, 10), LATER + 2, LATER + 20)
            assert Counter(letter.task.caller for letter in taken) == {"alice": 10, "bob": 1}
            full = Out(20, 3, 10, callers=Counter({"alice": 10}))
            assert await outbox.take(full, LATER + 2, LATER + 20) == []
            assert await outbox.next_due_at(full) == LATER + 20

    run(story)


def test_two_who_take_at_the_same_time_never_get_the_same_letter(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as one, world.database() as other:
            registry = Registry(one)
            for number in range(60):
                task = await _running(world, registry, f"https://host-{number % 5}.example/")
                await registry.note(task.id, Look(Status.COMPLETED, link=FILM), LATER)
            takers = [Outbox(db) for db in (one, other) for _ in range(4)]
            rounds = await asyncio.gather(*(taker.take(Out(10, 10, 10), LATER, LATER + 15) for taker in takers))
            taken = [letter.id for letters in rounds for letter in letters]
            assert len(taken) == len(set(taken))
            while letters := await takers[0].take(Out(10, 10, 10), LATER, LATER + 15):
                taken += [letter.id for letter in letters]
            assert len(set(taken)) == len(taken) == 60

    run(story)


def test_an_address_that_cannot_be_read_is_a_letter_all_the_same(file: World, run: Run) -> None:
    """Pre-flight refuses such; should one be stored all the same, its task must end."""

    async def story() -> None:
        async with file.registry() as registry:
            task = await _running(file, registry, "https://[broken/hook")
            await registry.note(task.id, Look(Status.COMPLETED, link=FILM), LATER)

    run(story)
    assert file.execute("SELECT host, state FROM outbox") == [("", "due")]
