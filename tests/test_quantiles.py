"""Percentiles from buckets, as Prometheus reckons them, and from values that are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.quantiles import Bucket, Spread, added, spread_of, spread_of_values

INF = float("inf")


def test_values_are_spread_evenly_within_their_bucket() -> None:
    buckets = [Bucket(1.0, 50), Bucket(2.0, 90), Bucket(4.0, 100), Bucket(INF, 100)]
    assert spread_of(buckets) == Spread(100, 1.0, 3.0, pytest.approx(3.8))


def test_beyond_the_last_bound_nothing_is_known_but_the_bound() -> None:
    assert spread_of([Bucket(1.0, 0), Bucket(2.0, 1), Bucket(INF, 100)]) == Spread(100, 2.0, 2.0, 2.0)


@pytest.mark.parametrize("buckets", [[], [Bucket(1.0, 0), Bucket(INF, 0)]])
def test_of_nothing_there_are_none(buckets: list[Bucket]) -> None:
    assert spread_of(buckets) is None
    assert spread_of_values([]) is None


def test_known_values_are_themselves() -> None:
    assert spread_of_values([3.0]) == Spread(1, 3.0, 3.0, 3.0)
    assert spread_of_values([float(number) for number in range(100)]) == Spread(100, 50.0, 95.0, 99.0)


def test_buckets_of_several_add_up() -> None:
    one, other = [Bucket(1.0, 1), Bucket(INF, 2)], [Bucket(1.0, 10), Bucket(INF, 20)]
    assert added([one, other]) == [Bucket(1.0, 11), Bucket(INF, 22)]
    with pytest.raises(ValueError, match="shorter"):
        added([one, other[:1]])


@given(st.lists(st.integers(0, 50), min_size=2, max_size=12))
def test_percentiles_never_fall_and_stay_within_the_bounds(counts: list[int]) -> None:
    total, buckets = 0, []
    for place, count in enumerate(counts):
        total += count
        buckets.append(Bucket(INF if place == len(counts) - 1 else float(place + 1), total))
    spread = spread_of(buckets)
    if total:
        assert spread is not None
        assert 0 <= spread.p50 <= spread.p95 <= spread.p99 <= len(counts) - 1
