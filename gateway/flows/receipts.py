"""A receipt is kept, come what may: it is the only proof that a film was bought, and where it is (FAILURES T16).

It goes to storage; where that fails, or only takes long, to the journal beside it, at once, so that no kill falls into
the time of waiting; and where even the journal fails, it stays in memory, and in the log. The sweep brings what is in
journal or memory to storage as soon as that is well.
"""

import asyncio
import logging

from gateway.errors import StorageDown
from gateway.flows.poll import begin
from gateway.parts import Parts
from gateway.store import ReceiptTaken, WrongState
from gateway.structs import replace
from gateway.video import Receipt, State, Task

log = logging.getLogger("reelgate.receipts")

SLOW_S = 0.5  # a commit takes a millisecond; a file that somebody else has locked takes seconds to say no


async def keep(task: Task, receipt: Receipt, parts: Parts) -> Task:
    """The running task. Raises ReceiptTaken when another task holds this very receipt (FAILURES H5)."""
    now = parts.clock()
    if receipt.reserved is not None and receipt.reserved >= 0 and task.price is not None:
        model = parts.catalog.label(task.request.model)
        parts.metrics.reserved(task.upstream, model, units=receipt.reserved, price=task.price)
    running = replace(task, state=State.RUNNING, upstream_id=receipt.upstream_id, started_at=now)
    is_safe = False
    being_slow = asyncio.get_running_loop().call_later(SLOW_S, _set_aside, running, parts)
    try:
        started = await parts.registry.start(task, receipt, now=now)  # a step that is cancelled is done all the same
        is_safe = True
    except ReceiptTaken:
        is_safe = True  # it is the other task's
        raise
    except WrongState:
        # Given up in a submit that took longer than any should. The journal keeps it as evidence for a person.
        log.exception("task %d was accepted as %s after it had been given up", task.id, receipt.upstream_id)
        return await parts.registry.get(task.id) or task
    except StorageDown:
        log.warning("task %d was accepted as %s while storage is down", task.id, receipt.upstream_id)
        return begin(running, parts)
    finally:
        being_slow.cancel()
        if not is_safe:  # whatever ended this, a bug or a cancelled coroutine included
            _set_aside(running, parts)
    return begin(started, parts)


async def bring_home(parts: Parts) -> None:
    """What storage could not take when it came. Raises StorageDown while it still cannot."""
    for running in list(parts.memory.unsaved.values()):
        _set_aside(running, parts)
    applied = await parts.journal.replay(parts.registry)
    if applied:
        log.warning("%d receipts from the journal are in storage now", applied)


def _set_aside(running: Task, parts: Parts) -> None:
    """Into the journal, or where that fails, into memory, for the next pass."""
    try:
        parts.journal.append(
            running.id, running.upstream, running.key_id, running.upstream_id or "", at=running.started_at or 0.0
        )
    except OSError:
        log.exception("the journal fails too: task %d is %s at the upstream", running.id, running.upstream_id)
        parts.memory.unsaved[running.id] = running
    else:
        parts.memory.unsaved.pop(running.id, None)
