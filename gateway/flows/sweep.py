"""The background pass that finishes what was left: doubts, unwatched tasks, resting keys, the emergency journal."""

import asyncio
import logging
from contextlib import suppress

from gateway.flows import poll, receipts
from gateway.parts import Parts
from gateway.store import Verdict, WrongState
from gateway.video import Failure, State, Task

log = logging.getLogger("reelgate.sweep")

EVERY_S = 5.0
KEYS_EVERY_S = 60.0  # a free balance call for each key that is retired or exhausted
LOOKS_AT_ONCE = 8  # the watcher must not take the place of the clients' own polls
TASKS_AT_ONCE = 1_000


async def run(parts: Parts) -> None:
    """Sweep until cancelled."""
    keys_at = parts.clock() + KEYS_EVERY_S

    async def step() -> None:
        nonlocal keys_at
        await sweep(parts)
        if parts.clock() >= keys_at:
            await parts.upstreams.recheck_keys()
            keys_at = parts.clock() + KEYS_EVERY_S
        await asyncio.sleep(EVERY_S)

    await parts.stories.repeat(step)


async def sweep(parts: Parts) -> None:
    """One pass."""
    await receipts.bring_home(parts)
    await _doubt_forgotten(parts)
    await _give_up(parts)
    await _look_after(parts)


async def _doubt_forgotten(parts: Parts) -> None:
    """Intentions whose story ended without an outcome: a bug, a cancelled coroutine, a storage failure."""
    now = parts.clock()
    dead = await parts.presence.dead(await parts.registry.senders())
    if dead and (recovered := await parts.registry.recover(now, dead)):
        log.warning("%d tasks are unconfirmed: the process that was sending them is gone", recovered)
    for task in await parts.registry.opened(before=now - parts.settings.longest_submit_s):
        verdict = Verdict("submission_unconfirmed", row="T14")
        with suppress(WrongState):  # its outcome came meanwhile
            parts.memory.keep(await parts.registry.doubt(task, verdict, now=now))


async def _give_up(parts: Parts) -> None:
    """No evidence within the give-up time: the task reads as failed, and its money waits for a person."""
    now = parts.clock()
    failure = Failure("submission_unconfirmed", "it could not be learnt whether the upstream accepted this video")
    for task in await parts.registry.unconfirmed(before=now - parts.settings.give_up_after_s):
        with suppress(WrongState):  # evidence came meanwhile
            failed = await parts.registry.fail(task.id, failure, now=now, from_states={State.UNCONFIRMED})
            parts.memory.keep(failed)
            parts.upstreams.finished(task)


async def _look_after(parts: Parts) -> None:
    """Tasks that no client has asked about for the longest interval."""
    now = parts.clock()
    places = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def look(stored: Task) -> None:
        async with places:
            known = parts.memory.tasks.get(stored.id)
            # Storage has just called it running; another process may have brought it there.
            task = known if known is not None and known.state is State.RUNNING else parts.memory.keep(stored)
            if task.state is State.RUNNING:
                await poll.look(task, parts)

    neglected = await parts.registry.running(not_looked_since=now - parts.settings.max_interval_s, limit=TASKS_AT_ONCE)
    due = [task for task in neglected if parts.memory.watch(task.id).due_at <= now - parts.settings.max_interval_s]
    await asyncio.gather(*(look(task) for task in due))
