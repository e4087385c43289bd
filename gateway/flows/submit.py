"""Turn one request into one running task, paid for at most once.

The order of writes is the whole point (FAILURES section 1): the intention is durable before the first byte goes out,
the outcome after. Where every key is busy for the moment, the intention waits in the queue instead (`queue.py`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import perf_counter

from gateway import tracing
from gateway.errors import (
    Draining,
    Frozen,
    GatewayError,
    KeyReused,
    PolicyError,
    StorageDown,
    TooFast,
    TwinRunning,
    Unauthenticated,
)
from gateway.flows.carry import Journey, carry, place_in_queue
from gateway.flows.preflight import Checked, check, draft
from gateway.parts import Parts
from gateway.store import MayWait, Wait
from gateway.structs import Struct, replace
from gateway.video import NO_CLAIM, Caller, Claim, Route, State, Task, VideoRequest

log = logging.getLogger("reelgate.submit")

ELSEWHERE_EVERY_S = 0.1


class Wishes(Struct, frozen=True):
    """What a create asks for beside the video: the most it may cost (millionths), and that it may be a repeat."""

    price_max: int | None = None
    claim: Claim = NO_CLAIM


NO_WISHES = Wishes()


class Submission:
    """A submit under way. The story goes on without whoever waits for it (FAILURES T17)."""

    __slots__ = ("is_replay", "journey", "opened", "outcome", "warnings")

    outcome: "asyncio.Task[Task]"

    def __init__(self) -> None:
        self.opened: asyncio.Future[Task] = asyncio.get_running_loop().create_future()
        """Done once the intention is durable."""
        self.warnings: tuple[str, ...] = ()
        self.is_replay = False
        """The request was made before: the task is the one of the first time."""
        self.journey = Journey()

    async def answer(self, within_s: float | None) -> Task:
        """The outcome, or after `within_s` seconds the opened task as it stands.

        Raises only what proves that nothing was bought: any other end of a story that was opened is told as doubt.
        """
        await asyncio.wait((self.outcome,), timeout=within_s)
        if not self.outcome.done():  # pre-flight and storage have deadlines of their own
            await asyncio.wait((self.outcome, self.opened), return_when=asyncio.FIRST_COMPLETED)
        if not self.outcome.done() and self.journey.refused is not None:  # that nothing was bought is being written
            await asyncio.wait((self.outcome,))
        if not self.outcome.done():
            self.journey.is_answered = True
            return self.opened.result()
        if not self.outcome.cancelled() and self.outcome.exception() is None:
            return self.outcome.result()
        if self.opened.done() and self.journey.refused is None:
            return replace(self.opened.result(), state=State.UNCONFIRMED)
        if self.outcome.cancelled():
            raise Draining("the gateway is shutting down", retry_after=5)
        raise self.journey.refused or self.outcome.exception() or Draining("the gateway is shutting down")


def submit(request: VideoRequest, caller: Caller, parts: Parts, wishes: Wishes = NO_WISHES) -> Submission:
    """Begin the story of one create."""
    submission = Submission()
    submission.outcome = parts.stories.start(_tell(submission, request, caller, parts, wishes))
    return submission


async def _tell(submission: Submission, request: VideoRequest, caller: Caller, parts: Parts, wishes: Wishes) -> Task:
    async with _first_under_its_key(caller, parts, wishes) as until:
        try:
            task, checked = await _open(submission, request, caller, parts, wishes, until)
        except MayWait as unknown:  # not kept: a poll asks storage, which knows when it is back
            log.warning("%s: storage went away", unknown)
            task = replace(unknown.task, state=State.UNCONFIRMED)
            submission.opened.set_result(task)
            return task
        except GatewayError as error:
            parts.metrics.refusal(error)
            raise
        submission.is_replay = checked is None
        submission.opened.set_result(parts.memory.keep(task))
    if checked is None:
        return await _join(task, submission, parts)
    if task.state is State.QUEUED:
        parts.memory.line.joined(task)
        return task
    parts.memory.submissions[task.id] = submission
    try:
        return await carry(task, checked, submission.journey, parts)
    finally:
        del parts.memory.submissions[task.id]


async def _join(task: Task, submission: Submission, parts: Parts) -> Task:
    """What a twin is told: what the first is told, when it is."""
    first: Submission | None = parts.memory.submissions.get(task.id)
    if first is not None:
        first.journey.listeners += submission.journey.listeners
        submission.journey = first.journey  # an answer to either tells the id of the one task
    try:
        return await (_join_elsewhere(task, parts) if first is None else first.answer(within_s=None))
    except GatewayError as error:
        submission.journey.refused = error
        raise


async def _join_elsewhere(task: Task, parts: Parts) -> Task:
    """The first of them is another process': its outcome is read from storage, for as long as a create may take."""
    until = perf_counter() + parts.settings.answer_within_s
    while task.state is State.OPENED and perf_counter() < until:
        await asyncio.sleep(ELSEWHERE_EVERY_S)
        with suppress(StorageDown):  # no refusal: the first may have been bought
            task = await parts.registry.get(task.id) or task
    if task.state is State.REFUSED:
        raise TwinRunning("the first of these requests has just been refused: send it again", retry_after=1)
    return task


