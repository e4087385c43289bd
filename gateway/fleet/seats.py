"""What the parent of a fleet knows: its places, who has them, and what it was told to do."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from gateway.fleet.place import Task
from gateway.structs import Struct, field


class Worker(Struct, eq=False):
    """One process in one place."""

    place: int
    process: subprocess.Popen[bytes]
    line: socket.socket
    started_at: float
    is_ready: bool = False
    is_going: bool = False
    """It has been told to retire: its end is what is expected."""


class Seat(Struct):
    """One place, whoever has it."""

    worker: Worker | None = None
    failures: int = 0
    start_at: float = 0.0
    keeper: Worker | None = None
    """Who answers on its listener while nobody has it."""


class Change(Struct):
    """Workers being replaced on SIGHUP: the places still to come, and the new worker that is starting now."""

    left: list[int]
    coming: Worker | None = None


class Fleet(Struct):
    """What the parent knows."""

    task: Task
    folder: Path
    seats: list[Seat]
    going: list[Worker] = field(default_factory=list)
    change: Change | None = None
    is_change_wanted: bool = False
    is_ending: bool = False
    """Nobody is started any more."""
    stops: int = 0
    """How many signals have told us to stop."""
    end_by: float = float("inf")
    status: int = 0
    is_told: bool = False
    """Whether it has been said where they listen."""

    def everyone(self) -> Iterator[Worker]:
        yield from (seat.worker for seat in self.seats if seat.worker is not None)
        if self.change is not None and self.change.coming is not None:
            yield self.change.coming
        yield from self.going
