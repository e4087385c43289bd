"""Hints: an upstream calls on a path that only it was told, and so makes us look at one of its tasks now.

Nothing of what it says is believed, because nothing proves who says it: what became of the task is asked, with our own
key. The one thing that is read is the upstream's own id of a task in doubt, which nobody else could tell us: it counts
as the receipt once a look with it has found that task on our account (FAILURES section 1). No task is looked at more
often than `polling.min_interval_s` allows, however often somebody calls.

Without `server.public_url` no upstream is told of a path, and then none of this happens.
"""

import logging
from collections.abc import Mapping
from typing import Any

from gateway.errors import LookFailed
from gateway.flows import poll, receipts
from gateway.parts import Parts
from gateway.signing import attempt_token
from gateway.store import ReceiptTaken
from gateway.structs import replace
from gateway.video import Money, Receipt, State, Task

log = logging.getLogger("reelgate.hints")

PATH = "/v1/callbacks/{id}"
_REMEMBERED_MAX = 10_000  # tasks that somebody called about lately; more of them than run at once


def address(task: Task, parts: Parts) -> str | None:
    """Where the upstream may call about the attempt that the task is in; None where we cannot be reached."""
    base_url = parts.settings.public_url
    if base_url is None:
        return None
    return base_url + PATH.format(id=attempt_token(task.id, task.attempts, parts.settings.hint_secret))


class Hints:
    """What was called about lately, so that no caller sets our pace."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._looked: dict[int, float] = {}

    async def hear(self, task_id: int, attempt: int, said: Mapping[str, Any]) -> None:
        """Somebody called on the path of this attempt, and said this."""
        task = self._parts.memory.tasks.get(task_id)
        may_at = self._may_look_at(task_id)
        if task is None or task.state is not State.RUNNING:  # another process may have taken it on
            if task_id in self._parts.memory.submissions or self._parts.clock() < may_at:
                return
            self._note(task_id)
            task = await self._parts.registry.get(task_id)
        if task is None:
            return
        if attempt != task.attempts:
            log.warning("task %d: %s speaks of attempt %d, which it had refused", task_id, task.upstream, attempt)
        elif task.state is State.RUNNING:
            await self._look(self._parts.memory.keep(task), may_at)
        elif task.state is State.UNCONFIRMED:
            await self._weigh(task, self._parts.upstreams.id_in_callback(task, said))
        elif task.money is Money.SUSPENDED and task.upstream_id is None:
            upstream_id = self._parts.upstreams.id_in_callback(task, said)
            log.warning("task %d was given up, and is now called %r by %s", task_id, upstream_id, task.upstream)

    async def _look(self, task: Task, may_at: float) -> None:
        """At once, or where the last look was only just now, as soon as it may be."""
        parts = self._parts
        watch = parts.memory.watch(task.id)
        may_at = max(may_at, (watch.looked_at or 0.0) + parts.settings.min_interval_s)
        if parts.clock() >= may_at:
            self._note(task.id)
            await poll.look(task, parts)
        elif watch.is_mine and may_at < watch.due_at:
            watch.due_at = may_at
            parts.memory.take_note(task.id, watch)

    async def _weigh(self, task: Task, upstream_id: str | None) -> None:
        """The evidence that a task in doubt was accepted: good if our key finds a task under this id."""
        parts = self._parts
        if upstream_id is None:
            return
        try:
            await parts.upstreams.look(replace(task, upstream_id=upstream_id))
            running = await receipts.keep(task, Receipt(upstream_id), parts)
        except LookFailed as failure:
            log.warning("task %d: a callback names it %r, and the look says: %s", task.id, upstream_id, failure.message)
        except ReceiptTaken:
            parts.metrics.surprise(task.upstream, "known_id")
            log.warning("task %d: a callback names it %r, which is another task", task.id, upstream_id)
        else:
            log.info("task %d was accepted as %r after all: a callback says so, and a look", task.id, upstream_id)
            await poll.look(running, parts)

    def _may_look_at(self, task_id: int) -> float:
        return self._looked.get(task_id, 0.0) + self._parts.settings.min_interval_s

    def _note(self, task_id: int) -> None:
        if len(self._looked) >= _REMEMBERED_MAX:
            self._looked.clear()
        self._looked[task_id] = self._parts.clock()
