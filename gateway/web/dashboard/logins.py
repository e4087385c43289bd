"""How many wrong keys are answered one by one: few a minute from one address, and not many from all together.

Counted in this process alone and in bounded memory. The keys themselves are far beyond guessing; this keeps storage,
which is asked whether a wrong key was made a moment ago, from a machine that tries anyway. A key that is known to be
right is never kept out by it: else whoever tries a hundred wrong ones a minute locks the operator out.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable

from gateway.errors import PolicyError

WITHIN_S = 60.0
OF_ONE_ADDRESS_MAX = 10
OF_ALL_MAX = 100  # a thousand addresses must not try ten times each
ADDRESSES_MAX = 1_000


class TooManyLogins(PolicyError):
    """As many wrong keys as may be; storage was not asked about this one."""

    status = 429
    code = "too_many_logins"
    repeat = True


class Logins:
    """The wrong keys of the last minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._all: deque[float] = deque(maxlen=OF_ALL_MAX)
        self._of_address: OrderedDict[str, deque[float]] = OrderedDict()

    def begin(self, address: str) -> None:
        """Somebody tries a key that is not known. Counted at once, so that tries at the same time are not all let
        through; raises TooManyLogins where it is too soon for another."""
        now = self._clock()
        own = self._of_address.setdefault(address, deque(maxlen=OF_ONE_ADDRESS_MAX))
        self._of_address.move_to_end(address)
        if len(self._of_address) > ADDRESSES_MAX:
            self._of_address.popitem(last=False)
        wait_s = max(self._wait_s(own, OF_ONE_ADDRESS_MAX), self._wait_s(self._all, OF_ALL_MAX))
        if wait_s > 0:
            raise TooManyLogins("too many wrong keys; wait a minute", retry_after=math.ceil(wait_s))
        own.append(now)
        self._all.append(now)

    def succeeded(self, address: str) -> None:
        """Storage knew the key: that try does not count."""
        for tries in (self._of_address.get(address), self._all):
            if tries:
                tries.pop()

    def _wait_s(self, tries: deque[float], tries_max: int) -> float:
        """Until the oldest of as many tries as may be is a minute old."""
        return tries[0] + WITHIN_S - self._clock() if len(tries) >= tries_max else 0.0
