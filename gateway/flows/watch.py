"""The watcher: every running task is looked at without anybody asking, when it is worth it (`durations.py`).

A task is watched by one process at a time (`store/leases.py`): first by the one that sent it, then by whoever finds
that nobody does. What a process takes over, after a restart most of all, it looks at spread out over the time until
each look would be due. Looks run side by side within a bound for each upstream, so that a slow one delays no other's.

For tasks that another process watches, callers who wait here are told by reading storage again.
"""

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Mapping

from gateway.errors import StorageDown
from gateway.flows import poll
from gateway.memory import Watch
from gateway.parts import Parts
from gateway.store import LEASE_S, Others
from gateway.structs import Struct, field
from gateway.video import State, Task

log = logging.getLogger("reelgate.watch")

LOOKS_AT_ONCE = 16  # for each upstream: some fifty looks a second where one takes a third of a second
CLAIM_EVERY_S = 5.0  # how often it is seen to that every running task is watched by somebody
LEARNT_FROM = 5_000  # of the newest tasks, at the start: a fraction of a second, and days of a busy team
REST_S = 1.0  # the longest time without a glance at the clock, which may have been set
QUICKEST_S = 0.02  # and the shortest


class Watcher(Struct):
    """What the watcher remembers beside the watches themselves."""

    places: Mapping[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(LOOKS_AT_ONCE))
    )
    """For each upstream."""
    holds_until: float = 0.0
    """Until when the others believe that this process watches."""
    claims_at: float = 0.0
    """When it is next seen to, on the machine's own clock."""


async def run(parts: Parts) -> None:
    """Watch until cancelled."""
    watcher = Watcher()

    async def step() -> None:
        await watch(watcher, parts)
        next_at = parts.memory.agenda.next_at()
        until_next_s = REST_S if next_at is None else next_at - parts.clock()
        await parts.memory.agenda.wait(min(REST_S, max(QUICKEST_S, until_next_s)))

    try:
        await _remember(parts)
        await parts.stories.repeat(step)
    finally:
        await _leave(parts)


async def watch(watcher: Watcher, parts: Parts) -> None:
    """One pass: see to it that every running task is watched by somebody, and begin the looks that are due."""
    if parts.stories.is_draining:
        return
    if time.monotonic() >= watcher.claims_at or parts.clock() >= watcher.holds_until:
        watcher.claims_at = time.monotonic() + CLAIM_EVERY_S
        await _claim(watcher, parts)
    for noted_at, task_id in parts.memory.agenda.due(parts.clock()):
        found = parts.memory.watches.get(task_id)
        if found is not None and found.noted_at == noted_at:
            found.noted_at = None
            _come_back(task_id, found, watcher, parts)


def _come_back(task_id: int, found: Watch, watcher: Watcher, parts: Parts) -> None:
    """The time has come that the agenda has for a watch."""
    known = parts.memory.tasks.get(task_id)
    if known is not None and known.is_final:
        parts.memory.watches.pop(task_id, None)
    elif known is not None and not poll.may_have_changed(known, parts):  # it was looked at meanwhile
        _note_again(task_id, found, parts)
    elif found.is_mine:
        parts.stories.start(_look(task_id, found, watcher, parts), may_be_cut=True)
    elif task_id in parts.memory.signals:
        parts.stories.start(_read(task_id, found, parts), may_be_cut=True)
    elif found.under_way is None:  # another's, and nobody asks any more
        del parts.memory.watches[task_id]


async def _look(task_id: int, found: Watch, watcher: Watcher, parts: Parts) -> None:
    try:
        task = await poll.find(task_id, parts)
        if task is None or task.state is not State.RUNNING:
            parts.memory.watches.pop(task_id, None)
            return
        async with watcher.places[task.upstream]:
            if not parts.stories.is_draining and poll.may_have_changed(task, parts):
                await poll.look(task, parts, within_s=None)
    finally:
        _note_again(task_id, found, parts)


async def _read(task_id: int, found: Watch, parts: Parts) -> None:
    try:
        task = await poll.find(task_id, parts)
        if task is not None:
            await poll.refresh(task, parts)
    finally:
        _note_again(task_id, found, parts)


def _note_again(task_id: int, found: Watch, parts: Parts) -> None:
    if parts.memory.watches.get(task_id) is not found:
        return  # it is over
    if found.due_at <= parts.clock():  # storage failed, or a bug: not again at once
        found.due_at = parts.clock() + max(REST_S, parts.settings.min_interval_s)
    parts.memory.take_note(task_id, found)


# --- who watches what ------------------------------------------------------------------------------------------------


async def _claim(watcher: Watcher, parts: Parts) -> None:
    """Take what nobody watches, and say that this process is there. Writes only where there is something to say."""
    now = parts.clock()
    others = await parts.leases.others(now)
    gone = await parts.presence.dead(others.holders)
    if not _has_reason(others, gone):
        watcher.holds_until = now + LEASE_S / 2
        return
    mine = {task_id for task_id, found in parts.memory.watches.items() if found.is_mine}
    taken = await parts.leases.take(now, gone)
    watcher.holds_until = now + LEASE_S
    for task_id in mine - taken.held:
        _let_go(task_id, parts)
    news = [task for task in taken.tasks if not parts.memory.watch(task.id).is_mine]
    for task in news:
        _take_over(task, parts)
    if news:
        log.info("watching %d running tasks that nobody watched", len(news))


def _has_reason(others: Others, gone: set[int]) -> bool:
    return others.is_word_due or others.are_free or bool(gone)


def _take_over(stored: Task, parts: Parts) -> None:
    known = parts.memory.tasks.get(stored.id)
    # Storage has just called it running; another process may have brought it there.
    task = known if known is not None and known.state is State.RUNNING else parts.memory.keep(stored)
    if task.state is not State.RUNNING:
        return
    found = parts.memory.watch(task.id)
    found.is_mine = True
    poll.plan(task, found, parts, spread=random.random())  # noqa: S311 - spreads looks, guards nothing


def _let_go(task_id: int, parts: Parts) -> None:
    """It is over, or another's: this process had been silent for too long, or was taken for dead."""
    found = parts.memory.watches.get(task_id)
    if found is not None:
        found.is_mine = False


async def _leave(parts: Parts) -> None:
    try:
        await parts.leases.leave()
    except StorageDown:
        log.warning("storage is down: the others learn only from silence that this process watches no more")


async def _remember(parts: Parts) -> None:
    """What storage knows of how long tasks took."""
    try:
        for task in await parts.registry.finished_lately(LEARNT_FROM):
            poll.learn_duration(task, task.finished_at, parts)
    except StorageDown:
        log.warning("storage is down: how long tasks take is learnt anew")
