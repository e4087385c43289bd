"""The dashboard is what its table says, and a Prometheus that scraped two gateways has an answer to all it asks."""

import asyncio
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.measures import ACROSS, DECLARED, Kind
from gateway.money import MICROS
from gateway.video import State
from tests.seeing.prometheus import DASHBOARD, Prometheus, panels, prometheus, promtool, rules
from tests.seeing.traffic import Town, town
from tools import dashboard
from tools.panels import ROWS, VARIABLES

GRAFANAS = {"$__rate_interval": "1m", **{f"${name}": dashboard.EVERYTHING for name in VARIABLES}}
# Every part of a histogram is called after it.
PARTS = {f"{it.name}{part}": it.name for it in DECLARED if it.kind is Kind.HISTOGRAM for part in ("_bucket", "_count")}


def resolved(query: str) -> str:
    """A query as Grafana sends it, with everything chosen."""
    for name, value in GRAFANAS.items():
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


def queries() -> Iterator[tuple[str, str]]:
    """Of every panel, and of every alert."""
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in rules():
        yield rule["alert"], rule["expr"]


def metrics_in(query: str) -> set[str]:
    names = set(re.findall(r"\breelgate_\w+", query))
    return {PARTS.get(name, name) for name in names}


def test_the_shipped_dashboard_is_what_its_table_says() -> None:
    is_current = DASHBOARD.read_text("utf-8") == dashboard.text()
    assert is_current, "python -m tools.dashboard > deploy/grafana/dashboards/reelgate.json"


def test_panels_have_room_and_numbers_of_their_own() -> None:
    made = dashboard.dashboard()["panels"]
    assert len({panel["id"] for panel in made}) == len(made) == len(ROWS) + sum(map(len, ROWS.values()))
    taken: set[tuple[int, int]] = set()
    for panel in made:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= dashboard.COLUMNS
        fields = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not fields & taken, panel["title"]
        taken |= fields


def test_every_metric_is_shown_or_watched_and_no_other() -> None:
    shown = set().union(*(metrics_in(query) for _, query in queries()))
    assert shown == {it.name for it in DECLARED}


def test_what_gateways_share_is_never_summed_over_them_and_what_they_count_always_is() -> None:
    for title, query in queries():
        for found in re.finditer(r"\breelgate_\w+", query):
            name = PARTS.get(found[0], found[0])
            expected = "count" if name == "reelgate_build_info" else ACROSS[name].value
            assert next(around(query, found.start())) == expected, (title, name)


def around(query: str, at: int) -> Iterator[str]:
    """The aggregations that this place of an expression stands in, the innermost first."""
    depth = 0
    for index in range(at - 1, -1, -1):
        if query[index] == ")":
            depth += 1
        elif query[index] == "(" and depth:
            depth -= 1
        elif query[index] == "(":
            word = re.search(r"(max|min|sum|count)(?: by \([^)]*\))? ?$", query[:index])
            if word is not None:
                yield word[1]


def test_every_panel_and_every_alert_has_an_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with town(tmp_path) as it, prometheus(tmp_path, it.targets) as seen:
            await seen.passes("count(reelgate_build_info)", 2)
            for number in range(2):  # a rate is between two scrapes
                await it.round(number)
                await _is_scraped(seen, it)
            await _tells_the_truth(seen, it)
            await _answers_everything(seen)
            for gateway in it.gateways:
                promtool("check", "metrics", said=(await gateway.http.get("/metrics")).text)

    asyncio.run(scenario())


async def _is_scraped(seen: Prometheus, it: Town) -> None:
    """Prometheus knows what both gateways have done until now."""
    for target in it.targets:
        scrapes = f'count_over_time(reelgate_storage_up{{instance="{target}"}}[1h])'
        before = await seen.value(scrapes)
        await seen.passes(scrapes, before + 2)  # the first of them may have begun before


async def _answers_everything(seen: Prometheus) -> None:
    empty = []
    for panel in panels():
        for target in panel["targets"]:
            found = await seen.ask(resolved(target["expr"]))
            if all(math.isnan(float(series["value"][1])) for series in found):
                empty.append((panel["title"], target["expr"]))
    assert empty == []
    for rule in rules():
        await seen.ask(rule["expr"])
    health = {rule["name"]: (rule["health"], rule.get("lastError")) for rule in await seen.rules()}
    assert health == {rule["alert"]: ("ok", None) for rule in rules()}
    for name, query in VARIABLES.items():
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert await seen.names(metric, label), name
    for metric in DECLARED:
        name = f"{metric.name}_bucket" if metric.kind is Kind.HISTOGRAM else metric.name
        assert await seen.ask(name), f"{name} was never told"


async def _tells_the_truth(seen: Prometheus, it: Town) -> None:
    """Two gateways tell of the same money, and each of what it did itself."""
    parts = it.gateways[0].parts
    books = await parts.books.totals(*parts.admission.owners(), parts.clock())
    shown = {panel["title"]: resolved(panel["targets"][0]["expr"]) for panel in panels()}
    spent = {
        series["metric"]["virtual_key"]: float(series["value"][1])
        for series in await seen.ask(shown["Spent in the current period"])
    }
    assert spent == {name: balance.spent / MICROS for name, balance in books.keys.items()}
    assert spent["alice"] > 0
    assert await seen.value("sum(reelgate_spend_total)") == pytest.approx(spent["alice"])
    held = sum(item.amount for item in books.held.values()) / MICROS
    assert await seen.value(shown["Held"]) == pytest.approx(held)
    assert held > 0
    tasks = {
        State(series["metric"]["state"]): float(series["value"][1])
        for series in await seen.ask(shown["Tasks in storage"])
    }
    assert tasks == books.tasks
    films = await seen.value("sum(reelgate_task_duration_seconds_count)")
    assert films == books.tasks[State.COMPLETED] > 0
    assert await seen.value(shown["Gateways"]) == 2
    states = {series["metric"]["key"]: series["metric"]["state"] for series in await seen.ask(shown["States of keys"])}
    assert (states["worn"], states["empty"]) == ("retired", "exhausted")
    assert {states["main"], states["second"]} <= {"ok", "resting"}
