"""The constraints know the life of a task as well as the code does."""

import pytest

from gateway.structs import replace
from gateway.video import State

BROKEN = [
    ("running without a receipt", State.OPENED, "state = 'running', started_at = 1"),
    ("completed without a receipt", State.OPENED, "state = 'completed', finished_at = 1, link = 'x'"),
    ("running without a start", State.RUNNING, "started_at = NULL"),
    ("opened with a receipt", State.OPENED, "upstream_id = 'u'"),
    ("doubt with a receipt", State.UNCONFIRMED, "upstream_id = 'u'"),
    ("refused with a receipt", State.REFUSED, "upstream_id = 'u'"),
    ("final without an end", State.COMPLETED, "finished_at = NULL"),
    ("an end without being final", State.RUNNING, "finished_at = 1"),
    ("completed without a link", State.COMPLETED, "link = NULL"),
    ("a link without being completed", State.RUNNING, "link = 'x'"),
    ("failed without a reason", State.FAILED, "failure_code = NULL"),
    ("failed without a sentence", State.REFUSED, "failure_message = NULL"),
    ("a reason without being failed", State.RUNNING, "failure_code = 'x', failure_message = 'x'"),
    ("an unknown state", State.OPENED, "state = 'lost'"),
    ("a negative price", State.OPENED, "price = -1"),
    ("too much progress", State.RUNNING, "progress = 101"),
    ("negative progress", State.RUNNING, "progress = -1"),
]


@pytest.mark.parametrize(("state", "change"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_the_file_itself_refuses_an_impossible_task(world, run, state, change):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, state)
            with pytest.raises(world.refusal):
                world.execute(f"UPDATE tasks SET {change} WHERE id = ?", task.id)  # noqa: S608

    run(story)


@pytest.mark.parametrize(
    "change", ["outcome = 'lost'", "outcome = 'doubt', ended_at = NULL", "ended_at = 1", "number = 0"]
)
def test_the_file_itself_refuses_an_impossible_attempt(world, run, change):
    async def story():
        async with world.registry() as registry:
            await world.opened(registry)
            with pytest.raises(world.refusal):
                world.execute(f"UPDATE attempts SET {change}")  # noqa: S608

    run(story)


def test_a_task_without_a_price_may_be_kept(world, run):
    async def story():
        async with world.registry() as registry:
            task = await world.opened(registry, offer=replace(world.offer, price=None))
            assert await registry.get(task.id) == task

    run(story)
