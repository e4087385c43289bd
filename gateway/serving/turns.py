"""Begins requests: so many in one turn of the event loop, the others in the next ones, in the order of their coming.

Where five hundred creates come together, a turn in which all of them begin is a tenth of a second long, and so is every
turn after it, because what begins together goes on together; whoever only asks whether the gateway is well waits for
three of them. In small portions it is the same work in the same time, and the turns stay short.
"""

import asyncio
from collections import deque
from collections.abc import Callable

# With all that goes on beside them, some seven milliseconds of work. Storage still finds enough at once to share a
# commit: with 12 there are 3 % more creates, and a probe's answer takes a third longer (`make bench`, overload).
BEGUN_A_TURN = 8


class Turns:
    """One per server."""

    def __init__(self, begun_a_turn: int = BEGUN_A_TURN) -> None:
        self._begun_a_turn = self._left = begun_a_turn
        self._waiting: deque[Callable[[], bool]] = deque()
        self._is_counting = False

    def begin(self, start: Callable[[], bool]) -> None:
        """Now, or as soon as it has its turn. `start` says whether anything began: a client that left while it waited
        takes nobody's turn."""
        if self._left == 0:
            self._waiting.append(start)
            return
        if not self._is_counting:
            self._is_counting = True
            asyncio.get_running_loop().call_soon(self._count_anew)
        self._left -= start()

    def _count_anew(self) -> None:
        self._is_counting = False
        self._left = self._begun_a_turn
        while self._left and self._waiting:
            self.begin(self._waiting.popleft())
