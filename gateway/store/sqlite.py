"""The SQLite kind of database: how a connection is opened, how a group of steps becomes one transaction.

Rules for editors of this file:

1. Python's own transaction handling is off (`isolation_level=None`); every BEGIN is ours. Its legacy mode begins
   late and not before every statement, so a step could run outside of any transaction.
2. The writer begins with IMMEDIATE: a deferred transaction that turns to writing fails at once, whatever the busy
   timeout, when another process wrote meanwhile.
3. `synchronous=FULL`: in WAL mode, NORMAL loses the last commits in a power cut, and a lost intention is a video
   bought twice.
4. Every error of the driver is translated here, once (`lane.told`). Its cause carries the driver's words for the log,
   never the values: `hide_parameters` keeps prompts out of every exception and log line.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import URL, Connection, create_engine, exc
from sqlalchemy.pool import NullPool

from gateway.store.lane import Job, storage_down, told

_WRITER = ("PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON")
_READER = ("PRAGMA query_only=ON",)  # a step that writes must not slip in among the reads


class SqliteWorker:
    """One connection of one thread. Runs each group as one transaction, and each step so that it fails alone."""

    def __init__(self, url: URL, *, writes: bool, busy_timeout_s: float) -> None:
        self.engine = create_engine(
            url,
            poolclass=NullPool,  # each thread keeps its one connection itself
            hide_parameters=True,
            connect_args={"isolation_level": None, "timeout": busy_timeout_s},
        )
        self._writes = writes
        self._connection: Connection | None = None

    def do(self, jobs: Sequence[Job]) -> None:
        """Run the group and commit it once; if that fails, nothing of it happened and every job is told so."""
        try:
            connection = self._connected()
            with connection.begin():
                driver = _driver(connection)
                # Here and not in SQLAlchemy's "begin" event: an engine with events pays for them at every statement.
                driver.execute("BEGIN IMMEDIATE" if self._writes else "BEGIN")
                if len(jobs) == 1:
                    _run_alone(connection, driver, jobs[0])
                else:
                    for job in jobs:
                        _run_in_savepoint(connection, driver, job)
        except _StepFailed:
            pass  # the transaction was its alone, and is rolled back
        except (exc.DBAPIError, sqlite3.Error) as error:
            for job in jobs:
                job.error = storage_down(error)
            self.close()  # whatever state the connection is in, the next group starts afresh

    def close(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # closes the file without a last word to it, which could fail again
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = self.engine.connect()
            try:
                _set_up(_driver(connection), self._writes)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def _set_up(driver: sqlite3.Connection, writes: bool) -> None:
    # Only the writer asks for WAL: the first reader looks at a file that may be somebody else's (`schema.py`).
    if writes:
        (mode,) = driver.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"this file system does not allow WAL; journal mode stays {mode}")
    for pragma in _WRITER if writes else _READER:
        driver.execute(pragma)


class _StepFailed(Exception):
    """The only step of a transaction failed, and its job has been told."""


def _run_alone(connection: Connection, driver: sqlite3.Connection, job: Job) -> None:
    # Most groups are one step: its transaction is savepoint enough.
    try:
        job.value = job.step(connection)
    except BaseException as error:
        job.error = told(error, sqlite3)
        raise _StepFailed from None
    if not driver.in_transaction:
        raise _rolled_back()


def _run_in_savepoint(connection: Connection, driver: sqlite3.Connection, job: Job) -> None:
    # Straight to the driver: SQLAlchemy's begin_nested() costs 54 µs a step, this 1.3.
    driver.execute("SAVEPOINT step")
    try:
        job.value = job.step(connection)
    except BaseException as error:
        job.error = told(error, sqlite3)
        if not driver.in_transaction:
            # A full disk makes SQLite take back everything at once, the neighbours' work too: all must be told.
            raise _rolled_back() from error
        driver.execute("ROLLBACK TO step")
    driver.execute("RELEASE step")


def _rolled_back() -> sqlite3.Error:
    return sqlite3.OperationalError("the whole transaction was rolled back")


def _driver(connection: Connection) -> sqlite3.Connection:
    driver: Any = connection.connection.driver_connection
    return driver  # type: ignore[no-any-return]  # SQLAlchemy cannot know which driver it is
