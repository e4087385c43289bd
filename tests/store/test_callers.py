"""Keys and teams in storage: what is kept of a key, that no name comes twice, and that every change is noticed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.store import Callers, NameTaken, NameUnknown
from gateway.store.callers import HINT_CHARACTERS, PREFIX
from gateway.video import Budget
from gateway.virtual_keys import Roll, Team, VirtualKey
from tests.store.conftest import World

Run = Callable[[Callable[[], Awaitable[None]]], None]

FULL = VirtualKey(
    id="carol@films.example",
    team="films",
    models=("MiniMax-Hailuo-*", "T2V-01"),
    dialect="toapis",
    budget=Budget(50_000_000, "30d"),
    rpm=30,
    max_tasks=5,
    passthrough=True,
    expires_at=1_900_000_000.5,
)


def test_a_key_comes_back_as_it_was_made_and_its_text_is_nowhere(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            callers = Callers(db)
            issued, text = await callers.create_key(FULL, world.now)
            plain, other = await callers.create_key(VirtualKey(id="dave"), world.now + 1)
            roll = await callers.roll()
        assert roll.keys == (issued, plain)
        assert (issued.key, plain.key) == (FULL, VirtualKey(id="dave"))
        assert (issued.created_at, issued.revoked_at, issued.is_configured) == (world.now, None, False)
        assert issued.digest == text.digest()
        for secret in (text.reveal(), other.reveal()):
            assert secret.startswith(PREFIX)
            assert len(secret) >= len(PREFIX) + 32
            assert secret not in repr(world.everything())
        assert issued.hint == text.reveal()[-HINT_CHARACTERS:]
        assert text.digest() not in repr(issued)

    run(story)


def test_a_name_is_given_once_and_a_revoked_keys_name_never_again(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            callers = Callers(db)
            await callers.create_key(VirtualKey(id="carol"), world.now)
            await callers.create_team(Team("films", Budget(1)), world.now)
            before = world.everything()
            with pytest.raises(NameTaken):
                await callers.create_key(VirtualKey(id="carol", rpm=1), world.now)
            with pytest.raises(NameTaken):
                await callers.create_team(Team("films"), world.now)
            with pytest.raises(NameUnknown):
                await callers.revoke_key("nobody", world.now)
            with pytest.raises(NameUnknown):
                await callers.update_team(Team("nobody"))
            assert world.everything() == before  # not even the version moved
            await callers.revoke_key("carol", world.now)
            with pytest.raises(NameTaken, match="revoked"):
                await callers.create_key(VirtualKey(id="carol"), world.now)

    run(story)


def test_a_revocation_keeps_its_first_time(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            callers = Callers(db)
            await callers.create_key(VirtualKey(id="carol"), world.now)
            assert (await callers.revoke_key("carol", world.now + 1)).revoked_at == world.now + 1
            assert (await callers.revoke_key("carol", world.now + 9)).revoked_at == world.now + 1
            (kept,) = (await callers.roll()).keys
            assert kept.revoked_at == world.now + 1

    run(story)


def test_a_teams_budget_is_changed_and_taken_away(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            callers = Callers(db)
            await callers.create_team(Team("films", Budget(5, "1mo")), world.now)
            for budget in (Budget(7), None, Budget(0, "1d")):
                await callers.update_team(Team("films", budget))
                assert (await callers.roll()).teams == (Team("films", budget),)

    run(story)


def test_every_change_makes_the_version_grow(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            callers = Callers(db)
            assert (await callers.version(), await callers.roll()) == (0, Roll())
            changes: list[Callable[[], Awaitable[object]]] = [
                lambda: callers.create_key(VirtualKey(id="carol"), world.now),
                lambda: callers.create_team(Team("films"), world.now),
                lambda: callers.update_team(Team("films", Budget(1))),
                lambda: callers.revoke_key("carol", world.now),
                lambda: callers.freeze(world.now),
                lambda: callers.unfreeze(),
            ]
            for number, change in enumerate(changes, 1):
                await change()
                assert (await callers.version(), (await callers.roll()).version) == (number, number)

    run(story)


def test_a_freeze_remembers_since_when(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as db:
            callers = Callers(db)
            await callers.freeze(world.now)
            await callers.freeze(world.now + 60)
            assert (await callers.roll()).frozen_since == world.now
            await callers.unfreeze()
            await callers.unfreeze()
            assert (await callers.roll()).frozen_since is None

    run(story)


def test_changes_that_are_made_at_once_are_all_counted(world: World, run: Run) -> None:
    async def story() -> None:
        async with world.database() as one, world.database() as other:
            made = [
                Callers(db).create_key(VirtualKey(id=f"{name}-{number}"), world.now)
                for number in range(20)
                for name, db in (("one", one), ("other", other))
            ]
            same = [Callers(db).create_key(VirtualKey(id="same"), world.now) for db in (one, other)]
            await asyncio.gather(*made)
            outcomes = await asyncio.gather(*same, return_exceptions=True)
            assert sum(isinstance(outcome, NameTaken) for outcome in outcomes) == 1
            roll = await Callers(one).roll()
            assert (roll.version, len(roll.keys)) == (41, 41)

    run(story)
