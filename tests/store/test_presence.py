"""Who is alive is known to all, however the others ended."""

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from gateway.errors import StorageDown
from gateway.store import Database, Presence, prepare, presence
from tests.postgres import fresh_database

IS_PRESENT = """
import asyncio, sys
from gateway.store import Database, Presence

async def main():
    presence = await Presence.open(Database.open(sys.argv[1]))
    print(presence.number, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
SOON_S = 20  # for what comes at once: a limit against hanging, and no measure of any machine


@pytest.fixture(autouse=True)
def server_that_has_run_for_long(monkeypatch):
    monkeypatch.setattr(presence, "SETTLED_AFTER_S", 0)


@asynccontextmanager
async def present(db):
    one = await Presence.open(db)
    try:
        yield one
    finally:
        await one.close()


async def until(condition):
    """Wait until it is true, for what happens in another thread or process."""
    deadline = time.monotonic() + SOON_S
    while not await condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.02)


async def finds(one, dead, among):
    return await one.dead(among) == dead


def test_who_is_here_is_alive_and_who_has_left_is_dead(world, run):
    async def story():
        async with world.database() as db, world.database() as neighbour:
            async with present(db) as here:
                async with present(neighbour) as there:
                    assert here.number != there.number
                    assert 0 < here.number < 1 << 31
                    everybody = {here.number, there.number}
                    assert await here.dead(everybody) == set()
                    assert await there.dead(everybody) == set()
                    assert await here.dead(set()) == set()
                await until(lambda: finds(here, {there.number}, everybody))  # a server looks up from its work for it
            async with present(db) as later:
                await until(lambda: finds(later, everybody, everybody))

    run(story)


def test_a_number_that_nobody_ever_held_is_dead_and_ones_own_never(world, run):
    async def story():
        async with world.database() as db, present(db) as here:
            assert await here.dead({0, here.number ^ 1, here.number}) == {0, here.number ^ 1}

    run(story)


def test_who_is_killed_is_dead(world, run):
    async def story():
        async with world.database() as db, present(db) as here:
            with subprocess.Popen(  # noqa: ASYNC220  # nothing else waits
                [sys.executable, "-c", IS_PRESENT, world.url], stdout=subprocess.PIPE, text=True
            ) as child:
                number = int(await asyncio.to_thread(child.stdout.readline))
                assert await here.dead({number}) == set()
                child.send_signal(signal.SIGKILL)
            await until(lambda: finds(here, {number}, {number}))

    run(story)


def test_a_number_that_is_held_is_not_given_out_twice(world, run, monkeypatch):
    numbers = iter([7, 7, 7, 8])
    monkeypatch.setattr(presence._dice, "randrange", lambda *_: next(numbers))

    async def story():
        async with world.database() as db, present(db) as one, present(db) as other:
            assert (one.number, other.number) == (7, 8)
            assert await one.dead({7, 8}) == set()

    run(story)


def test_without_any_free_number_nobody_begins(world, run, monkeypatch):
    monkeypatch.setattr(presence._dice, "randrange", lambda *_: 7)

    async def story():
        async with world.database() as db, present(db):
            with pytest.raises(StorageDown):
                await Presence.open(db)

    run(story)


# --- files --------------------------------------------------------------------------------------------------------


def test_what_killed_processes_left_is_tidied_up(file, run):
    folder = file.path.with_name("tasks.db.instances")

    async def story():
        async with file.database() as db:
            async with present(db) as here:
                (folder / "12").touch()
                (folder / "notes.txt").touch()
                assert await here.dead({12}) == {12}
                assert not (folder / "12").exists()
                (folder / "13").touch()
                async with present(db) as other:
                    assert {path.name for path in folder.iterdir()} == {
                        str(here.number),
                        str(other.number),
                        "notes.txt",
                    }
            assert {path.name for path in folder.iterdir()} == {"notes.txt"}

    run(story)


def test_a_file_that_was_removed_before_it_was_locked_is_not_held(file, run, monkeypatch):
    """Somebody who tidies up may come between the making of a file and its lock."""
    lock, removed = presence._lock, []

    def lock_late(number):
        if not removed:
            removed.append(Path(f"/proc/self/fd/{number}").readlink())
            removed[0].unlink()
        return lock(number)

    monkeypatch.setattr(presence, "_lock", lock_late)

    async def story():
        async with file.database() as db, present(db) as here, present(db) as other:
            assert str(here.number) != removed[0].name
            assert await other.dead({here.number}) == set()

    run(story)


def test_a_folder_that_cannot_be_made_is_storage_down(file, run):
    async def story():
        db = Database.open(f"sqlite:///{file.path.parent}/nowhere/tasks.db")
        with pytest.raises(StorageDown):
            await Presence.open(db)
        await db.close()

    run(story)


# --- sessions -----------------------------------------------------------------------------------------------------


def end_sessions(world):
    with psycopg.connect(world.url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_after_the_sessions_were_ended_everybody_comes_back_before_anybody_is_called_dead(server, run, monkeypatch):
    monkeypatch.setattr(presence, "LOOK_EVERY_S", 0.02)

    async def story():
        async with (
            server.database() as db,
            server.database() as neighbour,
            present(db) as here,
            present(neighbour) as there,
        ):
            gone = await Presence.open(neighbour)
            await gone.close()
            monkeypatch.setattr(presence, "SETTLED_AFTER_S", 600)
            here._holder._came_back_at = there._holder._came_back_at = -600.0
            end_sessions(server)

            async def is_back():
                numbers = "SELECT objid FROM pg_locks WHERE locktype = 'advisory'"
                held = {row[0] for row in server.execute(numbers)}
                return {here.number, there.number} <= held and not here._holder.is_settled()

            await until(is_back)
            assert await here.dead({there.number, gone.number}) == set()
            monkeypatch.setattr(presence, "SETTLED_AFTER_S", 0)
            await until(lambda: finds(here, {gone.number}, {there.number, gone.number}))

    run(story)


def test_a_server_that_was_just_started_knows_nobody_yet(server, run, monkeypatch):
    async def story():
        async with server.database() as db, present(db) as here:
            assert await here.dead({1}) == {1}
            monkeypatch.setattr(presence, "SETTLED_AFTER_S", 10**9)
            here._holder._came_back_at = -(10.0**10)  # only the server is young
            assert await here.dead({1}) == set()

    run(story)


def test_while_the_server_is_away_nobody_is_called_dead_and_the_end_does_not_wait(server, run, monkeypatch):
    monkeypatch.setattr(presence, "LOOK_EVERY_S", 0.02)

    async def story():
        async with server.database() as db:
            here = await Presence.open(db)

            def nobody_there(engine, number):
                raise presence.SQLAlchemyError("nobody there")

            monkeypatch.setattr(presence, "_take", nobody_there)
            end_sessions(server)

            async def has_noticed():
                return here._holder._connection is None

            await until(has_noticed)
            assert await here.dead({1}) == set()
            await here.close()

    run(story)


def test_two_databases_of_one_server_do_not_know_each_other(server, run, monkeypatch):
    numbers = iter([7, 7])
    monkeypatch.setattr(presence._dice, "randrange", lambda *_: next(numbers))

    async def story():
        other = Database.open(fresh_database())
        await prepare(other)
        async with server.database() as db, present(db) as here, present(other) as there:
            assert (here.number, there.number) == (7, 7)
        await other.close()

    run(story)
