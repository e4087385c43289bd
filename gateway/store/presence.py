"""Which of the gateways at one database are alive: what a dead one was sending is in doubt, and nobody else may say so.

Each process draws a number when it starts, and holds a lock on it for as long as it lives. The lock is the system's or
the server's: it goes with the process however that ends, `kill -9` and power cuts included, and needs no clock. A
process id would not do: of two containers at one database, both are number 1.

Somebody who is wrongly taken for dead comes to no harm: its tasks read unconfirmed, and start when the upstream's
answer is there. Somebody who is wrongly taken for alive costs time: its tasks wait until they are looked at again.

SQLite: a locked file for each process, in a folder beside the database. On network file systems such locks may be
missing or outlive their owner; SQLite's own may too, and must not be used there. A child that is forked and goes on
without `exec` keeps its parent's lock; this program starts none.

PostgreSQL: an advisory lock of a session that does nothing else. When a server was started anew all sessions are gone:
until everybody has come back to it, nobody counts as dead.
"""

import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.store.database import Database
from gateway.store.lane import storage_down

NUMBERS = 1 << 31  # the positive INTEGERs of SQL; of a thousand processes, two draw the same once in 4,000 times
LOOK_EVERY_S = 5.0  # how soon a session that was lost is noticed and opened again
SETTLED_AFTER_S = 3 * LOOK_EVERY_S  # when everybody has come back to a server that was started anew
CLOSE_WITHIN_S = 1.0
_TRIES = 5
_KIND_OF_LOCK = 0x7265656C  # tells our locks from those of other programs that use the server

_dice = random.SystemRandom()


class Holder(Protocol):
    """What holds the lock on the number of this process."""

    def is_settled(self) -> bool:
        """Whether all who are alive can be seen from here."""

    def close(self) -> None: ...


class Presence:
    """This process as the others see it, and the others as it sees them. Made by `open`, ended by `close`."""

    def __init__(self, db: Database, number: int, holder: Holder) -> None:
        self.number = number
        self._db = db
        self._holder = holder

    @classmethod
    async def open(cls, db: Database) -> Self:
        """Draw a number and hold it. Raises StorageDown where that is not possible."""
        hold = _HOLD[db.url.get_backend_name()]
        for _ in range(_TRIES):
            number = _dice.randrange(1, NUMBERS)
            try:
                holder = await asyncio.to_thread(hold, db, number)
            except (OSError, SQLAlchemyError) as error:
                raise storage_down(error) from error
            if holder is not None:
                return cls(db, number, holder)
        raise storage_down(OSError("no free number was found for this process"))

    async def dead(self, owners: Iterable[int]) -> set[int]:
        """Which of these processes are gone, as far as can be told now; never this one. Raises StorageDown."""
        others = set(owners) - {self.number}
        if not others or not self._holder.is_settled():
            return set()
        return await _DEAD[self._db.url.get_backend_name()](self._db, others)

    async def close(self) -> None:
        """From now on this process is gone."""
        await asyncio.to_thread(self._holder.close)


# --- SQLite: a locked file each -----------------------------------------------------------------------------------


class _LockedFile:
    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file

    def is_settled(self) -> bool:
        return True

    def close(self) -> None:
        with suppress(OSError):  # a folder that is gone, or a system that keeps open files: the lock is what counts
            self._path.unlink()
        os.close(self._file)


def _hold_file(db: Database, number: int) -> Holder | None:
    folder = _folder_of(db)
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name.isdecimal():
            _is_left(path)  # tidies up after those that were killed
    path = folder / str(number)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    # Between the two lines somebody who tidies up may have taken it for a dead one's, and removed it.
    if _lock(file) and _is_at(path, file):
        return _LockedFile(path, file)
    os.close(file)
    return None


async def _left_files(db: Database, numbers: set[int]) -> set[int]:
    folder = _folder_of(db)
    try:
        return await asyncio.to_thread(lambda: {number for number in numbers if _is_left(folder / str(number))})
    except OSError as error:
        raise storage_down(error) from error


def _folder_of(db: Database) -> Path:
    return db.path.with_name(f"{db.path.name}.instances").absolute()


def _is_left(path: Path) -> bool:
    """Whether nobody holds this file. If so, it is removed."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    except PermissionError:  # another user's: nothing can be told
        return False
    try:
        if not _lock(file):
            return False
        with suppress(OSError):  # another one tidies up too, or the file is another user's
            path.unlink()
        return True
    finally:
        os.close(file)


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> bool:
        """Lock an open file; False where somebody else holds it."""
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _lock(file: int) -> bool:
        """Lock an open file; False where somebody else holds it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


# --- PostgreSQL: a session each -----------------------------------------------------------------------------------

_TAKE = "SELECT pg_try_advisory_lock(%s, %s)"
_UPTIME = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float"
_ALIVE = (
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = %s "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class _Session:
    """A session that holds the lock on a number. When it is lost, a thread opens another."""

    def __init__(self, engine: Engine, number: int, connection: Connection) -> None:
        self._engine = engine
        self._number = number
        self._connection: Connection | None = connection
        self._came_back_at = -SETTLED_AFTER_S
        self._is_ending = threading.Event()
        # A daemon: a process that ends without `close()` must not hang, and its session ends with it.
        self._thread = threading.Thread(target=self._stay, name="store-presence", daemon=True)
        self._thread.start()

    def is_settled(self) -> bool:
        return self._connection is not None and time.monotonic() - self._came_back_at >= SETTLED_AFTER_S

    def close(self) -> None:
        self._is_ending.set()
        self._thread.join(CLOSE_WITHIN_S)  # it may be waiting for a server that does not answer
        if self._connection is not None and not self._thread.is_alive():
            _leave(self._connection)

    def _stay(self) -> None:
        while not self._is_ending.wait(LOOK_EVERY_S):
            try:
                if self._connection is None:
                    self._connection = _take(self._engine, self._number)
                    self._came_back_at = time.monotonic()
                else:
                    self._connection.exec_driver_sql("SELECT 1")
            except SQLAlchemyError:
                if self._connection is not None:
                    _leave(self._connection)
                    self._connection = None


def _hold_session(db: Database, number: int) -> Holder | None:
    from gateway.store.postgres import engine_of

    engine = engine_of(db.url)
    connection = _take(engine, number)
    return None if connection is None else _Session(engine, number, connection)


async def _lost_sessions(db: Database, numbers: set[int]) -> set[int]:
    def step(connection: Connection) -> set[int]:
        (uptime_s,) = connection.exec_driver_sql(_UPTIME).one()
        if uptime_s < SETTLED_AFTER_S:
            return set()
        return numbers - set(connection.exec_driver_sql(_ALIVE, (_KIND_OF_LOCK,)).scalars())

    return await db.read(step)


def _take(engine: Engine, number: int) -> Connection | None:
    """A session that holds the number, None where another one does (or the server has not yet noticed that our last
    session is gone)."""
    connection = engine.connect()
    try:
        if connection.exec_driver_sql(_TAKE, (_KIND_OF_LOCK, number)).scalar():
            return connection
    except SQLAlchemyError:
        _leave(connection)
        raise
    _leave(connection)
    return None


def _leave(connection: Connection) -> None:
    connection.invalidate()  # ends the session, and its lock with it, without a last word that could hang
    connection.close()


_HOLD: Mapping[str, Callable[[Database, int], Holder | None]] = {"sqlite": _hold_file, "postgresql": _hold_session}
_DEAD = {"sqlite": _left_files, "postgresql": _lost_sessions}
