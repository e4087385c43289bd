"""What became of a task. However many clients ask, one look goes upstream when one is due, and all of them share it.

When that is, is learnt (`durations.py`). The watcher looks then by itself (`watch.py`); a poll that comes first brings
the look forward by a moment, and no poll ever adds one.
"""

import asyncio
import logging
import random
from time import perf_counter

from gateway.errors import LookFailed, StorageDown, UnknownTask
from gateway.memory import Watch, kind_of
from gateway.parts import Parts
from gateway.store import WrongState
from gateway.structs import Struct, replace
from gateway.video import Caller, Failure, Look, Money, State, Status, Task

log = logging.getLogger("reelgate.poll")

LOOK_WAIT_S = 5.0  # a client is told the last known state rather than kept waiting for a slow upstream
BACKOFF_FIRST_S, BACKOFF_FACTOR, BACKOFF_MAX_S = 1.0, 1.5, 30.0  # FAILURES section 5
TOUCH_S = 60.0
_BEFORE_RUNNING = frozenset({State.OPENED, State.UNCONFIRMED})
# FAILURES section 5: how long a new task may be unknown, and "completed, but no film" may mend itself. New is what the
# upstream does not know within a minute of the submit.
MISSING_FOR_S, NEW_FOR_S = 600.0, 60.0
# The same for a task that is not new. The row names no time, and no upstream has a list to reconcile it with: a fault
# that is over in two minutes has cost nothing, and a look or two that went astray are no evidence.
LOST_FOR_S, LOST_LOOKS = 120.0, 3


class Waiting(Struct):
    """Seconds that one request spent waiting for an upstream."""

    total_s: float = 0.0


async def read(task_id: int, caller: Caller | None, parts: Parts, waiting: Waiting) -> Task:
    """The task as it stands, after a look if one is due. Raises UnknownTask for what the caller may not see; without
    a caller it is whoever runs the gateway who asks, and sees everything."""
    task = _seen_by(caller, await recall(task_id, parts))
    if may_have_changed(task, parts):
        started = perf_counter()
        task = await refresh(task, parts)
        waiting.total_s += perf_counter() - started
        return _seen_by(caller, task)  # it may have been deleted meanwhile, here or elsewhere
    parts.metrics.poll_saved()
    return task


def _seen_by(caller: Caller | None, task: Task) -> Task:
    if caller is not None and not caller.may_see(task):
        raise UnknownTask("there is no such task")
    return task


def known(task_id: int, caller: Caller, parts: Parts) -> Task | None:
    """The same where nothing has to be asked for it; None where something has."""
    task = parts.memory.tasks.get(task_id)
    if task is None or not caller.may_see(task) or may_have_changed(task, parts):
        return None
    parts.metrics.poll_saved()
    return task


def may_have_changed(task: Task, parts: Parts) -> bool:
    """Whether it is time to ask again: the upstream where this process watches the task, else storage, because another
    process, or a person, may have taken it on."""
    if (task.is_final and task.money is not Money.SUSPENDED) or task.id in parts.memory.submissions:
        return False
    return parts.clock() >= parts.memory.watch(task.id).due_at


def come_back(task: Task, parts: Parts) -> None:
    """Somebody waits for news of a task without asking again: see to it that the watcher does."""
    if not task.is_final and task.id not in parts.memory.submissions:
        parts.memory.take_note(task.id, parts.memory.watch(task.id))


async def refresh(task: Task, parts: Parts) -> Task:
    """What is known of a task after asking where it is watched."""
    watch = parts.memory.watch(task.id)
    return await look(task, parts) if watch.is_mine and task.state is State.RUNNING else await _read_again(task, parts)


async def newest(task: Task, parts: Parts) -> Task:
    """The task as storage has it, where another process may have brought it to its end: a client that heard of the end
    there comes here for the film. Asks no upstream. Raises UnknownTask for one that was deleted there."""
    if task.is_final or task.id in parts.memory.submissions:
        return task
    stored = await _as_stored(task, parts)
    if stored.hidden:
        raise UnknownTask("there is no such task")
    return stored


def begin(task: Task, parts: Parts) -> Task:
    """Remember a task whose receipt has just come to this process, which watches it from now on."""
    task = parts.memory.keep(task)
    if task.state is State.RUNNING:
        watch = parts.memory.watch(task.id)
        watch.is_mine = True
        plan(task, watch, parts, at=task.started_at)
    return task


def plan(task: Task, watch: Watch, parts: Parts, *, at: float | None = None, spread: float = 1.0) -> None:
    """Say when the next look is due, from what this installation has learnt of such tasks, and see to it that it comes.

    As it looks from the moment `at`, which is now unless it is said. `spread` below 1 brings the look forward by that
    part: looks that all begin now are spread out.
    """
    now, settings = at or parts.clock(), parts.settings
    age_s = max(0.0, now - (task.started_at or task.created_at))
    roll = random.random()  # noqa: S311 - spreads looks, guards nothing
    wait_s = parts.memory.durations.look_after(
        kind_of(task), age_s, settings.min_interval_s, settings.max_interval_s, roll
    )
    watch.due_at = now + wait_s * spread
    parts.memory.take_note(task.id, watch)


async def _read_again(task: Task, parts: Parts) -> Task:
    watch = parts.memory.watch(task.id)
    watch.due_at = parts.clock() + parts.settings.min_interval_s
    parts.memory.take_note(task.id, watch)
    return await _as_stored(task, parts)