@asynccontextmanager
async def _first_under_its_key(caller: Caller, parts: Parts, wishes: Wishes) -> AsyncIterator[float | None]:
    """Until the first request under an idempotency key is opened or refused, its twins wait. For one that waited, the
    moment (of the loop's clock) is given by which it must be opened itself. Raises TwinRunning."""
    if wishes.claim.key is None:
        yield None
        return
    lock = parts.memory.lock_of(caller.key_id, wishes.claim.key)
    is_first, until = not lock.locked(), asyncio.get_running_loop().time() + parts.settings.answer_within_s
    async with _in_time(until):
        await lock.acquire()
    try:
        yield None if is_first else until
    finally:
        lock.release()


@asynccontextmanager
async def _in_time(until: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(until):
            yield
    except TimeoutError:
        raise TwinRunning("a request under this idempotency key is still being checked", retry_after=2) from None


async def _open(
    submission: Submission, request: VideoRequest, caller: Caller, parts: Parts, wishes: Wishes, until: float | None
) -> tuple[Task, Checked | None]:
    """The task of this create, durable, and what is to be sent for it: nothing where the task was made before."""
    came_at = parts.clock()
    async with AsyncExitStack() as until_opened:
        with tracing.span("preflight"):
            drafted = draft(request, caller, parts)
            submission.warnings = drafted.warnings
            if drafted.sound is not None and (drafted.asks or wishes.claim.is_marked):
                await until_opened.enter_async_context(_not_overtaken(drafted.sound, caller, parts, wishes.claim))
            # Before anybody is asked: a picture that was there the first time may be gone, and a repeat is no order.
            if (twin := await _made_before(drafted.sound, caller, parts, wishes.claim)) is not None:
                return twin, None
            async with _in_time(until):
                checked = await check(drafted, caller, parts, price_max=wishes.price_max)
        submission.warnings = checked.warnings
        claim = replace(wishes.claim, came_at=came_at) if drafted.asks else wishes.claim
        return await _open_checked(checked, caller, parts, claim)


@asynccontextmanager
async def _not_overtaken(request: VideoRequest, caller: Caller, parts: Parts, claim: Claim) -> AsyncIterator[None]:
    """Whoever is asked about a request takes his time. A repeat of it that an SDK marks waits until the first is opened
    or refused, so that it is the twin of that one, and of no older order of the same. Raises TwinRunning. Holds within
    this process; of a repeat that was opened in another one the first is told when it comes to be opened (`twins.py`).
    """
    of, asking = (caller.key_id, await parts.registry.fingerprint(request)), parts.memory.asking
    if claim.is_marked and of in asking:
        _, late = await asyncio.wait({*asking[of]}, timeout=parts.settings.answer_within_s)
        if late:
            raise TwinRunning("the first of these requests is still being checked", retry_after=2)
    here: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asking.setdefault(of, set()).add(here)
    try:
        yield
    finally:
        here.set_result(None)
        asking[of].discard(here)
        if not asking[of]:
            del asking[of]


async def _open_checked(checked: Checked, caller: Caller, parts: Parts, claim: Claim) -> tuple[Task, Checked | None]:
    caller = _as_it_stands(caller, parts)
    try:
        if parts.stories.is_draining:
            raise Draining("the gateway is shutting down", retry_after=5)
        if parts.admission.is_frozen:
            raise Frozen("creates are frozen by whoever runs this gateway")
        place = _place(checked, parts)
    except GatewayError:
        # The key may be full of this very request, if the first of it is just being opened.
        twin = await _made_before(checked.request, caller, parts, claim, after_writes=True)
        if twin is not None:
            return twin, None
        raise
    try:
        task, is_new = await parts.registry.open(
            checked.request,
            caller,
            checked.offer,
            place,
            currency=parts.settings.currency,
            now=parts.clock(),
            claim=claim,
        )
    except (StorageDown, KeyReused, PolicyError):
        _leave(place, parts)
        raise
    if not is_new:
        _leave(place, parts)
        return task, None
    if isinstance(place, Route):
        parts.upstreams.opened(task)
    return task, checked


async def _made_before(
    request: VideoRequest | None, caller: Caller, parts: Parts, claim: Claim, *, after_writes: bool = False
) -> Task | None:
    """The task that the same request was opened as, where the caller says that it may have been. A twin needs no place
    on a key. Raises KeyReused."""
    if request is None or claim == NO_CLAIM:
        return None
    twin = await parts.registry.find_twin(request, caller, claim, parts.clock(), after_writes=after_writes)
    return twin and parts.memory.tasks.get(twin.id, twin)


def _as_it_stands(caller: Caller, parts: Parts) -> Caller:
    """The caller by now: a body and the questions about it take their time, and a key may be revoked meanwhile, or the
    budget of its team be another. Raises Unauthenticated."""
    now = parts.admission.standing(caller.key_id, parts.clock())
    if now is None:
        raise Unauthenticated("this key has just been revoked, or has expired; nothing was ordered")
    return now


def _place(checked: Checked, parts: Parts) -> Route | Wait:
    """A key, or where others wait for one or all are busy for the moment, a place in the queue.

    Raises TooFast where nothing may wait, Unavailable where time alone does not help.
    """
    if parts.memory.line.is_before(checked.model.name) and parts.upstreams.has_room(checked.model):
        return place_in_queue(checked, TooFast("others wait for a key already", retry_after=1), parts)
    try:
        return parts.upstreams.choose(checked.request, checked.model)
    except TooFast as full:
        return place_in_queue(checked, full, parts)


def _leave(place: Route | Wait, parts: Parts) -> None:
    if isinstance(place, Route):
        parts.upstreams.unused(place)
