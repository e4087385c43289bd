"""On a server, too, a step is durable when it is answered, alone in its failure, and never half done."""

import asyncio
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import exc, insert, select, update

from gateway.errors import StorageDown
from gateway.store import Database, RuleBroken, StorageRefused, postgres
from gateway.store.locks import lock
from gateway.store.schema import meta
from tests.postgres import fresh_database, server_url

MANY = 50
SOON_S = 10  # for what comes at once: a limit against hanging, and no measure of any machine


def put(name, value="x"):
    return lambda connection: connection.execute(insert(meta), {"name": name, "value": value}) and None


def names(connection):
    return set(connection.execute(select(meta.c.name)).scalars())


def driver(connection):
    return connection.connection.driver_connection


def setting(name):
    return lambda connection: connection.exec_driver_sql(f"SHOW {name}").scalar()


def process_of(connection):
    return driver(connection).info.backend_pid


@contextmanager
def elsewhere(world):
    """Somebody else at the same database."""
    with psycopg.connect(world.url, autocommit=True) as other:
        yield other


def end_sessions(world):
    with elsewhere(world) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# --- durable ------------------------------------------------------------------------------------------------------


def test_a_session_waits_for_the_disk_whatever_the_server_was_configured_to_do(run):
    address = fresh_database()
    name = address.partition("?")[0].rpartition("/")[2]

    async def story():
        for configured, used in (("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")):
            with psycopg.connect(server_url(), autocommit=True) as other:
                other.execute(f"ALTER DATABASE {name} SET synchronous_commit = {configured}")
                other.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
                other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            db = Database.open(address)
            assert await db.run(setting("synchronous_commit")) == used
            assert await db.run(setting("transaction_isolation")) == "read committed"
            assert await db.run(setting("transaction_read_only")) == "off"
            assert await db.read(setting("transaction_isolation")) == "repeatable read"
            assert await db.read(setting("transaction_read_only")) == "on"
            await db.close()

    run(story)


def test_nothing_may_take_for_ever(server, run):
    async def story():
        async with server.database() as db:
            for do in (db.run, db.read):
                assert await do(setting("statement_timeout")) == "10s"
                assert await do(setting("lock_timeout")) == "5s"
                assert await do(setting("idle_in_transaction_session_timeout")) == "15s"
                assert await do(setting("application_name")) == "reelgate"
                assert await do(setting("client_encoding")) == "UTF8"
            assert await db.run_apart(setting("statement_timeout")) == "0"

    run(story)


def test_an_address_may_say_how_to_connect(server, run):
    async def story():
        db = Database.open(f"{server.url}&application_name=film&connect_timeout=2")
        assert await db.run(setting("application_name")) == "film"
        await db.close()

    run(story)


def test_a_step_is_seen_by_everybody_when_it_is_answered(server, run):
    async def story():
        async with server.database() as db:
            for number in range(10):
                await db.run(put(f"n{number}"))
                assert server.execute("SELECT 1 FROM meta WHERE name = ?", f"n{number}") == [(1,)]
                assert f"n{number}" in await db.read(names)

    run(story)


def test_a_probe_goes_to_the_disk(server, run):
    async def story():
        async with server.database() as db:
            with elsewhere(server) as other:
                flushed = "SELECT pg_current_wal_flush_lsn()"
                before = other.execute(flushed).fetchone()
                await db.probe()
                assert other.execute(flushed).fetchone() > before
            assert db.is_writable

    run(story)


def test_steps_run_side_by_side(server, run):
    both = threading.Barrier(2)

    def meet(connection):
        both.wait(SOON_S)

    async def story():
        async with server.database() as db:
            await asyncio.gather(db.run(meet), db.run(meet))

    run(story)


def test_a_cancelled_coroutine_does_not_undo_its_step(server, run):
    go = threading.Event()

    def slow(connection):
        go.wait(SOON_S)
        put("kept")(connection)

    async def story():
        async with server.database() as db:
            step = asyncio.create_task(db.run(slow))
            await asyncio.sleep(0.05)
            step.cancel()
            with pytest.raises(asyncio.CancelledError):
                await step
            go.set()
        assert server.execute("SELECT name FROM meta") == [("kept",)]

    run(story)


# --- alone in its failure -----------------------------------------------------------------------------------------


