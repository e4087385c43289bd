"""Carry an opened task to an upstream: send it, and send it elsewhere only on proof that nothing was bought.

Whatever ends this without such a proof leaves the task as it is in storage, where it reads as unconfirmed, and the
sweep resolves it. Nothing here ever sends a doubtful submit again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter

from gateway import tracing
from gateway.errors import Again, GatewayError, InDoubt, QueueFull, Refused, StorageDown, TooFast
from gateway.flows import hints, receipts
from gateway.flows.preflight import Checked
from gateway.parts import Parts
from gateway.store import ReceiptTaken, Verdict, Wait, WrongState
from gateway.structs import Struct, field, replace
from gateway.video import Failure, Receipt, Route, State, Task, VideoRequest

log = logging.getLogger("reelgate.carry")

ONCE_MORE_AFTER_S = 1.0  # T1: a name server's hiccup; anything longer is for the caller's own repeat
STORAGE_RETRIES_S = (0.05, 0.25, 1.0)  # T16: what a locked file needs; longer is for the journal


class Journey(Struct):
    """How the way of one task to an upstream goes, for whoever waits for its end."""

    upstream_s: float = 0.0
    """Time spent waiting for upstreams, for the calls that have ended."""
    sending_since: float | None = None
    refused: GatewayError | None = None
    """What the caller is told, once it is proved that nothing was bought."""
    is_answered: bool = False
    """The caller has the task's id: what it is told from now on, it is told by poll and callback."""
    listeners: list[Callable[[], Awaitable[bool]]] = field(default_factory=list)
    """Each says whether one of those who wait for the answer, the caller or its twins, has left."""

    def waited_s(self) -> float:
        """Seconds spent waiting for upstreams until now."""
        under_way = 0.0 if self.sending_since is None else perf_counter() - self.sending_since
        return self.upstream_s + under_way

    async def is_told_later(self) -> bool:
        """Whether an end that comes now is told by callback, because no answer to the create tells it (FAILURES T17).

        Asked when the end is there, and not watched for: most clients stay.
        """
        return self.is_answered or (bool(self.listeners) and all([await has_left() for has_left in self.listeners]))


async def carry(task: Task, checked: Checked, journey: Journey, parts: Parts) -> Task:
    """The task as it then stands: running, unconfirmed, or queued where every key is busy.

    Raises what the caller is told once it is proved that nothing was bought.
    """
    tried, left = [Route(task.upstream, task.key_id)], set[str]()
    while True:
        try:
            receipt = await _send(task, tried[-1], checked, journey, parts)
        except Refused as refusal:
            parts.upstreams.refused(task)
            try:
                route = await _next_route(refusal, tried, left, checked, parts)
            except GatewayError as last_word:
                return await _go_no_further(task, refusal, last_word, checked, journey, parts)
            parts.metrics.rotation(tried[-1].upstream, refusal)
            try:
                task = await _turn(task, refusal, route, parts)
            except StorageDown as error:
                journey.refused = error  # refused there, and sent nowhere else
                raise
            tried.append(route)
        except InDoubt as doubt:
            return await _doubt(task, doubt, parts)
        else:
            return await _start(task, receipt, parts)


def place_in_queue(checked: Checked, full: TooFast, parts: Parts) -> Wait:
    """How a request waits for a key. Raises the refusal itself where nothing may wait.

    When there may be room again is no reason to refuse it: another task may end before that (CONTRACT section 7).
    """
    if parts.settings.queue_places == 0:
        raise full
    return Wait(checked.request, parts.settings.queue_places, full.retry_after)


async def _go_no_further(
    task: Task, refusal: Refused, last_word: GatewayError, checked: Checked, journey: Journey, parts: Parts
) -> Task:
    """Nothing was bought and there is nowhere to go: back into the queue where only time is missing, else the end."""
    # What lasts would be asked for there again as soon as it leaves the queue.
    if isinstance(last_word, TooFast) and not refusal.is_lasting:
        try:
            return await _requeue(task, refusal, place_in_queue(checked, last_word, parts), parts)
        except TooFast as no_place:
            last_word = no_place
    journey.refused = _in_callers_words(last_word, checked.request)
    await _abandon(task, refusal, last_word, journey, parts)
    raise journey.refused from None


async def _requeue(task: Task, refusal: Refused, wait: Wait, parts: Parts) -> Task:
    try:
        queued = await _insist(
            lambda: parts.registry.requeue(task, Verdict.of(refusal), wait, now=parts.clock()),
            task,
            State.QUEUED,
            parts,
        )
    except StorageDown as down:
        if down.may_be_done:  # it may wait in the queue, which sends it: nobody may be told that nothing is bought
            return parts.memory.keep(replace(task, state=State.UNCONFIRMED))
        raise QueueFull("storage cannot keep this video waiting", retry_after=wait.retry_after) from None
    parts.upstreams.finished(queued)
    parts.memory.line.joined(queued)
    return parts.memory.keep(queued)


