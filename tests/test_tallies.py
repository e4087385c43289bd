"""What is counted of requests is what the library would have counted."""

import random

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.measures import DECLARED, Declared
from gateway.structs import replace
from gateway.tallies import OF_REQUESTS, RequestTally

REQUESTS, DURATION, OVERHEAD = (next(it for it in DECLARED if it.name == name) for name in OF_REQUESTS)


def test_every_number_is_the_librarys() -> None:
    own, library = CollectorRegistry(), CollectorRegistry()
    tally = RequestTally(REQUESTS, DURATION, OVERHEAD)
    own.register(tally)
    requests = Counter(REQUESTS.name, REQUESTS.says, REQUESTS.labels, registry=library)
    duration, overhead = (
        Histogram(it.name, it.says, it.labels, buckets=it.buckets, registry=library) for it in (DURATION, OVERHEAD)
    )
    draw = random.Random(7)
    for _ in range(2_000):
        route, method = draw.choice(["/a", "/b/{id}"]), draw.choice(["GET", "POST"])
        status, dialect = draw.choice([200, 404]), draw.choice(["openai", "none"])
        took_s = draw.choice([*DURATION.buckets, draw.uniform(0, 0.01), draw.uniform(0, 60)])  # also just on an edge
        own_s = draw.choice([took_s, draw.uniform(0, took_s)])
        tally.add(route, method, status, dialect, duration_s=took_s, overhead_s=own_s)
        requests.labels(route, method, str(status), dialect).inc()
        duration.labels(route).observe(took_s)
        overhead.labels(route).observe(own_s)
    assert lines_of(own) == lines_of(library)


def test_words_that_a_client_or_an_upstream_made_up_are_one_series() -> None:
    tally = RequestTally(REQUESTS, DURATION, OVERHEAD)
    for number in range(300):
        tally.add("/a", f"M{number}", 600 + number, "none", duration_s=1, overhead_s=1)
    counted = next(iter(tally.collect()))
    assert [(sample.labels["method"], sample.labels["status"], sample.value) for sample in counted.samples] == [
        ("other", "other", 300.0)
    ]


def test_two_histograms_that_are_sorted_once_must_have_the_same_buckets() -> None:
    other: Declared = replace(OVERHEAD, buckets=(1.0,))
    with pytest.raises(ValueError, match="same buckets"):
        RequestTally(REQUESTS, DURATION, other)


def lines_of(registry: CollectorRegistry) -> list[str]:
    """Sorted, because series stand in the order in which they began; sums to nine digits, added in any order."""
    found = []
    for line in generate_latest(registry).decode().splitlines():
        name, _, value = line.rpartition(" ")
        if not line.startswith("#") and "_created" not in name:
            found.append(f"{name} {float(value):.9g}")
    return sorted(found)
