"""What this process remembers of tasks, so that polls need neither disk nor upstream.

Every change that this process makes to a task goes through here, so memory is never behind what it did itself; another
process on the same storage may be ahead, and the sweep then goes by storage.
"""

import asyncio
from asyncio import Event, Lock
from asyncio import Task as Coroutine
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

from cachetools import LRUCache

from gateway.video import Money, Task, Waiting

TASKS_MAX = 20_000  # about 2 KiB each: 40 MiB at the very most, the working set of a busy team is hundreds
RENDERED_MAX = 4_000
CALLERS_MAX = 1_000  # whose last turn in the queue is remembered


@dataclass(slots=True)
class Watch:
    """How an unfinished task is being looked at. Times are seconds since 1970."""

    due_at: float = 0.0
    failures: int = 0
    missing_since: float | None = None
    """Since when the upstream claims not to know the task, or calls it completed without a film."""
    under_way: "Coroutine[Task] | None" = None
    """The one look that everybody waits for."""


class Line:
    """Who waits for a key, as far as this process knows, and whose turn it is. Storage has the tasks themselves."""

    def __init__(self) -> None:
        self.models: frozenset[str] = frozenset()
        """The models that somebody waits for."""
        # Also of callers who wait for nothing just now: whoever joins again right after a turn is not first again.
        self._served: LRUCache[str, int] = LRUCache(CALLERS_MAX)
        self._turns = 0
        self._changed = Event()

    def is_before(self, model: str) -> bool:
        """Whether a create of this model has to stand behind somebody."""
        return model in self.models

    def joined(self, task: Task) -> None:
        """A task is waiting from now on."""
        self.models |= {task.request.model}
        self._changed.set()

    def in_turn(self, heads: Sequence[Waiting]) -> list[Waiting]:
        """The first tasks of each caller, the caller first who was served longest ago."""
        self.models = frozenset(head.model for head in heads)
        return sorted(heads, key=lambda head: (self._served.get(head.caller, 0), head.task_id))

    def served(self, caller: str) -> None:
        """A task of this caller was sent."""
        self._turns += 1
        self._served[caller] = self._turns

    async def wait(self, within_s: float) -> None:
        """Until a task joins, or for this long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):  # `wait_for` of Python 3.11 can lose a cancellation
                await self._changed.wait()
        self._changed.clear()


@dataclass(frozen=True, slots=True)
class Memory:
    """The tasks seen lately, their watches, and rendered poll answers."""

    tasks: LRUCache[int, Task] = field(default_factory=lambda: LRUCache(TASKS_MAX))
    watches: dict[int, Watch] = field(default_factory=dict)
    rendered: LRUCache[tuple[int, str], tuple[Task, Any]] = field(default_factory=lambda: LRUCache(RENDERED_MAX))
    """(task, dialect) → the very task that was rendered, and its answer: good while the task is the same object."""

    submissions: dict[int, Any] = field(default_factory=dict)
    """Submits under way by task: a twin of one joins it."""
    unsaved: dict[int, Task] = field(default_factory=dict)
    """Running tasks whose receipt neither storage nor the journal could take."""
    key_locks: "WeakValueDictionary[tuple[str, str], Lock]" = field(default_factory=WeakValueDictionary)
    """(caller, idempotency key) → held while the first request under that key is in pre-flight."""

    line: Line = field(default_factory=Line)

    def lock_of(self, caller: str, key: str) -> Lock:
        """The lock of an idempotency key, alive as long as somebody holds or awaits it."""
        lock = self.key_locks.get((caller, key))
        if lock is None:
            lock = self.key_locks[caller, key] = Lock()
        return lock

    def keep(self, task: Task) -> Task:
        """Remember the newest of a task and give it back; a finished one is no longer watched.

        Two steps of one task may end in either order: what is over stays over, unless a
        person takes up what was given up, and what is hidden stays hidden.
        """
        known = self.tasks.get(task.id)
        if known is not None and known.is_final and not task.is_final and known.money is not Money.SUSPENDED:
            return known
        if known is not None and known.hidden and not task.hidden:
            task = replace(task, hidden=True)
        self.tasks[task.id] = task
        if task.is_final:
            self.watches.pop(task.id, None)
        return task

    def watch(self, task_id: int) -> Watch:
        watch = self.watches.get(task_id)
        if watch is None:
            watch = self.watches[task_id] = Watch()
        return watch
