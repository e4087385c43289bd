"""Sessions in storage: found by their digest, ended at once, and never many."""

from collections.abc import Awaitable, Callable

from gateway.store import Session, Sessions
from gateway.store.sessions import OF_ONE_HOLDER_MAX
from gateway.structs import replace
from tests.store.conftest import NOW, World

Run = Callable[[Callable[[], Awaitable[None]]], None]
ADMIN = Session(digest="d0", key_id=None, proof="p0", created_at=NOW, ends_at=NOW + 100)
ALICE = Session(digest="d1", key_id="alice", proof="p1", created_at=NOW, ends_at=NOW + 200)


def test_a_session_comes_back_as_it_was_and_is_gone_when_it_is_ended(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            sessions = Sessions(db)
            for session in (ADMIN, ALICE):
                await sessions.start(session)
            assert [await sessions.find(digest) for digest in ("d0", "d1", "d2")] == [ADMIN, ALICE, None]
            await sessions.end("d0")
            await sessions.end("d0")
            assert [await sessions.find(digest) for digest in ("d0", "d1")] == [None, ALICE]

    run(story)


def test_those_that_are_over_leave_with_the_next_that_begins(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            sessions = Sessions(db)
            for session in (ADMIN, ALICE):
                await sessions.start(session)
            await sessions.start(Session("d3", None, "p3", NOW + 100, NOW + 300))
            assert [await sessions.find(digest) for digest in ("d0", "d1")] == [None, ALICE]

    run(story)


def test_of_one_holder_the_newest_stay_and_of_others_all(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            sessions = Sessions(db)
            await sessions.start(ALICE)
            for number in range(OF_ONE_HOLDER_MAX + 5):
                at = NOW + number / 10
                await sessions.start(replace(ADMIN, digest=f"a{number}", created_at=at, ends_at=at + 100))
            found = [await sessions.find(f"a{number}") is not None for number in range(OF_ONE_HOLDER_MAX + 5)]
            assert found == [False] * 5 + [True] * OF_ONE_HOLDER_MAX
            assert await sessions.find("d1") == ALICE

    run(story)
