"""Every alert fires where it should and is silent where it should not, as promtool plays it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from gateway.measures import DECLARED, Kind
from tests.seeing.prometheus import CONFIG, RULES, promtool, rules

KEY = 'reelgate_key_state{upstream="evolink",key="main",state="%s",instance="%s"}'
CALLS = 'reelgate_upstream_requests_total{upstream="evolink",operation="submit",outcome="%s",instance="%s"}'
BUDGET = 'reelgate_budget_%s{virtual_key="alice",instance="%s"}'
HOLD = 'reelgate_oldest_hold_seconds{money="%s",instance="a"}'
DRIFT = 'reelgate_price_drift_ratio{upstream="evolink",model="MiniMax-Hailuo-2.3",instance="a"}'
ERRORS = 'reelgate_errors_total{fault="gateway",reason="%s",instance="a"}'


@dataclass(frozen=True)
class Case:
    """Series as promtool writes them, one value a minute: some with which an alert fires by the time `at`, and others
    with which it does not."""

    fires: Mapping[str, str]
    silent: Mapping[str, str]
    summary: str
    at: str = "20m"
    labels: Mapping[str, str] = field(default_factory=dict)


CASES = {
    "ReelgateDown": Case(
        {'up{job="reelgate",instance="a"}': "0x30", 'up{job="reelgate",instance="b"}': "1x30"},
        {'up{job="reelgate",instance="a"}': "1x30", 'up{job="other",instance="c"}': "0x30"},
        "a does not answer",
        labels={"job": "reelgate", "instance": "a"},
    ),
    "ReelgateStorageDown": Case(
        {'reelgate_storage_up{instance="a"}': "1x5 0x30", 'reelgate_storage_up{instance="b"}': "1x30"},
        {'reelgate_storage_up{instance="a"}': "1x30"},
        "Storage does not answer a",
        labels={"instance": "a"},
    ),
    "ReelgateNoUsableKey": Case(
        {KEY % ("ok", "a"): "0x30", KEY % ("resting", "a"): "0x30", KEY % ("retired", "a"): "1x30"},
        {KEY % ("ok", "a"): "0x30", KEY % ("resting", "a"): "1x30", KEY % ("retired", "a"): "0x30"},
        "No upstream key can take a create",
    ),
    "ReelgateUpstreamWithoutKey": Case(
        {
            **{KEY % ("ok", "a"): "0x30", KEY % ("exhausted", "a"): "1x30"},
            'reelgate_key_state{upstream="toapis",key="main",state="ok",instance="a"}': "1x30",
        },
        {KEY % ("ok", "a"): "0x30", KEY % ("exhausted", "a"): "0x30", KEY % ("draining", "a"): "1x30"},
        "No key of evolink can take a create",
        labels={"upstream": "evolink"},
    ),
    "ReelgateBudgetAt80Percent": Case(
        {BUDGET % ("spent", "a"): "30x30", BUDGET % ("held", "a"): "10x30", BUDGET % ("amount", "a"): "50x30"},
        {  # two gateways tell of the same money
            **{BUDGET % ("spent", name): "30x30" for name in "ab"},
            **{BUDGET % ("held", name): "9x30" for name in "ab"},
            **{BUDGET % ("amount", name): "50x30" for name in "ab"},
            'reelgate_budget_spent{virtual_key="bob",instance="a"}': "1000x30",  # without a budget
            'reelgate_budget_held{virtual_key="bob",instance="a"}': "0x30",
        },
        "alice has used 80% of its budget",
        labels={"virtual_key": "alice"},
    ),
    "ReelgateHoldOlderThanAnHour": Case(
        {HOLD % "suspended": "0+300x30", HOLD % "held": "120x30"},
        {HOLD % "suspended": "0x30", HOLD % "held": "3600x30"},
        "Money is suspended since 1h 40m 0s",
        labels={"money": "suspended"},
    ),
    "ReelgateBooksDrift": Case(
        {'reelgate_books_drift{instance="a"}': "2x30", 'reelgate_books_drift{instance="b"}': "2x30"},
        {'reelgate_books_drift{instance="a"}': "0x30"},
        "The books do not add up in 2 places",
    ),
    "ReelgateBooksNotAudited": Case(
        {'reelgate_books_audited_timestamp_seconds{instance="a"}': "60x400"},
        {'reelgate_books_audited_timestamp_seconds{instance="a"}': "0x100 6000x400"},
        "The books were last audited 3h 19m 0s ago",
        at="200m",
    ),
    "ReelgatePriceDrift": Case(
        {DRIFT: "-0.2x30"},
        {DRIFT: "0.01x30"},
        "evolink reserves 20% more or less for MiniMax-Hailuo-2.3 than its price here says",
        labels={"upstream": "evolink", "model": "MiniMax-Hailuo-2.3"},
    ),
    "ReelgateUpstreamErrors": Case(
        {
            **{CALLS % ("2xx", name): "0+6x30" for name in "ab"},
            **{CALLS % ("5xx", "a"): "0+2x30", CALLS % ("upstream_unreachable", "b"): "0+2x30"},
        },
        {CALLS % ("2xx", "a"): "0+6x30", CALLS % ("4xx", "a"): "0+60x30", CALLS % ("5xx", "a"): "0+1x30"},
        "25% of the calls to evolink fail",
        labels={"upstream": "evolink"},
    ),
    "ReelgateInternalErrors": Case(
        {ERRORS % "internal_error": "0x10 1x20"},
        {ERRORS % "internal_error": "7x30", ERRORS % "draining": "0+1x30"},
        "The gateway answered with errors of its own",
    ),
    "ReelgateResultsExpiring": Case(
        {'reelgate_oldest_result_seconds{instance="a"}': "71000+60x30"},
        {'reelgate_oldest_result_seconds{instance="a"}': "3600+60x30"},
        "Films that nobody kept go within four hours",
    ),
}


def test_the_shipped_files_are_sound() -> None:
    promtool("check", "config", CONFIG)
    promtool("check", "rules", RULES)


def test_every_alert_is_played() -> None:
    assert [rule["alert"] for rule in rules()] == list(CASES)


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["description"].endswith(".")


def test_every_metric_that_an_alert_looks_at_is_declared() -> None:
    gauges = {it.name for it in DECLARED if it.kind is not Kind.HISTOGRAM}
    for rule in rules():
        assert set(re.findall(r"\breelgate_\w+", rule["expr"])) <= gauges, rule["alert"]


@pytest.mark.parametrize("alert", CASES)
def test_it_fires_and_it_is_silent(alert: str, tmp_path: Path) -> None:
    case = CASES[alert]
    (rule,) = [rule for rule in rules() if rule["alert"] == alert]
    fired = {
        "exp_labels": {**rule["labels"], **case.labels},
        "exp_annotations": {**rule["annotations"], "summary": case.summary},
    }
    plays = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [_play(alert, case.fires, case.at, [fired]), _play(alert, case.silent, case.at, [])],
    }
    path = tmp_path / "plays.yml"
    path.write_text(yaml.safe_dump(plays, width=1000), "utf-8")
    promtool("test", "rules", path)


def _play(alert: str, series: Mapping[str, str], at: str, expected: list[object]) -> dict[str, object]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": at, "alertname": alert, "exp_alerts": expected}],
    }
