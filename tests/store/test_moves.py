"""Every move from every state: the legal ones arrive, all others leave everything as it was."""

import pytest

from gateway.errors import Draining, KeyBusy
from gateway.store import Verdict, Wait, WrongState
from gateway.store.moves import TOUCH_S
from gateway.structs import replace
from gateway.video import FINAL, Balance, Failure, Look, Money, Receipt, Route, State, Status

FAILURE = Failure("upstream_task_missing", "The upstream no longer knows the task.")
REFUSAL = Verdict("rate_limited", "H20", 429)
LATER = 1_800_000_100.0

MOVES = {
    "turn": lambda registry, task: registry.turn(task, REFUSAL, Route("toa", "key-9"), LATER),
    "start": lambda registry, task: registry.start(task, Receipt("another id", 12.5), LATER),
    "doubt": lambda registry, task: registry.doubt(task, Verdict("submission_unconfirmed", "T9"), LATER),
    "abandon": lambda registry, task: registry.abandon(task, FAILURE, REFUSAL, LATER),
    "note work": lambda registry, task: registry.note(task.id, Look(Status.PROCESSING, 40), LATER),
    "note end": lambda registry, task: registry.note(task.id, Look(Status.COMPLETED, link="https://x/1"), LATER),
    "note failure": lambda registry, task: registry.note(task.id, Look(Status.FAILED, failure=FAILURE), LATER),
    "relocate": lambda registry, task: registry.relocate(task.id, "https://x/2", LATER),
    "fail": lambda registry, task: registry.fail(task.id, FAILURE, LATER),
    "dispatch": lambda registry, task: registry.dispatch(task, Route("toa", "key-9"), LATER),
    "requeue": lambda registry, task: registry.requeue(task, REFUSAL, Wait(task.request, 100, None), LATER),
    "drop": lambda registry, task: registry.drop(task.id, FAILURE, LATER),
    "adopt": lambda registry, task: registry.adopt(task.id, Receipt("another id"), LATER),
    "release": lambda registry, task: registry.resolve(task.id, Money.RELEASED, "asked them", LATER),
    "settle": lambda registry, task: registry.resolve(task.id, Money.SETTLED, "on the invoice", LATER),
}
LEADS_TO = {
    ("turn", State.OPENED): State.OPENED,
    ("start", State.OPENED): State.RUNNING,
    ("start", State.UNCONFIRMED): State.RUNNING,
    ("doubt", State.OPENED): State.UNCONFIRMED,
    ("abandon", State.OPENED): State.REFUSED,
    ("abandon", State.UNCONFIRMED): State.REFUSED,
    ("note work", State.RUNNING): State.RUNNING,
    ("note end", State.RUNNING): State.COMPLETED,
    ("note failure", State.RUNNING): State.FAILED,
    ("relocate", State.COMPLETED): State.COMPLETED,
    ("fail", State.RUNNING): State.FAILED,
    ("fail", State.UNCONFIRMED): State.FAILED,
    ("dispatch", State.QUEUED): State.OPENED,
    ("requeue", State.OPENED): State.QUEUED,
    ("drop", State.QUEUED): State.FAILED,
    ("adopt", State.UNCONFIRMED): State.RUNNING,
    ("release", State.UNCONFIRMED): State.REFUSED,
}
ALL = [(move, state) for move in MOVES for state in State]
LEGAL = [case for case in ALL if case in LEADS_TO]
IGNORED = [case for case in ALL if case[0].startswith("note") and case[1] in FINAL]
ILLEGAL = [case for case in ALL if case not in LEGAL and case not in IGNORED]


@pytest.mark.parametrize(("move", "state"), LEGAL)
def test_a_legal_move_arrives_and_returns_the_task_as_it_is_stored(world, run, move, state):
    async def story():
        async with world.registry() as registry:
            neighbour = await world.in_state(registry, state)
            task = await world.in_state(registry, state)
            moved = await MOVES[move](registry, task)
            assert moved.state is LEADS_TO[move, state]
            assert await registry.get(task.id) == moved
            assert await registry.get(neighbour.id) == neighbour

    run(story)


@pytest.mark.parametrize(("move", "state"), ILLEGAL)
def test_an_illegal_move_leaves_everything_as_it_was(world, run, move, state):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, state)
            before = world.everything()
            with pytest.raises(WrongState) as caught:
                await MOVES[move](registry, task)
            assert (caught.value.task_id, caught.value.found) == (task.id, state)
            assert world.everything() == before

    run(story)


