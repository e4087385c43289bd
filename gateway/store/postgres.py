"""The PostgreSQL kind of database: how a connection is opened, how a step becomes one transaction, what is run again.

Rules for editors of this file:

1. The driver's own transaction handling is off (`autocommit`); every BEGIN is ours and says what it wants, whatever a
   server, a database or a role has been configured to give.
2. Each step that writes is a transaction of its own: what it locks (`locks.py`) is held until it is durable, and a
   group would hold everybody's locks together. That commits of several connections share one fsync is the server's
   work. Steps that only read share a transaction when several wait.
3. A step may run more than once: after a deadlock, and when the connection was lost before COMMIT was sent. Nothing of
   the run before remains then.
4. A connection that is lost while COMMIT is under way leaves open whether the step happened, and is told as
   StorageDown that `may_be_done`. It is the only place where that is not known. The moves of a task's life are
   compare-and-set: made once more, they find what they had done. A task that is left opened was not sent by whoever
   was told StorageDown; one that is left in the queue is, so it is looked for (`commits.py`).
5. `synchronous_commit` is never off: a lost intention is a video bought twice.
6. Every error of the driver is translated here, once. PostgreSQL quotes whole rows in the details of its errors, so
   they are cut down to words that hold no values before anybody else sees them.
7. The server must be reached itself or through a pooler that keeps sessions: settings and locks belong to a session.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, exc
from sqlalchemy.pool import NullPool

from gateway.errors import StorageDown
from gateway.store.lane import Job, Step, storage_down, told

T = TypeVar("T")

RUNS_MAX = 5  # two steps that deadlock are rare; one that loses five times has other troubles
CONNECT_TIMEOUT_S = 5
CONNECT_AGAIN_AFTER_S = (
    1.0  # meanwhile steps fail at once: a queue that waits in turn for a server that is away helps nobody
)
STATEMENT_TIMEOUT_S = 10.0  # no statement of ours needs a second; the longest wait is that for a lock
LOCK_TIMEOUT_S = 5.0  # as long as SQLite waits for another process
# A server that hangs, or a disk that does, stops its own clocks too: then this one ends the waiting.
ANSWER_MAX_S = STATEMENT_TIMEOUT_S + 5
# A replica that freezes in the middle of a step holds its locks no longer than this.
IDLE_IN_STEP_S = 15.0

_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"
# What a step reads is of one moment, as in SQLite.
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

# How the connection itself is kept honest; an address may say otherwise (`?connect_timeout=2`). A peer that vanished
# without a word is noticed after some 11 s on either side.
_CONNECTING: Mapping[str, Any] = {
    "application_name": "reelgate",
    "client_encoding": "utf8",
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "primary",  # of several hosts, the one that can write
}
_SESSION = "; ".join(
    (
        "SET tcp_keepalives_idle = 5",
        "SET tcp_keepalives_interval = 2",
        "SET tcp_keepalives_count = 3",
        f"SET lock_timeout = '{LOCK_TIMEOUT_S * 1000:.0f}ms'",
        # Stronger than "on" may stay as it is configured; everything else waits for the disk, here and on a standby.
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') <> 'remote_apply'",
    )
)
_LIMITS = "; ".join(
    (
        f"SET statement_timeout = '{STATEMENT_TIMEOUT_S * 1000:.0f}ms'",
        f"SET idle_in_transaction_session_timeout = '{IDLE_IN_STEP_S * 1000:.0f}ms'",
    )
)
_NO_LIMITS = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = 0"

_RUN_AGAIN = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
# What a person did to the database under our feet is storage that fails, and not a mistake in a step: privileges taken
# away, tables or the schema gone.
_TAKEN_AWAY = frozenset({"42501", "42P01", "3F000"})


class _Connection(psycopg.Connection[Any]):
    """Never waits for an answer without end."""

    answer_max_s: float | None = ANSWER_MAX_S

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, self.answer_max_s if timeout is None else timeout)


class _PatientConnection(_Connection):
    answer_max_s = None


def engine_of(url: URL, *, is_patient: bool = False) -> Engine:
    """The engine that opens connections to this address; a patient one sets no limit to what a statement takes."""
    kind = _PatientConnection if is_patient else _Connection
    settings = f"{_SESSION}; {_NO_LIMITS if is_patient else _LIMITS}"
    engine: Engine
    failed_at, failed_with = -CONNECT_AGAIN_AFTER_S, ""

    def connect() -> psycopg.Connection[Any]:
        nonlocal failed_at, failed_with
        if time.monotonic() - failed_at < CONNECT_AGAIN_AFTER_S:
            raise psycopg.OperationalError(failed_with)
        words, given = engine.dialect.create_connect_args(url)
        try:
            connection = kind.connect(*words, **{**_CONNECTING, **given}, autocommit=True)
            try:
                connection.execute(settings)
            except BaseException:
                connection.close()
                raise
        except psycopg.Error as error:
            failed_at, failed_with = time.monotonic(), str(error)
            # An address with an option that is none, too: whatever the reason, there is no storage.
            raise psycopg.OperationalError(failed_with) from None
        return connection

    engine = create_engine(
        url,
        creator=connect,
        poolclass=NullPool,  # each thread keeps its one connection itself
        hide_parameters=True,
        use_native_hstore=False,  # would be looked up at each start
    )
    return engine


class PostgresWorker:
    """One connection of one thread. Runs each step that writes as one transaction, and reads together."""

    def __init__(self, engine: Engine, *, writes: bool) -> None:
        self._engine = engine
        self._writes = writes
        self._connection: Connection | None = None

    def do(self, jobs: Sequence[Job]) -> None:
        """Run the steps; each stands or falls alone."""
        if not self._writes and len(jobs) > 1 and self._read_together(jobs):
            return
        for job in jobs:
            try:
                job.value = self._run(job.step)
            except BaseException as error:
                job.error = _translated(error)

    def _read_together(self, jobs: Sequence[Job]) -> bool:
        """Spare all but one the BEGIN and the COMMIT; False when the database refused one of them, and with it all."""
        try:
            for job, (value, error) in zip(jobs, self._run(partial(_outcomes, jobs=jobs)), strict=True):
                job.value, job.error = value, error
        except BaseException as error:
            if self._connection is not None:  # the server is there
                return False
            for job in jobs:
                job.error = _translated(error)
        return True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # closes the socket without a last word to the server, which could hang
            self._connection.close()
            self._connection = None

    def _run(self, step: Step[T]) -> T:
        for _ in range(RUNS_MAX - 1):
            try:
                return self._run_once(step)
            except _RunAgain:
                pass  # nothing of it remains
        try:
            return self._run_once(step)
        except _RunAgain as again:
            raise again.cause from again.cause.__cause__

    def _run_once(self, step: Step[T]) -> T:
        connection = self._connected()
        driver = _driver(connection)
        transaction = connection.begin()
        try:
            driver.execute(_WRITE if self._writes else _READ)
            value = step(connection)
            _make_sure_of_its_transaction(driver)
        except BaseException as error:
            is_lost = self._leave(transaction.rollback, driver)
            if _may_run_again(error, is_lost):
                raise _RunAgain(error) from None
            raise
        try:
            transaction.commit()
        except BaseException as error:
            self.close()
            raise _Unanswered(error) from None
        return value

    def _leave(self, rollback: Callable[[], None], driver: psycopg.Connection[Any]) -> bool:
        """End what is left of a transaction; whether the server had gone away meanwhile."""
        is_lost = driver.closed
        status = driver.pgconn.transaction_status
        if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.IDLE):
            try:
                rollback()
            except (psycopg.Error, exc.SQLAlchemyError):
                self.close()
        else:
            self.close()  # lost, or still busy with a statement that nobody waits for any more
        return is_lost

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection


def _outcomes(connection: Connection, jobs: Sequence[Job]) -> list[tuple[Any, BaseException | None]]:
    """What each step returns or raises; raises itself where the database did, which ends the transaction for all."""
    outcomes: list[tuple[Any, BaseException | None]] = []
    for job in jobs:
        try:
            outcomes.append((job.step(connection), None))
        except (psycopg.Error, exc.DBAPIError):
            raise
        except BaseException as error:
            outcomes.append((None, _translated(error)))
    return outcomes


def _make_sure_of_its_transaction(driver: psycopg.Connection[Any]) -> None:
    # COMMIT would answer a transaction that failed half-way with ROLLBACK, and no error.
    if driver.pgconn.transaction_status != TransactionStatus.INTRANS:
        raise psycopg.OperationalError("the step ended its transaction, or passed over a failure in it")


class _RunAgain(Exception):
    """Nothing of the step remains, and it may succeed when it is run once more."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


