"""The background pass that finishes what was left: doubts, resting keys, the emergency journal."""

import asyncio
import logging
from contextlib import suppress

from gateway.flows import receipts
from gateway.parts import Parts
from gateway.store import Verdict, WrongState
from gateway.video import Failure, State

log = logging.getLogger("reelgate.sweep")

EVERY_S = 5.0
KEYS_EVERY_S = 60.0  # a free balance call for each key that is retired or exhausted
AUDIT_AFTER_S, AUDIT_EVERY_S = 60.0, 3600.0  # a start has other things to do, and a hundred thousand tasks take seconds
DRIFT_LINES_MAX = 20  # in the log; `reelgate tasks reconcile` says them all


async def run(parts: Parts) -> None:
    """Sweep until cancelled."""
    keys_at, audit_at = parts.clock() + KEYS_EVERY_S, parts.clock() + AUDIT_AFTER_S

    async def step() -> None:
        nonlocal keys_at, audit_at
        await sweep(parts)
        if parts.clock() >= keys_at:
            await parts.upstreams.recheck_keys()
            keys_at = parts.clock() + KEYS_EVERY_S
        if parts.clock() >= audit_at:
            await audit(parts)
            audit_at = parts.clock() + AUDIT_EVERY_S
        await asyncio.sleep(EVERY_S)

    await parts.stories.repeat(step)


async def sweep(parts: Parts) -> None:
    """One pass."""
    await receipts.bring_home(parts)
    await _doubt_forgotten(parts)
    await _give_up(parts)


async def audit(parts: Parts) -> None:
    """Look through the books, and say aloud what does not add up: no money is moved by it."""
    drift = await parts.registry.audit()
    parts.metrics.audited(len(drift), parts.clock())
    for sentence in drift[:DRIFT_LINES_MAX]:
        log.error("the books do not add up: %s", sentence)


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
            parts.metrics.failed(parts.catalog.label(task.request.model), failure.code)
