"""How things stand in all: each figure from its own index, and the same on both kinds of database."""

from gateway.money import MICROS
from gateway.store import Books, Registry
from gateway.structs import replace
from gateway.video import Balance, Budget, Caller, Failure, Held, Money, State

PRICE = 280_000


def test_money_is_told_by_where_it_stands_and_since_when(world, run):
    async def story():
        async with world.database() as db:
            books, start = Books(db), world.now
            registry = Registry(db)
            empty = await books.totals({}, {}, start)
            assert empty.held == {Money.HELD: Held(), Money.SUSPENDED: Held()}
            assert empty.tasks == dict.fromkeys(State, 0)
            assert (empty.films_due, empty.films_due_since) == (0, None)
            await world.opened(registry, offer=replace(world.offer, price=None))  # holds nothing
            world.now = start + 10
            for state in State:
                await world.in_state(registry, state)
            world.now = start + 20
            unknown = await world.in_state(registry, State.UNCONFIRMED)
            await registry.fail(
                unknown.id, Failure("submission_unconfirmed", "nobody knows"), world.now, {State.UNCONFIRMED}
            )
            await world.in_state(registry, State.RUNNING)
            await world.in_state(registry, State.COMPLETED)
            found = await books.totals({}, {}, world.now)
            assert found.held[Money.HELD] == Held(5 * PRICE, start + 10)
            assert found.held[Money.SUSPENDED] == Held(PRICE, start + 20)
            assert found.tasks == await registry.state_counts()
            assert (found.films_due, found.films_due_since) == (2, start + 11)

    run(story)


def test_a_thousand_balances_are_those_of_each(world, run):
    """In accounts, in accounts of a budget that was changed, and where nothing was ordered yet."""

    async def story():
        monthly, lifelong = Budget(50 * MICROS, "30d"), Budget(5 * MICROS)
        keys: dict[str, Budget | None] = {f"key-{number}": monthly for number in range(1_000)}
        keys |= {'quote"d': lifelong, "free": None, "changed": Budget(9 * MICROS, "1d")}
        teams = {"films": Budget(100 * MICROS, "1mo"), "idle": None}
        async with world.database() as db:
            registry = Registry(db)
            for name in ("key-0", "key-999", 'quote"d', "free"):
                await world.opened(registry, caller=Caller(name, budget=keys[name]))
            caller = Caller("key-7", team="films", budget=monthly, team_budget=teams["films"])
            await world.opened(registry, caller=caller)
            await world.opened(registry, caller=Caller("changed", budget=monthly))  # before it was
            found = await Books(db).totals(keys, teams, world.now)
            assert (found.keys, found.teams) == await Books(db).balances(keys, teams, world.now)
            spenders = {"key-0", "key-7", "key-999", 'quote"d', "free", "changed"}
            assert found.keys == {
                name: Balance(None if budget is None else budget.amount, PRICE if name in spenders else 0, 0)
                for name, budget in keys.items()
            }
            assert found.teams == {"films": Balance(100 * MICROS, PRICE, 0), "idle": Balance(None, 0, 0)}

    run(story)
