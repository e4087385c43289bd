"""A step is durable when it is answered, alone in its failure, and no storage failure passes the door untranslated."""

import asyncio
import os
import resource
import sqlite3
import tempfile
import traceback
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, insert, select

from gateway.errors import StorageDown
from gateway.store import Database, RuleBroken, StorageRefused, prepare
from gateway.store.schema import meta

NOBODY = 65_534


@contextmanager
def without_roots_rights():
    """Root may write to read-only files; for a while, be somebody who may not."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


def put(name, value="x"):
    return lambda connection: connection.execute(insert(meta), {"name": name, "value": value}) and None


def names(connection):
    return set(connection.execute(select(meta.c.name)).scalars()) - {"schema_version"}


def pragma(name):
    def step(connection):
        result = connection.exec_driver_sql(f"PRAGMA {name}")
        return result.scalar() if result.returns_rows else None

    return step


def driver(connection):
    return connection.connection.driver_connection


@contextmanager
def counted_commits():
    """A list that grows by one at each commit, reads' included."""
    seen = []

    def count(connection):
        seen.append(1)

    event.listen(Engine, "commit", count)
    try:
        yield seen
    finally:
        event.remove(Engine, "commit", count)


@contextmanager
def locked(path):
    """Another process that writes and does not finish."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def disk_full(path):
    """No file may grow beyond what the write-ahead log is now."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    wal = path.with_name(f"{path.name}-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- durable and together -----------------------------------------------------------------------------------------


def test_the_writer_is_set_up_for_durability(file, run):
    async def story():
        async with file.database() as db:
            assert await db.run(pragma("synchronous")) == 2  # FULL
            assert await db.run(pragma("journal_mode")) == "wal"
            assert await db.run(pragma("foreign_keys")) == 1
            assert await db.run(pragma("busy_timeout")) == 5000
            assert await db.read(pragma("busy_timeout")) == 5000

    run(story)


def test_a_step_is_in_the_file_when_it_is_answered(file, run):
    async def story():
        async with file.database() as db:
            for number in range(20):
                await db.run(put(f"n{number}"))
                assert file.execute("SELECT 1 FROM meta WHERE name = ?", f"n{number}") == [(1,)]
                assert f"n{number}" in await db.read(names)

    run(story)


def test_steps_that_wait_together_are_committed_together(file, run):
    async def story():
        async with file.database() as db:
            with counted_commits() as commits:
                with locked(file.path):  # holds the writer at BEGIN, so that the others gather behind it
                    first = asyncio.create_task(db.run(put("first")))
                    await asyncio.sleep(0.05)
                    others = [asyncio.create_task(db.run(put(f"n{number}"))) for number in range(100)]
                    await asyncio.sleep(0.05)
                await asyncio.gather(first, *others)
                assert len(commits) == 2
                assert len(await db.read(names)) == 101

    run(story)


def test_a_group_is_no_larger_than_allowed(file, run):
    async def story():
        async with file.database(group_max=10) as db:
            with counted_commits() as commits:
                with locked(file.path):
                    steps = [asyncio.create_task(db.run(put(f"n{number}"))) for number in range(100)]
                    await asyncio.sleep(0.05)
                await asyncio.gather(*steps)
                assert 10 <= len(commits) <= 11

    run(story)


def test_a_failing_step_takes_back_its_own_work_and_nobody_elses(file, run):
    def write_and_fail(connection):
        put("half")(connection)
        raise LookupError("my own trouble")

    async def story():
        async with file.database() as db:
            with counted_commits() as commits:
                with locked(file.path):
                    first = asyncio.create_task(db.run(put("first")))
                    await asyncio.sleep(0.05)
                    steps = [put("a"), write_and_fail, put("b"), put("a"), put("c"), lambda _: next(iter(()))]
                    group = [asyncio.create_task(db.run(step)) for step in steps]
                    await asyncio.sleep(0.05)
                await first
                outcomes = await asyncio.gather(*group, return_exceptions=True)
                assert [type(outcome) for outcome in outcomes] == [
                    type(None), LookupError, type(None), RuleBroken, type(None), RuntimeError,
                ]  # fmt: skip
                assert len(commits) == 2
                assert await db.read(names) == {"first", "a", "b", "c"}
                assert db.is_writable

    run(story)


