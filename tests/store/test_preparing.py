"""A database is ours, empty, or refused untouched."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing

import psycopg
import pytest

from gateway.errors import StorageDown
from gateway.store import (
    NEWEST_REVISION,
    Database,
    SchemaRefused,
    SchemaTooNew,
    migrate,
    prepare,
    preparing,
    revision_of,
)
from gateway.store.preparing import ForeignDatabase, SchemaTooOld
from tests.postgres import fresh_database

STRANGERS = [
    ["CREATE TABLE customers (id INTEGER)"],
    ["CREATE VIEW one AS SELECT 1"],
    ["CREATE TABLE tasks (id INTEGER)", "CREATE TABLE attempts (id INTEGER)"],
    ["CREATE TABLE meta (version INTEGER)", "INSERT INTO meta VALUES (1)"],
    ["CREATE TABLE meta (name TEXT, value TEXT)", "CREATE TABLE tasks (id INTEGER)"],
    ["CREATE TABLE alembic_version (version_num TEXT)", "INSERT INTO alembic_version VALUES ('0001')"],
    [
        "CREATE TABLE alembic_version (version_num TEXT)",
        "INSERT INTO alembic_version VALUES ('ae1027a6acf')",
        "CREATE TABLE meta (name TEXT, value TEXT)",
        "CREATE TABLE tasks (id INTEGER)",
    ],
]
EARLY = [
    "CREATE TABLE meta (name TEXT, value TEXT)",
    "INSERT INTO meta VALUES ('schema_version', '1')",
    "CREATE TABLE tasks (id INTEGER)",
]


@pytest.fixture
def empty(world):
    """A world whose database is empty, on either kind."""
    if world.url.startswith("postgresql"):
        world.url = fresh_database()
    return world


def do(world, statements):
    if world.url.startswith("postgresql"):
        with psycopg.connect(world.url) as connection:
            for statement in statements:
                connection.execute(statement)
    else:
        with closing(sqlite3.connect(world.path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)


def state_of(world):
    """Everything there is: the bytes of the file, or the names on the server with how often each was written to."""
    if world.url.startswith("postgresql"):
        objects = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY relname"
        with psycopg.connect(world.url) as connection:
            return connection.execute(objects).fetchall()
    return world.path.read_bytes()


def refused(world, run, kind, says):
    """Preparing raises this kind of refusal, in one line that names the database, and changes nothing."""
    before = state_of(world)

    async def story():
        db = Database.open(world.url)
        try:
            with pytest.raises(kind, match=says) as caught:
                await prepare(db)
            assert isinstance(caught.value, SchemaRefused)
            assert str(caught.value).startswith(db.name)
            assert "\n" not in str(caught.value)
            with pytest.raises(kind):
                await migrate(db)
        finally:
            await db.close()

    run(story)
    assert state_of(world) == before


def test_an_empty_database_gets_the_tables_and_a_second_start_changes_nothing(empty, run):
    async def story():
        db = Database.open(empty.url)
        assert await revision_of(db) is None
        assert await migrate(db) is None
        assert await revision_of(db) == NEWEST_REVISION
        await db.close()
        before, rows = state_of(empty), empty.everything()
        async with empty.database() as db:
            assert await revision_of(db) == NEWEST_REVISION
            assert await migrate(db) == NEWEST_REVISION
            assert db.is_writable
        assert empty.everything() == rows
        assert len(state_of(empty)) == len(before)

    run(story)


def test_gateways_that_begin_at_once_make_the_tables_once(empty, run):
    async def story():
        several = [Database.open(empty.url) for _ in range(4)]
        await asyncio.gather(*[prepare(db) for db in several])
        for db in several:
            await db.close()
        assert empty.execute("SELECT version_num FROM alembic_version") == [(NEWEST_REVISION,)]

    run(story)


def test_an_ordinary_start_does_without_alembic(empty, run):
    async def story():
        async with empty.database():
            pass

    run(story)
    script = (
        "import asyncio, sys\n"
        "from gateway.store import Database, prepare\n"
        "async def start():\n"
        "    db = Database.open(sys.argv[1])\n"
        "    await prepare(db)\n"
        "    await db.close()\n"
        "asyncio.run(start())\n"
        "print([name for name in ('alembic', 'mako', 'psycopg') if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", script, empty.url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.strip() == ("['psycopg']" if empty.url.startswith("postgresql") else "[]")


@pytest.mark.parametrize("statements", STRANGERS)
def test_somebody_elses_database_is_refused_untouched(empty, run, statements):
    do(empty, statements)
    refused(empty, run, ForeignDatabase, "not Reelgate's")


def test_tables_from_before_the_ledger_are_refused_untouched(empty, run):
    do(empty, EARLY)
    refused(empty, run, SchemaTooOld, "before the ledger")


def test_tables_of_a_newer_program_are_refused_untouched(empty, run):
    async def story():
        async with empty.database():
            pass

    run(story)
    empty.execute("UPDATE alembic_version SET version_num = ?", f"{int(NEWEST_REVISION) + 1:04}")
    refused(empty, run, SchemaTooNew, "newer Reelgate")


def test_a_file_that_is_no_database_is_refused_untouched(file, run):
    file.path.write_text("server:\n  port: 8080\n" * 100)
    refused(file, run, ForeignDatabase, "not a database")


def test_what_extensions_brought_is_nobodys(run):
    address = fresh_database()
    with psycopg.connect(address) as connection:
        connection.execute("CREATE VIEW brought_along AS SELECT 1")
        connection.execute("ALTER EXTENSION plpgsql ADD VIEW brought_along")

    async def story():
        db = Database.open(address)
        await prepare(db)
        await db.close()

    run(story)


def test_a_server_that_keeps_another_alphabet_is_refused(run):
    async def story():
        db = Database.open(fresh_database(encoding="LATIN1"))
        with pytest.raises(SchemaRefused, match="ENCODING 'UTF8'"):
            await prepare(db)
        await db.close()

    run(story)


def test_a_role_that_may_make_no_tables_is_told_so(run):
    address = fresh_database()
    with psycopg.connect(address) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")

    async def story():
        db = Database.open(address.replace("//postgres@", "//guest@"))
        with pytest.raises(StorageDown) as caught:
            await prepare(db)
        assert "permission denied for schema public" in str(caught.value.__cause__)
        await db.close()

    run(story)


def test_tables_that_were_made_by_half_are_not_there(empty, run, monkeypatch):
    create = preparing.create

    def create_and_fail(connection):
        create(connection)
        raise LookupError("the power went out")

    async def story():
        db = Database.open(empty.url)
        with monkeypatch.context() as patch:
            patch.setattr(preparing, "create", create_and_fail)
            with pytest.raises(LookupError):
                await prepare(db)
        assert await revision_of(db) is None
        await prepare(db)
        assert await revision_of(db) == NEWEST_REVISION
        await db.close()

    run(story)