async def _send(task: Task, route: Route, checked: Checked, journey: Journey, parts: Parts) -> Receipt:
    hint_url = hints.address(task, parts)
    request = checked.request if hint_url is None else replace(checked.request, hint_url=hint_url)
    journey.sending_since = started = perf_counter()
    try:
        with tracing.span("upstream attempt", upstream=route.upstream, key=route.key_id, task=str(task.id)):
            return await parts.upstreams.submit(request, checked.offer, route)
    finally:
        journey.sending_since = None
        journey.upstream_s += perf_counter() - started


async def _next_route(refusal: Refused, tried: list[Route], left: set[str], checked: Checked, parts: Parts) -> Route:
    """Where a refused request goes next; raises what the caller is told when there is nowhere left.

    `left` collects the upstreams that refused it as a place: no other key of theirs is asked.
    """
    if refusal.again is Again.NOWHERE:
        raise refusal
    if refusal.again is not Again.ANOTHER_KEY:
        left.add(tried[-1].upstream)
        if refusal.repeat:
            refusal.retry_after = refusal.retry_after or parts.upstreams.rest_s(tried[-1].upstream)
    try:
        return parts.upstreams.choose(checked.request, checked.model, tried=tried, left=left)
    except GatewayError as elsewhere:
        if refusal.again is Again.ANOTHER_KEY or (refusal.is_lasting and isinstance(elsewhere, TooFast)):
            raise
        # Nowhere else; what the caller is told is the refusal itself.
    if refusal.again is Again.ONCE_MORE and tried.count(tried[-1]) == 1:
        await asyncio.sleep(ONCE_MORE_AFTER_S)
        if parts.upstreams.reuse(tried[-1], checked.model):
            return tried[-1]
    raise refusal


async def _turn(task: Task, refusal: Refused, route: Route, parts: Parts) -> Task:
    """Write down the refusal and the next intention; the place on the next key is let go if that fails."""
    try:
        turned = await _insist(
            lambda: parts.registry.turn(task, Verdict.of(refusal), route, now=parts.clock()), task, State.OPENED, parts
        )
    except (StorageDown, WrongState):
        parts.upstreams.unused(route)
        raise
    parts.upstreams.opened(turned)
    return parts.memory.keep(turned)


async def _start(task: Task, receipt: Receipt, parts: Parts) -> Task:
    try:
        return await receipts.keep(task, receipt, parts)
    except ReceiptTaken:
        parts.metrics.surprise(task.upstream, "known_id")
        log.exception("task %d: the upstream gave out an id that another task holds", task.id)
        return await _doubt(task, InDoubt("the upstream gave out an id twice", row="H5"), parts)


async def _doubt(task: Task, doubt: InDoubt, parts: Parts) -> Task:
    log.warning("task %d is unconfirmed: %s (%s)", task.id, doubt.message, doubt.row)
    parts.metrics.error(doubt)  # its caller is told 200, so nobody else counts it
    try:
        return parts.memory.keep(
            await _insist(
                lambda: parts.registry.doubt(task, Verdict.of(doubt), now=parts.clock()), task, State.UNCONFIRMED, parts
            )
        )
    except StorageDown:  # an intention without outcome reads as unconfirmed anyway
        return parts.memory.keep(replace(task, state=State.UNCONFIRMED))


async def _abandon(task: Task, refusal: Refused, last_word: GatewayError, journey: Journey, parts: Parts) -> None:
    failure = Failure(last_word.code, last_word.message)
    is_told = await journey.is_told_later()
    step = partial(parts.registry.abandon, task, failure, Verdict.of(refusal), is_told=is_told)
    try:
        abandoned = await _insist(
            lambda: step(now=parts.clock()),
            task,
            State.REFUSED,
            parts,
        )
        parts.memory.keep(abandoned)
    except StorageDown:
        log.exception("task %d was refused while storage is down; it will read as unconfirmed", task.id)


async def _insist(step: Callable[[], Awaitable[Task]], before: Task, leads_to: State, parts: Parts) -> Task:
    """A step of a task's life, repeated while storage is down for a moment.

    Of a server that goes away while it commits nobody knows whether the step was done: its repeat then finds that the
    task is no longer where it was, and where it is instead says whether that was this step.
    """
    try:
        return await step()
    except StorageDown as error:
        down = error
    for pause_s in STORAGE_RETRIES_S:
        await asyncio.sleep(pause_s)
        try:
            return await step()
        except StorageDown as error:
            down = down if down.may_be_done else error
        except WrongState:
            try:
                found = await parts.registry.get(before.id)
            except StorageDown:
                continue
            if found is None or found.state is not leads_to or found == before:
                raise
            return found
    raise down


def _in_callers_words(error: GatewayError, request: VideoRequest) -> GatewayError:
    """An upstream speaks of its own fields: name the caller's, or none."""
    if isinstance(error, Refused):
        error.param = request.params.get(error.param or "")
    return error
