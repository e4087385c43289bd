"""What a pool keeps of its places and of its rests, and what two pools of the same keys make of each other's words."""

from collections.abc import Mapping

import pytest

from gateway import errors
from gateway.keys import IN_A_ROW_RESTS, PENDING_S, Blocked, Cause, KeyPool, KeySpec, KeyState, Rest, Why

NOW = 1_800_000_000.0
MODEL = "MiniMax-Hailuo-2.3"
MAIN, SPARE = KeySpec("main", "acme"), KeySpec("spare", "other")


def pool(*specs: KeySpec) -> KeyPool:
    return KeyPool(specs or [MAIN, SPARE], jitter=lambda: 0.5)


def states(of: KeyPool, now: float = NOW) -> dict[str, KeyState]:
    return dict(of.states(now))


def pass_on(teller: KeyPool, *hearers: KeyPool) -> None:
    rests = teller.untold()
    teller.told(rests)
    for hearer in hearers:
        hearer.hear(rests)


# --- places -----------------------------------------------------------------------------------------------------------


def test_a_place_is_pending_until_its_task_is_durable_and_counted_from_then_on() -> None:
    one = pool(KeySpec("main", "acme", max_tasks=1))
    one.take("main", NOW)
    one.count({}, {}, NOW)  # storage does not know of it yet
    assert not one.has_room("main", MODEL, NOW)
    one.opened("main", 7)
    assert one.live_tasks() == 1
    one.count({7: "main"}, {}, NOW)
    assert one.live_tasks() == 1
    one.leave(7)
    assert one.has_room("main", MODEL, NOW)


def test_whatever_a_place_was_taken_for_it_is_not_kept_for_ever() -> None:
    one = pool(KeySpec("main", "acme", max_tasks=1))
    one.take("main", NOW)
    one.count({}, {}, NOW + PENDING_S - 1)
    assert not one.has_room("main", MODEL, NOW + PENDING_S - 1)
    one.count({}, {}, NOW + PENDING_S)
    assert one.has_room("main", MODEL, NOW + PENDING_S)


def test_tasks_of_other_processes_take_places_of_the_account_and_those_of_keys_that_are_gone_take_none() -> None:
    one = pool(KeySpec("main", "acme", max_tasks=2), KeySpec("second", "acme", max_tasks=2), SPARE)
    one.count({1: "main", 2: "second", 3: "removed"}, {}, NOW)
    assert not one.has_room("main", MODEL, NOW)
    assert not one.has_room("second", MODEL, NOW)
    assert one.has_room("spare", MODEL, NOW)
    assert one.live_tasks() == 2


def test_submits_of_other_processes_count_in_the_minute() -> None:
    one = pool(KeySpec("main", "acme", rpm=3))
    one.count({}, {"main": [NOW - 59, NOW - 58]}, NOW)
    one.take("main", NOW)
    blocked = one.choose(MODEL, NOW)
    assert blocked == Blocked(Cause.RATE, 1.0), "the oldest of the three leaves the minute in a second"
    assert one.choose(MODEL, NOW + 1) == "main"


def test_only_accounts_with_a_limited_key_have_their_submits_counted() -> None:
    one = pool(KeySpec("main", "acme", rpm=3), KeySpec("second", "acme"), SPARE)
    assert one.limited() == ["main", "second"]


def test_a_draining_key_is_never_chosen_and_time_does_not_mend_that() -> None:
    one = pool(KeySpec("main", "acme", is_draining=True))
    assert states(one) == {"main": KeyState.DRAINING}
    assert one.choose(MODEL, NOW) == Blocked(Cause.KEYS)
    assert not one.is_open(MODEL, NOW)
    assert not one.has_room("main", MODEL, NOW)


# --- rests ------------------------------------------------------------------------------------------------------------

