"""The courier: when it tries again, what it says each time, and who has to wait for whom."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from standardwebhooks import Webhook

from gateway import ids
from gateway.bounds import Most
from gateway.egress import Reason
from gateway.errors import StorageDown
from gateway.flows.callbacks import HOST_PLACES, LEASE_S, Courier
from gateway.store import Letter, Out, Outbox
from gateway.video import Failure, Look, Money, Receipt, Status
from tests.callbacks.world import FILM, HOOK, SECRET, Clock, office, until
from tests.store.conftest import World

Run = Callable[[Callable[[], Awaitable[None]]], None]

FAILURE = Failure("upstream_task_missing", "the upstream no longer knows it")
COMPLETED = Look(Status.COMPLETED, link=FILM)


def test_attempts_follow_each_failure_by_1_2_and_4_seconds_and_there_are_four(world: World, run: Run) -> None:
    async def story() -> None:
        async with office(world) as it:
            it.door.answers, it.door.takes_s = [500, Reason.TIMEOUT, 302, 404], 0.25
            await it.ended()
            failed_at = []
            for delay_s in (1.0, 2.0, 4.0):
                assert await it.deliver() == 1
                failed_at.append(it.clock.now)
                it.clock.walk(delay_s - 0.001)
                assert await it.deliver() == 0, "too early"
                it.clock.now = failed_at[-1] + delay_s
            assert await it.deliver() == 1
            for seconds in (8.0, 3600.0):
                it.clock.walk(seconds)
                assert await it.deliver() == 0, "given up"
            at = [visit.at for visit in it.door.visits]
            assert [later - failed for later, failed in zip(at[1:], failed_at, strict=True)] == [1.0, 2.0, 4.0]
            assert it.outcomes() == {"failed": 3, "given_up": 1}

    run(story)


def test_every_attempt_says_the_same_to_the_byte_under_the_same_id_and_is_signed_anew(world: World, run: Run) -> None:
    async def story() -> None:
        # Links of our own are signed with the time, so a body that was made again would be another one.
        async with office(world, Clock(time.time()), links="gateway", signing_secret=SECRET) as it:
            it.door.answers = [503]
            task = await it.ended()
            for delay_s in (0.0, 1.0, 2.0, 4.0):
                it.clock.walk(delay_s)
                assert await it.deliver() == 1
            visits = it.door.visits
            assert len({visit.body for visit in visits}) == 1
            assert {visit.headers["webhook-id"] for visit in visits} == {f"msg_{ids.word(task.id)[6:]}_1"}
            assert len({visit.headers["webhook-signature"] for visit in visits}) == 4
            for visit in visits:
                assert visit.headers["webhook-timestamp"] == str(int(visit.at))
                said = Webhook(SECRET.reveal()).verify(visit.body, dict(visit.headers))
                assert said["results"][0].startswith("http://gateway.example:8080/v1/videos/")
            assert {visit.url for visit in visits} == {HOOK}

    run(story)


@pytest.mark.parametrize("answer", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(answer: int, file: World, run: Run) -> None:
    async def story() -> None:
        async with office(file) as it:
            it.door.answers = [answer]
            await it.ended()
            assert await it.deliver() == 1
            it.clock.walk(3600)
            assert await it.deliver() == 0
            assert it.outcomes() == {"delivered": 1}
        assert file.execute("SELECT state, answer, body FROM outbox") == [("delivered", str(answer), None)]

    run(story)


@pytest.mark.parametrize("answer", [300, 301, 302, 307, 308, 400, 401, 404, 408, 429, 500, 503, 599, *Reason])
def test_everything_else_is_a_failure(answer: int | Reason, file: World, run: Run) -> None:
    async def story() -> None:
        async with office(file) as it:
            it.door.answers = [answer, 200]
            await it.ended()
            await it.deliver()
            assert it.outcomes() == {"failed": 1}
            it.clock.walk(1)
            await it.deliver()
            assert it.outcomes() == {"failed": 1, "delivered": 1}

    run(story)


def test_410_ends_it(file: World, run: Run) -> None:
    async def story() -> None:
        async with office(file) as it:
            it.door.answers = [500, 410, 200]
            await it.ended()
            await it.deliver()
            it.clock.walk(1)
            await it.deliver()
            it.clock.walk(3600)
            assert await it.deliver() == 0
            assert it.outcomes() == {"failed": 1, "gone": 1}

    run(story)


def test_a_host_that_never_answers_holds_up_nobody_else(world: World, run: Run) -> None:
    """Three hundred letters to it are older than all others."""

    async def story() -> None:
        async with office(world) as it:
            it.door.hangs_at = "dead.example"
            for _ in range(300):
                await it.ended(url="https://dead.example/hook")
            it.clock.walk(1)
            for number in range(2 * Most.callbacks):
                await it.ended(url=f"https://host-{number % 7}.example/hook")
            attempts: set[asyncio.Task[None]] = set()
            while sum("dead" not in visit.url for visit in it.door.visits) < 2 * Most.callbacks:
                attempts |= set(await it.courier.set_out())
                await asyncio.wait(attempts, return_when=asyncio.FIRST_COMPLETED)
                assert sum(not attempt.done() for attempt in attempts) <= Most.callbacks / 2
            hosts = Counter(visit.url for visit in it.door.visits)
            assert hosts["https://dead.example/hook"] == HOST_PLACES
            for attempt in attempts:
                attempt.cancel()
            await asyncio.gather(*attempts, return_exceptions=True)

    run(story)


def test_a_process_that_dies_between_commit_and_delivery_leaves_the_letter_to_the_next(world: World, run: Run) -> None:
    async def story() -> None:
        clock = Clock()
        async with office(world, clock) as it:
            await it.ended()
        async with office(world, clock) as it:
            assert await it.deliver() == 1
            assert it.outcomes() == {"delivered": 1}

    run(story)


def test_a_process_that_dies_with_a_letter_leaves_it_to_the_next_which_says_the_same(world: World, run: Run) -> None:
    """Whether its receiver had it already, nobody can know: it comes once more, under the same id."""

    async def story() -> None:
        clock = Clock()
        async with office(world, clock, links="gateway") as it:
            it.door.hangs_at = "caller.example"
            await it.ended()
            (attempt,) = await it.courier.set_out()
            await until(lambda: it.door.visits)
            attempt.cancel()
            await asyncio.gather(attempt, return_exceptions=True)
            (first,) = it.door.visits
        async with office(world, clock, links="gateway") as it:
            clock.walk(LEASE_S - 0.001)
            assert await it.deliver() == 0, "it may only be slow"
            clock.walk(0.001)
            assert await it.deliver() == 1
            (second,) = it.door.visits
            assert (second.body, second.headers["webhook-id"]) == (first.body, first.headers["webhook-id"])
            assert second.at == first.at + LEASE_S

    run(story)


def test_a_delivery_that_storage_cannot_take_down_is_made_again(
    file: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with office(file) as it:
            await it.ended()
            with monkeypatch.context() as patch:
                patch.setattr(Outbox, "end", _storage_down)
                with pytest.raises(StorageDown):
                    await it.deliver()
            it.clock.walk(LEASE_S)
            assert await it.deliver() == 1
            first, second = it.door.visits
            assert first.body == second.body

    run(story)


async def _storage_down(self: Outbox, letter: Letter, *values: object) -> bool:
    raise StorageDown("the disk is full")


def test_one_who_comes_back_too_late_changes_nothing_any_more(world: World, run: Run) -> None:
    async def story() -> None:
        async with office(world) as it:
            it.door.answers, it.door.is_open = [500], asyncio.Event()
            await it.ended()
            (slow,) = await it.courier.set_out()
            await until(lambda: it.door.visits)
            it.clock.walk(LEASE_S)  # the machine slept
            (letter,) = await it.outbox.take(Out(1, 1, 1), it.clock(), it.clock() + LEASE_S)
            it.door.is_open.set()
            await slow
            assert world.execute("SELECT failures, taken FROM outbox") == [(0, 2)]
            assert await it.outbox.again(letter, "500", it.clock() + 1)
            assert world.execute("SELECT failures, taken FROM outbox") == [(1, 2)]

    run(story)


def test_replicas_share_the_letters_and_nobody_is_told_twice(world: World, run: Run) -> None:
    async def story() -> None:
        clock = Clock()
        async with office(world, clock) as one, office(world, clock) as other:
            tasks = [await one.ended(url=f"https://host-{number}.example/") for number in range(40)]
            while sum(await asyncio.gather(one.deliver(), other.deliver())):
                pass
            told = Counter(visit.headers["webhook-id"] for visit in one.door.visits + other.door.visits)
            assert set(told.values()) == {1}
            assert len(told) == len(tasks)

    run(story)


@pytest.mark.parametrize("dialect", ["evolink", "toapis", "newapi"])
def test_what_is_told_is_the_poll_answer_of_the_dialect(dialect: str, file: World, run: Run) -> None:
    async def story() -> None:
        async with office(file) as it:
            task = await it.ended(dialect)
            await it.deliver()
            (visit,) = it.door.visits
            assert visit.headers["content-type"] == "application/json"
            said = visit.body.decode()
            assert FILM in said
            assert ids.word(task.id) in said

    run(story)


def test_a_minimax_caller_is_told_in_the_callbacks_own_words(file: World, run: Run) -> None:
    async def story() -> None:
        async with office(file) as it:
            task, failed = await it.ended("minimax"), await it.ended("minimax", fails=True)
            await it.deliver()
            told = {said["task_id"]: said for said in (json.loads(visit.body) for visit in it.door.visits)}
            assert told[str(task.id)]["status"] == "success"
            assert told[str(task.id)]["file_id"] == str(task.id)
            assert told[str(task.id)]["base_resp"]["status_code"] == 0
            assert told[str(failed.id)]["status"] == "failed"
            assert told[str(failed.id)]["base_resp"]["status_code"] == 1000
            assert all("challenge" not in said for said in told.values())

    run(story)


def test_nobody_is_told_of_a_task_that_its_owner_deleted(file: World, run: Run) -> None:
    async def story() -> None:
        async with office(file) as it:
            task = await it.ended()
            await it.registry.hide(task.id)
            await it.deliver()
            assert it.door.visits == []
            assert it.outcomes() == {"withdrawn": 1}

    run(story)


def test_a_failure_that_a_person_takes_back_is_not_told_any_more_and_the_film_is(world: World, run: Run) -> None:
    async def story() -> None:
        async with office(world) as it:
            it.door.answers = [500, 500, 200]
            task = await it.running()
            given_up = await it.registry.fail(task.id, FAILURE, it.clock())
            assert given_up.money is Money.SUSPENDED
            await it.deliver()
            await it.registry.adopt(task.id, Receipt("u-1"), it.clock())
            it.clock.walk(1)
            await it.deliver()
            assert [json.loads(visit.body)["status"] for visit in it.door.visits] == ["failed"]
            await it.registry.note(task.id, COMPLETED, it.clock())
            await it.deliver()
            it.clock.walk(1)
            await it.deliver()
            assert [json.loads(visit.body)["status"] for visit in it.door.visits] == [
                "failed",
                "completed",
                "completed",
            ]
            assert [visit.headers["webhook-id"][-2:] for visit in it.door.visits] == ["_1", "_2", "_2"]

    run(story)


def test_an_end_that_was_never_told_and_is_no_longer_so_gives_way_to_the_next(world: World, run: Run) -> None:
    async def story() -> None:
        async with office(world) as it:
            task = await it.running()
            await it.registry.fail(task.id, FAILURE, it.clock())
            await it.registry.adopt(task.id, Receipt("u-1"), it.clock())
            await it.registry.note(task.id, COMPLETED, it.clock())
            await it.deliver()
            (visit,) = it.door.visits
            assert json.loads(visit.body)["status"] == "completed"
            assert visit.headers["webhook-id"].endswith("_2")

    run(story)


def test_no_attempt_begins_while_the_gateway_shuts_down(file: World, run: Run) -> None:
    async def story() -> None:
        async with office(file) as it:
            await it.ended()
            it.parts.stories.stop_creates()
            assert await it.deliver() == 0
            assert it.door.visits == []

    run(story)


def test_the_log_names_host_and_reason_and_neither_path_nor_query(
    file: World, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with office(file) as it:
            it.door.answers = [500]
            await it.ended()
            for delay_s in (0, 1, 2, 4):
                it.clock.walk(delay_s)
                await it.deliver()

    with caplog.at_level(logging.DEBUG, "reelgate"):
        run(story)
    assert caplog.text.count("caller.example") == 4
    assert "500" in caplog.text
    assert "hook" not in caplog.text


def test_the_rounds_go_on_by_themselves_and_a_new_letter_is_not_kept_waiting(
    file: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        monkeypatch.setattr("gateway.flows.callbacks.IDLE_S", 3600.0)
        async with office(file, Clock(time.time())) as it:
            it.parts.clock = time.time
            rounds = asyncio.create_task(it.parts.stories.repeat(Courier(it.parts).go_round))
            await asyncio.sleep(0.1)  # it rests
            it.door.answers = [500, 200]
            it.parts.memory.keep(await it.ended())
            await until(lambda: it.outcomes() == {"failed": 1, "delivered": 1})
            rounds.cancel()
            await asyncio.gather(rounds, return_exceptions=True)

    run(story)