def test_a_failing_step_takes_back_its_own_work_and_nobody_elses(server, run):
    def write_and_fail(connection):
        put("half")(connection)
        raise LookupError("my own trouble")

    async def story():
        async with server.database() as db:
            await db.run(put("a"))
            steps = [put("b"), write_and_fail, put("a"), put("c"), lambda _: next(iter(()))]
            outcomes = await asyncio.gather(*[db.run(step) for step in steps], return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [
                type(None), LookupError, RuleBroken, type(None), RuntimeError,
            ]  # fmt: skip
            assert await db.read(names) == {"a", "b", "c"}
            assert db.is_writable

    run(story)


def test_an_error_of_the_driver_is_translated_whether_it_comes_bare_or_wrapped(server, run):
    twice = "INSERT INTO meta VALUES ('a', 'my own secret'), ('a', 'my own secret')"
    nowhere = "INSERT INTO nowhere VALUES ('x')"
    cases = [(twice, RuleBroken), (nowhere, StorageDown)]

    async def story():
        async with server.database() as db:
            for sql, kind in cases:
                for step in (lambda c: driver(c).execute(sql), lambda c: c.exec_driver_sql(sql)):  # noqa: B023
                    with pytest.raises(kind) as caught:
                        await db.run(step)
                    assert caught.value.__cause__ is not None
            assert await db.read(names) == set()

    run(story)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO meta VALUES ('a', %s), ('a', 'x')",  # the details of this quote the key
        "INSERT INTO meta VALUES (%s, 'x'), (%s, 'x')",
        "INSERT INTO meta VALUES (%s, NULL)",  # ... and those of this the whole row
        "INSERT INTO teams (id, budget_amount, created_at) VALUES (%s, -1, 1)",
        "SELECT CAST(%s AS integer)",  # here it is the message itself
        "SELECT %s FROM nowhere",
    ],
)
def test_no_value_appears_in_an_exception(server, run, sql):
    prompt = "my secret " + "prompt"  # in two parts: a traceback shows the lines of this test, too
    values = (prompt,) * sql.count("%s")

    async def story():
        async with server.database() as db:
            for step in (lambda c: driver(c).execute(sql, values), lambda c: c.exec_driver_sql(sql, values)):
                for do in (db.run, db.read):
                    with pytest.raises((RuleBroken, StorageDown, psycopg.Error, exc.DBAPIError)) as caught:
                        await do(step)
                    assert "secret prompt" not in "".join(traceback.format_exception(caught.value))

    run(story)


def test_a_step_that_passes_over_a_failure_is_not_taken_for_done(server, run):
    def careless(connection):
        put("half")(connection)
        try:
            connection.exec_driver_sql("INSERT INTO meta VALUES ('half', 'again')")
        except Exception:
            return "done"

    async def story():
        async with server.database() as db:
            with pytest.raises(StorageDown):
                await db.run(careless)
            assert await db.read(names) == set()

    run(story)


def test_a_read_cannot_write_and_spoils_no_other_that_it_waited_with(server, run):
    go = threading.Event()

    async def story():
        async with server.database() as db:
            await db.run(put("a"))
            held = [asyncio.create_task(db.read(lambda _: go.wait(SOON_S))) for _ in range(2)]  # so that others gather
            await asyncio.sleep(0.05)
            steps = [names, put("b"), names, lambda _: 1 / 0, names, lambda c: driver(c).execute("SELECT nonsense")]
            reads = [asyncio.create_task(db.read(step)) for step in steps]
            await asyncio.sleep(0.05)
            go.set()
            outcomes = await asyncio.gather(*reads, return_exceptions=True)
            await asyncio.gather(*held)
            assert outcomes[0::2] == [{"a"}] * 3
            assert [type(outcome) for outcome in outcomes[1::2]] == [
                StorageDown, ZeroDivisionError, psycopg.errors.UndefinedColumn,
            ]  # fmt: skip
            assert await db.read(names) == {"a"}

    run(story)


def test_what_a_step_reads_is_of_one_moment(server, run):
    async def story():
        async with server.database() as db:

            def look_twice(connection):
                first = names(connection)
                server.execute("INSERT INTO meta VALUES ('meanwhile', 'x')")
                return first, names(connection)

            assert await db.read(look_twice) == (set(), set())
            assert await db.read(names) == {"meanwhile"}

    run(story)


# --- run again ----------------------------------------------------------------------------------------------------


def test_of_two_steps_that_wait_for_each_other_one_runs_again(server, run):
    first_time = threading.Barrier(2)
    runs = []

    def step(mine, other):
        def locking(connection):
            runs.append(mine)
            lock(connection, mine)
            if runs.count(mine) == 1 and len(runs) <= 2:
                first_time.wait(SOON_S)
            lock(connection, other)  # against the rule of `lock`, which wants all names at once
            put(mine)(connection)

        return locking

    async def story():
        async with server.database() as db:
            await asyncio.gather(db.run(step("a", "b")), db.run(step("b", "a")))
            assert await db.read(names) == {"a", "b"}
            assert len(runs) == 3
            assert db.is_writable

    run(story)