class _Unanswered(Exception):
    """COMMIT failed: the step may have happened, or not (rule 4)."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


def _may_run_again(error: BaseException, is_lost: bool) -> bool:
    original = _original(error)
    return isinstance(original, psycopg.Error) and (is_lost or original.sqlstate in _RUN_AGAIN)


def _translated(error: BaseException) -> BaseException:
    if isinstance(error, _Unanswered):
        translated = _translated(error.cause)
        if isinstance(translated, StorageDown):
            translated.may_be_done = True
        return translated
    original = _original(error)
    if isinstance(original, psycopg.Error):
        words = _words_of(original)
        original.args = (words,)
        if isinstance(error, exc.DBAPIError):
            error.args = (f"({type(original).__name__}) {words}",)
        if original.sqlstate in _TAKEN_AWAY:
            return storage_down(error)
    return told(error, psycopg)


def _original(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, exc.DBAPIError) else error


def _words_of(error: psycopg.Error) -> str:
    """What happened, in one line without values: details quote rows, and data errors quote what they could not read."""
    state = error.sqlstate
    if state is None:  # the driver's own words: no connection, no answer
        return " ".join(str(error).split())
    if state.startswith("22"):
        return f"{type(error).__name__} ({state})"
    return f"{error.diag.message_primary} ({state})"


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver: Any = connection.connection.driver_connection
    return driver  # type: ignore[no-any-return]  # SQLAlchemy cannot know which driver it is
