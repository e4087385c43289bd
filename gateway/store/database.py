"""The door to SQL: a step goes in, its outcome comes out once it is durable.

Writes go to one thread that commits all waiting steps together (one fsync for the group), reads to a few threads
beside it. A step is a plain function of a connection; it runs inside a transaction and must neither commit nor keep
the connection. If it raises, nothing of it remains, and its neighbours in the group are not touched.

Storage failures come out as StorageDown (FAILURES T15). After StorageDown from `run`, the step did not happen.
"""

from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError

from gateway.store.lane import Lane, Step
from gateway.store.sqlite import SqliteWorker

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0  # another process at the file (a backup, `reelgate tasks`) is done sooner, or is stuck
WAITING_MAX = 10_000  # about a second of work; a longer queue would only hide that the disk is too slow
WRITE_GROUP_MAX = 256  # some 20 ms of work: late-comers do not wait long, and the fsync is shared enough
READ_GROUP_MAX = 8  # small, so that both readers get something to do
_READERS = 2  # reads are short and share Python's one lock; the second is there for when the first reads a long list


class Database:
    """One database file and the threads that work on it. Made by `open`, ended by `close`."""

    def __init__(self, path: Path, writer: SqliteWorker, writes: Lane, reads: Lane) -> None:
        self.path = path
        self._writer = writer
        self._writes = writes
        self._reads = reads

    @classmethod
    def open(
        cls,
        url: str,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        waiting_max: int = WAITING_MAX,
        group_max: int = WRITE_GROUP_MAX,
    ) -> Self:
        """A database at `sqlite:///path`. The file is touched by the first step, not here.

        Raises ValueError, in one line, for an address this version does not understand.
        """
        path = _path_of(url)
        at = make_url(url)
        writer = SqliteWorker(at, writes=True, busy_timeout_s=busy_timeout_s)
        readers = [SqliteWorker(at, writes=False, busy_timeout_s=busy_timeout_s) for _ in range(_READERS)]
        writes = Lane("store-writer", [writer], waiting_max=waiting_max, group_max=group_max)
        reads = Lane("store-reader", readers, waiting_max=waiting_max, group_max=READ_GROUP_MAX)
        writes.start()
        reads.start()
        return cls(path, writer, writes, reads)

    @property
    def is_writable(self) -> bool:
        """Whether the last write met no storage failure; False before the first one. `probe` makes sure."""
        return self._writer.is_sound

    async def run(self, step: Step[T]) -> T:
        """Run a step that writes; returns when it is on the disk.

        A coroutine that is cancelled meanwhile does not undo the step.
        """
        return await self._writes.run(step)

    async def read(self, step: Step[T]) -> T:
        """Run a step that only reads, on everything that was answered before. Never waits for a writer."""
        return await self._reads.run(step)

    async def probe(self) -> None:
        """Write something that means nothing, to the disk. Raises StorageDown if that is not possible."""
        await self.run(_write_nothing)

    async def close(self) -> None:
        """Finish what waits and close the file. Steps that come later get StorageDown."""
        await self._writes.close()
        await self._reads.close()


def _write_nothing(connection: Connection) -> None:
    # A number in the file's header that nobody reads (the schema's version is a row of `meta`).
    connection.exec_driver_sql("PRAGMA user_version=0")


def _path_of(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("storage: not a database address; write sqlite:///path/to/file.db") from None
    kind = parsed.get_backend_name()
    if kind in ("postgresql", "postgres"):
        raise ValueError("storage: postgresql:// is not in this version; use sqlite:///path/to/file.db")
    if parsed.drivername != "sqlite":
        raise ValueError(f"storage: {kind}:// is not understood; use sqlite:///path/to/file.db")
    if not parsed.database or parsed.database == ":memory:":
        raise ValueError("storage: tasks must outlive the process; use a file, sqlite:///path/to/file.db")
    return Path(parsed.database)