def test_a_step_that_always_loses_is_given_up(server, run):
    runs = []

    def loses(connection):
        runs.append(1)
        put("half")(connection)
        connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'no luck' USING ERRCODE = '40001'; END $$")

    async def story():
        async with server.database() as db:
            with pytest.raises(StorageDown) as caught:
                await db.run(loses)
            assert caught.value.retry_after == 5
            assert len(runs) == postgres.RUNS_MAX
            assert await db.read(names) == set()

    run(story)


def test_a_session_that_was_ended_meanwhile_is_not_noticed(server, run):
    async def story():
        async with server.database() as db:
            await db.run(put("a"))
            await db.read(names)
            end_sessions(server)
            await asyncio.gather(*[db.run(put(f"n{number}")) for number in range(MANY)])
            assert len(await db.read(names)) == MANY + 1

    run(story)


def test_a_step_whose_session_ends_half_way_runs_again_and_is_done_once(server, run):
    runs = []

    def step(connection):
        runs.append(process_of(connection))
        put("a")(connection)
        if len(runs) == 1:
            end_sessions(server)
        put("b")(connection)

    async def story():
        async with server.database() as db:
            await db.run(step)
            assert len(set(runs)) == 2
            assert await db.read(names) == {"a", "b"}

    run(story)


def test_a_session_that_ends_while_it_commits_is_storage_down_and_runs_no_second_time(run):
    address = fresh_database()
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE done (number integer)")
        connection.execute(
            "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
        )
        connection.execute(
            "CREATE CONSTRAINT TRIGGER leave AFTER INSERT ON done DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW WHEN (NEW.number = 1) EXECUTE FUNCTION leave()"
        )
    runs = []

    def step(connection, number):
        runs.append(number)
        connection.exec_driver_sql("INSERT INTO done VALUES (%s)", (number,))

    async def story():
        db = Database.open(address)
        with pytest.raises(StorageDown) as caught:
            await db.run(lambda connection: step(connection, 1))
        assert caught.value.retry_after == 5
        assert caught.value.may_be_done
        assert not db.is_writable
        await db.run(lambda connection: step(connection, 2))
        assert db.is_writable
        assert runs == [1, 2]
        await db.close()

    run(story)


# --- when storage fails -------------------------------------------------------------------------------------------


def test_a_server_that_is_away_is_storage_down_until_it_is_back(server, run, tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "CONNECT_AGAIN_AFTER_S", 0)
    folder = server.url.partition("host=")[2].replace("%2F", "/")
    door = tmp_path / "s"
    tries = []
    connect = postgres._Connection.connect

    def counted(*args, **kwargs):
        tries.append(1)
        return connect(*args, **kwargs)

    monkeypatch.setattr(postgres._Connection, "connect", counted)

    async def story():
        db = Database.open(f"{server.url.partition('host=')[0]}host={door}")
        with pytest.raises(StorageDown) as caught:
            await db.probe()
        assert caught.value.retry_after == 5
        with pytest.raises(StorageDown):
            await db.read(names)
        assert not db.is_writable
        door.symlink_to(folder)
        await db.probe()
        assert db.is_writable
        assert await db.read(names) == set()
        assert len(tries) >= 4
        await db.close()

    run(story)


def test_while_a_server_is_away_a_queue_of_steps_does_not_wait_for_it_one_by_one(run, monkeypatch):
    monkeypatch.setattr(postgres, "CONNECT_AGAIN_AFTER_S", 600)
    tries = []

    def connect(*args, **kwargs):
        tries.append(1)
        raise psycopg.OperationalError("nobody there")

    monkeypatch.setattr(postgres._Connection, "connect", connect)

    async def story():
        db = Database.open("postgresql://user@localhost/nowhere")
        steps = [do(names) for do in (db.run, db.read) for _ in range(MANY)]
        outcomes = await asyncio.gather(*steps, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StorageDown}
        assert all("nobody there" in str(outcome.__cause__) for outcome in outcomes)
        assert 1 <= len(tries) <= 8  # no more than there are threads
        await db.close()

    run(story)


def test_a_server_that_hangs_is_storage_down_and_its_connection_is_given_up(server, run, monkeypatch):
    async def story():
        async with server.database() as db:
            hung = await db.run(process_of)
            for do in (db.run, db.run, db.run, db.run, db.run):  # the others of the six
                await do(process_of)
            monkeypatch.setattr(postgres._Connection, "answer_max_s", 2.0)
            os.kill(hung, signal.SIGSTOP)
            try:
                outcomes = await asyncio.gather(
                    *[db.run(put(f"n{number}")) for number in range(MANY)], return_exceptions=True
                )
            finally:
                os.kill(hung, signal.SIGCONT)
            failed = [number for number, outcome in enumerate(outcomes) if outcome is not None]
            assert [type(outcomes[number]) for number in failed] == [StorageDown] * len(failed)
            assert len(failed) == 1
            await db.run(put(f"n{failed[0]}"))  # it had not happened
            assert len(await db.read(names)) == MANY
            assert hung not in {await db.run(process_of) for _ in range(20)}

    run(story)


