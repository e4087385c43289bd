"""What is learnt of how long generations take, and when it pays to look at one again. Pure: time is an argument.

For each kind of task (model, resolution, upstream) the last durations are kept, sorted. A kind that is new is imagined
as "anything from moments to ten minutes"; every film that is finished takes the place of one imagined.

The rule for looks: wait for w seconds where w times the chance that the task ends within them, given that it still
runs, reaches the price of a look. That product is twice the delay which waiting costs on average, so looks are sparse
while an end is unlikely and dense around the expected one. The price is a part of the shortest interval, the operator's
own word for what a look is worth. `make bench` shows what comes of it.
"""

from bisect import bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

KEPT = 64  # of each kind: enough for a shape, few enough that yesterday's slow afternoon is forgotten by tonight
IMAGINED = 12  # how many films it takes until nothing but what was seen counts
IMAGINED_MAX_S = 600.0  # the longest that a provider's own page lets its clients wait (FACTS 2.2)
KINDS_MAX = 500  # model names may be anything where unknown models are forwarded
# Of the shortest interval: by simulation fewer looks than a fixed 10 s, and the end known sooner (`make bench`).
PRICE = 0.5
ENOUGH = 3  # films of a kind before anything is told of how far the next one is
OVERDUE_PART = 0.1  # a task that outlasts all that were seen is looked at each time it has grown by this part
JITTER = 0.1  # so that tasks which began together are not looked at together for ever
PROGRESS_MAX = 95  # of an estimate: what is left is for the end itself, whenever it comes


class Kind(NamedTuple):
    """What decides how long a task takes, as far as it can be told."""

    model: str
    resolution: str | None
    upstream: str


class Durations:
    """The last durations of every kind, in seconds from the upstream's acceptance to the end."""

    def __init__(self) -> None:
        self._learnt: OrderedDict[Kind, _Learnt] = OrderedDict()

    def learn(self, kind: Kind, duration_s: float) -> None:
        """A task of this kind was finished after so long."""
        learnt = self._learnt.get(kind)
        if learnt is None:
            learnt = self._learnt[kind] = _Learnt()
            if len(self._learnt) > KINDS_MAX:
                self._learnt.popitem(last=False)
        self._learnt.move_to_end(kind)
        learnt.add(max(0.0, duration_s))

    def look_after(self, kind: Kind, age_s: float, min_s: float, max_s: float, roll: float) -> float:
        """Seconds until the next look at a task that still runs at this age, from `min_s` to `max_s`.

        `roll` is a random number from 0 to 1: the jitter.
        """
        wait_s = _wait_s(self._ends(kind, min_s), age_s, price_s=PRICE * min_s)
        return min(max_s, max(min_s, wait_s * (1 + JITTER * (2 * roll - 1))))

    def expected_s(self, kind: Kind, age_s: float) -> float | None:
        """How long a task takes in all that still runs at this age: the median of those that took longer. None for a
        kind that has not been seen often enough."""
        learnt = self._learnt.get(kind)
        if learnt is None or len(learnt.sorted) < ENOUGH:
            return None
        first = bisect_right(learnt.sorted, age_s)
        left = len(learnt.sorted) - first
        return learnt.sorted[first + left // 2] if left else age_s * (1 + OVERDUE_PART)

    def progress(self, kind: Kind, age_s: float) -> int | None:
        """An estimate in percent, which never falls as the task grows older nor reaches the end; None for a kind that
        has not been seen often enough for any."""
        learnt = self._learnt.get(kind)
        if learnt is None or len(learnt.sorted) < ENOUGH:
            return None
        median_s = learnt.sorted[len(learnt.sorted) // 2]
        # By the median the bar stands at 80; what takes longer creeps towards its limit without reaching it.
        part = age_s / median_s if median_s else 1.0
        return int(80 * part) if part < 1 else int(PROGRESS_MAX - (PROGRESS_MAX - 80) / part)

    def seen(self) -> Iterator[tuple[Kind, Sequence[float]]]:
        """Every kind and its last durations, sorted."""
        return ((kind, tuple(learnt.sorted)) for kind, learnt in self._learnt.items())

    def _ends(self, kind: Kind, min_s: float) -> Sequence[float]:
        learnt = self._learnt.get(kind)
        if learnt is None:
            return _imagined(min_s)
        if learnt.ends is None:
            imagined = _imagined(min_s)[:: -(-IMAGINED // max(1, IMAGINED - len(learnt.sorted)))]
            learnt.ends = learnt.sorted if len(learnt.sorted) >= IMAGINED else sorted([*learnt.sorted, *imagined])
        return learnt.ends


class _Learnt:
    """The last durations of one kind: as they came, and sorted."""

    __slots__ = ("ends", "latest", "sorted")

    def __init__(self) -> None:
        self.latest: deque[float] = deque()
        self.sorted: list[float] = []
        self.ends: Sequence[float] | None = None
        """What looks go by: `sorted`, filled up with what is imagined. Made when it is asked for."""

    def add(self, duration_s: float) -> None:
        self.latest.append(duration_s)
        insort(self.sorted, duration_s)
        if len(self.latest) > KEPT:
            self.sorted.remove(self.latest.popleft())
        self.ends = None


@lru_cache(8)
def _imagined(min_s: float) -> Sequence[float]:
    """Evenly spread over the orders of magnitude: as likely to end between 4 and 8 s as between 4 and 8 minutes."""
    longest_s = max(IMAGINED_MAX_S, 4 * min_s)
    step = (longest_s / min_s) ** (1 / (IMAGINED - 1))
    return tuple(min_s * step**number for number in range(IMAGINED))


def _wait_s(ends: Sequence[float], age_s: float, price_s: float) -> float:
    """The least wait whose product with the chance of an end reaches the price."""
    first = bisect_right(ends, age_s)
    left = len(ends) - first
    for done in range(1, left + 1):
        enough_s = price_s * left / done
        if done == left or age_s + enough_s < ends[first + done]:
            return max(enough_s, ends[first + done - 1] - age_s)
    return age_s * OVERDUE_PART