def test_a_step_that_fails_alone_takes_back_its_own_work(file, run):
    def write_and_fail(connection):
        put("half")(connection)
        raise LookupError("my own trouble")

    async def story():
        async with file.database() as db:
            with counted_commits() as commits:
                with pytest.raises(LookupError):
                    await db.run(write_and_fail)
                assert len(commits) == 0
                assert db.is_writable
                assert await db.read(names) == set()
                await db.run(put("half"))

    run(story)


def test_a_step_that_closed_its_own_transaction_is_told_that_nothing_is_sure(file, run):
    def swallow_and_write(connection):
        driver(connection).rollback()  # as SQLite does by itself when the disk is full
        return "done"

    async def story():
        async with file.database() as db:
            with pytest.raises(StorageDown):
                await db.run(swallow_and_write)
            await db.run(put("after"))
            assert await db.read(names) == {"after"}

    run(story)


@pytest.mark.parametrize("group", [1, 3])
def test_an_error_of_the_driver_is_translated_whether_it_comes_bare_or_wrapped(file, run, group):
    twice = "INSERT INTO meta VALUES ('a', 'secret'), ('a', 'secret')"
    nowhere = "INSERT INTO nowhere VALUES ('secret')"
    cases = [
        (lambda connection: driver(connection).execute(twice), RuleBroken),
        (lambda connection: connection.exec_driver_sql(twice), RuleBroken),
        (lambda connection: driver(connection).execute(nowhere), StorageDown),
        (lambda connection: connection.exec_driver_sql(nowhere), StorageDown),
    ]

    async def story():
        async with file.database() as db:
            for step, kind in cases:
                with locked(file.path):  # so that the steps make one group behind the first
                    first = asyncio.create_task(db.run(lambda _: None))
                    await asyncio.sleep(0.02)
                    steps = [asyncio.create_task(db.run(step)) for _ in range(group)]
                    await asyncio.sleep(0.02)
                await first
                for outcome in await asyncio.gather(*steps, return_exceptions=True):
                    assert type(outcome) is kind
                    assert outcome.__cause__ is not None
                    assert "secret" not in str(outcome)
            assert await db.read(names) == set()

    run(story)


def test_a_cancelled_coroutine_does_not_undo_its_step(file, run):
    async def story():
        async with file.database() as db:
            with locked(file.path):
                step = asyncio.create_task(db.run(put("kept")))
                await asyncio.sleep(0.05)
                step.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await step
            await db.run(put("next"))
            assert await db.read(names) == {"kept", "next"}

    run(story)


def test_close_finishes_what_waits(file, run):
    async def story():
        async with file.database() as db:
            steps = [asyncio.create_task(db.run(put(f"n{number}"))) for number in range(500)]
            await asyncio.sleep(0)
            await db.close()
            await asyncio.gather(*steps)
            with pytest.raises(StorageDown):
                await db.run(put("late"))
            with pytest.raises(StorageDown):
                await db.read(names)
        assert file.execute("SELECT count(*) FROM meta WHERE name LIKE 'n%'") == [(500,)]

    run(story)


def test_a_read_does_not_wait_for_a_writer_and_cannot_write(file, run):
    async def story():
        async with file.database() as db:
            await db.run(put("a"))
            with locked(file.path):
                writing = asyncio.create_task(db.run(put("b")))
                await asyncio.sleep(0.05)
                assert await asyncio.wait_for(db.read(names), 1) == {"a"}
                assert not writing.done()
            await writing
            with pytest.raises(StorageDown):
                await db.read(put("c"))
            assert await db.read(names) == {"a", "b"}

    run(story)


# --- when storage fails -------------------------------------------------------------------------------------------


def test_a_file_locked_by_another_process_is_storage_down_after_the_busy_timeout(file, run):
    async def story():
        async with file.database(busy_timeout_s=0.1) as db:
            assert db.is_writable
            with locked(file.path):
                with pytest.raises(StorageDown) as caught:
                    await db.run(put("a"))
                assert caught.value.retry_after == 5
                assert not db.is_writable
                with pytest.raises(StorageDown):
                    await db.probe()
            await db.probe()
            assert db.is_writable
            assert await db.read(names) == set()

    run(story)


def test_a_commit_that_fails_is_told_to_every_step_of_the_group(file, run):
    async def story():
        async with file.database() as db:
            await db.run(put("before"))
            with locked(file.path):
                # Held at BEGIN until all three are in: the first alone, the others as one group behind it.
                steps = [asyncio.create_task(db.run(put(f"n{number}", "x" * 9000))) for number in range(3)]
                await asyncio.sleep(0.05)
                limit = disk_full(file.path)
                limit.__enter__()
            outcomes = await asyncio.gather(*steps, return_exceptions=True)
            limit.__exit__(None, None, None)
            assert [type(outcome) for outcome in outcomes] == [StorageDown] * 3
            assert len({id(outcome) for outcome in outcomes}) == 3  # each raises its own
            assert not db.is_writable
            await db.run(put("after"))
            assert db.is_writable
            assert await db.read(names) == {"before", "after"}

    run(story)