@pytest.mark.parametrize(("move", "state"), IGNORED)
def test_a_look_at_a_final_task_returns_it_as_it_is(world, run, move, state):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, state)
            before = world.everything()
            assert await MOVES[move](registry, task) == task
            assert world.everything() == before

    run(story)


@pytest.mark.parametrize("move", MOVES)
def test_a_task_that_is_not_here_cannot_move(world, run, move):
    async def story():
        async with world.registry() as registry:
            task = replace(await world.opened(registry), id=77)
            before = world.everything()
            with pytest.raises(WrongState) as caught:
                await MOVES[move](registry, task)
            assert caught.value.found is None
            assert world.everything() == before

    run(story)


@pytest.mark.parametrize("move", ["turn", "start", "doubt", "abandon"])
def test_a_task_from_before_a_turn_moves_nothing(world, run, move):
    async def story():
        async with world.registry() as registry:
            stale = await world.opened(registry)
            await registry.turn(stale, REFUSAL, Route("evo", "key-2"), LATER)
            before = world.everything()
            with pytest.raises(WrongState):
                await MOVES[move](registry, stale)
            assert world.everything() == before

    run(story)


def test_a_stale_task_in_the_right_attempt_still_starts(world, run):
    async def story():
        async with world.registry() as registry:
            task = await world.opened(registry)
            await registry.doubt(task, Verdict("submission_unconfirmed", "T9"), LATER)
            started = await registry.start(task, Receipt("late"), LATER)
            assert await registry.get(task.id) == started

    run(story)


@pytest.mark.parametrize("state", [State.RUNNING, State.COMPLETED, State.FAILED])
def test_starting_again_with_the_same_receipt_changes_nothing(world, run, state):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, state)
            before = world.everything()
            assert await registry.start(task, Receipt(f"u-{task.id}"), LATER) == task
            assert world.everything() == before

    run(story)


def attempts(world):
    return world.execute(
        "SELECT number, upstream, key_id, started_at, ended_at, outcome, row, http_status, reason, reserved "
        "FROM attempts ORDER BY number"
    )


def test_every_attempt_keeps_its_own_story(world, run):
    async def story():
        async with world.registry() as registry:
            now = world.now
            task = await world.opened(registry)
            intent = (1, "evo", "key-1", now, None, "intent", None, None, None, None)
            assert attempts(world) == [intent]

            busy = KeyBusy("slow down", row="H20", http_status=429)
            task = await registry.turn(task, Verdict.of(busy), Route("toa", "key-9"), now + 1)
            assert (task.attempts, task.upstream, task.key_id) == (2, "toa", "key-9")
            refused = (1, "evo", "key-1", now, now + 1, "refused", "H20", 429, "rate_limited", None)
            assert attempts(world) == [refused, (2, "toa", "key-9", now + 1, None, "intent", None, None, None, None)]

            doubt = Verdict("submission_unconfirmed", "T9")
            task = await registry.doubt(task, doubt, now + 2)
            second = (2, "toa", "key-9", now + 1, now + 2, "doubt", "T9", None, "submission_unconfirmed", None)
            assert attempts(world) == [refused, second]

            task = await registry.start(task, Receipt("u-1", reserved=12.5), now + 3)
            accepted = (2, "toa", "key-9", now + 1, now + 3, "accepted", None, None, None, 12.5)
            assert attempts(world) == [refused, accepted]
            assert (task.upstream_id, task.started_at) == ("u-1", now + 3)

    run(story)


def test_a_verdict_of_an_error_that_no_upstream_gave_has_only_a_reason():
    assert Verdict.of(Draining("going down")) == Verdict("draining", None, None)


# --- looks --------------------------------------------------------------------------------------------------------


def test_progress_never_falls_and_work_once_seen_stays_seen(world, run):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, State.RUNNING)
            told = [
                (Look(Status.PENDING), 0, False),
                (Look(Status.PENDING, 5), 5, False),
                (Look(Status.PROCESSING), 5, True),
                (Look(Status.PROCESSING, 60), 60, True),
                (Look(Status.PROCESSING, 30), 60, True),
                (Look(Status.PENDING), 60, True),
                (Look(Status.COMPLETED), 60, True),  # without a link: incomplete, still running
                (Look(Status.PROCESSING, 400), 100, True),
            ]
            for second, (look, progress, generating) in enumerate(told):
                noted = await registry.note(task.id, look, LATER + second)
                assert (noted.state, noted.progress, noted.generating) == (State.RUNNING, progress, generating)
                assert noted.looked_at == LATER + second
                stored = await registry.get(task.id)
                assert (stored.progress, stored.generating) == (progress, generating)

    run(story)


