"""Whoever comes first ends a task; all who come with him, on whichever gateway, change nothing any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from gateway.store import Books, Database, Registry, Verdict, Wait, WrongState, prepare
from gateway.video import (
    Balance,
    Budget,
    Caller,
    Failure,
    Look,
    Mode,
    Money,
    Offer,
    Receipt,
    Route,
    State,
    Status,
    Task,
    VideoRequest,
)

NOW, PRICE, AT_ONCE = 1_800_000_000.0, 280_000, 64
REQUEST = VideoRequest(model="MiniMax-Hailuo-2.3", prompt="a ship", dialect="evolink")
OFFER, ROUTE = Offer("MiniMax-Hailuo-2.3", Mode.TEXT, "768P", 6, PRICE), Route("evo", "main")
CALLER = Caller("alice", team="films", budget=Budget(PRICE), team_budget=Budget(PRICE))
FAILURE = Failure("generation_failed", "no")
ENDS = [
    (Look(Status.COMPLETED, link="https://x/v.mp4"), False),
    (Look(Status.FAILED, failure=FAILURE), False),
    (Look(Status.FAILED, failure=FAILURE), True),
    (Look(Status.COMPLETED, link="https://x/another.mp4"), True),
]


@asynccontextmanager
async def gateways(url: str, count: int = 4) -> AsyncIterator[list[Registry]]:
    """As many gateways' registries on one storage; each with connections of its own."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(count):
            database = Database.open(url)
            stack.push_async_callback(database.close)
            await prepare(database)
            found.append(Registry(database, number + 1))
        yield found


async def opened(registry: Registry, place: Route | Wait = ROUTE) -> Task:
    task, _ = await registry.open(REQUEST, CALLER, OFFER, place, currency="USD", now=NOW)
    return task


async def lines_of(url: str, task: Task) -> list[str]:
    database = Database.open(url)
    try:
        story = await Books(database).story(task.id)
    finally:
        await database.close()
    return [] if story is None else [line.kind for line in story.entries]


async def rush(several: list[Registry], act: Callable[[Registry, int], Awaitable[Task]]) -> list[Any]:
    """The outcomes of many who act at once, spread over the gateways."""
    acting = (act(several[number % len(several)], number) for number in range(AT_ONCE))
    return await asyncio.gather(*acting, return_exceptions=True)


async def assert_paid_once(several: list[Registry], money: Money) -> None:
    held, spent = (PRICE, 0) if money is Money.HELD else (0, PRICE if money is Money.SETTLED else 0)
    for registry in several:
        assert await registry.balances(CALLER, NOW) == (Balance(PRICE, held, spent),) * 2
    assert await several[0].audit() == []


@pytest.mark.parametrize("first", range(len(ENDS)))
def test_sixty_four_who_saw_different_ends_settle_one_of_them(first: int, url: str) -> None:
    async def story() -> None:
        async with gateways(url) as several:
            task = await several[0].start(await opened(several[0]), Receipt("u-1"), NOW)

            async def see(registry: Registry, number: int) -> Task:
                look, is_charged = ENDS[(first + number) % len(ENDS)]
                return await registry.note(task.id, look, NOW + number, failed_is_spent=is_charged)

            told = await rush(several, see)
            ended = await several[0].get(task.id)
            assert ended is not None
            assert ended.state in (State.COMPLETED, State.FAILED)
            assert told == [ended] * AT_ONCE
            assert await lines_of(url, task) == ["reserve", {"settled": "settle"}.get(ended.money, "release")]
            await assert_paid_once(several, ended.money)

    asyncio.run(story())


def test_of_persons_who_decide_about_suspended_money_at_once_one_is_heard(url: str) -> None:
    async def story() -> None:
        async with gateways(url) as several:
            task = await several[0].doubt(await opened(several[0]), Verdict("submission_unconfirmed", "T9"), NOW)
            await several[0].fail(task.id, FAILURE, NOW)

            async def decide(registry: Registry, number: int) -> Task:
                if number % 3 == 2:
                    return await registry.adopt(task.id, Receipt(f"u-{number}"), NOW)
                money = Money.RELEASED if number % 3 else Money.SETTLED
                return await registry.resolve(task.id, money, "said so", NOW)

            told = await rush(several, decide)
            (heard,) = [outcome for outcome in told if isinstance(outcome, Task)]
            assert sum(isinstance(outcome, WrongState) for outcome in told) == AT_ONCE - 1
            assert heard == await several[0].get(task.id)
            lines = ["resume"] if heard.state is State.RUNNING else [str(heard.money).removesuffix("d")]
            assert await lines_of(url, task) == ["reserve", "suspend", *lines]
            await assert_paid_once(several, heard.money)

    asyncio.run(story())


def test_a_task_that_is_cancelled_while_several_gateways_send_it_is_sent_once_or_not_at_all(url: str) -> None:
    async def story() -> None:
        async with gateways(url) as several:
            task = await opened(several[0], Wait(REQUEST, 10, None))

            async def act(registry: Registry, number: int) -> Task:
                if number % 2:
                    return await registry.drop(task.id, FAILURE, NOW)
                return await registry.dispatch(task, Route("evo", f"key-{number}"), NOW)

            told = await rush(several, act)
            (winner,) = [outcome for outcome in told if isinstance(outcome, Task)]
            assert sum(isinstance(outcome, WrongState) for outcome in told) == AT_ONCE - 1
            assert winner == await several[0].get(task.id)
            assert winner.state in (State.OPENED, State.FAILED)
            assert await several[1].waiting() == []
            await assert_paid_once(several, winner.money)

    asyncio.run(story())


def test_an_answer_that_arrives_while_the_task_is_given_up_starts_it_or_finds_it_given_up(url: str) -> None:
    async def story() -> None:
        async with gateways(url) as several:
            task = await several[0].doubt(await opened(several[0]), Verdict("submission_unconfirmed", "T9"), NOW)

            async def act(registry: Registry, number: int) -> Task:
                match number % 3:
                    case 0:
                        return await registry.start(task, Receipt("u-1"), NOW)
                    case 1:
                        return await registry.fail(task.id, FAILURE, NOW, from_states={State.UNCONFIRMED})
                    case _:
                        return await registry.abandon(task, FAILURE, Verdict("asked", "H20"), NOW)

            told = await rush(several, act)
            found = await several[0].get(task.id)
            assert found is not None
            assert all(isinstance(outcome, (Task, WrongState)) for outcome in told), told
            assert {outcome for outcome in told if isinstance(outcome, Task)} == {found}
            kinds = {Money.HELD: [], Money.SUSPENDED: ["suspend"], Money.RELEASED: ["release"]}
            assert await lines_of(url, task) == ["reserve", *kinds[found.money]]
            await assert_paid_once(several, Money.HELD if found.money is Money.SUSPENDED else found.money)

    asyncio.run(story())
