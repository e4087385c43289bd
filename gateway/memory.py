"""What this process remembers of tasks, so that polls need neither disk nor upstream.

Every change that this process makes to a task goes through here, so memory is never behind what it did itself; another
process on the same storage may be ahead, and the sweep then goes by storage.
"""

from asyncio import Lock
from asyncio import Task as Coroutine
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

from cachetools import LRUCache

from gateway.video import Task

TASKS_MAX = 20_000  # about 2 KiB each: 40 MiB at the very most, the working set of a busy team is hundreds
RENDERED_MAX = 4_000


@dataclass(slots=True)
class Watch:
    """How an unfinished task is being looked at. Times are seconds since 1970."""

    due_at: float = 0.0
    failures: int = 0
    missing_since: float | None = None
    """Since when the upstream claims not to know the task, or calls it completed without a film."""
    under_way: "Coroutine[Task] | None" = None
    """The one look that everybody waits for."""


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

    def lock_of(self, caller: str, key: str) -> Lock:
        """The lock of an idempotency key, alive as long as somebody holds or awaits it."""
        lock = self.key_locks.get((caller, key))
        if lock is None:
            lock = self.key_locks[caller, key] = Lock()
        return lock

    def keep(self, task: Task) -> Task:
        """Remember the newest of a task and give it back; a finished one is no longer watched.

        Two steps of one task may end in either order: what is over stays over, and what is hidden stays hidden.
        """
        known = self.tasks.get(task.id)
        if known is not None and known.is_final and not task.is_final:
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
