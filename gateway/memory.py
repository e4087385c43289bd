"""What this process remembers of tasks, so that polls need neither disk nor upstream.

Every change that this process makes to a task goes through here, so memory is never behind what it did itself; another
process on the same storage may be ahead, and the sweep then goes by storage.
"""

import asyncio
import heapq
from asyncio import Event, Lock
from asyncio import Task as Coroutine
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from cachetools import LRUCache

from gateway.durations import Durations, Kind
from gateway.structs import Struct, field, replace
from gateway.video import Money, Task, Waiting

TASKS_MAX = 20_000  # about 2 KiB each: 40 MiB at the very most, the working set of a busy team is hundreds
RENDERED_MAX = 4_000
CALLERS_MAX = 1_000  # whose last turn in the queue is remembered
PICTURES_MAX = (
    2_000  # a link and a line about what is behind it: some hundred bytes each, or 8 KiB for the longest link
)


class Watch(Struct):
    """How an unfinished task is being looked at. Times are seconds since 1970."""

    due_at: float = 0.0
    """When the next look at the upstream is due; where another process watches, the next one at storage."""
    is_mine: bool = False
    """This process looks after it; else another one does, or nobody yet."""
    noted_at: float | None = None
    """Its place in the agenda; any other that it has there is out of date."""
    looked_at: float | None = None
    """When it was last seen running."""
    failures: int = 0
    missing_since: float | None = None
    """Since when the upstream claims not to know the task, or calls it completed without a film."""
    unknown_since: float | None = None
    """Since when it has claimed nothing but not to know the task."""
    unknown_looks: int = 0
    """How many looks were answered so since then."""
    may_be_late: bool = False
    """It claimed so right after the submit, and has not known the task yet: what is new may take time to be known."""
    under_way: "Coroutine[Task] | None" = None
    """The one look that everybody waits for."""
    shown: int = 0
    """The progress that callers were last told; it never falls."""


class Agenda:
    """Which watches are due next, the soonest first. An entry says when to have a look at the watch, which knows best
    when it is really due."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int]] = []
        self._changed = Event()

    def note(self, task_id: int, due_at: float) -> None:
        """Come back to this task then, and wake whoever waits for longer."""
        if not self._entries or due_at < self._entries[0][0]:
            self._changed.set()
        heapq.heappush(self._entries, (due_at, task_id))

    def due(self, now: float) -> list[tuple[float, int]]:
        """The places of those whose time has come, with their tasks; they leave the agenda."""
        found = []
        while self._entries and self._entries[0][0] <= now:
            found.append(heapq.heappop(self._entries))
        return found

    def next_at(self) -> float | None:
        """When the next one is due."""
        return self._entries[0][0] if self._entries else None

    async def wait(self, within_s: float) -> None:
        """Until something earlier is noted, or for this long."""
        await _set_within(self._changed, within_s)


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
        await _set_within(self._changed, within_s)


class Bell:
    """Rung when there is something to do, for the one who waits to do it."""

    def __init__(self) -> None:
        self._rung = Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, within_s: float) -> None:
        """Until it rings, or for this long; at once if it rang since the last time."""
        await _set_within(self._rung, within_s)


async def _set_within(event: Event, within_s: float) -> None:
    """Wait until an event is set, or for this long, and clear it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):  # `wait_for` of Python 3.11 can lose a cancellation
            await event.wait()
    event.clear()


class Memory(Struct, frozen=True):
    """The tasks seen lately, their watches, and rendered poll answers."""

    tasks: LRUCache[int, Task] = field(default_factory=lambda: LRUCache(TASKS_MAX))
    watches: dict[int, Watch] = field(default_factory=dict)
    agenda: Agenda = field(default_factory=Agenda)
    durations: Durations = field(default_factory=Durations)
    signals: "WeakValueDictionary[int, Event]" = field(default_factory=WeakValueDictionary)
    """Task → set when it changes; alive as long as somebody waits for that."""
    rendered: LRUCache[tuple[int, str], tuple[Task, float, Any]] = field(default_factory=lambda: LRUCache(RENDERED_MAX))
    """(task, dialect) → the very task that was rendered, when its answer ages, and that answer: good until then, while
    the task is the same object."""

    submissions: dict[int, Any] = field(default_factory=dict)
    """Submits under way by task: a twin of one joins it."""
    unsaved: dict[int, Task] = field(default_factory=dict)
    """Running tasks whose receipt neither storage nor the journal could take."""
    pictures: LRUCache[str, Any] = field(default_factory=lambda: LRUCache(PICTURES_MAX))
    """Link → what was found behind it, and by which sign of its host that is told from a newer picture."""
    key_locks: "WeakValueDictionary[tuple[str, str], Lock]" = field(default_factory=WeakValueDictionary)
    """(caller, idempotency key) → held while the first request under that key is in pre-flight."""
    asking: dict[tuple[str, str], set["asyncio.Future[None]"]] = field(default_factory=dict)
    """(caller, fingerprint of a request) → its creates about which others are asked now; each is done when it is opened
    or refused."""

    line: Line = field(default_factory=Line)
    letters: Bell = field(default_factory=Bell)
    """Rung when a caller is to be told of the end of its task."""

    def lock_of(self, caller: str, key: str) -> Lock:
        """The lock of an idempotency key, alive as long as somebody holds or awaits it."""
        lock = self.key_locks.get((caller, key))
        if lock is None:
            lock = self.key_locks[caller, key] = Lock()
        return lock

    def keep(self, task: Task) -> Task:
        """Remember the newest of a task, wake whoever waits for its news, and give it back. A finished one is no
        longer watched.

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
            if task.request.callback_url is not None:
                self.letters.ring()
        if known is not task:
            self.wake(task.id)
        return task

    def watch(self, task_id: int) -> Watch:
        watch = self.watches.get(task_id)
        if watch is None:
            watch = self.watches[task_id] = Watch()
        return watch

    def take_note(self, task_id: int, watch: Watch) -> None:
        """See to it that the agenda comes back to a watch when it is due, or before."""
        if watch.noted_at is None or watch.due_at < watch.noted_at:
            watch.noted_at = watch.due_at
            self.agenda.note(task_id, watch.due_at)

    def signal(self, task_id: int) -> Event:
        """What is set when the task changes next. Whoever waits for it holds it."""
        signal = self.signals.get(task_id)
        if signal is None:
            signal = self.signals[task_id] = Event()
        return signal

    def wake(self, task_id: int) -> None:
        """Tell whoever waits for news of a task that there are some."""
        if self.signals and (signal := self.signals.pop(task_id, None)) is not None:
            signal.set()

    def wake_all(self) -> None:
        """Tell everybody who waits for anything, because the gateway is about to end."""
        for task_id in list(self.signals):
            self.wake(task_id)


def kind_of(task: Task) -> Kind:
    """What decides how long a task takes."""
    return Kind(task.request.model, task.request.resolution, task.upstream)
