"""A PostgreSQL that goes away while it commits: what may be sent by the queue is never told as not bought."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.errors import StorageDown
from gateway.flows import carry, queue, submit
from gateway.store import commits, postgres
from gateway.structs import replace
from gateway.video import State
from tests.failures.world import PRICE, Clock, Key, Place, World, open_world
from tests.fakes.upstream import FakeUpstream, answer, error_body
from tests.postgres import fresh_database

pytestmark = pytest.mark.usefixtures("alone")

A_MINUTE = 60.0
JOINS_THE_QUEUE = "SELECT count(*) > 0 FROM waiting WHERE xmin = pg_current_xact_id()::xid"
MANY_PASSES = 200


class Server:
    """The way to the server. It can lose the answer to the next COMMIT that puts a task in the queue."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.loses = False
        self.commits_first = True
        self.lost = 0
        commit = psycopg.Connection.commit

        def on_the_way(connection: Any) -> None:
            if not self.loses or not connection.execute(JOINS_THE_QUEUE).fetchone()[0]:
                commit(connection)
                return
            self.loses = False
            self.lost += 1
            if self.commits_first:
                commit(connection)
            connection.close()
            raise psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly")

        patch.setattr(postgres._Connection, "commit", on_the_way, raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


@pytest.fixture
def unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for what was written finds no storage."""

    def away(*args: Any, **options: Any) -> None:
        raise StorageDown("away")

    monkeypatch.setattr(commits, "_find", away)
    monkeypatch.setattr(commits, "LOOK_FOR_S", 0.05)


@asynccontextmanager
async def line(folder: Path, fake: FakeUpstream, clock: Clock) -> AsyncIterator[World]:
    """A gateway on PostgreSQL, before one key of one submit a minute."""
    sections: dict[str, Any] = {
        "queue": {"max_tasks": 10, "max_wait_s": 3600},
        "storage": {"url": fresh_database()},
    }
    async with open_world(folder, Place(fake.url, keys=[Key(rpm=1)]), clock=clock, **sections) as world:
        yield world


async def prompts_in_the_end(world: World, fake: FakeUpstream, clock: Clock) -> list[str]:
    """What was bought when nothing waits any more."""
    for _ in range(MANY_PASSES):
        clock.walk(A_MINUTE)
        await queue.dispatch(world.parts)
        if not await world.parts.registry.waiting() and State.OPENED not in await world.states():
            break
        await asyncio.sleep(0.01)
    return [post.prompt for post in fake.posts]


def test_a_place_in_the_queue_whose_answer_is_lost_is_found_and_told(server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock) as world:
            await world.create("sent")
            server.loses = True
            reply = await world.create("waits")
            assert server.lost == 1
            assert (reply.status_code, reply.json()["submission"]) == (200, "queued"), reply.text
            assert "idempotent-replayed" not in reply.headers
            assert await prompts_in_the_end(world, fake, clock) == ["sent", "waits"]
            assert "submission" not in await world.poll(reply.json()["id"])
            assert await world.held() == 2 * PRICE

    asyncio.run(story())


def test_a_place_in_the_queue_that_surely_was_not_written_is_refused(server: Server, tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock) as world:
            await world.create("sent")
            server.loses, server.commits_first = True, False
            reply = await world.create("waits")
            assert server.lost == 1
            assert (reply.status_code, reply.headers["x-should-retry"]) == (503, "true")
            assert await prompts_in_the_end(world, fake, clock) == ["sent"]
            assert await world.held() == PRICE

    asyncio.run(story())


@pytest.mark.usefixtures("unsaid")
@pytest.mark.parametrize(("is_written", "bought"), [(True, ["sent", "waits"]), (False, ["sent"])])
def test_a_place_in_the_queue_that_nobody_knows_of_is_told_as_doubt_and_sent_at_most_once(
    is_written: bool, bought: list[str], server: Server, tmp_path: Path
) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock) as world:
            await world.create("sent")
            server.loses, server.commits_first = True, is_written
            reply = await world.create("waits")
            assert server.lost == 1
            assert (reply.status_code, reply.json()["submission"]) == (200, "unconfirmed"), reply.text
            assert reply.headers["x-should-retry"] == "false"
            assert await prompts_in_the_end(world, fake, clock) == bought
            found = await world.client.get(f"/v1/tasks/{reply.json()['id']}")
            assert (found.status_code, found.json().get("submission")) == (200 if is_written else 404, None)

    asyncio.run(story())


def test_a_task_that_left_the_queue_before_it_was_found_is_not_sent_by_both(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        clock = Clock()
        async with FakeUpstream() as fake, line(tmp_path, fake, clock) as world:
            await world.create("sent")
            look = commits._look

            async def late(*args: Any) -> Any:
                clock.walk(A_MINUTE)
                assert await queue.dispatch(world.parts) == 1
                return await look(*args)

            monkeypatch.setattr(commits, "_look", late)
            server.loses = True
            reply = await world.create("waits")
            assert reply.status_code == 200, reply.text
            assert await prompts_in_the_end(world, fake, clock) == ["sent", "waits"]

    asyncio.run(story())


@pytest.mark.parametrize("is_back", [True, False])
def test_a_way_back_into_the_queue_whose_answer_is_lost_is_no_refusal(
    is_back: bool, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "STORAGE_RETRIES_S", (0.01, 0.01))

    async def story() -> None:
        clock = Clock()
        busy = [answer(429, error_body())]
        async with FakeUpstream(busy) as fake, line(tmp_path, fake, clock) as world:
            requeue = world.parts.registry.requeue

            async def then_away(*args: Any, **options: Any) -> Any:
                if server.lost and not is_back:
                    raise StorageDown("away")
                return await requeue(*args, **options)

            monkeypatch.setattr(world.parts.registry, "requeue", then_away)
            server.loses = True
            reply = await world.create("a ship")
            assert server.lost == 1
            told = "queued" if is_back else "unconfirmed"
            assert (reply.status_code, reply.json()["submission"]) == (200, told), reply.text
            assert await prompts_in_the_end(world, fake, clock) == ["a ship", "a ship"]
            assert fake.accepted == 1
            assert await world.held() == PRICE

    asyncio.run(story())


def test_storage_that_goes_away_while_a_twin_waits_for_the_first_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit, "ELSEWHERE_EVERY_S", 0.01)

    async def story() -> None:
        fake = FakeUpstream()
        async with fake, open_world(tmp_path, Place(fake.url), server={"answer_within_s": 0.1}) as world:
            await world.create("a ship")
            first = await world.task()
            opened = await world.parts.registry.get(first.id)
            assert opened is not None

            async def away(*args: Any) -> None:
                raise StorageDown("away")

            monkeypatch.setattr(world.parts.registry, "get", away)
            at_first = replace(opened, state=State.OPENED, upstream_id=None)
            assert await submit._join_elsewhere(at_first, world.parts) == at_first

    asyncio.run(story())
