"""What the registry remembers, what it answers, and how it starts again."""

import asyncio
import traceback
from hashlib import sha256

import pytest

from gateway import ids
from gateway.errors import KeyReused, StorageDown
from gateway.store import Database, ReceiptTaken, Registry, RuleBroken, Verdict, moves, twins
from gateway.store.queries import opened_by
from gateway.structs import replace
from gateway.video import (
    NO_CLAIM,
    Balance,
    Caller,
    Claim,
    Failure,
    Mode,
    Offer,
    Receipt,
    Route,
    State,
    VideoRequest,
)

FULL = VideoRequest(
    model="MiniMax-Hailuo-02",
    prompt='Quotes " and \\ and 猫 and \U0001f408',
    first_frame_image="https://example.com/a.png",
    last_frame_image="data:image/png;base64,AAAA",
    resolution="1080P",
    duration_s=10,
    prompt_optimizer=False,
    fast_pretreatment=True,
    aigc_watermark=True,
    callback_url="https://example.com/hook",
    dialect="toapis",
)


def test_an_opened_task_is_what_was_asked_for(world, run):
    async def story():
        async with world.registry() as registry:
            offer = Offer("MiniMax-Hailuo-02", Mode.FIRST_LAST, "1080P", 10, None)
            caller = Caller("bob", team="film")
            task, is_new = await registry.open(
                FULL, caller, offer, Route("toa", "key-7"), currency="EUR", now=world.now
            )
            assert is_new
            assert await registry.get(task.id) == task
            picture = FULL.last_frame_image.partition(",")[2]
            inline = f"inline:sha256:{sha256(picture.encode()).hexdigest()},{len(picture)}"
            assert task.request == replace(FULL, last_frame_image=inline), "megabytes of an inline image are not kept"
            assert task.fingerprint == FULL.fingerprint()
            assert (task.state, task.attempts, task.dialect, task.mode) == (State.OPENED, 1, "toapis", Mode.FIRST_LAST)
            assert (task.caller, task.team, task.price, task.currency) == ("bob", "film", None, "EUR")
            assert (task.upstream, task.key_id, task.created_at) == ("toa", "key-7", world.now)
            assert await registry.get(task.id + 1) is None

    run(story)


def test_a_number_that_is_taken_is_drawn_again(world, run, monkeypatch):
    numbers = iter([5, 5, 5, 6])
    monkeypatch.setattr(ids, "new_number", lambda now: next(numbers))

    async def story():
        async with world.registry() as registry:
            assert (await world.opened(registry)).id == 5
            assert (await world.opened(registry)).id == 6
            assert world.execute("SELECT task_id, number FROM attempts") == [(5, 1), (6, 1)]

    run(story)


def test_numbers_that_are_always_taken_end_in_an_error(world, run, monkeypatch):
    monkeypatch.setattr(ids, "new_number", lambda now: 5)

    async def story():
        async with world.registry() as registry:
            await world.opened(registry)
            with pytest.raises(RuleBroken):
                await world.opened(registry)
            assert world.execute("SELECT count(*) FROM tasks") == [(1,)]

    run(story)


def test_a_task_that_breaks_a_rule_is_not_opened_and_does_not_show_its_prompt(world, run):
    async def story():
        async with world.registry() as registry:
            with pytest.raises(RuleBroken) as caught:
                await world.opened(registry, offer=replace(world.offer, price=-1))
            assert world.request.prompt not in "".join(traceback.format_exception(caught.value))
            assert world.everything()["tasks"] == world.everything()["attempts"] == []

    run(story)


