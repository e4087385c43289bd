"""What became of a task. However many clients ask, one look per interval goes upstream, and all of them share it."""

import asyncio
import logging
import random
from dataclasses import dataclass, replace
from time import perf_counter

from gateway.errors import LookFailed, StorageDown, UnknownTask
from gateway.memory import Watch
from gateway.money import MICROS
from gateway.parts import Parts
from gateway.store import WrongState
from gateway.video import Caller, Failure, Look, Money, State, Status, Task

log = logging.getLogger("reelgate.poll")

LOOK_WAIT_S = 5.0  # a client is told the last known state rather than kept waiting for a slow upstream
BACKOFF_FIRST_S, BACKOFF_FACTOR, BACKOFF_MAX_S = 1.0, 1.5, 30.0  # FAILURES section 5
TOUCH_S = 60.0
MISSING_FOR_S = 600.0  # FAILURES section 5: how long "unknown task" and "completed, but no film" may mend themselves


@dataclass(slots=True)
class Waiting:
    """Seconds that one request spent waiting for an upstream."""

    total_s: float = 0.0


async def read(task_id: int, caller: Caller, parts: Parts, waiting: Waiting) -> Task:
    """The task as it stands, after a look if one is due. Raises UnknownTask for what the caller may not see."""
    task = parts.memory.tasks.get(task_id)
    if task is None:
        task = await recall(task_id, parts)
    if not caller.may_see(task):
        raise UnknownTask("there is no such task")
    if task.state is State.RUNNING and parts.clock() >= parts.memory.watch(task_id).due_at:
        started = perf_counter()
        task = await look(task, parts)
        waiting.total_s += perf_counter() - started
    elif _may_be_elsewhere(task, parts):
        task = await _read_again(task, parts)
    else:
        parts.metrics.poll_saved()
    return task


def _may_be_elsewhere(task: Task, parts: Parts) -> bool:
    """Whether another process, or a person, may have taken the task on: it is in nobody's hands here."""
    if (task.is_final and task.money is not Money.SUSPENDED) or task.id in parts.memory.submissions:
        return False
    return task.state is not State.RUNNING and parts.clock() >= parts.memory.watch(task.id).due_at


async def _read_again(task: Task, parts: Parts) -> Task:
    parts.memory.watch(task.id).due_at = parts.clock() + parts.settings.min_interval_s
    stored = await parts.registry.get(task.id)
    return task if stored is None or stored == task else parts.memory.keep(stored)


async def look(task: Task, parts: Parts, *, within_s: float = LOOK_WAIT_S) -> Task:
    """Join the look that is under way, or begin one; what is known of the task then, at the latest in `within_s`."""
    watch = parts.memory.watch(task.id)
    if watch.under_way is None:
        watch.under_way = parts.stories.start(_look(task, watch, parts))
    await asyncio.wait((watch.under_way,), timeout=within_s)
    return parts.memory.tasks.get(task.id, task)


async def recall(task_id: int, parts: Parts) -> Task:
    """The task as this process or storage knows it, whoever asks. Raises UnknownTask."""
    task = await find(task_id, parts)
    if task is None:
        raise UnknownTask("there is no such task")
    return task


async def find(task_id: int, parts: Parts) -> Task | None:
    """The task as this process or storage knows it, or None."""
    task = parts.memory.tasks.get(task_id)
    if task is None:
        task = await parts.registry.get(task_id)
        if task is not None:
            parts.memory.keep(task)
    return task


async def _look(task: Task, watch: Watch, parts: Parts) -> Task:
    try:
        found = await parts.upstreams.look(task)
        return await _learn(task, found, watch, parts)
    except LookFailed as failure:
        if failure.is_missing:
            return await _miss(task, watch, "upstream_task_missing", parts)
        watch.missing_since = None  # an outage is no evidence of anything
        _back_off(watch, parts)
        return await _touch(task, parts)
    except (StorageDown, WrongState):
        _back_off(watch, parts)  # the receipt may still be in the journal; the sweep brings it to storage
        return task
    finally:
        watch.under_way = None


async def _touch(task: Task, parts: Parts) -> Task:
    """Storage learns once a minute that the task was looked at in vain, so that the sweep comes to the others too."""
    now = parts.clock()
    if now - (task.looked_at or 0.0) < TOUCH_S:
        return task
    try:
        await parts.registry.touch(task.id, now=now)
    except StorageDown:
        return task
    return parts.memory.keep(replace(task, looked_at=now))


async def _learn(task: Task, found: Look, watch: Watch, parts: Parts) -> Task:
    if found.strange is not None:
        parts.metrics.surprise(task.upstream, "status_word")
        log.warning("task %d: the upstream says %r, which no document lists", task.id, found.strange)
    if found.status is Status.COMPLETED and found.link is None:
        return await _miss(task, watch, "result_missing", parts)
    now = parts.clock()
    watch.due_at, watch.failures, watch.missing_since = now + parts.settings.min_interval_s, 0, None
    failed_is_spent = parts.upstreams.charges_failures(task.upstream)
    task = parts.memory.keep(await parts.registry.note(task.id, found, now=now, failed_is_spent=failed_is_spent))
    if task.is_final:
        _finish(task, parts)
    return task


async def _miss(task: Task, watch: Watch, code: str, parts: Parts) -> Task:
    """The upstream does not know the task, or has no film for it: given time, then failed, and a person's to judge."""
    now = parts.clock()
    if watch.missing_since is None:
        watch.missing_since = now
    if now - watch.missing_since < MISSING_FOR_S:
        _back_off(watch, parts)
        return task
    failure = Failure(code, "the upstream no longer knows this task or its film")
    task = parts.memory.keep(await parts.registry.fail(task.id, failure, now=now))
    _finish(task, parts)
    return task


def _finish(task: Task, parts: Parts) -> None:
    parts.upstreams.finished(task)
    if task.state is State.COMPLETED and task.finished_at is not None:
        parts.metrics.finished(
            task.request.model,
            task.request.resolution,
            duration_s=task.finished_at - (task.started_at or task.created_at),
            price=(task.price or 0) / MICROS,
        )


def _back_off(watch: Watch, parts: Parts) -> None:
    rest_s = min(BACKOFF_MAX_S / 1.2, BACKOFF_FIRST_S * BACKOFF_FACTOR**watch.failures)
    watch.failures = min(watch.failures + 1, 20)
    rest_s *= 1 + 0.2 * random.random()  # noqa: S311 - spreads looks, guards nothing
    watch.due_at = parts.clock() + max(parts.settings.min_interval_s, rest_s)
