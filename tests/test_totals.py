"""What several processes counted, as one sum."""

import json

import pytest

from gateway.bounds import Bounds, Most
from gateway.errors import InvalidRequest
from gateway.keys import KeyState
from gateway.measures import DECLARED, Kind
from gateway.metrics import Metrics
from gateway.totals import OWN, Family, add_up, told
from gateway.video import Balance, State
from gateway.wire import CallRecord

DECLARED_BY_NAME = {declared.name: declared for declared in DECLARED}
REQUESTS = "reelgate_requests_total"


def counter(value: float, route: str = "/a") -> Family:
    return Family(REQUESTS, "counter", "Requests answered.", "sum", {(REQUESTS, (("route", route),)): value})


def gauge(name: str, across: str, **values: float) -> Family:
    return Family(name, "gauge", "How much.", across, {(name, (("of", of),)): value for of, value in values.items()})


def samples(*families: Family) -> dict[str, float]:
    return {
        f"{name}{''.join(f' {word}' for _, word in labels)}": value
        for family in families
        for (name, labels), value in family.samples.items()
    }


def test_counters_add_up_over_the_living_and_the_gone() -> None:
    total = add_up([counter(1)], [[counter(2)], [counter(4, "/b")]], [[counter(8)]])
    assert samples(*total) == {f"{REQUESTS} /a": 11, f"{REQUESTS} /b": 4}


def test_a_histogram_is_summed_bucket_by_bucket() -> None:
    def spoken(*durations_s: float) -> Metrics:
        metrics = Metrics()
        for duration_s in durations_s:
            metrics.request("/a", "GET", 200, "none", duration_s=duration_s, overhead_s=0)
        return metrics

    one, other, both = spoken(0.002, 0.3), spoken(0.004, 20, 99), spoken(0.002, 0.3, 0.004, 20, 99)
    total = add_up(one.families(), [told(other.families())], [])
    assert samples(*total) == pytest.approx(samples(*both.families()))


def test_gauges_are_of_the_living_and_each_by_its_rule() -> None:
    def gauges(own: float, part: float, worst: float, well: float) -> list[Family]:
        found = [gauge("own", OWN, x=own), gauge("part", "sum", x=part)]
        return [*found, gauge("worst", "max", x=worst), gauge("well", "min", x=well)]

    other, gone = [*gauges(2, 2, 5, 0), gauge("news", "max", y=7)], gauges(9, 9, 9, -9)
    expected = {"own x": 1, "part x": 3, "worst x": 5, "well x": 0, "news y": 7}
    assert samples(*add_up(gauges(1, 1, 4, 1), [other], [gone])) == expected


def test_what_all_know_themselves_is_not_told_and_every_declared_metric_has_a_rule() -> None:
    families = {family.name: family for family in _lived_in().families()}
    assert set(families) == {declared.name for declared in DECLARED}
    kept = set(families) - {family.name for family in told(list(families.values()))}
    assert {"reelgate_tasks", "reelgate_budget_spent", "reelgate_storage_up", "reelgate_key_state"} <= kept
    assert all(DECLARED_BY_NAME[name].kind is Kind.GAUGE for name in kept)
    for family in told(list(families.values())):
        assert family.across == DECLARED_BY_NAME[family.name].across.value


def test_a_family_survives_json() -> None:
    metrics = _lived_in()
    for family in metrics.families():
        assert Family.of_plain(json.loads(json.dumps(family.plain()))) == family


def test_a_sum_is_written_out_as_the_library_writes_what_it_is_a_sum_of() -> None:
    metrics = _lived_in()
    assert metrics.exposition(add_up(metrics.families(), [], [])) == metrics.exposition()


def _lived_in() -> Metrics:
    metrics = Metrics()
    metrics.mirror(lambda: [("up", "main", KeyState.OK)], Bounds(Most()))
    metrics.request("/a", "GET", 200, "none", duration_s=0.01, overhead_s=0.001)
    metrics.error(InvalidRequest.at("prompt", "is missing"))
    metrics.finished("MiniMax-Hailuo-2.3", "768P", duration_s=61)
    metrics.spent("MiniMax-Hailuo-2.3", 280_000)
    metrics.reserved("up", "MiniMax-Hailuo-2.3", units=20, price=280_000)
    metrics.count_tasks({State.RUNNING: 3})
    metrics.count_money({"alice": Balance(limit=5, held=1, spent=2)}, {})
    metrics.call(CallRecord("up", "main", "submit", "accepted", 0.4))
    return metrics
