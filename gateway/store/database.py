"""The door to SQL: a step goes in, its outcome comes out once it is durable.

A step is a plain function of a connection; it runs inside a transaction and must neither commit nor keep the
connection. If it raises, nothing of it remains, and no other step is touched. It may run more than once (PostgreSQL,
after a deadlock or a lost connection), so it leaves nothing behind but its outcome.

SQLite: writes go to one thread that commits all waiting steps together (one fsync for the group), reads to a few
threads beside it. PostgreSQL: a few connections write side by side, with other replicas too, so what must not happen at
once is locked by name (`locks.py`); a few more read. What reads many rows (lists, sums) has a thread of its own on
both, so that no person who looks at a year's usage holds up the read of a single task.

Storage failures come out as StorageDown (FAILURES T15). After StorageDown from `run`, the step did not happen; the one
exception is a PostgreSQL that goes away while it commits, when nobody knows (`postgres.py`, rule 4).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from gateway.store.lane import Lane, Step, Worker
from gateway.store.sqlite import SqliteWorker
from gateway.structs import Struct

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0  # another process at the file (a backup, `reelgate tasks`) is done sooner, or is stuck
WAITING_MAX = 10_000  # about a second of work; a longer queue would only hide that the disk is too slow
WRITE_GROUP_MAX = 256  # some 20 ms of work: late-comers do not wait long, and the fsync is shared enough
READ_GROUP_MAX = 8  # small, so that both readers get something to do
_READERS = 2  # reads are short and share Python's one lock; the second is there for when the first reads a long list
# For each replica, of the hundred connections that a PostgreSQL allows by itself. While one waits for the disk or for
# another replica's lock, the others work.
_POSTGRES_WRITERS = 6
_POSTGRES_READERS = 2


class StorageRefused(Exception):
    """The storage cannot be used as it is. The message is one line for the person who runs the gateway."""


class AddressRefused(StorageRefused, ValueError):
    """The address says nothing that this installation understands."""


class Kind(Struct, frozen=True):
    """What differs from one kind of database to another."""

    name: str
    path: Path
    writers: Sequence[Worker]
    readers: Sequence[Worker]
    surveyors: Sequence[Worker]
    write_group_max: int
    read_group_max: int
    patient: Callable[[bool], Worker]
    """Makes a worker whose statements may take their time; whether it writes."""


class Database:
    """One database and the threads that work on it. Made by `open`, ended by `close`."""

    def __init__(self, url: URL, kind: Kind, writes: Lane, reads: Lane, surveys: Lane) -> None:
        self.url = url
        """Its address; holds the password, and does not print it."""
        self.name = kind.name
        """What to call it before a person: the file, or the database and its host. Holds no secret."""
        self.path = kind.path
        """The file itself, or a name in the working directory for what has to stand beside the database."""
        self._kind = kind
        self._writes = writes
        self._reads = reads
        self._surveys = surveys

    @classmethod
    def open(
        cls,
        url: str,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        waiting_max: int = WAITING_MAX,
        group_max: int = WRITE_GROUP_MAX,
    ) -> Self:
        """A database at `sqlite:///path` or `postgresql://user:password@host/name`.

        It is touched by the first step, and not here. `busy_timeout_s` and `group_max` are SQLite's.

        Raises AddressRefused, in one line, for an address this installation does not understand.
        """
        at = _parse(url)
        kind = _KINDS[at.drivername](at, busy_timeout_s, group_max)
        writes = Lane("store-writer", kind.writers, waiting_max=waiting_max, group_max=kind.write_group_max)
        reads = Lane("store-reader", kind.readers, waiting_max=waiting_max, group_max=kind.read_group_max)
        surveys = Lane("store-surveyor", kind.surveyors, waiting_max=waiting_max, group_max=1)
        for lane in (writes, reads, surveys):
            lane.start()
        return cls(at, kind, writes, reads, surveys)

    @property
    def is_writable(self) -> bool:
        """Whether the last write met no storage failure; False before the first one. `probe` makes sure."""
        return self._writes.is_sound

    async def run(self, step: Step[T]) -> T:
        """Run a step that writes; returns when it is on the disk.

        A coroutine that is cancelled meanwhile does not undo the step.
        """
        return await self._writes.run(step)

    async def read(self, step: Step[T]) -> T:
        """Run a step that only reads, on everything that was answered before, as it is at one moment.

        Never waits for a writer.
        """
        return await self._reads.run(step)

    async def survey(self, step: Step[T]) -> T:
        """Like `read`, for a step that looks at many rows: one at a time, beside all other reads."""
        return await self._surveys.run(step)

    async def run_apart(self, step: Step[T]) -> T:
        """Like `run`, on a connection of its own and for as long as it takes: for what is done once, at the start."""
        return await self._apart(step, writes=True)

    async def read_apart(self, step: Step[T]) -> T:
        """Like `read`, on a connection of its own and for as long as it takes: nobody's reading waits behind it."""
        return await self._apart(step, writes=False)

    async def _apart(self, step: Step[T], *, writes: bool) -> T:
        lane = Lane("store-apart", [self._kind.patient(writes)], waiting_max=1, group_max=1)
        lane.start()
        try:
            return await lane.run(step)
        finally:
            await lane.close()

    async def probe(self) -> None:
        """Write something that means nothing, to the disk. Raises StorageDown if that is not possible."""
        await self.run(_write_nothing)

    async def close(self) -> None:
        """Finish what waits and close the database. Steps that come later get StorageDown."""
        await self._writes.close()
        await self._reads.close()
        await self._surveys.close()


