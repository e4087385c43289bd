"""Videos in the making. A task knows its whole life when it is accepted; looking at it is asking the clock."""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from random import Random
from typing import Any

from gateway.sandbox.accounts import Account
from gateway.sandbox.sales import Offer
from gateway.sandbox.script import Script, Stage

PENDING_S = 3
# How long six seconds of film take from the create on; ten seconds take ten sixths of it. Invented, but in the order
# of what people see, and a bigger picture takes longer.
TOTAL_S: Mapping[str | None, float] = {"512P": 20, "720P": 30, "768P": 30, "1080P": 48, None: 30}
LINK_LIFE_S = 24 * 3600  # FACTS 1.4; by the clock and not by `speed`, or a fast sandbox would serve no films
# More than any test orders, and little enough for a small machine's memory; the oldest are forgotten first.
TASKS_MAX = 100_000


class Status(StrEnum):
    """Where a task is; each protocol has words of its own for it."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


# How a script's outcome is said in FACTS 1.4's list of task error codes.
_FAILURES: Mapping[str, tuple[str, str]] = {
    "fail-generation": ("generation_failed_no_content", "the generation ended without any content"),
    "fail-content": ("content_policy_violation", "the content was refused by the content policy"),
}


@dataclass(frozen=True, slots=True)
class Order:
    """A create that a protocol has read and found good. `make_id` makes an id of the protocol's form."""

    protocol: str
    offer: Offer
    prompt: str
    request: Mapping[str, Any]
    make_id: Callable[[Random, float], str]


@dataclass(slots=True)
class Task:
    """One accepted video. `number` counts them from 1; some protocols show it beside the id."""

    id: str
    number: int
    order: Order
    account: Account
    script: Script
    created_at: float
    processing_at: float
    ends_at: float
    looks: int = 0

    @property
    def outcome(self) -> str | None:
        """The script's word for how it ends; None is well."""
        cue = self.script.get(Stage.OUTCOME)
        return None if cue is None else cue.name

    @property
    def failure(self) -> tuple[str, str] | None:
        """Code and message of a task that fails in the end."""
        return _FAILURES.get(self.outcome or "")

    @property
    def link_dies_at(self) -> float:
        return self.ends_at + (0 if self.outcome == "expired-link" else LINK_LIFE_S)

    def status(self, now: float) -> Status:
        if now < self.processing_at:
            return Status.PENDING
        if now < self.ends_at:
            return Status.PROCESSING
        return Status.COMPLETED if self.failure is None else Status.FAILED

    def progress(self, now: float) -> int:
        """0 until it starts, 1 to 99 on the way, 100 when completed; a failed one reads 0 (FACTS 1.4)."""
        status = self.status(now)
        if status is Status.PROCESSING:
            return 1 + int(98 * (now - self.processing_at) / (self.ends_at - self.processing_at))
        return 100 if status is Status.COMPLETED else 0


class Tasks:
    """Every task, and the money that waits for its end."""

    def __init__(self, *, speed: float, seed: int | None) -> None:
        self._speed = speed
        self._random = Random(seed)  # noqa: S311 - ids of a simulation, meant to be repeatable
        self._by_id: OrderedDict[str, Task] = OrderedDict()
        self._numbers = count(1)
        self._unsettled: list[tuple[float, str, Task]] = []  # a heap: the next to end comes first

    def accept(self, order: Order, script: Script, account: Account, now: float) -> Task:
        """Bill and begin a video; refused with 402 where the account cannot pay."""
        account.reserve(order.offer.price_micros)
        task = Task(
            id=self._new_id(order, now),
            number=next(self._numbers),
            order=order,
            account=account,
            script=script,
            created_at=now,
            processing_at=now + PENDING_S / self._speed,
            ends_at=now + total_s(order.offer) / self._speed,
        )
        self._by_id[task.id] = task
        heapq.heappush(self._unsettled, (task.ends_at, task.id, task))
        while len(self._by_id) > TASKS_MAX:
            self._by_id.popitem(last=False)
        return task

    def settle_due(self, now: float) -> None:
        """Settle what has been completed by now, refund what has failed."""
        while self._unsettled and self._unsettled[0][0] <= now:
            _, _, task = heapq.heappop(self._unsettled)
            move = task.account.settle if task.failure is None else task.account.refund
            move(task.order.offer.price_micros)

    def find(self, task_id: str) -> Task | None:
        return self._by_id.get(task_id)

    def _new_id(self, order: Order, now: float) -> str:
        while (task_id := order.make_id(self._random, now)) in self._by_id:
            pass
        return task_id


def total_s(offer: Offer) -> float:
    """From the create to the end, at speed 1."""
    return TOTAL_S[offer.resolution] * (offer.duration_s or 6) / 6
