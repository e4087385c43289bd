"""The queue in front of keys that are full: fair between callers, kept over restarts, free until it is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import ids
from gateway.errors import StorageDown
from gateway.flows import callers, queue
from gateway.video import Balance, Caller
from gateway.virtual_keys import VirtualKey
from tests.failures.world import PRICE, Clock, Key, Place, World, open_world
from tests.fakes.upstream import FakeUpstream
from tests.world import ALICE, BOB, bearer

pytestmark = pytest.mark.usefixtures("alone")

A_MINUTE, A_SLOT = 60.0, 3.0  # one key of twenty submits a minute


@asynccontextmanager
async def line(
    folder: Path,
    fake: FakeUpstream,
    clock: Clock,
    *,
    rpm: int = 20,
    budget: Any = None,
    bob: bool = True,
    **settings: Any,
) -> AsyncIterator[World]:
    """A gateway before one key of so many submits a minute."""
    alice = {"id": "alice", "value": ALICE, **({} if budget is None else {"budget": budget})}
    sections: dict[str, Any] = {
        "queue": {"max_tasks": 1000, "max_wait_s": 3600, **settings},
        "virtual_keys": [alice, *([{"id": "bob", "value": BOB}] if bob else [])],
    }
    async with open_world(folder, Place(fake.url, keys=[Key(rpm=rpm)]), clock=clock, **sections) as world:
        yield world


async def create(world: World, key: str, prompt: str, **headers: str) -> httpx.Response:
    body = {"model": "MiniMax-Hailuo-2.3", "prompt": prompt}
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.client.post("/v1/videos/generations", json=body, headers={**bearer(key), **said})


async def queued(world: World, key: str, prompt: str, **headers: str) -> str:
    answer = await create(world, key, prompt, **headers)
    assert (answer.status_code, answer.json()["submission"]) == (200, "queued"), answer.text
    return str(answer.json()["id"])


async def fill(world: World, fake: FakeUpstream, clock: Clock, count: int) -> None:
    """Alice has the whole of the last minute to herself, one submit every three seconds."""
    for number in range(count):
        clock.walk(A_SLOT)
        answer = await create(world, ALICE, f"before {number}")
        assert "submission" not in answer.json(), answer.text
    fake.requests.clear()


async def turns(world: World, fake: FakeUpstream, clock: Clock, count: int) -> list[str]:
    """Who was sent in the next slots, one after another."""
    for _ in range(count):
        clock.walk(A_SLOT)
        before = len(fake.posts)
        assert await queue.dispatch(world.parts) == 1
        await fake.wait_for_posts(before + 1)
    return [post.prompt for post in fake.posts][-count:]


async def held(world: World, key: str = "alice") -> int:
    balance, _ = await world.parts.registry.balances(Caller(key), world.parts.clock())
    return balance.held


def test_who_queues_two_does_not_wait_behind_another_who_queues_a_hundred(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock) as world:
            await fill(world, fake, clock, 20)
            for number in range(100):
                clock.walk(0.01)  # of two orders of the same millisecond, either is first
                await queued(world, ALICE, f"alice {number}")
            sent = await turns(world, fake, clock, 5)
            assert sent == [f"alice {number}" for number in range(5)]
            for number in range(2):
                clock.walk(0.01)
                await queued(world, BOB, f"bob {number}")
            sent = await turns(world, fake, clock, 6)
            assert sent == ["bob 0", "alice 5", "bob 1", "alice 6", "alice 7", "alice 8"]

    asyncio.run(story())


def test_who_joins_again_after_each_turn_starves_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock) as world:
            await fill(world, fake, clock, 20)
            for number in range(10):
                await queued(world, ALICE, f"alice {number}")
            sent: list[str] = []
            for number in range(8):
                if "bob" in "".join(sent[-1:]) or number == 0:
                    await queued(world, BOB, f"bob {number}")
                sent += await turns(world, fake, clock, 1)
            assert sum(prompt.startswith("alice") for prompt in sent) == 4

    asyncio.run(story())


def test_what_waits_survives_a_restart_in_its_order_and_with_its_money(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake:
            async with line(tmp_path, fake, clock, rpm=1) as world:
                await create(world, ALICE, "sent")
                for number in range(3):
                    clock.walk(1)
                    await queued(world, ALICE, f"waits {number}")
                assert await held(world) == 4 * PRICE
            async with line(tmp_path, fake, clock, rpm=1) as world:
                assert await held(world) == 4 * PRICE
                for number in range(3):
                    clock.walk(A_MINUTE)
                    assert await queue.dispatch(world.parts) == 1
                    await fake.wait_for_posts(2 + number)
            assert [post.prompt for post in fake.posts] == ["sent", "waits 0", "waits 1", "waits 2"]
            assert fake.accepted == 4

    asyncio.run(story())


def test_who_waits_too_long_is_told_so_and_pays_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock, rpm=1, max_wait_s=90) as world:
            await create(world, ALICE, "sent")
            task_id = await queued(world, ALICE, "waits", idempotency_key="k-1")
            clock.walk(0.01)
            await queued(world, ALICE, "waits too")
            clock.walk(A_MINUTE)
            assert await queue.dispatch(world.parts) == 1
            clock.walk(31)
            await queued(world, ALICE, "waits", idempotency_key="k-2")
            assert await queue.dispatch(world.parts) == 0
            reply = await world.client.get(f"/v1/tasks/{task_id}", headers=bearer(ALICE))
            assert reply.json()["status"] != "failed"  # it was sent, before the second one had waited too long
            states = await world.parts.registry.state_counts()
            assert {str(state): count for state, count in states.items() if count} == {
                "running": 2,
                "failed": 1,
                "queued": 1,
            }
            assert await held(world) == 3 * PRICE
            assert [post.prompt for post in fake.posts] == ["sent", "waits"]

    asyncio.run(story())


def test_who_may_wait_for_less_than_the_rest_of_a_key_waits_all_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock, rpm=1, max_wait_s=2) as world:
            await create(world, ALICE, "sent")
            task_id = await queued(world, ALICE, "waits")
            clock.walk(3)
            assert await queue.dispatch(world.parts) == 0
            reply = (await world.client.get(f"/v1/tasks/{task_id}", headers=bearer(ALICE))).json()
            assert (reply["status"], reply["error"]["code"]) == ("failed", "queue_timeout")
            assert await held(world) == PRICE
            assert [post.prompt for post in fake.posts] == ["sent"]

    asyncio.run(story())


def test_a_task_that_waits_is_cancelled_free_of_charge(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock, rpm=1) as world:
            await create(world, ALICE, "sent")
            task_id = await queued(world, ALICE, "unwanted", idempotency_key="k-1")
            assert await held(world) == 2 * PRICE
            reply = await world.client.delete(f"/openai/v1/videos/{task_id}", headers=bearer(BOB))
            assert reply.status_code == 404
            reply = await world.client.delete(f"/openai/v1/videos/{task_id}", headers=bearer(ALICE))
            assert (reply.status_code, reply.json()["deleted"]) == (200, True)
            assert await held(world) == PRICE
            assert (await world.client.get(f"/v1/tasks/{task_id}", headers=bearer(ALICE))).status_code == 404
            clock.walk(A_MINUTE)
            assert await queue.dispatch(world.parts) == 0
            again = await create(world, ALICE, "unwanted", idempotency_key="k-1")
            assert again.json()["id"] != task_id
            assert [post.prompt for post in fake.posts] == ["sent", "unwanted"]

    asyncio.run(story())


def test_a_full_queue_says_when_there_is_room_and_there_is(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock, rpm=1, max_tasks=2) as world:
            await create(world, ALICE, "sent")
            clock.walk(20)
            for number in range(2):
                await queued(world, ALICE, f"waits {number}")
            refused = await create(world, BOB, "one too many")
            assert (refused.status_code, refused.headers["x-should-retry"]) == (429, "true")
            retry_after = int(refused.headers["retry-after"])
            assert retry_after == 40
            clock.walk(retry_after - 1)
            assert await queue.dispatch(world.parts) == 0
            assert (await create(world, BOB, "one too many")).status_code == 429
            clock.walk(1)
            assert await queue.dispatch(world.parts) == 1
            await queued(world, BOB, "one too many")
            assert await held(world, "bob") == PRICE

    asyncio.run(story())


def test_what_waits_counts_on_the_budget_and_its_twins_do_not(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        budget = {"amount": 0.6, "period": "1d"}
        async with FakeUpstream() as fake, line(tmp_path, fake, clock, rpm=1, budget=budget) as world:
            await create(world, ALICE, "sent")
            first = await create(world, ALICE, "waits", idempotency_key="k-1")
            twins = await asyncio.gather(*(create(world, ALICE, "waits", idempotency_key="k-1") for _ in range(20)))
            assert {twin.content for twin in twins} == {first.content}
            assert {twin.headers["idempotent-replayed"] for twin in twins} == {"true"}
            assert (await create(world, ALICE, "too dear")).status_code == 402
            balance, _ = await world.parts.registry.balances(Caller("alice"), clock())
            assert balance == Balance(None, 2 * PRICE, 0)
            clock.walk(86_400)  # paid from the day on which it was ordered
            clock.walk(-86_400 + A_MINUTE)
            assert await queue.dispatch(world.parts) == 1
            await fake.wait_for_posts(2)
            assert [post.prompt for post in fake.posts] == ["sent", "waits"]

    asyncio.run(story())


def test_a_queue_that_is_stopped_in_the_middle_of_a_dispatch_still_sends_it(tmp_path: Path) -> None:
    async def story() -> None:
        clock, gate, reached = Clock(), asyncio.Event(), asyncio.Event()
        async with FakeUpstream() as fake:
            async with line(tmp_path, fake, clock, rpm=1) as world:
                await create(world, ALICE, "sent")
                await queued(world, ALICE, "waits")
                clock.walk(A_MINUTE)
                dispatch = world.parts.registry.dispatch

                async def slowly(*args: Any, **options: Any) -> Any:
                    opened = await dispatch(*args, **options)
                    reached.set()
                    await gate.wait()
                    return opened

                world.parts.registry.dispatch = slowly  # type: ignore[method-assign]
                dispatching = asyncio.create_task(queue.dispatch(world.parts))
                await reached.wait()
                dispatching.cancel()
                await asyncio.wait((dispatching,))
                gate.set()
            assert [post.prompt for post in fake.posts] == ["sent", "waits"]
            async with line(tmp_path, fake, clock, rpm=1) as world:
                states = await world.parts.registry.state_counts()
                assert {str(state) for state, count in states.items() if count} == {"running"}

    asyncio.run(story())


def test_a_dispatch_that_storage_refuses_leaves_the_task_waiting_and_the_key_free(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock, rpm=1) as world:
            await create(world, ALICE, "sent")
            await queued(world, ALICE, "waits")
            clock.walk(A_MINUTE)

            async def down(*args: Any, **options: Any) -> None:
                raise StorageDown("down")

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.parts.registry, "dispatch", down)
                with pytest.raises(StorageDown):
                    await queue.dispatch(world.parts)
            assert len(fake.posts) == 1
            assert await queue.dispatch(world.parts) == 1
            await fake.wait_for_posts(2)
            assert await held(world) == 2 * PRICE

    asyncio.run(story())


def test_a_task_that_is_cancelled_under_the_dispatchers_hands_is_not_sent(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock, rpm=1) as world:
            await create(world, ALICE, "sent")
            task_id = await queued(world, ALICE, "unwanted")
            clock.walk(A_MINUTE)
            ask = world.parts.registry.waiting_request

            async def cancelled_meanwhile(*args: Any, **options: Any) -> Any:
                found = await ask(*args, **options)
                await world.client.delete(f"/openai/v1/videos/{task_id}", headers=bearer(ALICE))
                return found

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world.parts.registry, "waiting_request", cancelled_meanwhile)
                await queue.dispatch(world.parts)
            assert [post.prompt for post in fake.posts] == ["sent"]
            assert await held(world) == PRICE
            assert "submission" not in (await create(world, ALICE, "the key is free")).json()

    asyncio.run(story())


def test_what_a_revoked_key_ordered_and_was_not_sent_is_not_sent_any_more(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock, rpm=1) as world:
            _, text = await world.parts.callers.create_key(VirtualKey(id="carol"), clock.now)
            await create(world, ALICE, "sent")
            await queued(world, text.reveal(), "of carol")
            await queued(world, ALICE, "of alice")
            await world.parts.callers.revoke_key("carol", clock.now)
            await callers.refresh(world.parts)
            clock.walk(A_MINUTE)
            await queue.dispatch(world.parts)
            await fake.wait_for_posts(2)
            assert [post.prompt for post in fake.posts] == ["sent", "of alice"]
            assert await held(world, "carol") == 0

    asyncio.run(story())


def test_what_an_expired_key_ordered_and_was_not_sent_is_not_sent_any_more(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock, rpm=1) as world:
            carol = VirtualKey(id="carol", expires_at=clock.now + 30)
            _, text = await world.parts.callers.create_key(carol, clock.now)
            await create(world, ALICE, "sent")
            word = await queued(world, text.reveal(), "of carol")
            await queued(world, ALICE, "of alice")
            clock.walk(A_MINUTE)
            await queue.dispatch(world.parts)
            await fake.wait_for_posts(2)
            assert [post.prompt for post in fake.posts] == ["sent", "of alice"]
            assert await held(world, "carol") == 0
            task = await world.parts.registry.get(ids.number_of(word) or 0)
            assert task is not None
            assert task.failure is not None
            assert task.failure.code == "queue_timeout", "its owner, who may not ask any more, hears of it by callback"

    asyncio.run(story())


def test_what_a_key_ordered_that_was_taken_out_of_the_configuration_waits_for_a_process_that_knows_it(
    tmp_path: Path,
) -> None:
    """And is over like all that waits too long, unspent."""

    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake:
            async with line(tmp_path, fake, clock, rpm=1) as world:
                await create(world, ALICE, "sent")
                await queued(world, BOB, "of bob")
                await queued(world, ALICE, "of alice")
            clock.walk(A_MINUTE)
            async with line(tmp_path, fake, clock, rpm=1, bob=False) as world:
                await queue.dispatch(world.parts)
                await fake.wait_for_posts(2)
                clock.walk(A_MINUTE)
                assert await queue.dispatch(world.parts) == 0
                assert "submission" not in (await create(world, ALICE, "at once")).json(), "behind nobody"
                assert [post.prompt for post in fake.posts] == ["sent", "of alice", "at once"]
                assert await held(world, "bob") == PRICE
                clock.walk(3_600)
                await queue.dispatch(world.parts)
                assert await held(world, "bob") == 0
                assert len(fake.posts) == 3

    asyncio.run(story())
