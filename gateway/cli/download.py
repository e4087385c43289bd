"""A finished film on its way to a file: whole or not there, and never in place of another.

Until it is whole it lies beside its place under a name that says whose film it is, so that a later download goes on
from there. A film never changes, and fetching it costs nothing, so what breaks off is asked for again.
"""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from gateway.cli.client import Gateway, NoAnswer

TRIES = 4
PAUSE_S = 1.0
_RANGE = re.compile(r"bytes (?:([0-9]+)-[0-9]+|\*)/([0-9]+|\*)")

Watcher = Callable[[int, int | None], None]
"""Is told how many bytes are there, and how many there will be, where that is known."""


class Incomplete(Exception):
    """The film is not all there. What is stays for the next time."""


def target_of(task_id: str, out: Path | None) -> Path:
    """Where a film goes: as it is said, into a folder that is named, or else into this one, under its task's name."""
    name = f"{task_id}.mp4"
    if out is None:
        return Path(name)
    return out / name if out.is_dir() else out


def unusable(target: Path, *, overwrites: bool) -> str | None:
    """Why nothing can be put there; None where it can. Asked before anything is bought."""
    if target.exists() and not overwrites:
        return f"{target} is there already; give another name, or --force to overwrite it"
    folder = target.parent
    if not folder.is_dir():
        return f"{folder} is not a folder"
    return None if os.access(folder, os.W_OK) else f"nothing can be written to {folder}"


def download(gateway: Gateway, task_id: str, target: Path, *, overwrites: bool, watcher: Watcher) -> int:
    """Fetch the film and put it in its place; its size in bytes.

    Raises Incomplete, Declined where the gateway has none, OSError where it cannot be kept.
    """
    part = target.with_name(f"{target.name}.{task_id}.part")
    why = "the connection broke off"
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_S)
        try:
            if _is_whole(gateway, task_id, part, watcher):
                return _put(part, target, overwrites=overwrites)
        except NoAnswer as error:
            why = str(error)
    size = part.stat().st_size if part.exists() else 0
    raise Incomplete(f"the film did not come whole: {why}; {size} bytes of it are in {part}")


def _is_whole(gateway: Gateway, task_id: str, part: Path, watcher: Watcher) -> bool:
    """Fetch what is missing. False where that must be done again."""
    have = part.stat().st_size if part.exists() else 0
    with gateway.film(task_id, {"range": f"bytes={have}-"} if have else {}) as response:
        start, total = _extent(response)
        if response.status_code == 416:  # nothing is missing, or what is there is not of this film
            if total != have:
                part.unlink(missing_ok=True)
            return total == have
        if start > have:
            part.unlink(missing_ok=True)
            return False
        with part.open("r+b" if have else "wb") as file:
            file.seek(start)
            file.truncate()
            watcher(start, total)
            for chunk in response.iter_raw():
                file.write(chunk)
                watcher(file.tell(), total)
            file.flush()
            os.fsync(file.fileno())
            return total is None or file.tell() == total


def _extent(response: httpx.Response) -> tuple[int, int | None]:
    """Where this answer begins in the film, and how long the film is. Raises NoAnswer for a part that does not say."""
    if response.status_code == 200:
        length = response.headers.get("content-length", "")
        return 0, int(length) if length.isdigit() else None
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if found is None:
        raise NoAnswer("a part of the film came without a word of which part it is", was_sent=True)
    return int(found[1] or 0), None if found[2] == "*" else int(found[2])


def _put(part: Path, target: Path, *, overwrites: bool) -> int:
    size = part.stat().st_size
    if target.exists() and not overwrites:
        raise FileExistsError(f"{target} has appeared meanwhile; the film is whole, in {part}")
    part.replace(target)
    return size
