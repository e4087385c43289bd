"""The auditor finds every kind of drift, and says where it is."""

import pytest

from gateway.structs import replace
from gateway.video import State

pytestmark = pytest.mark.falsifies_books

FALSE = [
    (
        "a task that says it is settled",
        "UPDATE tasks SET money = 'settled' WHERE state = 'failed'",
        "its lines lead to",
    ),
    ("a price that was changed", "UPDATE tasks SET price = price + 1", "moves 280000 instead of 280001"),
    ("a price that nobody reserved", "UPDATE tasks SET price = 7 WHERE price IS NULL", "was never reserved"),
    ("a task without a price", "UPDATE tasks SET price = NULL", "no price, and lines"),
    ("an account that says more", "UPDATE accounts SET spent = spent + 1", "its tasks make"),
    ("an account that is lost", "DELETE FROM accounts", "no account of its key counts it"),
]


@pytest.mark.parametrize(("falsified", "finding"), [line[1:] for line in FALSE], ids=[line[0] for line in FALSE])
def test_the_auditor_finds(world, run, falsified, finding):
    async def story():
        async with world.registry() as registry:
            for state in (State.RUNNING, State.COMPLETED, State.FAILED):
                await world.in_state(registry, state)
            await world.opened(registry, offer=replace(world.offer, price=None))
            assert await registry.audit() == []
            world.execute(falsified)
            assert any(finding in sentence for sentence in await registry.audit())

    run(story)