def test_a_lock_that_somebody_keeps_is_storage_down_after_a_while(server, run, monkeypatch):
    monkeypatch.setattr(postgres, "_SESSION", "SET lock_timeout = '100ms'")

    async def story():
        async with server.database() as db:
            go = threading.Event()

            def keep(connection):
                lock(connection, "a")
                go.wait(SOON_S)

            keeping = asyncio.create_task(db.run(keep))
            await asyncio.sleep(0.1)
            with pytest.raises(StorageDown):
                await db.run(lambda connection: lock(connection, "b", "a"))
            await db.run(lambda connection: lock(connection, "b"))
            go.set()
            await keeping
            await db.run(lambda connection: lock(connection, "b", "a"))

    run(story)


def test_tables_that_are_gone_and_rights_that_were_taken_away_are_storage_down(run):
    address = fresh_database()
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE meta (name text, value text)")
        connection.execute("DROP ROLE IF EXISTS clerk")
        connection.execute("CREATE ROLE clerk LOGIN")

    async def story():
        db = Database.open(address.replace("//postgres@", "//clerk@"))
        with pytest.raises(StorageDown):
            await db.run(put("a"))
        with psycopg.connect(address) as connection:
            connection.execute("GRANT ALL ON meta TO clerk")
        await db.run(put("a"))
        with psycopg.connect(address) as connection:
            connection.execute("DROP TABLE meta")
        with pytest.raises(StorageDown):
            await db.run(put("b"))
        await db.close()

    run(story)


# --- addresses ----------------------------------------------------------------------------------------------------


def test_the_password_is_in_no_word_about_the_database(run):
    async def story():
        db = Database.open("postgresql://user:hunter2@127.0.0.1:1/film?connect_timeout=2")
        with pytest.raises(StorageDown) as caught:
            await db.probe()
        told = "".join(traceback.format_exception(caught.value))
        assert "127.0.0.1" in told  # the log learns where
        assert "hunter2" not in f"{told} {db.name} {db.path} {db.url} {db.url!r}"
        assert "\n" not in str(caught.value.__cause__.orig)
        await db.close()

    run(story)


def test_an_address_with_an_option_that_is_none_is_storage_that_cannot_be_used(server, run):
    async def story():
        for option in ("colour=red", "sslmode=colourful", "connect_timeout=soon"):
            db = Database.open(f"{server.url}&{option}")
            with pytest.raises(StorageDown) as caught:
                await db.probe()
            assert option.partition("=")[0] in str(caught.value.__cause__)
            await db.close()

    run(story)


def test_without_the_driver_one_line_says_what_is_missing(monkeypatch):
    monkeypatch.delitem(sys.modules, "gateway.store.postgres")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageRefused, match=r"install requirements-postgres\.txt") as caught:
        Database.open("postgresql://user@host/film")
    assert "\n" not in str(caught.value)


# --- locks, on both kinds of database -----------------------------------------------------------------------------


def test_who_holds_a_name_counts_alone(world, run):
    def count(*held):
        def step(connection):
            lock(connection, *held)
            (value,) = connection.execute(select(meta.c.value).where(meta.c.name == "count")).one()
            connection.execute(update(meta).where(meta.c.name == "count"), {"value": str(int(value) + 1)})

        return step

    async def story():
        async with world.database() as db, world.database() as replica:
            await db.run(put("count", "0"))
            orders = [("key:a", "team:f"), ("team:f", "key:a"), ("team:f",), ("team:f", "team:f", "key:b")]
            steps = [on.run(count(*held)) for _ in range(10) for held in orders for on in (db, replica)]
            await asyncio.gather(*steps)
            assert world.execute("SELECT value FROM meta WHERE name = 'count'") == [(str(len(steps)),)]

    run(story)


def test_names_do_not_wait_for_other_names(server, run):
    both = threading.Barrier(2)

    def meet(name):
        def step(connection):
            lock(connection, name)
            both.wait(SOON_S)

        return step

    async def story():
        async with server.database() as db:
            await asyncio.gather(db.run(meet("key:a")), db.run(meet("key:b")))
            await db.run(lambda connection: lock(connection))  # no name at all

    run(story)
