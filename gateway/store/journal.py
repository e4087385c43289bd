"""The emergency journal (FAILURES T16): receipts that could not be stored, in a file beside the database.

When the upstream said yes and the database fails, the receipt is the one thing that must not be lost. It is written
here, one JSON line each, synced to the disk, and given to the registry at the next start. A line may be applied more
than once (a kill between applying and removing): `Registry.start` takes a repeat for what it is.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from gateway.store.moves import ReceiptTaken, WrongState
from gateway.store.registry import Registry
from gateway.structs import Struct
from gateway.video import Receipt

try:
    import fcntl
except ImportError:  # Windows has no such lock, and one gateway at a database
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

_FIELDS = {"task": int, "upstream": str, "key_id": str, "upstream_id": str, "at": float}


class Kept(Struct, frozen=True):
    """A receipt that stands in the journal: this task was accepted, on this route, under this id."""

    task_id: int
    upstream: str
    key_id: str
    upstream_id: str
    at: float


class Journal:
    """The journal at `path`, which is there only while it holds something."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rejected_path = path.with_name(f"{path.name}.rejected")

    @classmethod
    def beside(cls, database: Path) -> "Journal":
        """The journal of a database file."""
        return cls(database.with_name(f"{database.name}.journal"))

    def append(self, task_id: int, upstream: str, key_id: str, upstream_id: str, at: float) -> None:
        """Put a receipt on the disk. Raises OSError if even that fails.

        Not a coroutine on purpose: nothing can cancel it half-way, and it is rare enough to block the loop.
        """
        entry = {"task": task_id, "upstream": upstream, "key_id": key_id, "upstream_id": upstream_id, "at": float(at)}
        # It begins with a line break too: the line before may be torn, and must not spoil this one.
        _append_synced(self.path, f"\n{json.dumps(entry)}\n")

    def receipts(self) -> list[Kept]:
        """What stands in the journal, and what could not be applied when it was read; nothing is changed."""
        lines = "\n".join(_read(path) or "" for path in (self.rejected_path, self.path)).split("\n")
        return [Kept(*(entry[name] for name in _FIELDS)) for line in lines if (entry := _entry(line)) is not None]

    async def replay(self, registry: Registry) -> int:
        """Apply every line, then remove the file; returns how many were applied.

        Lines that cannot be applied are kept in the `.rejected` file. Raises StorageDown and keeps the journal as
        it is if the database still fails.
        """
        text = _read(self.path)
        if text is None:
            return 0
        lines, torn = _split(text)
        if torn:
            _log.warning("the last line of %s was torn off while it was written; it is skipped", self.path.name)
        applied, rejected = 0, [torn] if torn else []
        for line in lines:
            reason = await _apply(line, registry)
            if reason is None:
                applied += 1
            else:
                rejected.append(line)
                _log.error("a receipt in %s cannot be applied: %s", self.path.name, reason)
        self._finish(rejected, text)
        return applied

    def _finish(self, rejected: list[str], text: str) -> None:
        """Remove the file, if it still is what was read: a receipt that came meanwhile waits for the next pass, which
        applies the others once more to no effect."""
        known = set((_read(self.rejected_path) or "").splitlines())  # from a start that was killed right here
        new = [line for line in rejected if line not in known]
        if new:
            _append_synced(self.rejected_path, "".join(f"{line}\n" for line in new))
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file, _alone(file):
                if file.read() != text or not _is_at(self.path, file):
                    return
                self.path.unlink()
        except FileNotFoundError:  # a neighbour was faster
            return
        _sync_directory(self.path.parent)


def _split(text: str) -> tuple[list[str], str]:
    """The whole lines, and what stands after the last line break."""
    *lines, torn = text.split("\n")
    return [line for line in lines if line], torn


async def _apply(line: str, registry: Registry) -> str | None:
    """Why a line cannot be applied, or None when it is."""
    entry = _entry(line)
    if entry is None:
        return "it is not readable"
    task = await registry.get(entry["task"])
    if task is None:
        return f"task {entry['task']} is not here"
    if (task.upstream, task.key_id) != (entry["upstream"], entry["key_id"]):
        return f"task {task.id} went another way"
    try:
        await registry.start(task, Receipt(entry["upstream_id"]), entry["at"])
    except (WrongState, ReceiptTaken) as error:
        return str(error)
    return None


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    is_whole = isinstance(entry, dict) and all(isinstance(entry.get(name), kind) for name, kind in _FIELDS.items())
    return entry if is_whole and 0 < entry["task"] < 1 << 63 else None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")  # a torn line may end inside a character
    except FileNotFoundError:
        return None


def _append_synced(path: Path, text: str) -> None:
    is_new = not path.exists()
    is_written = False
    while not is_written:
        with path.open("a", encoding="utf-8") as file, _alone(file):
            is_written = _is_at(path, file)  # else a neighbour removed it between the two calls
            if is_written:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
    if is_new:
        _sync_directory(path.parent)


@contextmanager
def _alone(file: TextIO) -> Iterator[None]:
    """No other process at the same storage appends to the journal or removes it meanwhile."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)  # goes with the file when it is closed
    yield


def _is_at(path: Path, file: TextIO) -> bool:
    """Whether the file still has its name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sync_directory(path: Path) -> None:
    # A new name is durable only when its directory is. Windows has no such call, and needs none.
    if os.name == "posix":
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
