"""Turn one request into one running task, paid for at most once.

The order of writes is the whole point (FAILURES section 1): the intention is durable before the first byte goes out,
the outcome after. Whatever ends this story without a proof that nothing was bought leaves the task as it is in
storage, where it reads as unconfirmed, and the sweep resolves it. Nothing here ever sends a doubtful submit again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

from gateway.errors import (
    Again,
    Draining,
    GatewayError,
    InDoubt,
    KeyReused,
    PolicyError,
    Refused,
    StorageDown,
    TwinRunning,
)
from gateway.flows import receipts
from gateway.flows.preflight import Checked, preflight
from gateway.parts import Parts
from gateway.store import ReceiptTaken, Verdict, WrongState
from gateway.video import NO_CLAIM, Caller, Claim, Failure, Receipt, Route, State, Task, VideoRequest

log = logging.getLogger("reelgate.submit")

ONCE_MORE_AFTER_S = 1.0  # T1: a name server's hiccup; anything longer is for the caller's own repeat
STORAGE_RETRIES_S = (0.05, 0.25, 1.0)  # T16: what a locked file needs; longer is for the journal


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a create asks for beside the video: the most it may cost (millionths), and that it may be a repeat."""

    price_max: int | None = None
    claim: Claim = NO_CLAIM


NO_WISHES = Wishes()


@dataclass(slots=True)
class Submission:
    """A submit under way. The story goes on without whoever waits for it (FAILURES T17)."""

    opened: "asyncio.Future[Task]"
    """Done once the intention is durable."""
    outcome: "asyncio.Task[Task]" = field(init=False)
    warnings: tuple[str, ...] = ()
    is_replay: bool = False
    """The request was made before: the task is the one of the first time."""
    upstream_s: float = 0.0
    """Time spent waiting for upstreams, for the calls that have ended."""
    sending_since: float | None = None
    refused: GatewayError | None = None
    """What the caller is told, once it is proved that nothing was bought."""

    async def answer(self, within_s: float | None) -> Task:
        """The outcome, or after `within_s` seconds the opened task as it stands.

        Raises only what proves that nothing was bought: any other end of a story that was opened is told as doubt.
        """
        await asyncio.wait((self.outcome,), timeout=within_s)
        if not self.outcome.done():  # pre-flight and storage have deadlines of their own
            await asyncio.wait((self.outcome, self.opened), return_when=asyncio.FIRST_COMPLETED)
        if not self.outcome.done():
            return self.opened.result()
        if not self.outcome.cancelled() and self.outcome.exception() is None:
            return self.outcome.result()
        if self.opened.done() and self.refused is None:
            return replace(self.opened.result(), state=State.UNCONFIRMED)
        if self.outcome.cancelled():
            raise Draining("the gateway is shutting down", retry_after=5)
        raise self.refused or self.outcome.exception() or Draining("the gateway is shutting down")

    def waited_s(self) -> float:
        """Seconds spent waiting for upstreams until now."""
        under_way = 0.0 if self.sending_since is None else perf_counter() - self.sending_since
        return self.upstream_s + under_way


def submit(request: VideoRequest, caller: Caller, parts: Parts, wishes: Wishes = NO_WISHES) -> Submission:
    """Begin the story of one create."""
    submission = Submission(asyncio.get_running_loop().create_future())
    submission.outcome = parts.stories.start(_tell(submission, request, caller, parts, wishes))
    return submission


async def _tell(submission: Submission, request: VideoRequest, caller: Caller, parts: Parts, wishes: Wishes) -> Task:
    async with _first_under_its_key(caller, parts, wishes):
        checked = await _check(request, caller, parts, wishes)
        submission.warnings = checked.warnings
        task, is_new = await _open(checked, caller, parts, wishes.claim)
        submission.is_replay = not is_new
        submission.opened.set_result(parts.memory.keep(task))
    if not is_new:
        return await _join(task, submission, parts)
    parts.memory.submissions[task.id] = submission
    try:
        return await _carry(task, Route(task.upstream, task.key_id), checked, submission, parts)
    finally:
        del parts.memory.submissions[task.id]


async def _join(task: Task, submission: Submission, parts: Parts) -> Task:
    """What a twin is told: what the first is told, when it is."""
    first: Submission | None = parts.memory.submissions.get(task.id)
    if first is None:
        return task
    try:
        return await first.answer(within_s=None)
    except GatewayError as error:
        submission.refused = error
        raise


@asynccontextmanager
async def _first_under_its_key(caller: Caller, parts: Parts, wishes: Wishes) -> AsyncIterator[None]:
    """Until the first request under an idempotency key is opened or refused, its twins wait. Raises TwinRunning."""
    if wishes.claim.key is None:
        yield
        return
    lock = parts.memory.lock_of(caller.key_id, wishes.claim.key)
    try:
        async with asyncio.timeout(parts.settings.answer_within_s):
            await lock.acquire()
    except TimeoutError:
        raise TwinRunning(
            "the first request under this idempotency key is still being checked", retry_after=2
        ) from None
    try:
        yield
    finally:
        lock.release()


