"""A moment that moves with every request or piece, kept by a timer that is set rarely."""

import asyncio
import math
import random
from collections.abc import Callable


class Deadline:
    """Calls `pass_by` once its moment is past. Moving a timer would cost more than answering a small request, so the
    timer stays where it is while the moment only moves away, and is set anew when it rings too early.

    With a `spread` each has up to that share more time: a thousand that came together must not go in the same turn of
    the loop.
    """

    __slots__ = ("_loop", "_moment", "_pass_by", "_stretch", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, pass_by: Callable[[], object], *, spread: float = 0.0) -> None:
        self._loop = loop
        self._pass_by = pass_by
        self._stretch = 1 + spread * random.random()  # noqa: S311 - spreads work, guards nothing
        self._moment = self._timer_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """So long from now, or a little longer where it is spread."""
        self._moment = self._loop.time() + seconds * self._stretch
        if self._moment < self._timer_at:
            self._ring_at(self._moment)

    def lift(self) -> None:
        """Until it is set again there is none."""
        self._moment = math.inf

    def cancel(self) -> None:
        """For good: it holds nothing any more."""
        self.lift()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = moment
        self._timer = self._loop.call_at(moment, self._ring)

    def _ring(self) -> None:
        self._timer, self._timer_at = None, math.inf
        if self._moment <= self._loop.time():
            self._moment = math.inf
            self._pass_by()
        elif self._moment < math.inf:
            self._ring_at(self._moment)
