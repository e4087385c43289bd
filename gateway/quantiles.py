"""Percentiles of what was only counted into buckets. Pure: numbers in, numbers out."""

from collections.abc import Sequence

from gateway.structs import Struct


class Bucket(Struct, frozen=True):
    """How many were at most `most`; the last one has no end."""

    most: float
    count: float


class Spread(Struct, frozen=True):
    """How something is spread, in seconds, and how many of it were counted."""

    count: int
    p50: float
    p95: float
    p99: float


def spread_of(buckets: Sequence[Bucket]) -> Spread | None:
    """Of cumulative buckets, the smallest first; None where nothing was counted."""
    count = buckets[-1].count if buckets else 0
    if not count:
        return None
    return Spread(int(count), *(_quantile(buckets, part) for part in (0.5, 0.95, 0.99)))


def spread_of_values(values: Sequence[float]) -> Spread | None:
    """Of values that are known, sorted; None where there are none."""
    if not values:
        return None
    last = len(values) - 1
    return Spread(len(values), *(values[min(last, int(part * len(values)))] for part in (0.5, 0.95, 0.99)))


def added(several: Sequence[Sequence[Bucket]]) -> list[Bucket]:
    """Buckets of the same bounds, all together."""
    return [Bucket(same[0].most, sum(bucket.count for bucket in same)) for same in zip(*several, strict=True)]


def _quantile(buckets: Sequence[Bucket], part: float) -> float:
    """Evenly spread within its bucket, as Prometheus reckons; beyond the last bound nothing is known but the bound."""
    rank, least, below = part * buckets[-1].count, 0.0, 0.0
    for bucket in buckets[:-1]:
        if bucket.count >= rank:
            within = bucket.count - below
            return least + (bucket.most - least) * ((rank - below) / within if within else 1.0)
        least, below = bucket.most, bucket.count
    return least