async def _check(request: VideoRequest, caller: Caller, parts: Parts, wishes: Wishes) -> Checked:
    try:
        return await preflight(request, caller, parts, price_max=wishes.price_max)
    except GatewayError as error:
        parts.metrics.refusal(error)
        raise


async def _open(checked: Checked, caller: Caller, parts: Parts, claim: Claim) -> tuple[Task, bool]:
    """The task of this create, durable, and whether it is new. A twin needs no place on a key."""
    now = parts.clock()
    find_twin = partial(parts.registry.find_twin, checked.request, caller, claim, now)
    if claim != NO_CLAIM and (twin := await find_twin()) is not None:
        return parts.memory.tasks.get(twin.id, twin), False
    try:
        if parts.stories.is_draining:
            raise Draining("the gateway is shutting down", retry_after=5)
        route = parts.upstreams.choose(checked.request, checked.model)
    except GatewayError:
        # The key may be full of this very request, if the first of it is just being opened.
        if claim != NO_CLAIM and (twin := await find_twin(after_writes=True)) is not None:
            return parts.memory.tasks.get(twin.id, twin), False
        raise
    try:
        task, is_new = await parts.registry.open(
            checked.request,
            caller,
            checked.offer,
            route,
            currency=parts.settings.currency,
            now=now,
            claim=claim,
        )
    except (StorageDown, KeyReused, PolicyError):
        parts.upstreams.unused(route)
        raise
    if not is_new:
        parts.upstreams.unused(route)
    return task, is_new


async def _carry(task: Task, route: Route, checked: Checked, submission: Submission, parts: Parts) -> Task:
    """Send, and send elsewhere only on proof that nothing was bought."""
    tried, left = [route], set[str]()
    while True:
        try:
            receipt = await _send(tried[-1], checked, submission, parts)
        except Refused as refusal:
            try:
                route = await _next_route(refusal, tried, left, checked, parts)
            except GatewayError as last_word:
                submission.refused = _in_callers_words(last_word, checked.request)
                await _abandon(task, refusal, last_word, parts)
                raise submission.refused from None
            parts.metrics.rotation(tried[-1].upstream, refusal)
            try:
                task = await _turn(task, refusal, route, parts)
            except StorageDown as error:
                submission.refused = error  # refused there, and sent nowhere else
                raise
            tried.append(route)
        except InDoubt as doubt:
            return await _doubt(task, doubt, parts)
        else:
            return await _start(task, receipt, parts)


async def _send(route: Route, checked: Checked, submission: Submission, parts: Parts) -> Receipt:
    submission.sending_since = started = perf_counter()
    try:
        return await parts.upstreams.submit(checked.request, checked.offer, route)
    finally:
        submission.sending_since = None
        submission.upstream_s += perf_counter() - started


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
    except GatewayError:
        if refusal.again is Again.ANOTHER_KEY:
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
        return parts.memory.keep(
            await _insist(lambda: parts.registry.turn(task, Verdict.of(refusal), route, now=parts.clock()))
        )
    except (StorageDown, WrongState):
        parts.upstreams.unused(route)
        raise


async def _start(task: Task, receipt: Receipt, parts: Parts) -> Task:
    try:
        return await receipts.keep(task, receipt, parts)
    except ReceiptTaken:
        parts.metrics.surprise(task.upstream, "known_id")
        log.exception("task %d: the upstream gave out an id that another task holds", task.id)
        return await _doubt(task, InDoubt("the upstream gave out an id twice", row="H5"), parts)


async def _doubt(task: Task, doubt: InDoubt, parts: Parts) -> Task:
    log.warning("task %d is unconfirmed: %s (%s)", task.id, doubt.message, doubt.row)
    try:
        return parts.memory.keep(
            await _insist(lambda: parts.registry.doubt(task, Verdict.of(doubt), now=parts.clock()))
        )
    except StorageDown:  # an intention without outcome reads as unconfirmed anyway
        return parts.memory.keep(replace(task, state=State.UNCONFIRMED))


async def _abandon(task: Task, refusal: Refused, last_word: GatewayError, parts: Parts) -> None:
    failure = Failure(last_word.code, last_word.message)
    try:
        task = await _insist(lambda: parts.registry.abandon(task, failure, Verdict.of(refusal), now=parts.clock()))
        parts.memory.keep(task)
    except StorageDown:
        log.exception("task %d was refused while storage is down; it will read as unconfirmed", task.id)


async def _insist(step: Callable[[], Awaitable[Task]]) -> Task:
    """A step of a task's life, repeated while storage is down for a moment."""
    for pause_s in STORAGE_RETRIES_S:
        try:
            return await step()
        except StorageDown:
            await asyncio.sleep(pause_s)
    return await step()


def _in_callers_words(error: GatewayError, request: VideoRequest) -> GatewayError:
    """An upstream speaks of its own fields: name the caller's, or none."""
    if isinstance(error, Refused):
        error.param = request.params.get(error.param or "")
    return error
