"""What one process learns of keys and upstreams, the others know, and so does the next one after a restart."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StorageDown
from gateway.flows import neighbours
from gateway.keys import FOR_EVER, KeyState, Rest, Why
from gateway.store import Database, NameUnknown, Rests, prepare
from gateway.video import Route
from tests.replicas.world import eventually, states, street, sync
from tests.world import Clock, World

NOW = 1_800_000_000.0
MAIN, SPARE = "{id: main, value: sk-up-main-key}", "{id: spare, value: sk-up-spare-key}"
# What the sandbox says, and what becomes of the key.
LESSONS = {
    "#sandbox:429": KeyState.RESTING,
    "#sandbox:402": KeyState.EXHAUSTED,
    "#sandbox:401": KeyState.RETIRED,
    "#sandbox:403": KeyState.BARRED,
    "#sandbox:503": KeyState.RESTING,
}


async def learn(replica: World, word: str) -> None:
    """Order a film that no key gets."""
    assert (await replica.create(prompt=f"a ship {word}")).status_code in (429, 502, 503)


@pytest.mark.parametrize("word", LESSONS)
def test_a_rest_learnt_by_one_is_known_to_the_other_and_survives_a_restart(
    tmp_path: Path, storage: str, word: str
) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here:
            async with here.replica(MAIN) as one, here.replica(MAIN) as other:
                await learn(one, word)
                assert states(one) == {"main": LESSONS[word]}
                await sync(one, other)
                assert states(other) == {"main": LESSONS[word]}
            async with here.replica(MAIN) as after:
                assert states(after) == {"main": LESSONS[word]}
                await learn(after, "")
                assert len(after.requests("POST")) == 1, "nobody asked with a key that was known to rest"

    asyncio.run(story())


def test_the_background_tells_and_hears_within_two_seconds(tmp_path: Path, storage: str) -> None:
    # A rest is told when it is learnt, at most GATHER_S later; everybody listens every EVERY_S.
    assert neighbours.EVERY_S + 2 * neighbours.GATHER_S < 2

    async def story() -> None:
        async with (
            street(tmp_path, storage, clock=Clock()) as here,
            here.replica(MAIN) as one,
            here.replica(MAIN) as other,
        ):
            await learn(one, "#sandbox:429")
            await eventually(lambda: states(other) == {"main": KeyState.RESTING})

    asyncio.run(story())


def test_what_was_learnt_in_the_last_moment_is_told_all_the_same(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here:
            async with here.replica(MAIN) as one:
                await one.create(prompt="a ship #sandbox:401")
            async with here.replica(MAIN) as after:
                assert states(after) == {"main": KeyState.RETIRED}

    asyncio.run(story())


def test_a_rest_ends_for_all_at_the_same_time(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        clock = Clock()
        async with (
            street(tmp_path, storage, clock=clock) as here,
            here.replica(MAIN) as one,
            here.replica(MAIN) as other,
        ):
            await learn(one, "#sandbox:429")  # Retry-After: 2
            await sync(one, other)
            clock.walk(2.5)
            assert states(one) == states(other) == {"main": KeyState.OK}
            assert (await other.create()).status_code == 200

    asyncio.run(story())


@pytest.mark.parametrize("word", ["#sandbox:401=1", "#sandbox:402=1"])
def test_a_key_that_a_free_call_finds_good_is_used_again_by_all(tmp_path: Path, storage: str, word: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here:
            async with here.replica(MAIN) as one, here.replica(MAIN) as other:
                await learn(one, word)
                await sync(one, other)
                assert states(one) == states(other) != {"main": KeyState.OK}
                await other.parts.upstreams.recheck_keys()
                await sync(other, one)
                assert states(one) == states(other) == {"main": KeyState.OK}
                assert [(await replica.create()).status_code for replica in (one, other)] == [200, 200]
            async with here.replica(MAIN) as after:
                assert states(after) == {"main": KeyState.OK}

    asyncio.run(story())


@pytest.mark.parametrize("word", ["#sandbox:429", "#sandbox:401", "#sandbox:402", "#sandbox:403"])
def test_a_key_that_a_person_calls_good_is_used_again_by_all(tmp_path: Path, storage: str, word: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here:
            async with here.replica(MAIN) as one, here.replica(MAIN) as other:
                await learn(one, word)
                assert await neighbours.recover_here(Route("sandbox", "main"), one.parts) == 1
                assert await neighbours.recover_here(Route("sandbox", "main"), one.parts) == 0
                assert states(one) == {"main": KeyState.OK}
                await sync(other)
                assert states(other) == {"main": KeyState.OK}
                with pytest.raises(NameUnknown, match="no key spare of an upstream sandbox"):
                    await neighbours.recover_here(Route("sandbox", "spare"), one.parts)
            async with here.replica(MAIN) as after:
                assert (await after.create()).status_code == 200

    asyncio.run(story())


@pytest.mark.parametrize("word", ["#sandbox:401", "#sandbox:403"])
def test_what_was_learnt_of_a_secret_is_not_held_against_another_one(tmp_path: Path, storage: str, word: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here:
            async with here.replica(MAIN) as before:
                await learn(before, word)
            async with here.replica("{id: main, value: sk-up-another-key}") as after:
                assert states(after) == {"main": KeyState.OK}
                assert (await after.create()).status_code == 200
            async with here.replica(MAIN) as again:
                assert states(again) == {"main": LESSONS[word]}

    asyncio.run(story())


def test_the_rests_of_an_account_hold_although_a_secret_is_new(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage, clock=Clock()) as here:
            async with here.replica(MAIN) as before:
                await learn(before, "#sandbox:402")
            async with here.replica("{id: main, value: sk-up-another-key}") as after:
                assert states(after) == {"main": KeyState.EXHAUSTED}

    asyncio.run(story())


def test_what_is_kept_is_what_was_learnt_last_in_whatever_order_it_is_written(storage: str) -> None:
    early = Rest(Why.RESTING, "acme", until=NOW + 90, streak=1, learnt_at=NOW)
    late = Rest(Why.RESTING, "acme", until=NOW + 20, streak=2, learnt_at=NOW + 1)
    of_key = Rest(Why.RETIRED, "main", until=FOR_EVER, learnt_at=NOW, credential="ab" * 32)

    async def story() -> None:
        database = Database.open(storage)
        try:
            await prepare(database)
            rests = Rests(database, 1)
            for written in ([early], [late], [early], [of_key, early, late, early]):
                await rests.keep([("sandbox", rest) for rest in written])
            assert set((await rests.standing(NOW, [])).rests) == {("sandbox", late), ("sandbox", of_key)}
        finally:
            await database.close()

    asyncio.run(story())


def test_what_was_over_long_ago_is_forgotten_and_what_waits_for_a_person_is_not(storage: str) -> None:
    over = Rest(Why.RESTING, "acme", until=NOW + 90, learnt_at=NOW)
    of_key = Rest(Why.RETIRED, "main", until=FOR_EVER, learnt_at=NOW)
    later = Rest(Why.COOLING, "", until=NOW, learnt_at=NOW + 8 * 86_400)

    async def story() -> None:
        database = Database.open(storage)
        try:
            await prepare(database)
            rests = Rests(database, 1)
            await rests.keep([("sandbox", over), ("sandbox", of_key)])
            await rests.keep([("sandbox", later)])
            assert set((await rests.standing(NOW, [])).rests) == {("sandbox", of_key), ("sandbox", later)}
        finally:
            await database.close()

    asyncio.run(story())


def test_no_secret_of_an_upstream_is_written_down(tmp_path: Path) -> None:
    path = tmp_path / "reelgate.db"

    async def story() -> None:
        async with street(tmp_path, f"sqlite:///{path}", clock=Clock()) as here, here.replica(MAIN) as one:
            await learn(one, "#sandbox:401")
            await sync(one)

    asyncio.run(story())
    with closing(sqlite3.connect(path)) as connection:
        (credential,) = connection.execute("SELECT credential FROM rests").fetchone()
    assert len(credential) == 64
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("reelgate.db*") if file.is_file())
    assert b"sk-up-main-key" not in kept


def test_what_storage_cannot_take_is_told_later(tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with (
            street(tmp_path, storage, clock=Clock()) as here,
            here.replica(MAIN) as one,
            here.replica(MAIN) as other,
        ):
            keep, failures = one.parts.rests.keep, list[object]()

            async def fail_once(learnt: Any) -> None:
                if not failures:
                    failures.append(learnt)
                    raise StorageDown("no answer")
                await keep(learnt)

            monkeypatch.setattr(one.parts.rests, "keep", fail_once)
            await learn(one, "#sandbox:429")
            await eventually(lambda: states(other) == {"main": KeyState.RESTING})
            assert len(failures) == 1
            assert one.parts.upstreams.untold() == []

    asyncio.run(story())


def test_accepted_creates_write_no_rests(tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with street(tmp_path, storage) as here, here.replica(MAIN, SPARE) as one:
            written: list[object] = []

            async def note(learnt: Any) -> None:
                written.append(learnt)

            monkeypatch.setattr(one.parts.rests, "keep", note)
            for number in range(5):
                assert (await one.create(prompt=f"film {number}")).status_code == 200
            await sync(one)
            assert written == []

    asyncio.run(story())
