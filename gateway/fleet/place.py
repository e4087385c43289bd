"""What a worker is given by its parent, in one variable of the environment.

The line between them carries words, one a line. Worker to parent: READY, once it answers. Parent to worker: RETIRE,
because another one has its place; TAKE and GIVE, with the number of a listener whose own worker is away. Its end means
that the other one is gone.
"""

import json
import os
from collections.abc import MutableMapping

from gateway.structs import Struct, asdict

PLACE, PARENT = "REELGATE_WORKER", "REELGATE_FLEET"
READY, RETIRE, TAKE, GIVE = "ready", "retire", "take", "give"


class Place(Struct, frozen=True):
    """One worker's place; sockets are open file descriptors."""

    number: int
    """Which of the listeners is its own."""
    listeners: tuple[int, ...]
    line: int
    folder: str
    """Where the counts of all workers are kept."""


class Task(Struct, frozen=True):
    """What a parent has to do."""

    listeners: tuple[int, ...]
    """One for each worker."""
    address: str
    """Where they listen, as told to a person."""
    level: str
    """The least serious records that are logged."""


def given(environ: MutableMapping[str, str] = os.environ) -> Place | None:
    """The place of this process, None for one that is alone. It is asked once: nobody started from here inherits it."""
    text = environ.pop(PLACE, None)
    if text is None:
        return None
    said = json.loads(text)
    return Place(said["number"], tuple(said["listeners"]), said["line"], said["folder"])


def task(environ: MutableMapping[str, str] = os.environ) -> Task | None:
    """What this process is to do as a parent, None for one that is none."""
    text = environ.pop(PARENT, None)
    if text is None:
        return None
    said = json.loads(text)
    return Task(tuple(said["listeners"]), said["address"], said["level"])


def told(place: Place) -> dict[str, str]:
    """The variable that says it."""
    return {PLACE: json.dumps(asdict(place))}


def ordered(task: Task) -> dict[str, str]:
    """The variable that says it."""
    return {PARENT: json.dumps(asdict(task))}
