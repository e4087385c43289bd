"""Callbacks: a caller is told of the end of its task at the address it gave, whatever becomes of this process.

What is told is the very answer that a poll in the caller's dialect would get. It is written down before the first
attempt, so that all of them say the same, byte for byte, under the same id. Attempts follow each failure by 1, 2 and
4 seconds, four in all (FACTS 1.6); any 2xx is success, 410 ends it, and everything else is a failure: another status,
a redirect, no answer within the time that `Door.post` allows.

The storage's outbox says what is due, to all processes alike, and lends each letter for a while (`store/outbox.py`).
Of those that are due, so many are out at once (`bounds.callbacks`), so many of them to one host, and so many of one
caller: a host that is dead holds up nobody else, and a caller all of whose hosts are dead holds up no other caller.
"""

import asyncio
import logging
import math
from collections.abc import Sequence

from gateway import jsontext
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import CallbackDialect
from gateway.egress import EgressRefused
from gateway.flows import content
from gateway.parts import Parts
from gateway.signing import webhook_headers
from gateway.store import Fate, Letter, Out
from gateway.structs import replace
from gateway.video import Task

log = logging.getLogger("reelgate.callbacks")

RETRY_AFTER_S: Sequence[float] = (1.0, 2.0, 4.0)  # each after the failure of the attempt before it
HOST_PLACES = 8  # three dead hosts take what a caller may have
CALLER_SHARE = 0.5  # of the places; the other half is for those whose hosts answer
LEASE_S = 15.0  # the ten seconds of an attempt, and what storage may take before and after it
IDLE_S = 1.0  # another process may have ended a task, or died with a letter
GATHER_S = 0.02  # what comes together is taken together
_GONE = 410


async def run(parts: Parts) -> None:
    """Deliver what is due, until cancelled."""
    courier = Courier(parts)
    await parts.stories.repeat(courier.go_round)


class Courier:
    """Who of this process is on the way with a letter, to which host and for which caller."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        places = parts.bounds.callbacks.most
        self._out = Out(places, min(HOST_PLACES, places), math.ceil(places * CALLER_SHARE))

    async def go_round(self) -> None:
        """Set out with what is due, and rest until there is something to do."""
        await self.set_out()
        await asyncio.sleep(GATHER_S)
        await self._parts.memory.letters.wait(await self._rest_s())

    async def set_out(self) -> list[asyncio.Task[None]]:
        """Begin every attempt that is due and has a place."""
        parts = self._parts
        if self._out.places == 0 or parts.stories.is_draining:
            return []
        now = parts.clock()
        due_at = await parts.outbox.next_due_at(self._out)
        if due_at is None or due_at > now:  # the usual case needs no write
            return []
        letters = await parts.outbox.take(self._out, now, now + LEASE_S)
        for letter in letters:
            self._out.set_out(letter.host, letter.task.caller)
            parts.bounds.callbacks.move(letter.task.caller, 1)
        return [parts.stories.start(self._carry(letter)) for letter in letters]

    async def _carry(self, letter: Letter) -> None:
        caller = letter.task.caller
        try:
            await deliver(letter, self._parts)
        finally:
            self._parts.bounds.callbacks.move(caller, -1)
            self._out.come_back(letter.host, caller)
            self._parts.memory.letters.ring()

    async def _rest_s(self) -> float:
        """Until the next letter falls due for which there is a place; whoever comes back rings."""
        if self._out.places == 0 or self._parts.stories.is_draining:
            return IDLE_S
        due_at = await self._parts.outbox.next_due_at(self._out)
        return IDLE_S if due_at is None else min(IDLE_S, max(0.0, due_at - self._parts.clock()))


async def deliver(letter: Letter, parts: Parts) -> None:
    """One attempt, from the writing of the letter to the note of what came of it."""
    if not letter.task.is_final or letter.task.hidden:  # taken up again, or its owner wants to hear no more of it
        await _end(letter, Fate.WITHDRAWN, "withdrawn", None, parts)
        return
    if letter.body is None:
        letter = replace(letter, body=_render(letter.task, parts))
        if not await parts.outbox.keep_body(letter):
            return  # it took so long that somebody else has it now
    answer = await _post(letter, parts)
    if isinstance(answer, int) and 200 <= answer < 300:
        await _end(letter, Fate.DELIVERED, "delivered", str(answer), parts)
    elif answer == _GONE:
        await _end(letter, Fate.GIVEN_UP, "gone", str(answer), parts)
    elif letter.failures >= len(RETRY_AFTER_S):
        await _end(letter, Fate.GIVEN_UP, "given_up", str(answer), parts)
    else:
        log.info("task %d: %s could not be told: %s", letter.task.id, letter.host, answer)
        parts.metrics.callback("failed")
        await parts.outbox.again(letter, str(answer), parts.clock() + RETRY_AFTER_S[letter.failures])


def _render(task: Task, parts: Parts) -> bytes:
    """The poll answer of the dialect that made the task, in the callback's own words where it has such."""
    dialect = DIALECTS[task.dialect]
    view = content.view(task, parts.settings.public_url or task.request.reached_at or "", parts)
    render = dialect.render_callback if isinstance(dialect, CallbackDialect) else dialect.render_task
    return jsontext.write(render(task, view))


async def _post(letter: Letter, parts: Parts) -> int | str:
    """The status that was answered, or in a word why there was none."""
    body = letter.body or b""
    signed = webhook_headers(letter.id, body, parts.settings.signing_secret, parts.clock())
    try:
        return await parts.door.post(letter.url, body, {"content-type": "application/json", **signed})
    except EgressRefused as error:
        return error.reason.value


async def _end(letter: Letter, fate: Fate, outcome: str, answer: str | None, parts: Parts) -> None:
    parts.metrics.callback(outcome)
    if fate is Fate.GIVEN_UP:
        log.warning("task %d: %s was not told, and will not be: %s", letter.task.id, letter.host, answer)
    await parts.outbox.end(letter, fate, answer, parts.clock())