LESSONS: Mapping[str, tuple[errors.UpstreamError, dict[str, KeyState]]] = {
    "a busy account": (
        errors.KeyBusy("busy", row="H20", retry_after=30),
        {"main": KeyState.RESTING, "spare": KeyState.OK},
    ),
    "an empty account": (
        errors.KeyExhausted("empty", row="H11"),
        {"main": KeyState.EXHAUSTED, "spare": KeyState.OK},
    ),
    "a refused key": (
        errors.KeyRejected("refused", row="H10"),
        {"main": KeyState.RETIRED, "spare": KeyState.OK},
    ),
    "a barred model": (
        errors.KeyBarred("barred", row="H12"),
        {"main": KeyState.BARRED, "spare": KeyState.OK},
    ),
    "an upstream that is down": (
        errors.Unreachable("down", row="T2"),
        {"main": KeyState.RESTING, "spare": KeyState.RESTING},
    ),
}


@pytest.mark.parametrize("lesson", LESSONS)
def test_what_one_learns_the_other_hears(lesson: str) -> None:
    error, expected = LESSONS[lesson]
    one, other = pool(), pool()
    one.learn("main", error, MODEL, NOW)
    assert one.has_news
    pass_on(one, other)
    assert states(one) == states(other) == expected
    assert one.untold() == []
    assert other.untold() == [], "what was heard is not told again"
    assert list(one.sights(NOW)) == list(other.sights(NOW)), "the same end of the rest, and the same models"


def test_an_accepted_create_tells_nothing_where_there_was_no_streak() -> None:
    one = pool()
    one.accepted("main", NOW)
    assert one.untold() == []


def test_an_accepted_create_ends_the_streak_everywhere() -> None:
    one, other = pool(), pool()
    for second in range(3):
        one.learn("main", errors.KeyBusy("busy", row="H21"), MODEL, NOW + 100 * second)
    pass_on(one, other)
    other.accepted("main", NOW + 400)
    pass_on(other, one)
    one.learn("main", errors.KeyBusy("busy", row="H21"), MODEL, NOW + 500)
    assert one.choose(MODEL, NOW + 500, without=["spare"]) == Blocked(Cause.RATE, 5.0), "as after a first refusal"


def test_of_two_that_speak_of_the_same_the_later_one_holds_in_whatever_order_they_are_heard() -> None:
    early = Rest(Why.RESTING, "acme", until=NOW + 90, streak=1, learnt_at=NOW)
    late = Rest(Why.RESTING, "acme", until=NOW + 20, streak=2, learnt_at=NOW + 1)
    for order in ([early, late], [late, early], [late, early, late]):
        one = pool()
        one.hear(order)
        (main, _) = one.sights(NOW + 2)
        assert (main.state, main.until) == (KeyState.RESTING, NOW + 20)


def test_a_recovery_holds_although_the_clock_of_who_found_it_is_behind() -> None:
    one, other = pool(), pool()
    one.learn("main", errors.KeyRejected("refused", row="H10"), MODEL, NOW)
    pass_on(one, other)
    other.recover("main", NOW - 5)
    pass_on(other, one)
    assert states(one) == states(other) == {"main": KeyState.OK, "spare": KeyState.OK}


def test_what_was_learnt_while_the_others_were_told_is_told_next() -> None:
    one = pool()
    one.learn("main", errors.KeyBusy("busy", row="H20", retry_after=5), MODEL, NOW)
    told = one.untold()
    one.learn("main", errors.KeyBusy("busy", row="H20", retry_after=60), MODEL, NOW + 1)
    one.told(told)
    assert [rest.until for rest in one.untold()] == [NOW + 61]


def test_what_somebody_learnt_later_is_not_told_over() -> None:
    one = pool()
    one.learn("main", errors.KeyBusy("busy", row="H20", retry_after=5), MODEL, NOW)
    one.hear([Rest(Why.RESTING, "acme", until=NOW + 30, streak=1, learnt_at=NOW + 1)])
    assert one.untold() == []


