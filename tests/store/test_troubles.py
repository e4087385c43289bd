"""What went wrong lately, as storage tells it."""

from collections.abc import Awaitable, Callable

from gateway.store import Books, Verdict, Wanted
from gateway.structs import replace
from gateway.video import Caller, Failure, Route, State
from tests.store.conftest import World

Run = Callable[[Callable[[], Awaitable[None]]], None]
DAY_S = 86_400


def test_failures_are_told_by_cause_the_most_frequent_first_with_the_newest_of_each(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            books = Books(registry._db)
            assert await books.failures(world.now - DAY_S) == []
            await world.in_state(registry, State.COMPLETED)
            await world.in_state(registry, State.RUNNING)
            first = await world.in_state(registry, State.FAILED)
            refused = await world.in_state(registry, State.REFUSED)
            world.now += DAY_S
            second = await world.in_state(registry, State.FAILED)
            (failed, busy) = await books.failures(first.created_at)
            assert (failed.code, failed.upstream, failed.count, failed.newest) == (
                "generation_failed",
                "evo",
                2,
                second.id,
            )
            assert (failed.message, failed.at) == ("no", world.now + 1)
            assert (busy.code, busy.count, busy.newest) == ("rate_limited", 1, refused.id)
            assert [trouble.count for trouble in await books.failures(world.now)] == [1]

    run(story)


def test_a_key_tells_its_last_refusal_until_it_was_used_often_since(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            books = Books(registry._db)
            other = Route("evo", "key-2")
            assert await books.refusals([world.route, other]) == {}
            await world.in_state(registry, State.REFUSED)
            world.now += 10
            task = await world.opened(registry)
            verdict = Verdict("no_usable_key", "H11", 402)
            await registry.abandon(task, Failure("no_usable_key", "empty"), verdict, world.now + 1)
            world.now += 10
            await world.in_state(registry, State.COMPLETED)
            found = await books.refusals([world.route, other])
            assert set(found) == {world.route}
            last = found[world.route]
            assert (last.task_id, last.at) == (task.id, world.now - 9)
            assert (last.reason, last.row, last.http_status) == ("no_usable_key", "H11", 402)

    run(story)


def test_usage_is_told_of_one_caller_alone(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            books = Books(registry._db)
            await world.in_state(registry, State.COMPLETED)
            world.caller = Caller("bob", team="films")
            await world.in_state(registry, State.COMPLETED)
            await world.in_state(registry, State.RUNNING)
            price = world.offer.price or 0
            for wanted, spent in ((Wanted(caller="bob"), price), (Wanted(team="films"), price), (Wanted(), 2 * price)):
                found = await books.usage("day", replace(wanted, since=world.now))
                assert sum(item.spent for item in found.values()) == spent

    run(story)


def test_films_that_will_be_gone_come_in_the_order_of_their_end(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            books = Books(registry._db)
            made = []
            for _ in range(3):
                made.append((await world.in_state(registry, State.COMPLETED)).id)
                world.now += 10
            await world.in_state(registry, State.RUNNING)
            assert [task.id for task in await books.going(2)] == made[:2]

    run(story)
