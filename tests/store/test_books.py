"""What a person asks of storage: pages of tasks, the story of one, sums by anything, and every balance at once."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert

from gateway import ids
from gateway.periods import window_of
from gateway.store import GROUPS, Books, Database, Registry, Usage, Verdict, Wanted
from gateway.store.accounts import balance_of, key_owner, team_owner
from gateway.store.rows import row_of
from gateway.store.schema import tasks
from gateway.structs import replace
from gateway.video import (
    Balance,
    Budget,
    Caller,
    Failure,
    Look,
    Mode,
    Money,
    Receipt,
    Route,
    State,
    Status,
    Task,
    VideoRequest,
)
from tests.store.conftest import NOW, PROMPT, World

Run = Callable[[Callable[[], Awaitable[None]]], None]

PRICE = 280_000
DAY_S = 86_400


def test_a_page_is_found_by_every_property_and_goes_on_where_the_last_one_ended(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            made = []
            for number in range(24):
                world.now += DAY_S / 4
                caller = Caller(f"key-{number % 3}", team=(None, "films")[number % 2])
                request = replace(world.request, model=("MiniMax-Hailuo-2.3", "T2V-01")[number % 2])
                route = Route(("evo", "toa")[number % 4 // 2], "k")
                task = await world.opened(registry, caller=caller, request=request, place=route)
                if number % 7 == 0:
                    task = await registry.hide(task.id)
                if number % 5 == 0:
                    task = await registry.abandon(task, Failure("no", "no"), _verdict(), world.now)
                made.append(task)
            books, newest_first = Books(registry._db), made[::-1]
            alone, mate = Caller("key-2"), Caller("key-2", team="films")
            questions: list[tuple[Wanted, Callable[[Task], bool]]] = [
                (Wanted(), lambda task: True),
                (Wanted(state=State.REFUSED), lambda task: task.state is State.REFUSED),
                (Wanted(caller="key-1"), lambda task: task.caller == "key-1"),
                (Wanted(team="films"), lambda task: task.team == "films"),
                (Wanted(model="T2V-01"), lambda task: task.request.model == "T2V-01"),
                (Wanted(upstream="toa"), lambda task: task.upstream == "toa"),
                (Wanted(since=made[7].created_at), lambda task: task.created_at >= made[7].created_at),
                (Wanted(until=made[7].created_at), lambda task: task.created_at < made[7].created_at),
                (Wanted(seen_by=alone), alone.may_see),
                (Wanted(seen_by=mate), mate.may_see),
                (Wanted(seen_by=mate, caller="key-1"), lambda task: mate.may_see(task) and task.caller == "key-1"),
                (
                    Wanted(
                        state=State.OPENED, caller="key-2", team="films", model="T2V-01", since=world.now - 4 * DAY_S
                    ),
                    lambda task: (
                        (task.state, task.caller, task.team) == (State.OPENED, "key-2", "films")
                        and task.created_at >= world.now - 4 * DAY_S
                    ),
                ),
            ]
            for wanted, fits in questions:
                expected = [task.id for task in newest_first if fits(task)]
                assert expected
                assert await _all_ids(books, wanted, page_size=5) == expected

    run(story)


async def _all_ids(books: Books, wanted: Wanted, page_size: int) -> list[int]:
    found: list[int] = []
    while page := await books.page(wanted, page_size, found[-1] if found else None):
        found += [task.id for task in page]
    return found


def test_suspense_is_the_money_that_waits_for_a_person(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            given_up = await world.in_state(registry, State.UNCONFIRMED)
            await world.in_state(registry, State.UNCONFIRMED)
            await world.in_state(registry, State.FAILED)
            await registry.fail(given_up.id, Failure("submission_unconfirmed", "?"), world.now + 9)
            books = Books(registry._db)
            assert [task.id for task in await books.page(Wanted(is_suspended=True), 10)] == [given_up.id]
            await registry.resolve(given_up.id, Money.RELEASED, "the console says no", world.now + 10)
            assert await books.page(Wanted(is_suspended=True), 10) == []

    run(story)


def test_a_clock_before_the_first_id_there_is_still_bounds_a_stretch(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            for world.now in (1000.0, 2000.0, 3000.0):
                await world.opened(registry)
            found = await Books(registry._db).page(Wanted(since=1500.0, until=2500.0), 10)
            assert [task.created_at for task in found] == [2000.0]

    run(story)


def test_the_story_of_a_task_has_every_attempt_and_every_line(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            task = await world.opened(registry)
            task = await registry.turn(task, _verdict(), Route("toa", "key-2"), world.now + 1)
            await registry.doubt(task, _verdict("submission_unconfirmed", "T9", None), world.now + 2)
            await registry.fail(task.id, Failure("submission_unconfirmed", "?"), world.now + 3)
            await registry.resolve(task.id, Money.SETTLED, "it is on the invoice", world.now + 4)
            told = await Books(registry._db).story(task.id)
            assert told is not None
            assert (told.task.id, told.task.request.prompt) == (task.id, PROMPT)
            assert [(item.number, item.upstream, item.key_id, item.outcome) for item in told.attempts] == [
                (1, "evo", "key-1", "refused"),
                (2, "toa", "key-2", "doubt"),
            ]
            assert [(item.row, item.http_status, item.reason) for item in told.attempts] == [
                ("H20", 429, "rate_limited"),
                ("T9", None, "submission_unconfirmed"),
            ]
            assert [(item.number, item.kind, item.amount, item.at) for item in told.entries] == [
                (1, "reserve", PRICE, world.now),
                (2, "suspend", PRICE, world.now + 3),
                (3, "settle", PRICE, world.now + 4),
            ]
            assert told.entries[-1].reason == "it is on the invoice"
            assert told.waits_since is None
            waiting = await world.in_state(registry, State.QUEUED)
            queued = await Books(registry._db).story(waiting.id)
            assert queued is not None
            assert queued.waits_since == waiting.created_at
            assert await Books(registry._db).story(1) is None

    run(story)


@pytest.mark.parametrize("by", GROUPS)
def test_usage_is_the_sum_of_its_tasks_by_anything(by: str, world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            for number in range(12):
                world.now += DAY_S / 3
                caller = Caller(f"key-{number % 2}", team=(None, "films", "press")[number % 3])
                request = replace(world.request, model=("MiniMax-Hailuo-2.3", "T2V-01")[number % 2])
                offer = replace(world.offer, price=None if number == 11 else PRICE + number)
                task = await world.opened(
                    registry, caller=caller, request=request, offer=offer, place=Route(f"up-{number % 4}", "k")
                )
                await _end(registry, task, number % 4, world.now)
            every = await Books(registry._db).page(Wanted(), 100)
            found = await Books(registry._db).usage(by, Wanted())
            assert found == _added_up(every, by)
            assert sum(sum(item.tasks.values()) for item in found.values()) == 12
            since = every[5].created_at
            lately = await Books(registry._db).usage(by, Wanted(since=since, until=world.now))
            assert lately == _added_up([task for task in every if since <= task.created_at < world.now], by)

    run(story)


async def _end(registry: Registry, task: Task, how: int, now: float) -> None:
    """Leave it opened, give it up, refuse it, or complete it."""
    if how == 1:
        doubted = await registry.doubt(task, _verdict("submission_unconfirmed", "T9", None), now)
        await registry.fail(doubted.id, Failure("submission_unconfirmed", "?"), now)
    elif how == 2:
        await registry.abandon(task, Failure("no", "no"), _verdict(), now)
    elif how == 3:
        running = await registry.start(task, _receipt(task), now)
        await registry.note(running.id, Look(Status.COMPLETED, link="https://x/v.mp4"), now)


def _added_up(those: list[Task], by: str) -> dict[str, Usage]:
    """The same, the long way round."""
    of: Mapping[str, Callable[[Task], str]] = {
        "key": lambda task: task.caller,
        "team": lambda task: task.team or "",
        "model": lambda task: task.request.model,
        "upstream": lambda task: task.upstream,
        "day": lambda task: _day(task.created_at),
    }
    found: dict[str, Usage] = {}
    for name in sorted({of[by](task) for task in those}):
        members = [task for task in those if of[by](task) == name]

        def sum_of(*places: Money, members: list[Task] = members) -> int:
            return sum(task.price or 0 for task in members if task.money in places)

        found[name] = Usage(
            held=sum_of(Money.HELD, Money.SUSPENDED),
            suspended=sum_of(Money.SUSPENDED),
            spent=sum_of(Money.SETTLED),
            tasks=dict(Counter(task.state for task in members)),
        )
    return found


def _day(at: float) -> str:
    starts_at = window_of("1d", at).starts_at
    year_day = int(starts_at // DAY_S)
    # 2027-01-15 is day 20,833 since 1970; the world's clock stays within that month.
    return f"2027-01-{15 + year_day - 20_833:02d}"


def test_all_balances_at_once_are_each_owners_own(world: World, run: Run) -> None:
    periods: list[str | None] = [None, "1d", "7d", "30d", "1mo"]

    async def story() -> None:
        async with world.registry() as registry:
            keys: dict[str, Budget | None] = {f"key-{period}": Budget(10 * PRICE, period) for period in periods}
            keys |= {"unlimited": None, "never-used": Budget(5, "7d")}
            team = {"films": Budget(100 * PRICE, "1mo"), "nobody's": None}
            for _ in range(3):
                for name, budget in keys.items():
                    if name != "never-used":
                        caller = Caller(name, team="films", budget=budget, team_budget=team["films"])
                        await _end(registry, await world.opened(registry, caller=caller), 3, world.now)
                world.now += 2 * DAY_S
            books, db = Books(registry._db), registry._db
            await _agree(books, db, keys, team, world.now)
            # A budget of another stretch has no account of its own before the next create makes one.
            changed = {name: Budget(10 * PRICE, "30d") for name in keys}
            await _agree(books, db, changed, {"films": None, "nobody's": Budget(1, "1d")}, world.now)
            of_keys, of_teams = await books.balances(changed, team, world.now)
            assert of_keys["never-used"] == Balance(10 * PRICE, 0, 0)
            assert of_teams["films"].spent == 6 * 3 * PRICE

    run(story)


def test_how_long_films_took_is_told_of_the_newest_completed_ones(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.registry() as registry:
            began = world.now
            for number in range(8):
                task = await world.opened(registry)
                running = await registry.start(task, _receipt(task), world.now)
                if number % 4 != 3:
                    ended_at = world.now + 30 + number
                    await registry.note(running.id, Look(Status.COMPLETED, link="https://x/v.mp4"), ended_at)
                world.now += 60
            books = Books(registry._db)
            everything = {(began + 60 * number, 30.0 + number) for number in (0, 1, 2, 4, 5, 6)}
            assert set(await books.took(100, began)) == everything
            assert set(await books.took(100, began + 60)) == everything - {(began, 30.0)}
            assert set(await books.took(4, began)) == {(began + 60 * number, 30.0 + number) for number in (4, 5, 6)}

    run(story)


async def _agree(
    books: Books, db: Database, keys: Mapping[str, Budget | None], teams: Mapping[str, Budget | None], now: float
) -> None:
    """With what each account says when it is asked alone."""
    of_keys, of_teams = await books.balances(keys, teams, now)
    for found, budgets, owner in ((of_keys, keys, key_owner), (of_teams, teams, team_owner)):
        assert set(found) == set(budgets)
        for name, budget in budgets.items():
            alone = await db.read(partial(balance_of, owner=owner(name), budget=budget, now=now))
            assert found[name] == alone, name


def test_asking_for_some_of_very_many_owners_takes_few_statements(file: World, run: Run) -> None:
    async def story() -> None:
        async with file.registry() as registry:
            keys: dict[str, Budget | None] = {f"key-{number}": Budget(PRICE, "30d") for number in range(3_000)}
            await file.opened(registry, caller=Caller("key-7", budget=keys["key-7"]))
            counted: list[str] = []
            balances, _ = await Books(_Counting(registry._db, counted)).balances(keys, {}, file.now)  # type: ignore[arg-type]  # the half that is asked
            assert balances["key-7"] == Balance(PRICE, PRICE, 0)
            assert len(balances) == 3_000
            assert len(counted) < 20

    run(story)


class _Counting:
    """A database that writes down what it is asked."""

    def __init__(self, db: Database, statements: list[str]) -> None:
        self._db = db
        self._statements = statements

    async def read(self, step: Callable[[Any], Any]) -> Any:
        def listening(connection: Any) -> Any:
            driver = connection.connection.driver_connection
            driver.set_trace_callback(self._statements.append)
            try:
                return step(connection)
            finally:
                driver.set_trace_callback(None)

        return await self._db.read(listening)

    survey = read


def test_a_page_among_many_tasks_is_found_by_an_index(file: World, run: Run) -> None:
    questions = [
        (Wanted(), 50),
        (Wanted(state=State.RUNNING), 50),
        (Wanted(state=State.UNCONFIRMED), 0),
        (Wanted(is_suspended=True), 0),
        (Wanted(caller="key-3"), 50),
        (Wanted(team="team-4"), 50),
        (Wanted(seen_by=Caller("key-3")), 50),
        (Wanted(seen_by=Caller("key-3", team="team-4")), 50),
        (Wanted(since=NOW, until=NOW + 20), 20),
    ]

    async def story() -> None:
        async with file.registry() as registry:
            await registry._db.run(lambda connection: _fill(connection, file, 2_000))
            for wanted, count in questions:
                asked: list[str] = []
                page = await Books(_Counting(registry._db, asked)).page(wanted, 50)  # type: ignore[arg-type]  # the half that is asked
                assert len(page) == count
                steps = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {asked[0]}")]
                if wanted == Wanted():  # backwards along the primary key, until there are enough
                    assert steps == ["SCAN tasks"]
                else:
                    assert all("INDEX" in step or "PRIMARY KEY" in step or "TEMP B-TREE" in step for step in steps), (
                        steps
                    )

    run(story)


def test_what_the_dashboard_asks_reads_no_whole_table(file: World, run: Run) -> None:
    async def story() -> None:
        async with file.registry() as registry:
            await registry._db.run(lambda connection: _fill(connection, file, 2_000))
            asked: list[str] = []
            books = Books(_Counting(registry._db, asked))  # type: ignore[arg-type]  # the half that is asked
            since = NOW + 1_990
            await books.totals({}, {}, NOW)
            await books.failures(since)
            await books.refusals([Route("evo", "k")])
            await books.going(5)
            await books.usage("day", Wanted(since=since))
            await books.usage("model", Wanted(caller="key-3", since=since))
            assert len(asked) >= 7
            for statement in asked:
                steps = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {statement}")]
                whole = [step for step in steps if step in ("SCAN tasks", "SCAN attempts", "SCAN films")]
                assert whole == [], (statement, steps)

    run(story)


def _fill(connection: Any, world: World, count: int) -> None:
    made = Task(
        id=0,
        state=State.QUEUED,
        caller="",
        team=None,
        dialect="evolink",
        request=VideoRequest(model="MiniMax-Hailuo-2.3", prompt=PROMPT, resolution="768P", duration_s=6),
        fingerprint="",
        mode=Mode.TEXT,
        price=None,
        currency="USD",
        upstream="evo",
        key_id="k",
        created_at=0,
    )
    rows = []
    for number in range(count):
        at = world.now + number
        task = replace(
            made,
            id=ids.first_number(at) + 1,
            caller=f"key-{number % 10}",
            team=None if number % 2 else f"team-{number % 10}",
            created_at=at,
        )
        rows.append(row_of(task) | {"state": "running", "upstream_id": f"u-{number}", "started_at": at})
    connection.execute(insert(tasks), rows)


def _verdict(reason: str = "rate_limited", row: str = "H20", status: int | None = 429) -> Verdict:
    return Verdict(reason, row, status)


def _receipt(task: Task) -> Receipt:
    return Receipt(f"u-{task.id}")