async def _as_stored(task: Task, parts: Parts) -> Task:
    stored = await parts.registry.get(task.id)
    if stored is None or stored == task:
        return task
    if task.state is State.RUNNING and stored.state in _BEFORE_RUNNING:  # its receipt is still in the journal
        return task
    if stored.state is State.COMPLETED and task.state is State.RUNNING:
        learn_duration(stored, task.looked_at, parts)
    return parts.memory.keep(stored)


async def look(task: Task, parts: Parts, *, within_s: float | None = LOOK_WAIT_S) -> Task:
    """Join the look that is under way, or begin one; what is known of the task then, at the latest in `within_s`.

    Where there is no place for another look, least of all at an upstream that is slow, that is what is known now.
    """
    watch = parts.memory.watch(task.id)
    if watch.under_way is None:
        place = parts.bounds.looks.try_to_take(task.upstream)
        if place is None:
            return parts.memory.tasks.get(task.id, task)
        watch.under_way = parts.stories.start(_look(task, watch, parts), may_be_cut=True)
        place.hand_to(watch.under_way)
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
    began = parts.clock()
    try:
        found = await parts.upstreams.look(task)
        return await _learn(task, found, watch, parts)
    except LookFailed as failure:
        if failure.is_missing:
            return await _not_know(task, watch, parts)
        watch.missing_since = watch.unknown_since = None  # an outage is no evidence of anything
        return await _touch(task, parts)
    except (StorageDown, WrongState):
        return task  # the receipt may still be in the journal; the sweep brings it to storage
    finally:
        watch.under_way = None
        if watch.due_at <= max(began, parts.clock()):  # nothing was learnt, whatever the reason
            _back_off(watch, parts)


async def _touch(task: Task, parts: Parts) -> Task:
    """Storage learns once a minute that the task was looked at in vain, for the person who wonders."""
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
    watch.unknown_since, watch.may_be_late = None, False
    if found.status is Status.COMPLETED and found.link is None:
        return await _miss(task, watch, "result_missing", parts)
    now = parts.clock()
    watch.failures, watch.missing_since = 0, None
    failed_is_spent = parts.upstreams.charges_failures(task.upstream)
    task = parts.memory.keep(await parts.registry.note(task.id, found, now=now, failed_is_spent=failed_is_spent))
    if not task.is_final:
        watch.looked_at = now
        plan(task, watch, parts)
        return task
    _finish(task, parts)
    if task.state is State.COMPLETED:
        learn_duration(task, watch.looked_at, parts)
    return task


async def _not_know(task: Task, watch: Watch, parts: Parts) -> Task:
    """The upstream does not know the task: one that is new it may yet come to know, any other it has lost."""
    now = parts.clock()
    if watch.unknown_since is None:
        watch.unknown_since, watch.unknown_looks = now, 0
        is_new = now - (task.started_at or task.created_at) <= NEW_FOR_S
        watch.may_be_late |= is_new or watch.looked_at is None  # never seen here: another process may have missed it
    watch.unknown_looks += 1
    return await _miss(task, watch, "upstream_task_missing", parts)


async def _miss(task: Task, watch: Watch, code: str, parts: Parts) -> Task:
    """The upstream does not know the task, or has no film for it: given time, then failed, and a person's to judge."""
    now = parts.clock()
    if watch.missing_since is None:
        watch.missing_since = now
    if now - watch.missing_since < MISSING_FOR_S and not _is_lost(watch, now):
        return task
    failure = Failure(code, "the upstream no longer knows this task or its film")
    task = parts.memory.keep(await parts.registry.fail(task.id, failure, now=now))
    _finish(task, parts)
    return task


def _is_lost(watch: Watch, now: float) -> bool:
    """Whether the upstream had its time to know the task, and has long enough not known it."""
    if watch.unknown_since is None or watch.may_be_late:
        return False
    return watch.unknown_looks >= LOST_LOOKS and now - watch.unknown_since >= LOST_FOR_S


def _finish(task: Task, parts: Parts) -> None:
    parts.upstreams.finished(task)
    count_end(task, parts)


def count_end(task: Task, parts: Parts) -> None:
    """The task has just ended here, after it was accepted or may have been: for whoever reads the metrics."""
    model = parts.catalog.label(task.request.model)
    if task.state is State.COMPLETED and task.finished_at is not None:
        resolution = parts.catalog.label_of_resolution(task.request.model, task.request.resolution)
        duration_s = task.finished_at - (task.started_at or task.created_at)
        parts.metrics.finished(model, resolution, duration_s=duration_s)
    elif task.failure is not None:
        parts.metrics.failed(model, task.failure.code)
    count_spent(task, parts)


def count_spent(task: Task, parts: Parts) -> None:
    """The money of the task has just been settled, if it has."""
    if task.money is Money.SETTLED and task.price is not None:
        parts.metrics.spent(parts.catalog.label(task.request.model), task.price)


def learn_duration(task: Task, seen_running_at: float | None, parts: Parts) -> None:
    """It ended between the last look that found it running and the one that did not: in the middle, for all we know."""
    began, ended = task.started_at or task.created_at, task.finished_at
    if ended is not None:
        seen = min(ended, max(began, seen_running_at or began))
        parts.memory.durations.learn(kind_of(task), (seen + ended) / 2 - began)


def _back_off(watch: Watch, parts: Parts) -> None:
    rest_s = min(BACKOFF_MAX_S / 1.2, BACKOFF_FIRST_S * BACKOFF_FACTOR**watch.failures)
    watch.failures = min(watch.failures + 1, 20)
    rest_s *= 1 + 0.2 * random.random()  # noqa: S311 - spreads looks, guards nothing
    watch.due_at = parts.clock() + max(parts.settings.min_interval_s, rest_s)
