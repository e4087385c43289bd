"""What is counted at every request, as plain numbers that become metrics when somebody reads them.

The library takes a lock and looks for the bucket anew for each of four numbers, which is a tenth of answering a poll.
The event loop counts and nobody else does, so there is nothing to lock.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from gateway.measures import METHODS, OTHER, Declared

OF_REQUESTS = ("reelgate_requests_total", "reelgate_request_duration_seconds", "reelgate_overhead_seconds")
"""The metrics that are kept here."""


class Spread:
    """A histogram's numbers: how many fell into each bucket, and the sum of all."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0


class RequestTally:
    """Requests by route, method, status and dialect, and by route how long they took. A collector of the library's."""

    def __init__(self, requests: Declared, duration: Declared, overhead: Declared) -> None:
        """`duration` and `overhead` are of the same buckets, so that a request whose two are the same is sorted once.
        Raises ValueError where they are not."""
        if duration.buckets != overhead.buckets:
            raise ValueError("duration and overhead must have the same buckets")
        self._requests = requests
        self._timings = (duration, overhead)
        self._bounds: Sequence[float] = [*duration.buckets, float("inf")]
        self._spelt = [*(str(float(bound)) for bound in duration.buckets), "+Inf"]
        self._counts: dict[tuple[str, str, int, str], float] = {}
        self._spreads: dict[str, tuple[Spread, Spread]] = {}

    def add(self, route: str, method: str, status: int, dialect: str, *, duration_s: float, overhead_s: float) -> None:
        """One request, answered."""
        key = (route, method if method in METHODS else OTHER, status, dialect)
        self._counts[key] = self._counts.get(key, 0.0) + 1
        spreads = self._spreads.get(route)
        if spreads is None:
            spreads = self._spreads[route] = (Spread(len(self._bounds)), Spread(len(self._bounds)))
        duration, overhead = spreads
        bucket = bisect_left(self._bounds, duration_s)
        duration.counts[bucket] += 1
        duration.total += duration_s
        overhead.counts[bucket if overhead_s == duration_s else bisect_left(self._bounds, overhead_s)] += 1
        overhead.total += overhead_s

    def collect(self) -> Iterator[Metric]:
        """The three of them, as they stand."""
        yield self._counted()
        for number, declared in enumerate(self._timings):
            family = HistogramMetricFamily(declared.name, declared.says, labels=declared.labels)
            for route, spreads in self._spreads.items():
                family.add_metric([route], self._cumulative(spreads[number]), spreads[number].total)
            yield family

    def _counted(self) -> Metric:
        said: dict[tuple[str, str, str, str], float] = {}
        for (route, method, status, dialect), count in self._counts.items():
            # What is passed on may have any three digits.
            labels = (route, method, str(status) if 100 <= status < 600 else OTHER, dialect)
            said[labels] = said.get(labels, 0.0) + count
        family = CounterMetricFamily(self._requests.name, self._requests.says, labels=self._requests.labels)
        for labels, count in said.items():
            family.add_metric(labels, count)
        return family

    def _cumulative(self, spread: Spread) -> list[tuple[str, float]]:
        found, below = [], 0.0
        for bound, count in zip(self._spelt, spread.counts, strict=True):
            below += count
            found.append((bound, below))
        return found