def test_rests_of_what_is_not_configured_here_say_nothing() -> None:
    one = pool()
    one.hear(
        [
            Rest(Why.RESTING, "somebody", until=NOW + 9, learnt_at=NOW),
            Rest(Why.RETIRED, "removed", until=NOW + 9, learnt_at=NOW),
        ]
    )
    assert set(states(one).values()) == {KeyState.OK}


# --- failures of which it takes three in a row

PAGE = errors.NoApi("the upstream answered 200 without a usable task id", row="H4")
NO_TRUST = errors.Distrusted("no trusted connection to the upstream came about", row="T4")


@pytest.mark.parametrize("failure", [PAGE, NO_TRUST], ids=["a page", "no trust"])
def test_from_the_third_in_a_row_on_the_upstream_rests_and_longer_with_each(failure: errors.UpstreamError) -> None:
    one, now = pool(), NOW
    for _ in range(IN_A_ROW_RESTS - 1):
        one.learn("main", failure, MODEL, now)
        assert isinstance(one.choose(MODEL, now), str)
    for rest_s in [60.0 * number for number in range(1, 11)] + [600.0, 600.0]:
        one.learn("spare", failure, MODEL, now)  # whichever key it was
        assert states(one, now) == {"main": KeyState.RESTING, "spare": KeyState.RESTING}
        assert one.choose(MODEL, now) == Blocked(Cause.REST, rest_s)
        now += rest_s
        assert isinstance(one.choose(MODEL, now), str), "one more is tried when the rest is over"


def test_what_was_sent_before_the_rest_and_fails_in_it_is_none_more() -> None:
    one = pool()
    for _ in range(20):  # a burst that was under way
        one.learn("main", PAGE, MODEL, NOW)
    assert next(iter(one.sights(NOW))).until == NOW + 60
    one.learn("main", PAGE, MODEL, NOW + 60)
    assert next(iter(one.sights(NOW + 60))).until == NOW + 60 + 120


def test_an_acceptance_ends_the_row() -> None:
    one = pool()
    for number in range(30):
        one.learn("main", PAGE, MODEL, NOW + number)
        if number % 2:
            one.accepted("spare", NOW + number)
    assert set(states(one, NOW + 30).values()) == {KeyState.OK}


def test_they_are_counted_by_all_together() -> None:
    one, other = pool(), pool()
    for number in range(IN_A_ROW_RESTS):
        teller, hearer = (one, other) if number % 2 else (other, one)
        teller.learn("main", PAGE, MODEL, NOW + number)
        pass_on(teller, hearer)
    assert states(one, NOW + 3) == states(other, NOW + 3) == {"main": KeyState.RESTING, "spare": KeyState.RESTING}


def test_any_other_doubt_is_no_reason_to_rest() -> None:
    one = pool()
    for row in ("T6", "T7", "T9", "T10", "H4", "H6", "H22", "H23", "H26"):
        one.learn("main", errors.InDoubt("who knows", row=row), MODEL, NOW)
    assert set(states(one).values()) == {KeyState.OK}


def test_a_vague_refusal_counts_wherever_it_came() -> None:
    one, other = pool(), pool()
    vague = errors.KeyRejected("refused", row="H10", is_vague=True)
    one.learn("main", vague, MODEL, NOW)
    pass_on(one, other)
    assert states(other)["main"] is KeyState.OK
    other.learn("main", vague, MODEL, NOW + 1)
    assert states(other)["main"] is KeyState.RETIRED


def test_a_vague_refusal_brings_no_refused_key_back() -> None:
    one = pool()
    one.learn("main", errors.KeyRejected("refused", row="H10"), MODEL, NOW)
    one.accepted("main", NOW + 1)  # it was sent before
    one.learn("main", errors.KeyRejected("refused", row="H10", is_vague=True), MODEL, NOW + 2)
    assert states(one, NOW + 3)["main"] is KeyState.RETIRED