def test_a_probe_notices_a_full_disk(file, run):
    async def story():
        async with file.database() as db:
            with disk_full(file.path), pytest.raises(StorageDown):
                await db.probe()
            await db.probe()
            assert db.is_writable

    run(story)


def test_a_file_that_may_not_grow_is_storage_down_for_the_step_that_needs_room(file, run):
    async def story():
        async with file.database() as db:
            pages = await db.run(pragma("page_count"))
            await db.run(pragma(f"max_page_count={pages}"))
            with pytest.raises(StorageDown):
                await db.run(put("large", "x" * 100_000))
            assert not db.is_writable
            await db.run(pragma("max_page_count=100000"))
            await db.run(put("large", "x" * 100_000))
            assert await db.read(names) == {"large"}

    run(story)


def test_when_sqlite_takes_back_the_whole_group_every_step_is_told(file, run):
    async def story():
        async with file.database() as db:
            await db.run(pragma("max_page_count=1"))  # no more pages than there are
            with locked(file.path):
                first = asyncio.create_task(db.run(put("first")))
                await asyncio.sleep(0.05)
                values = ["small", "x" * 100_000, "small"]
                group = [asyncio.create_task(db.run(put(f"n{n}", value))) for n, value in enumerate(values)]
                await asyncio.sleep(0.05)
            await first
            outcomes = await asyncio.gather(*group, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [StorageDown] * 3
            assert await db.read(names) == {"first"}
            await db.run(put("later", "x" * 100_000))  # on a new connection, whose file may grow
            assert await db.read(names) == {"first", "later"}

    run(story)


def test_a_database_that_turns_read_only_is_storage_down_and_comes_back(file, run):
    async def story():
        async with file.database() as db:
            await db.run(pragma("query_only=ON"))
            with pytest.raises(StorageDown):
                await db.run(put("a"))
            await db.run(pragma("query_only=OFF"))
            await db.run(put("a"))
            assert await db.read(names) == {"a"}

    run(story)


def test_a_read_only_file_is_storage_down(file, run):
    async def story(folder):
        file.url = f"sqlite:///{folder}/tasks.db"
        async with file.database():
            pass
        file.path.chmod(0o444)
        folder.chmod(0o555)
        with without_roots_rights():
            db = Database.open(file.url)
            with pytest.raises(StorageDown):
                await prepare(db)
            await db.close()
        folder.chmod(0o755)

    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which nobody but its owner may enter
        run(lambda: story(Path(folder)))


def test_a_missing_directory_is_storage_down_until_it_is_there(file, run):
    async def story():
        file.url = f"sqlite:///{file.path.parent}/later/tasks.db"
        db = Database.open(file.url)
        assert not db.is_writable
        with pytest.raises(StorageDown):
            await prepare(db)
        file.path.parent.mkdir()
        await prepare(db)
        assert db.is_writable
        await db.close()

    run(story)


def test_no_value_appears_in_an_exception(file, run):
    prompt = "my secret " + "prompt"  # in two parts: a traceback shows the lines of this test, too

    def unknown_table(connection):
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (?)", (prompt,))

    async def story():
        async with file.database() as db:
            await db.run(put("a"))
            for step, kind in ((put("a", prompt), RuleBroken), (unknown_table, StorageDown)):
                with pytest.raises(kind) as caught:
                    await db.run(step)
                assert "secret prompt" not in "".join(traceback.format_exception(caught.value))

    run(story)


# --- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://user:hunter2@host", "which database"),
        ("postgresql+psycopg2://user:hunter2@host/db", "not understood"),
        ("mysql://user:hunter2@host/db", "not understood"),
        ("postgresql://user:hunter2@host:port/db", "not a database address"),
        ("postgresql://user:other@hunter2@host/db", "%40"),
        ("sqlite+aiosqlite:///x.db", "not understood"),
        ("sqlite://", "outlive"),
        ("sqlite:///:memory:", "outlive"),
        ("tasks.db", "not a database address"),
    ],
)
def test_other_addresses_are_refused_in_one_line(url, says):
    with pytest.raises(StorageRefused, match=says) as caught:
        Database.open(url)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