def _write_nothing(connection: Connection) -> None:
    connection.exec_driver_sql(_NOTHING[connection.dialect.name])


_NOTHING = {
    # A number in the file's header that nobody reads (the schema's version is the row of `alembic_version`).
    "sqlite": "PRAGMA user_version=0",
    # The least that makes a commit wait for the server's disk: a line in its log that nobody reads.
    "postgresql": "SELECT pg_logical_emit_message(true, 'reelgate', '')",
}


def _sqlite(at: URL, busy_timeout_s: float, group_max: int) -> Kind:
    if not at.database or at.database == ":memory:":
        raise AddressRefused("tasks must outlive the process; use a file, sqlite:///path/to/file.db")
    return Kind(
        name=at.database,
        path=Path(at.database),
        writers=[SqliteWorker(at, writes=True, busy_timeout_s=busy_timeout_s)],
        readers=[SqliteWorker(at, writes=False, busy_timeout_s=busy_timeout_s) for _ in range(_READERS)],
        surveyors=[SqliteWorker(at, writes=False, busy_timeout_s=busy_timeout_s)],
        write_group_max=group_max,
        read_group_max=READ_GROUP_MAX,
        patient=lambda writes: SqliteWorker(at, writes=writes, busy_timeout_s=busy_timeout_s),
    )


def _postgresql(at: URL, busy_timeout_s: float, group_max: int) -> Kind:
    try:
        from gateway.store.postgres import PostgresWorker, engine_of
    except ImportError:
        raise AddressRefused("PostgreSQL needs one more package: install requirements-postgres.txt") from None
    if not at.database:
        raise AddressRefused("which database? write postgresql://user:password@host/database")
    engine = engine_of(at)
    return Kind(
        name=f"database {at.database} at {at.host or 'this machine'}",
        path=Path(f"reelgate-{at.database}"),
        writers=[PostgresWorker(engine, writes=True) for _ in range(_POSTGRES_WRITERS)],
        readers=[PostgresWorker(engine, writes=False) for _ in range(_POSTGRES_READERS)],
        surveyors=[PostgresWorker(engine, writes=False)],
        write_group_max=1,  # what one worker takes, the others cannot do meanwhile
        read_group_max=READ_GROUP_MAX,
        patient=lambda writes: PostgresWorker(engine_of(at, is_patient=True), writes=writes),
    )


_KINDS: Mapping[str, Callable[[URL, float, int], Kind]] = {"sqlite": _sqlite, "postgresql": _postgresql}


_FORMS = "sqlite:///path/to/file.db or postgresql://user:password@host/database"


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number, most often a password that is not escaped
        raise AddressRefused(f"not a database address; write {_FORMS}") from None
    if "@" in (parsed.host or ""):  # what stands before it belongs to the password, and must not be shown as a host
        raise AddressRefused("the password holds an @, which is written %40 in an address (and % is %25)")
    if parsed.drivername not in _KINDS:
        raise AddressRefused(f"{parsed.drivername}:// is not understood; use {_FORMS}")
    return parsed
