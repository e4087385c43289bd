"""A file is ours, empty, or refused; and the constraints know the life of a task as well as the code does."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from gateway.store import Database, SchemaRefused, SchemaTooNew, prepare
from gateway.store.schema import VERSION, ForeignDatabase
from gateway.video import State


def make(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def refused(world, run, kind):
    """Preparing raises this kind of refusal, in one line, and leaves every byte of the file as it was."""
    before = world.path.read_bytes()

    async def story():
        db = Database.open(world.url)
        try:
            with pytest.raises(kind) as caught:
                await prepare(db)
        finally:
            await db.close()
        assert isinstance(caught.value, SchemaRefused)
        assert "\n" not in str(caught.value)
        assert str(world.path) in str(caught.value)

    run(story)
    assert world.path.read_bytes() == before


def test_an_empty_file_gets_the_tables_and_a_second_start_changes_nothing(world, run):
    async def story():
        async with world.database():
            first = world.everything()
            tables = world.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")
        async with world.database():
            assert world.everything() == first
            assert world.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name") == tables
        assert first["meta"] == [("schema_version", str(VERSION))]

    world.path.touch()
    run(story)


def test_a_newer_file_is_refused(world, run):
    async def story():
        async with world.database():
            world.execute("UPDATE meta SET value = ? WHERE name = 'schema_version'", str(VERSION + 1))

    run(story)
    refused(world, run, SchemaTooNew)


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE customers (id INTEGER)"],
        ["CREATE VIEW one AS SELECT 1"],
        ["CREATE TABLE tasks (id INTEGER)", "CREATE TABLE attempts (id INTEGER)"],
        ["CREATE TABLE meta (version INTEGER)", "INSERT INTO meta VALUES (1)"],
        ["CREATE TABLE meta (name TEXT, value TEXT)"],
        ["CREATE TABLE meta (name TEXT, value TEXT)", "INSERT INTO meta VALUES ('schema_version', 'old')"],
        ["CREATE TABLE meta (name TEXT, value INTEGER)", "INSERT INTO meta VALUES ('schema_version', 0)"],
    ],
)
def test_somebody_elses_database_is_refused_untouched(world, run, statements):
    make(world.path, *statements)
    refused(world, run, ForeignDatabase)


def test_a_file_that_is_no_database_is_refused_untouched(world, run):
    world.path.write_text("server:\n  port: 8080\n" * 100)
    refused(world, run, ForeignDatabase)


BROKEN = [
    ("running without a receipt", State.OPENED, "state = 'running', started_at = 1"),
    ("completed without a receipt", State.OPENED, "state = 'completed', finished_at = 1, link = 'x'"),
    ("running without a start", State.RUNNING, "started_at = NULL"),
    ("opened with a receipt", State.OPENED, "upstream_id = 'u'"),
    ("doubt with a receipt", State.UNCONFIRMED, "upstream_id = 'u'"),
    ("refused with a receipt", State.REFUSED, "upstream_id = 'u'"),
    ("final without an end", State.COMPLETED, "finished_at = NULL"),
    ("an end without being final", State.RUNNING, "finished_at = 1"),
    ("completed without a link", State.COMPLETED, "link = NULL"),
    ("a link without being completed", State.RUNNING, "link = 'x'"),
    ("failed without a reason", State.FAILED, "failure_code = NULL"),
    ("failed without a sentence", State.REFUSED, "failure_message = NULL"),
    ("a reason without being failed", State.RUNNING, "failure_code = 'x', failure_message = 'x'"),
    ("an unknown state", State.OPENED, "state = 'lost'"),
    ("a negative price", State.OPENED, "price = -1"),
    ("too much progress", State.RUNNING, "progress = 101"),
    ("negative progress", State.RUNNING, "progress = -1"),
]


@pytest.mark.parametrize(("state", "change"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_the_file_itself_refuses_an_impossible_task(world, run, state, change):
    async def story():
        async with world.registry() as registry:
            task = await world.in_state(registry, state)
            with pytest.raises(world.refusal):
                world.execute(f"UPDATE tasks SET {change} WHERE id = ?", task.id)  # noqa: S608

    run(story)


@pytest.mark.parametrize(
    "change", ["outcome = 'lost'", "outcome = 'doubt', ended_at = NULL", "ended_at = 1", "number = 0"]
)
def test_the_file_itself_refuses_an_impossible_attempt(world, run, change):
    async def story():
        async with world.registry() as registry:
            await world.opened(registry)
            with pytest.raises(world.refusal):
                world.execute(f"UPDATE attempts SET {change}")  # noqa: S608

    run(story)


def test_a_task_without_a_price_may_be_kept(world, run):
    async def story():
        async with world.registry() as registry:
            task = await world.opened(registry, offer=replace(world.offer, price=None))
            assert await registry.get(task.id) == task

    run(story)
