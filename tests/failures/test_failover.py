"""Moving on: which keys and upstreams a refused request may try, how long each rests, and what limits all of it."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import pytest

from gateway.flows import carry
from gateway.keys import IN_A_ROW_RESTS, KeyState
from gateway.video import State
from tests.failures.world import PRICE, Clock, Key, Place, World, open_world, secret
from tests.fakes.upstream import (
    HTML,
    UNKNOWN_HOST,
    Behaviour,
    FakeUpstream,
    accept,
    answer,
    assert_nothing_bought_twice,
    bought,
    bytes_then,
    closed_port,
    error_body,
    gated,
    slowly,
)

JSON = error_body()
BUSY = answer(429, JSON)
BUSY_7_S = answer(429, JSON, [("Retry-After", "7")])
REJECTED = answer(401, JSON)
REJECTED_VAGUELY = answer(401, HTML)
EMPTY = answer(402, JSON)
BARRED = answer(403, error_body("no access to this model"))
NOT_THERE = answer(404, HTML)
LOADED = answer(503, JSON)
EDGE_DOWN = answer(521, HTML)
WRONG_CONNECTION = answer(421, JSON)
DOUBTFUL = answer(500, JSON, buys=True)

MAIN_AND_SPARE = (Key("main"), Key("spare"))
ONE_ACCOUNT = (Key("main", account="acme"), Key("spare", account="acme"))


@asynccontextmanager
async def upstreams(*scripts: Sequence[Behaviour]) -> AsyncIterator[list[FakeUpstream]]:
    """Fakes, one for each script; at the end nothing was bought twice."""
    fakes = [FakeUpstream(script) for script in scripts]
    async with asyncio.TaskGroup() as group:
        for fake in fakes:
            group.create_task(fake.__aenter__())
    try:
        yield fakes
        assert_nothing_bought_twice(*fakes)
    finally:
        for fake in fakes:
            await fake.__aexit__(None, None, None)


async def create_many(world: World, count: int) -> Counter[int]:
    """So many different creates at once; how often each status was answered."""
    replies = await asyncio.gather(*(world.create(f"ship number {number}") for number in range(count)))
    for reply in replies:
        if reply.status_code == 429:
            assert reply.headers["x-should-retry"] == "true"
            assert 1 <= int(reply.headers["retry-after"]) <= 300
    return Counter(reply.status_code for reply in replies)


def places(fakes: Sequence[FakeUpstream], **said: Any) -> list[Place]:
    """One after the other by priority, named u0, u1 and so on."""
    return [Place(fake.url, f"u{number}", priority=number, **said) for number, fake in enumerate(fakes)]


# --- two keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "state_of_main", "state_of_spare"),
    [
        (BUSY, KeyState.RESTING, KeyState.RESTING),
        (EMPTY, KeyState.EXHAUSTED, KeyState.EXHAUSTED),
        (REJECTED, KeyState.RETIRED, KeyState.OK),
        (BARRED, KeyState.BARRED, KeyState.OK),
    ],
    ids=["429", "402", "401", "403"],
)
def test_keys_of_one_account_share_balance_and_rate_but_not_credentials_and_rights(
    does: Behaviour, state_of_main: KeyState, state_of_spare: KeyState, tmp_path: Path
) -> None:
    async def play() -> None:
        async with (
            upstreams([does]) as (fake,),
            open_world(tmp_path, Place(fake.url, keys=ONE_ACCOUNT), clock=Clock()) as world,
        ):
            reply = await world.create()
            assert world.key_states() == {"first/main": state_of_main, "first/spare": state_of_spare}
            shares = state_of_spare is not KeyState.OK
            assert reply.status_code == (200 if not shares else 429 if does is BUSY else 503)
            assert len(fake.posts) == (1 if shares else 2)

    asyncio.run(play())


def test_every_key_is_asked_once_before_the_client_is_refused(tmp_path: Path) -> None:
    async def play() -> None:
        async with upstreams([REJECTED, EMPTY, BARRED, REJECTED_VAGUELY]) as (fake,):
            keys = [Key(name) for name in "abcd"]
            async with open_world(tmp_path, Place(fake.url, keys=keys), clock=Clock()) as world:
                reply = await world.create()
                assert (reply.status_code, reply.headers["x-should-retry"]) == (503, "false")
                assert "retry-after" not in reply.headers
                assert fake.keys_used == [secret("first", name) for name in "abcd"]
                assert await world.states() == [State.REFUSED]
                assert await world.held() == 0
                assert [outcome for _, _, outcome in world.attempts()] == ["refused"] * 4

    asyncio.run(play())


def test_keys_down_for_different_causes_read_as_rate_if_any_rests_for_rate(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([REJECTED, BUSY_7_S]) as (fake,),
            open_world(tmp_path, Place(fake.url, keys=MAIN_AND_SPARE), clock=Clock()) as world,
        ):
            reply = await world.create()
            assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
            assert reply.headers["x-should-retry"] == "true"

    asyncio.run(play())


def test_the_soonest_of_two_resting_keys_is_told(tmp_path: Path) -> None:
    async def play() -> None:
        script = [answer(429, JSON, [("Retry-After", "90")]), BUSY_7_S]
        async with (
            upstreams(script) as (fake,),
            open_world(tmp_path, Place(fake.url, keys=MAIN_AND_SPARE), clock=Clock()) as world,
        ):
            reply = await world.create()
            assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
            again = await world.create("another ship")
            assert (again.status_code, again.headers["retry-after"]) == (429, "7")
            assert len(fake.posts) == 2

    asyncio.run(play())


def test_a_credential_that_is_refused_vaguely_twice_is_retired(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([REJECTED_VAGUELY, REJECTED_VAGUELY]) as (fake,),
            open_world(tmp_path, Place(fake.url), clock=Clock()) as world,
        ):
            assert (await world.create("first ship")).status_code == 503
            assert world.key_states() == {"first/main": KeyState.OK}
            assert (await world.create("second ship")).status_code == 503
            assert world.key_states() == {"first/main": KeyState.RETIRED}
            assert (await world.create("third ship")).status_code == 503
            assert len(fake.posts) == 2

    asyncio.run(play())


def test_a_barred_model_leaves_the_key_to_other_models(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([BARRED]) as (fake,),
            open_world(tmp_path, Place(fake.url), clock=Clock()) as world,
        ):
            assert (await world.create()).status_code == 503
            assert (await world.create("another ship")).status_code == 503
            assert (await world.create("a third ship", model="MiniMax-Hailuo-02")).status_code == 200
            assert len(fake.posts) == 2

    asyncio.run(play())


# --- two and more upstreams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [[REJECTED], [EMPTY], [BARRED], [BUSY_7_S], [BUSY], [LOADED], [EDGE_DOWN], [NOT_THERE], [WRONG_CONNECTION]],
    ids=["401", "402", "403", "429 with time", "429", "503", "521", "404", "421"],
)
def test_an_upstream_with_one_key_that_refuses_hands_over_to_the_next(script: list[Behaviour], tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams(script, []) as fakes,
            open_world(tmp_path, *places(fakes), clock=Clock()) as world,
        ):
            reply = await world.create()
            assert reply.status_code == 200
            assert reply.headers["x-reelgate-upstream"] == "u1"
            assert reply.headers["x-reelgate-attempts"] == "2"
            assert [len(fake.posts) for fake in fakes] == [1, 1]

    asyncio.run(play())


@pytest.mark.parametrize(
    "refusal",
    [BUSY, REJECTED, EMPTY, BARRED, LOADED, NOT_THERE, EDGE_DOWN, WRONG_CONNECTION],
    ids=["429", "401", "402", "403", "503", "404", "521", "421"],
)
def test_at_most_three_upstreams_are_asked_for_one_request(refusal: Behaviour, tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams(*[[refusal] * 2] * 5) as fakes,
            open_world(tmp_path, *places(fakes), clock=Clock()) as world,
        ):
            reply = await world.create()
            assert reply.status_code in (429, 502, 503)
            asked = [fake for fake in fakes if fake.posts]
            assert asked == fakes[:3]
            assert await world.states() == [State.REFUSED]

    asyncio.run(play())


def test_with_three_upstreams_tried_their_other_keys_still_may_help(tmp_path: Path) -> None:
    async def play() -> None:
        async with upstreams([REJECTED], [REJECTED], [REJECTED], []) as fakes:
            said = places(fakes)
            said[2] = Place(fakes[2].url, "u2", priority=2, keys=MAIN_AND_SPARE)
            async with open_world(tmp_path, *said, clock=Clock()) as world:
                reply = await world.create()
                assert (reply.status_code, reply.headers["x-reelgate-upstream"]) == (200, "u2")
                assert not fakes[3].posts

    asyncio.run(play())


def test_an_upstream_refused_as_a_place_is_not_asked_again_with_another_key(tmp_path: Path) -> None:
    async def play() -> None:
        async with upstreams([NOT_THERE], [BUSY_7_S]) as fakes:
            said = [
                Place(fakes[0].url, "u0", keys=MAIN_AND_SPARE),
                Place(fakes[1].url, "u1", priority=1),
            ]
            async with open_world(tmp_path, *said, clock=Clock()) as world:
                assert (await world.create()).status_code == 429
                assert [len(fake.posts) for fake in fakes] == [1, 1]

    asyncio.run(play())


def test_a_spare_key_of_an_upstream_tried_before_may_help_after_another_upstream_failed(tmp_path: Path) -> None:
    async def play() -> None:
        async with upstreams([BUSY_7_S], [LOADED]) as fakes:
            said = [Place(fakes[0].url, "u0", keys=MAIN_AND_SPARE), Place(fakes[1].url, "u1")]  # of equal priority
            async with open_world(tmp_path, *said, clock=Clock()) as world:
                reply = await world.create()
                assert (reply.status_code, reply.headers["x-reelgate-upstream"]) == (200, "u0")
                assert fakes[0].keys_used == [secret("u0", "main"), secret("u0", "spare")]
                assert len(fakes[1].posts) == 1

    asyncio.run(play())


def test_a_doubt_after_a_refusal_ends_the_journey(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([BUSY_7_S], [DOUBTFUL], []) as fakes,
            open_world(tmp_path, *places(fakes), clock=Clock()) as world,
        ):
            reply = await world.create()
            assert (reply.status_code, reply.json()["submission"]) == (200, "unconfirmed")
            assert reply.headers["x-should-retry"] == "false"
            assert reply.headers["x-reelgate-upstream"] == "u1"
            assert not fakes[2].connections
            assert bought(*fakes) == 1
            assert [outcome for _, _, outcome in world.attempts()] == ["refused", "doubt"]

    asyncio.run(play())


def test_what_one_upstream_does_not_offer_waits_for_another_that_is_only_busy(tmp_path: Path) -> None:
    """And not in the queue, which would send it to the first one again."""
    not_offered = answer(400, error_body("no such model", "model_not_found"))

    async def play() -> None:
        async with upstreams([not_offered, not_offered], [accept()]) as (first, second):
            here, there = places([first, second])
            there = replace(there, keys=(Key("main", max_tasks=1),))
            async with open_world(tmp_path, here, there, clock=Clock(), queue={"max_tasks": 5}) as world:
                assert (await world.create("one")).status_code == 200
                busy = await world.create("two")
                assert (busy.status_code, busy.headers["x-should-retry"]) == (429, "true")
                assert (len(first.posts), len(second.posts)) == (2, 1)
                assert set(await world.states()) == {State.RUNNING, State.REFUSED}

    asyncio.run(play())


def test_content_that_is_refused_is_refused_by_everyone(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([answer(400, error_body("sensitive", "content_policy_violation"))], []) as fakes,
            open_world(tmp_path, *places(fakes), clock=Clock()) as world,
        ):
            assert (await world.create()).status_code == 400
            assert not fakes[1].connections

    asyncio.run(play())


# --- once more ----------------------------------------------------------------------------------------------------


def test_an_unreachable_upstream_is_called_once_more_after_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "ONCE_MORE_AFTER_S", 1.0)

    async def play() -> None:
        with closed_port() as url:
            async with open_world(tmp_path, Place(url), clock=Clock()) as world:
                started = perf_counter()
                reply = await world.create()
                assert 1.0 <= perf_counter() - started < 20.0
                assert (reply.status_code, reply.headers["x-should-retry"]) == (503, "true")
                assert [outcome for _, _, outcome in world.attempts()] == ["refused", "refused"]
                again = await world.create("another ship")
                assert (again.status_code, again.headers["x-should-retry"]) == (503, "true")
                assert 1 <= int(again.headers["retry-after"]) <= 30
                assert len(world.attempts()) == 2, "while it rests it is not called"

    asyncio.run(play())


@pytest.mark.parametrize("does", [EDGE_DOWN, WRONG_CONNECTION], ids=["521", "421"])
def test_once_more_can_help(does: Behaviour, tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([does]) as (fake,),
            open_world(tmp_path, Place(fake.url), clock=Clock()) as world,
        ):
            assert (await world.create()).status_code == 200
            assert len(fake.posts) == 2

    asyncio.run(play())


def test_once_more_is_not_tried_beyond_the_keys_rate(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([WRONG_CONNECTION]) as (fake,),
            open_world(tmp_path, Place(fake.url, keys=[Key(rpm=1)]), clock=Clock()) as world,
        ):
            reply = await world.create()
            assert (reply.status_code, reply.headers["x-should-retry"]) == (503, "true")
            assert len(fake.posts) == 1

    asyncio.run(play())


def test_a_call_that_reached_nobody_is_none_of_the_minutes_submits(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with upstreams([]) as (fake,):
            said = [Place(UNKNOWN_HOST, "u0", keys=[Key(rpm=1)]), Place(fake.url, "u1", priority=1)]
            async with open_world(tmp_path, *said, clock=clock) as world:
                for number in range(3):  # each finds u0 unreachable, none finds its only submit of the minute used
                    assert (await world.create(f"ship {number}")).headers["x-reelgate-upstream"] == "u1"
                    clock.walk(5 * (number + 1) + 1)  # the rests of the first grow: 5 s, 10 s
                assert [name for name, _, _ in world.attempts()] == ["u0", "u1"] * 3

    asyncio.run(play())


# --- rotation and limits ------------------------------------------------------------------------------------------


def test_keys_take_turns_by_weight(tmp_path: Path) -> None:
    async def play() -> None:
        async with upstreams([]) as (fake,):
            keys = [Key("light"), Key("heavy", weight=3)]
            async with open_world(tmp_path, Place(fake.url, keys=keys), clock=Clock()) as world:
                assert await create_many(world, 40) == {200: 40}
                used = Counter(fake.keys_used)
                assert used == {secret("first", "light"): 10, secret("first", "heavy"): 30}

    asyncio.run(play())


def test_upstreams_of_equal_priority_take_turns_by_weight(tmp_path: Path) -> None:
    async def play() -> None:
        async with upstreams([], [], []) as fakes:
            said = [
                Place(fakes[0].url, "light"),
                Place(fakes[1].url, "heavy", weight=3),
                Place(fakes[2].url, "reserve", priority=1),
            ]
            async with open_world(tmp_path, *said, clock=Clock()) as world:
                assert await create_many(world, 40) == {200: 40}
                assert [len(fake.posts) for fake in fakes] == [10, 30, 0]

    asyncio.run(play())


def test_fifty_creates_at_once_send_no_more_than_the_minute_allows(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with (
            upstreams([]) as (fake,),
            open_world(tmp_path, Place(fake.url, keys=[Key(rpm=10)]), clock=clock) as world,
        ):
            assert await create_many(world, 50) == {200: 10, 429: 40}
            assert len(fake.posts) == 10
            clock.walk(59)
            assert (await world.create("too early")).headers["retry-after"] == "1"
            clock.walk(1)
            assert (await world.create("in time")).status_code == 200
            assert len(fake.posts) == 11

    asyncio.run(play())


def test_keys_of_one_account_share_the_minute_and_other_accounts_have_their_own(tmp_path: Path) -> None:
    async def play() -> None:
        async with upstreams([]) as (fake,):
            keys = [Key("a", account="acme", rpm=6), Key("b", account="acme", rpm=6), Key("c", rpm=5)]
            async with open_world(tmp_path, Place(fake.url, keys=keys), clock=Clock()) as world:
                assert await create_many(world, 50) == {200: 11, 429: 39}
                used = Counter(fake.keys_used)
                assert used[secret("first", "a")] + used[secret("first", "b")] == 6
                assert used[secret("first", "c")] == 5

    asyncio.run(play())


def test_refused_submits_count_for_the_minute(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([answer(400, JSON)] * 50) as (fake,),
            open_world(tmp_path, Place(fake.url, keys=[Key(rpm=10)]), clock=Clock()) as world,
        ):
            assert await create_many(world, 50) == {400: 10, 429: 40}
            assert len(fake.posts) == 10

    asyncio.run(play())


def test_fifty_creates_at_once_hold_no_more_tasks_than_the_key_may(tmp_path: Path) -> None:
    async def play() -> None:
        # The seventh is doubtful and may be at work too; the eighth is refused and makes room again.
        all_told = asyncio.Event()
        script = [gated(all_told, does) for does in [*[accept()] * 6, DOUBTFUL, answer(400, JSON)]]
        async with (
            upstreams(script) as (fake,),
            open_world(tmp_path, Place(fake.url, keys=[Key(max_tasks=8)]), clock=Clock()) as world,
        ):
            creates = [asyncio.create_task(world.create(f"ship number {number}")) for number in range(50)]
            for told in itertools.islice(asyncio.as_completed(creates), 42):  # there is no room for them
                assert (await told).status_code == 429
            await fake.wait_for_posts(8)
            all_told.set()
            statuses = Counter([(await create).status_code for create in creates])
            assert statuses == {200: 7, 400: 1, 429: 42}
            assert len(fake.posts) == 8
            assert (await world.create("one more")).status_code == 200
            assert (await world.create("too many")).status_code == 429
            assert len(fake.posts) == 9

    asyncio.run(play())


def test_room_for_tasks_is_known_again_after_a_restart(tmp_path: Path) -> None:
    async def play() -> None:
        async with upstreams([accept(), DOUBTFUL]) as (fake,):
            place = Place(fake.url, keys=[Key(max_tasks=2)])
            async with open_world(tmp_path, place, clock=Clock()) as world:
                assert await create_many(world, 2) == {200: 2}
            async with open_world(tmp_path, place, clock=Clock()) as world:
                assert (await world.create("one too many")).status_code == 429
                assert len(fake.posts) == 2

    asyncio.run(play())


# --- recovery -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "state", "status", "rests_s"),
    [
        (BUSY_7_S, KeyState.RESTING, 429, 7),
        (LOADED, KeyState.RESTING, 503, 15),
        (answer(503, HTML, [("Retry-After", "120")]), KeyState.RESTING, 503, 120),
        (EMPTY, KeyState.EXHAUSTED, 503, 300),
        (BARRED, KeyState.BARRED, 503, 3600),
        (answer(403, HTML), KeyState.RESTING, 502, 60),
    ],
    ids=["429", "503", "503 with time", "402", "403", "403 by a firewall"],
)
def test_a_key_comes_back_when_its_time_is_over(
    does: Behaviour, state: KeyState, status: int, rests_s: int, tmp_path: Path
) -> None:
    async def play() -> None:
        clock = Clock()
        async with (
            upstreams([does]) as (fake,),
            open_world(tmp_path, Place(fake.url), clock=clock) as world,
        ):
            assert (await world.create("the first")).status_code == status
            clock.walk(rests_s - 0.5)
            assert world.key_states() == {"first/main": state}
            assert (await world.create("too early")).status_code in (429, 503)
            assert len(fake.posts) == 1
            clock.walk(0.5)
            assert world.key_states() == {"first/main": KeyState.OK}
            assert (await world.create("in time")).status_code == 200

    asyncio.run(play())


def test_rests_without_a_time_double_and_end_with_success(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with (
            upstreams([BUSY] * 6) as (fake,),
            open_world(tmp_path, Place(fake.url), clock=clock) as world,
        ):
            told = []
            for number in range(6):
                told.append(int((await world.create(f"ship {number}")).headers["retry-after"]))
                clock.walk(150)
            for seconds, usual_s in zip(told, (5, 10, 20, 40, 80, 120), strict=True):
                assert 0.8 * usual_s <= seconds <= 1.2 * usual_s + 1
            assert (await world.create("at last")).status_code == 200
            fake.script.append(BUSY)
            assert 4 <= int((await world.create("anew")).headers["retry-after"]) <= 6

    asyncio.run(play())


@pytest.mark.parametrize(
    ("does", "status", "most_s"), [(BUSY, 429, 6), (LOADED, 503, 15), (EDGE_DOWN, 503, 5)], ids=["429", "503", "521"]
)
def test_twenty_refusals_at_once_are_one_reason_to_rest(
    does: Behaviour, status: int, most_s: int, tmp_path: Path
) -> None:
    async def play() -> None:
        clock = Clock()
        all_sent = asyncio.Event()
        async with (
            upstreams([gated(all_sent, does)] * 40) as (fake,),
            open_world(tmp_path, Place(fake.url), clock=clock) as world,
        ):
            creating = asyncio.create_task(create_many(world, 20))
            await fake.wait_for_posts(20)
            all_sent.set()
            assert await creating == {status: 20}
            reply = await world.create("while it rests")
            assert 1 <= int(reply.headers["retry-after"]) <= most_s
            clock.walk(most_s)
            fake.script.clear()
            assert (await world.create("when it is over")).status_code == 200

    asyncio.run(play())


@pytest.mark.parametrize("does", [REJECTED, EMPTY], ids=["401", "402"])
def test_a_free_question_brings_a_key_back(does: Behaviour, tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([does]) as (fake,),
            open_world(tmp_path, Place(fake.url), clock=Clock()) as world,
        ):
            assert (await world.create("the first")).status_code == 503
            fake.credits = None if does is REJECTED else 0.0
            await world.parts.upstreams.recheck_keys()
            assert (await world.create("too early")).status_code == 503
            fake.credits = 12.0
            await world.parts.upstreams.recheck_keys()
            assert world.key_states() == {"first/main": KeyState.OK}
            assert (await world.create("in time")).status_code == 200
            assert [get.path for get in fake.gets] == ["/v1/credits"] * 2
            assert len(fake.posts) == 2

    asyncio.run(play())


def test_a_retired_key_does_not_come_back_by_time(tmp_path: Path) -> None:
    async def play() -> None:
        clock = Clock()
        async with (
            upstreams([REJECTED]) as (fake,),
            open_world(tmp_path, Place(fake.url), clock=clock) as world,
        ):
            await world.create("the first")
            clock.walk(10 * 86_400)
            assert (await world.create("days later")).status_code == 503
            assert len(fake.posts) == 1

    asyncio.run(play())


# --- something else than the API answers ---------------------------------------------------------------------------

PAGE = answer(200, HTML)


def errors_counted(world: World) -> dict[tuple[str, ...], float]:
    return {labels: count for labels, count in world.parts.metrics.counts("reelgate_errors").items() if count}


@pytest.mark.parametrize(
    "said", [PAGE, bytes_then(b"SSH-2.0-OpenSSH_9.6\r\n", "finish", buys=False)], ids=["a page", "no HTTP"]
)
def test_an_upstream_in_maintenance_gets_no_more_orders_for_a_while(said: Behaviour, tmp_path: Path) -> None:
    """Each of them is in doubt, and holds its price."""

    async def play() -> None:
        clock = Clock()
        async with upstreams([said] * 4) as (fake,), open_world(tmp_path, Place(fake.url), clock=clock) as world:
            for number in range(IN_A_ROW_RESTS):
                told = (await world.create(f"order {number}")).json()
                assert told["submission"] == "unconfirmed"
            assert errors_counted(world) == {("upstream", "submission_unconfirmed"): IN_A_ROW_RESTS}
            refused = await world.create("while it rests")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
            assert refused.headers["x-should-retry"] == "true"
            assert (await world.client.get("/readyz")).status_code == 503
            assert len(fake.posts) == IN_A_ROW_RESTS
            assert await world.held() == IN_A_ROW_RESTS * PRICE

            clock.walk(60)
            assert (await world.create("tried again")).json()["submission"] == "unconfirmed"
            assert (await world.create("too early")).headers["retry-after"] == "120"
            clock.walk(120)
            assert "submission" not in (await world.create("it is back")).json()
            assert len(fake.posts) == IN_A_ROW_RESTS + 2

    asyncio.run(play())


def test_orders_go_elsewhere_while_one_upstream_rests_for_its_pages(tmp_path: Path) -> None:
    async def play() -> None:
        async with (
            upstreams([PAGE] * 9, []) as (first, other),
            open_world(tmp_path, *places((first, other)), clock=Clock()) as world,
        ):
            told = [(await world.create(f"order {number}")).json() for number in range(5)]
            assert ["submission" in answer for answer in told] == [True] * 3 + [False] * 2
            assert (len(first.posts), len(other.posts)) == (3, 2)

    asyncio.run(play())


def test_an_upstream_without_trust_is_asked_three_times_in_a_row_and_then_rests(tmp_path: Path) -> None:
    async def play() -> None:
        async with upstreams([]) as (fake,):
            url = fake.url.replace("http:", "https:")
            async with open_world(tmp_path, Place(url), clock=Clock()) as world:
                replies = [await world.create(f"order {number}") for number in range(4)]
                assert [reply.status_code for reply in replies] == [502, 502, 502, 503]
                assert ["retry-after" in reply.headers for reply in replies] == [False] * 3 + [True]
                assert world.key_states() == {"first/main": KeyState.RESTING}

    asyncio.run(play())


# --- many at once -------------------------------------------------------------------------------------------------


def test_a_storm_of_everything_buys_nothing_twice(tmp_path: Path) -> None:
    kinds = [
        accept(), BUSY_7_S, DOUBTFUL, REJECTED, bytes_then(b"", "reset", buys=True), LOADED, BARRED,
        slowly(0.1, accept()), EDGE_DOWN, EMPTY, bytes_then(b"HTTP/1.1 200 OK\r\n", "finish", buys=True), NOT_THERE,
    ]  # fmt: skip

    async def play() -> None:
        async with upstreams(*(kinds[start:] + kinds[:start] for start in (0, 4, 8))) as fakes:
            keys = [Key(name) for name in "abcdef"]
            said = [Place(fake.url, f"u{number}", keys=keys) for number, fake in enumerate(fakes)]
            async with open_world(tmp_path, *said, clock=Clock()) as world:
                statuses = await create_many(world, 60)
                assert set(statuses) <= {200, 429, 502, 503}
                states = Counter(await world.states())
                assert states[State.RUNNING] + states[State.UNCONFIRMED] == statuses[200]
                assert bought(*fakes) == statuses[200]
                assert states[State.OPENED] == 0
                assert statuses.total() == 60

    asyncio.run(play())


def test_the_answers_of_a_storm_name_no_upstream_secret(tmp_path: Path) -> None:
    async def play() -> None:
        leaky = answer(400, error_body(f"bad key {secret('first', 'main')} of you"))
        async with (
            upstreams([leaky, answer(404, error_body(f"Bearer {secret('first', 'main')}"))]) as (fake,),
            open_world(tmp_path, Place(fake.url), clock=Clock()) as world,
        ):
            replies: list[httpx.Response] = [await world.create("one"), await world.create("two")]
            assert [reply.status_code for reply in replies] == [400, 502]
            assert not any(secret("first", "main") in reply.text for reply in replies)

    asyncio.run(play())