def test_the_end_says_when_and_why(world, run):
    async def story():
        async with world.registry() as registry:
            done = await world.in_state(registry, State.RUNNING)
            done = await registry.note(done.id, Look(Status.COMPLETED, 99, link="https://x/v.mp4"), LATER)
            assert (done.progress, done.link, done.finished_at) == (100, "https://x/v.mp4", LATER)

            failed = await world.in_state(registry, State.RUNNING)
            failed = await registry.note(failed.id, Look(Status.FAILED, failure=FAILURE), LATER)
            assert (failed.failure, failed.finished_at) == (FAILURE, LATER)

            silent = await world.in_state(registry, State.RUNNING)
            silent = await registry.note(silent.id, Look(Status.FAILED), LATER)
            assert silent.failure is not None
            assert silent.failure.code == "generation_failed"

    run(story)


def test_a_look_that_finds_nothing_new_is_written_once_a_minute(world, run):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, State.RUNNING)
            await registry.note(task.id, Look(Status.PROCESSING, 10), LATER)
            before = world.everything()
            noted = await registry.note(task.id, Look(Status.PROCESSING, 10), LATER + TOUCH_S - 1)
            assert noted.looked_at == LATER + TOUCH_S - 1
            assert world.everything() == before
            await registry.note(task.id, Look(Status.PROCESSING, 10), LATER + TOUCH_S)
            assert (await registry.get(task.id)).looked_at == LATER + TOUCH_S

    run(story)


@pytest.mark.parametrize("state", list(State))
def test_giving_up_looks_at_the_states_it_was_told(world, run, state):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, state)
            before = world.everything()
            for asked in State:
                if asked is not state or state not in (State.RUNNING, State.UNCONFIRMED):
                    with pytest.raises(WrongState):
                        await registry.fail(task.id, FAILURE, LATER, {asked})
                    assert world.everything() == before

    run(story)


@pytest.mark.parametrize(
    ("hand", "leads_to", "money"),
    [
        ("adopt", State.RUNNING, Money.HELD),
        ("release", State.FAILED, Money.RELEASED),
        ("settle", State.FAILED, Money.SETTLED),
    ],
)
def test_suspended_money_moves_by_a_persons_hand_alone_and_once(world, run, hand, leads_to, money):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, State.UNCONFIRMED)
            given_up = await registry.fail(task.id, FAILURE, LATER)
            assert given_up.money is Money.SUSPENDED
            assert (await registry.balances(world.caller, LATER))[0] == Balance(None, 280_000, 0)  # it still counts
            moved = await MOVES[hand](registry, given_up)
            assert (moved.state, moved.money) == (leads_to, money)
            assert await registry.get(task.id) == moved
            if moved.is_final:
                for again in ("adopt", "release", "settle"):
                    with pytest.raises(WrongState):
                        await MOVES[again](registry, moved)

    run(story)


def test_a_late_success_settles_once_after_it_was_given_up_and_adopted(world, run):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, State.UNCONFIRMED)
            await registry.fail(task.id, FAILURE, LATER)
            await registry.adopt(task.id, Receipt("late"), LATER + 1)
            await registry.fail(task.id, FAILURE, LATER + 2)
            await registry.adopt(task.id, Receipt("late"), LATER + 3)
            done = await registry.note(task.id, Look(Status.COMPLETED, link="https://x/v.mp4"), LATER + 4)
            assert (done.state, done.money) == (State.COMPLETED, Money.SETTLED)
            assert (await registry.balances(world.caller, LATER))[0] == Balance(None, 0, 280_000)
            kinds = [kind for (kind,) in world.execute("SELECT kind FROM entries ORDER BY number")]
            assert kinds == ["reserve", "suspend", "resume", "suspend", "resume", "settle"]

    run(story)


def test_a_failed_generation_is_spent_where_the_upstream_charges_for_it(world, run):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, State.RUNNING)
            look = Look(Status.FAILED, failure=FAILURE)
            failed = await registry.note(task.id, look, LATER, failed_is_spent=True)
            assert (failed.state, failed.money) == (State.FAILED, Money.SETTLED)

    run(story)


def test_the_ledger_keeps_what_was_written(world, run):
    async def story():
        async with world.registry() as registry:
            await world.in_state(registry, State.COMPLETED)
            for change in ("UPDATE entries SET amount = 0", "DELETE FROM entries"):
                with pytest.raises(Exception, match="append-only"):  # each driver has its own class
                    world.execute(change)

    run(story)
