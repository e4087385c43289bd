"""What is left of the counts of workers that are gone: each leaves a file, and the parent adds them to one.

A worker is named by its process number and the time of its start. Whoever reads both kinds of file reads `PAST` last,
and passes over the workers that it names: so none is counted twice, and none is missed, while the parent is at it.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.totals import Families, Family, add_up, counted

SOCKET, COUNTS, PAST = ".socket", ".counts", "past"
NAMES_MAX = 256  # of workers in PAST: a reader who is slower than so many ends of workers is none


def write(path: Path, said: Any) -> None:
    """Put it there whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(said), "utf-8")
    fresh.replace(path)


def read(path: Path) -> Families | None:
    """The counts of a worker, None where there are none (any more)."""
    try:
        return [Family.of_plain(plain) for plain in json.loads(path.read_text("utf-8"))]
    except FileNotFoundError:
        return None


def past(folder: Path) -> tuple[Sequence[str], Families]:
    """The workers that are gone and counted, and their sum."""
    try:
        said = json.loads((folder / PAST).read_text("utf-8"))
    except FileNotFoundError:
        return (), ()
    return said["names"], [Family.of_plain(plain) for plain in said["sum"]]


def bury(folder: Path, number: int) -> None:
    """Add what the dead process `number` counted to the past, and remove its files."""
    for path in folder.glob(f"{number}-*{COUNTS}"):
        families = read(path)
        names, sums = past(folder)
        if families is not None and path.stem not in names:
            total = add_up(sums, [], [counted(families)])
            names = [*names, path.stem][-NAMES_MAX:]
            write(folder / PAST, {"names": names, "sum": [family.plain() for family in total]})
        path.unlink(missing_ok=True)
    for path in folder.glob(f"{number}-*"):
        with suppress(OSError):
            path.unlink()