def test_when_storage_is_down_nothing_is_opened_and_no_prompt_is_shown(file, run):
    async def story():
        async with file.database() as db:
            registry = Registry(db)
            await db.run(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1").scalar())
            long = replace(file.request, prompt=file.request.prompt * 1000)
            with pytest.raises(StorageDown) as caught:
                await file.opened(registry, request=long)
            told = "".join(traceback.format_exception(caught.value))
            assert "_OPEN_TASK" in told  # the log learns what failed, and where
            assert file.request.prompt not in told
            assert file.request.prompt not in str(vars(caught.value))
            assert file.everything()["tasks"] == []

    run(story)


def test_sixty_four_at_once_each_get_their_own_task(world, run):
    async def story():
        async with world.registry() as registry:

            async def one(number):
                task = await world.opened(registry)
                return await registry.start(task, Receipt(f"u-{number}"), world.now)

            tasks = await asyncio.gather(*[one(number) for number in range(64)])
            assert len({task.id for task in tasks}) == 64
            assert {task.id: task for task in await registry.of_caller(world.caller, 100)} == {
                task.id: task for task in tasks
            }

    run(story)


# --- receipts -----------------------------------------------------------------------------------------------------


def test_an_upstream_id_is_never_given_to_a_second_task(world, run):
    async def story():
        async with world.registry() as registry:
            holder = await registry.start(await world.opened(registry), Receipt("u-1"), world.now)
            late = await world.opened(registry)
            before = world.everything()
            with pytest.raises(ReceiptTaken) as caught:
                await registry.start(late, Receipt("u-1"), world.now)
            assert (caught.value.task_id, caught.value.holder_id) == (late.id, holder.id)
            assert world.everything() == before
            doubted = await registry.doubt(late, Verdict("submission_unconfirmed", "H5"), world.now)
            assert doubted.state is State.UNCONFIRMED

    run(story)


def test_the_same_id_of_another_upstream_is_another_receipt(world, run):
    async def story():
        async with world.registry() as registry:
            await registry.start(await world.opened(registry), Receipt("u-1"), world.now)
            other = await world.opened(registry, place=Route("toa", "key-1"))
            assert (await registry.start(other, Receipt("u-1"), world.now)).state is State.RUNNING

    run(story)


def test_a_taken_receipt_does_not_harm_those_who_start_beside_it(world, run):
    async def story():
        async with world.registry() as registry:
            tasks = [await world.opened(registry) for _ in range(20)]
            outcomes = await asyncio.gather(
                *[registry.start(task, Receipt(f"u-{number // 2}"), world.now) for number, task in enumerate(tasks)],
                return_exceptions=True,
            )
            assert sum(isinstance(outcome, ReceiptTaken) for outcome in outcomes) == 10
            assert (await registry.state_counts())[State.RUNNING] == 10

    run(story)


# --- starting again -----------------------------------------------------------------------------------------------


def test_replicas_that_start_together_put_each_task_in_doubt_once(world, run):
    async def story():
        async with world.registry() as one, world.registry() as other:
            for _ in range(10):
                await world.opened(one)
            assert sorted(await asyncio.gather(one.recover(world.now), other.recover(world.now))) == [0, 10]
            assert (await one.state_counts())[State.UNCONFIRMED] == 10

    run(story)


def test_a_task_whose_outcome_comes_while_it_is_recovered_is_left_as_it_is(server, run, monkeypatch):
    async def story():
        async with server.registry() as registry:
            outcome, silence = await server.opened(registry), await server.opened(registry)

            def then_it_comes(connection, owners):
                found = opened_by(connection, owners)
                changes = "state = 'running', upstream_id = 'u', started_at = 1"
                server.execute(f"UPDATE tasks SET {changes} WHERE id = ?", outcome.id)  # noqa: S608
                return found

            monkeypatch.setattr(moves, "opened_by", then_it_comes)
            assert await registry.recover(server.now) == 1
            assert (await registry.get(outcome.id)).state is State.RUNNING
            assert (await registry.get(silence.id)).state is State.UNCONFIRMED

    run(story)


def test_after_a_restart_what_was_opened_is_in_doubt_and_nothing_else_has_changed(world, run):
    async def story():
        tasks = {}
        async with world.registry() as registry:
            for state in State:
                tasks[state] = await world.in_state(registry, state)
            turned = await registry.turn(
                await world.opened(registry), Verdict("rate_limited", "H20"), Route("toa", "key-9"), world.now
            )
        async with world.registry() as registry:
            assert await registry.recover(world.now + 60) == 2
            assert await registry.recover(world.now + 90) == 0
            for state, task in tasks.items():
                expected = replace(task, state=State.UNCONFIRMED) if state is State.OPENED else task
                assert await registry.get(task.id) == expected
            seen = "SELECT number, outcome, row, ended_at FROM attempts WHERE task_id = ? ORDER BY number"
            assert world.execute(seen, tasks[State.OPENED].id) == [(1, "doubt", "T14", world.now + 60)]
            assert world.execute(seen, turned.id) == [
                (1, "refused", "H20", world.now),
                (2, "doubt", "T14", world.now + 60),
            ]

    run(story)


def test_a_secret_is_made_once(world, run):
    async def story():
        async with world.registry() as registry:
            secret = await registry.secret("links")
            assert len(secret) == 32
            assert await registry.secret("links") == secret
            assert await registry.secret("other") != secret
        others = [Database.open(world.url) for _ in range(2)]
        found = await asyncio.gather(*[Registry(db).secret(name) for db in others for name in ("links", "fresh")])
        assert found[0] == found[2] == secret
        assert found[1] == found[3]
        for db in others:
            await db.close()

    run(story)


# --- questions ----------------------------------------------------------------------------------------------------


def test_a_caller_sees_the_tasks_of_the_team_or_else_of_the_key(world, run):
    callers = [Caller("a"), Caller("b"), Caller("a", team="film"), Caller("b", team="film"), Caller("a", team="press")]

    async def story():
        async with world.registry() as registry:
            tasks = [await world.opened(registry, caller=caller) for caller in callers for _ in range(2)]
            for caller in callers:
                visible = sorted((task for task in tasks if caller.may_see(task)), key=lambda task: -task.id)
                assert await registry.of_caller(caller, 100) == visible
                _, owners = await registry.balances(caller, world.now)
                own = [task for task in tasks if task.caller == caller.key_id]
                assert owners == Balance(None, 280_000 * len(visible if caller.team else own), 0)
                assert await registry.of_caller(caller, 1) == visible[:1]
                assert await registry.of_caller(caller, 100, after=visible[0].id) == visible[1:]
                assert await registry.of_caller(caller, 100, oldest_first=True) == visible[::-1]
                assert await registry.of_caller(caller, 100, after=visible[-1].id, oldest_first=True) == visible[-2::-1]

    run(story)


def test_money_is_held_until_the_end_and_spent_only_on_videos(world, run):
    async def story():
        async with world.registry() as registry:
            for count, state in enumerate(State, 1):
                for _ in range(count):
                    await world.in_state(registry, state)
            await world.opened(registry, offer=replace(world.offer, price=None))
            counts = await registry.state_counts()
            held = counts[State.QUEUED] + counts[State.OPENED] - 1 + counts[State.RUNNING] + counts[State.UNCONFIRMED]
            own, _ = await registry.balances(world.caller, world.now)
            assert own == Balance(None, 280_000 * held, 280_000 * counts[State.COMPLETED])
            assert await registry.balances(Caller("nobody"), world.now) == (Balance(None, 0, 0), Balance(None, 0, 0))

    run(story)


def test_tasks_are_counted_by_state_and_by_key(world, run):
    async def story():
        async with world.registry() as registry:
            assert await registry.state_counts() == dict.fromkeys(State, 0)
            assert await registry.live_counts() == {}
            for state in State:
                await world.in_state(registry, state)
            await world.opened(registry, place=Route("toa", "key-9"))
            assert await registry.state_counts() == {**dict.fromkeys(State, 1), State.OPENED: 2}
            assert await registry.live_counts() == {("evo", "key-1"): 3, ("toa", "key-9"): 1}

    run(story)


def test_doubt_is_as_old_as_its_own_beginning(world, run):
    async def story():
        async with world.registry() as registry:
            doubt = Verdict("submission_unconfirmed", "T9")
            old = await registry.doubt(await world.opened(registry), doubt, world.now + 10)
            new = await registry.doubt(await world.opened(registry), doubt, world.now + 20)
            assert await registry.unconfirmed(world.now + 10) == []
            assert await registry.unconfirmed(world.now + 15) == [old]
            assert await registry.unconfirmed(world.now + 25) == [old, new]
            await registry.fail(old.id, Failure("submission_unconfirmed", "no evidence"), world.now + 30)
            assert await registry.unconfirmed(world.now + 40) == [new]

    run(story)


def test_a_hidden_task_lives_on_unread(world, run):
    async def story():
        async with world.registry() as registry:
            kept, hidden = [await world.opened(registry) for _ in range(2)]
            hidden = await registry.hide(hidden.id)
            assert not world.caller.may_see(hidden)
            assert await registry.get(hidden.id) == hidden
            assert await registry.of_caller(world.caller, 100) == [kept]
            started = await registry.start(hidden, Receipt("task-1"), now=world.now + 1)
            assert started.hidden
            assert (await registry.balances(world.caller, world.now))[0] == Balance(None, 560_000, 0)

    run(story)


def test_a_twin_is_found_by_its_key_for_a_day_and_by_an_sdks_mark_for_a_while(world, run):
    async def story():
        async with world.registry() as registry:
            first = await world.opened(registry, claim=Claim("k-1"))
            for claim, kept_s in ((Claim("k-1"), twins.KEY_KEPT_S), (Claim(is_repeat=True), twins.REPEAT_WITHIN_S)):
                before, after = world.now + kept_s - 1, world.now + kept_s + 1
                assert await registry.find_twin(world.request, world.caller, claim, before) == first
                assert await registry.find_twin(world.request, world.caller, claim, after) is None
            other = replace(world.request, prompt="another")
            assert await registry.find_twin(other, world.caller, Claim(is_repeat=True), world.now) is None
            assert twins.REPEAT_WITHIN_S >= 600
            both = Claim("k-2", is_repeat=True)
            assert await registry.find_twin(world.request, world.caller, both, world.now) is None
            with pytest.raises(KeyReused):
                await registry.find_twin(other, world.caller, Claim("k-1"), world.now)
            with pytest.raises(KeyReused):
                await world.opened(registry, request=other, claim=Claim("k-1"))

    run(story)


def test_a_first_that_its_marked_repeat_overtook_is_told_of_it_and_no_other_order_is(world, run):
    """The first was in another process, where others were asked about it."""

    async def story():
        async with world.registry() as here, world.registry() as there:
            came_at = world.now
            asked = Claim(came_at=came_at)
            world.now += 3
            repeat = await world.opened(there, claim=Claim(is_repeat=True))
            world.now += 2

            async def joins(claim, **changes):
                given = {"request": world.request, "caller": world.caller, **changes}
                task, is_new = await here.open(
                    **given, offer=world.offer, place=world.route, currency="USD", now=world.now, claim=claim
                )
                return not is_new and task.id == repeat.id

            assert not await joins(asked, request=replace(world.request, prompt="another"))
            assert not await joins(asked, caller=replace(world.caller, key_id="somebody-else"))
            assert not await joins(Claim("k-1", came_at=came_at)), "its repeat would have the key"
            assert not await joins(NO_CLAIM)
            assert not await joins(Claim(came_at=world.now - 1)), "it came after the repeat"
            assert await joins(asked)
            assert not await joins(asked), "another video of the same caller"

    run(story)


def test_a_repeat_that_was_surely_not_bought_or_has_a_key_leaves_no_word(world, run):
    async def story():
        async with world.registry() as registry:
            asked = Claim(came_at=world.now)
            repeat = await world.opened(registry, claim=Claim(is_repeat=True))
            failure, verdict = Failure("rate_limited", "busy"), Verdict("rate_limited", "H20", 429)
            await registry.abandon(repeat, failure, verdict, world.now + 1)
            await world.opened(registry, claim=Claim("k-1", is_repeat=True))
            await world.opened(registry, claim=asked)

    run(story)


def test_the_transaction_that_opens_has_the_last_word_on_twins(world, run):
    async def story():
        async with world.registry() as registry:
            opened = await asyncio.gather(
                *(
                    registry.open(
                        world.request, world.caller, world.offer, world.route,
                        currency="USD", now=world.now, claim=Claim("k-1"),
                    )
                    for _ in range(20)
                )
            )  # fmt: skip
            assert sum(is_new for _, is_new in opened) == 1
            assert len({task.id for task, _ in opened}) == 1

    run(story)
