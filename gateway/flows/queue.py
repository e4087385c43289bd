"""The queue: tasks that were accepted while every key was busy are sent when there is room, in fair turn.

Fair is between callers: whoever was served longest ago is next, so that a caller who waits with two tasks is not behind
a hundred of another's. A task waits in storage with its money reserved, survives a restart, and costs nothing until it
is sent; one that waits too long is over, unspent.
"""

import asyncio
import logging
import random

from gateway.catalog import judge
from gateway.errors import GatewayError, StorageDown, TooFast, Unavailable
from gateway.flows.carry import Journey, carry
from gateway.flows.preflight import Checked
from gateway.parts import Parts
from gateway.store import CANCELLED, KeyFull, WrongState
from gateway.video import Failure, Offer, Route, State, Task, VideoRequest

log = logging.getLogger("reelgate.queue")

EVERY_S = 0.2  # how long a key that has room again may stand idle while somebody waits for it
IDLE_S = 2.0  # another process may have put a task in the queue


async def run(parts: Parts) -> None:
    """Send what waits, until cancelled."""
    await parts.stories.repeat(lambda: _pass(parts))


async def dispatch(parts: Parts) -> int:
    """Send all that there is room for; returns how many were sent."""
    await _drop_expired(parts)
    sent = 0
    while not _is_stopped(parts) and await _send_next(parts):
        sent += 1
    return sent


async def cancel(task: Task, parts: Parts) -> Task:
    """The caller does not want a task that still waits: it is over, free of charge. Any other is given back."""
    if task.state is not State.QUEUED:
        return task
    failure = Failure(CANCELLED, "the task was cancelled before it was sent; nothing was spent")
    try:
        return parts.memory.keep(await parts.registry.drop(task.id, failure, now=parts.clock()))
    except WrongState:  # it was sent meanwhile
        return await parts.registry.get(task.id) or task


async def _pass(parts: Parts) -> None:
    await dispatch(parts)
    # Not all processes in step: who comes second would only find that the first has sent the task.
    spread = random.uniform(0.5, 1.0)  # noqa: S311 - guards nothing
    await parts.memory.line.wait(spread * (EVERY_S if parts.memory.line.models else IDLE_S))


def _is_stopped(parts: Parts) -> bool:
    """A freeze must not go on spending on what waits."""
    return parts.stories.is_draining or parts.admission.is_frozen


async def _send_next(parts: Parts) -> bool:
    """Send the first task in turn that some key has room for. False when there is none."""
    line, admission, now = parts.memory.line, parts.admission, parts.clock()
    waiting = await parts.registry.waiting()
    for head in waiting:
        if admission.is_revoked(head.caller):
            await _drop(head.task_id, CANCELLED, "the key that ordered this was revoked; nothing was spent", parts)
            return True
        if admission.has_expired(head.caller, now):
            reason = "the key that ordered this expired before there was room; nothing was spent"
            await _drop(head.task_id, "queue_timeout", reason, parts)
            return True
    # Whose key was taken out of the configuration here is known to another process that sends, or to none: nobody has
    # to stand behind it.
    heads = line.in_turn([head for head in waiting if admission.standing(head.caller, now) is not None])
    for head in heads:
        model = parts.catalog.find(head.model)
        if model is None or not parts.upstreams.sellers(model):
            await _drop(head.task_id, "unknown_model", f"nothing configured here sells {head.model} any more", parts)
            return True
        if not parts.upstreams.has_room(model):
            continue
        found = await parts.registry.waiting_request(head.task_id)
        if found is not None and await _send(*found, parts):
            line.served(head.caller)
            return True
    return False


async def _send(task: Task, request: VideoRequest, parts: Parts) -> bool:
    model = parts.catalog.find(request.model)
    offer, problems = (None, []) if model is None else judge(request, model, prompt_required=False)
    if model is None or offer is None or problems:
        await _drop(task.id, "unknown_model", f"{request.model} is no longer offered like this", parts)
        return True
    checked = Checked(request, model, _as_agreed(offer, task))
    if _is_stopped(parts):
        return False
    try:
        route = parts.upstreams.choose(request, model)
    except (TooFast, Unavailable):
        return False
    opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    story = parts.stories.start(_carry(task, route, checked, opened, parts))
    await asyncio.wait((opened, story), return_when=asyncio.FIRST_COMPLETED)
    return opened.done() or story.result()  # raises StorageDown


async def _carry(task: Task, route: Route, checked: Checked, opened: "asyncio.Future[None]", parts: Parts) -> bool:
    """One story from the queue to the upstream: whoever ends the dispatcher must not leave a task behind that is opened
    and never sent. False where it still waits."""
    limit = parts.upstreams.limit(route)
    try:
        task = await parts.registry.dispatch(task, route, now=parts.clock(), limit=limit)
    except WrongState:  # another process was faster, or its owner cancelled it
        parts.upstreams.unused(route)
        return True
    except KeyFull:  # of what another process did a moment ago, and this one will soon hear of
        parts.upstreams.unused(route)
        return False
    except StorageDown:
        parts.upstreams.unused(route)
        raise
    parts.upstreams.opened(parts.memory.keep(task))
    opened.set_result(None)
    try:
        await carry(task, checked, Journey(is_answered=True), parts)
    except GatewayError as error:  # nobody waits for it: the task itself says what became of it
        log.info("task %d left the queue and was refused: %s", task.id, error.code)
    return True


def _as_agreed(offer: Offer, task: Task) -> Offer:
    """At the price of the day it was ordered."""
    return Offer(offer.model, offer.mode, offer.resolution, offer.duration_s, task.price, offer.unsaid)


async def _drop_expired(parts: Parts) -> None:
    now = parts.clock()
    for task_id in await parts.registry.waiting_since(before=now - parts.settings.queue_wait_s):
        await _drop(task_id, "queue_timeout", "no key had room for this video in time; nothing was spent", parts)


async def _drop(task_id: int, code: str, message: str, parts: Parts) -> None:
    try:
        parts.memory.keep(await parts.registry.drop(task_id, Failure(code, message), now=parts.clock()))
    except WrongState:
        log.info("task %d left the queue by itself", task_id)
