"""Write the dashboard for Grafana: `python -m tools.dashboard > deploy/grafana/dashboards/reelgate.json`.

What it shows stands in `panels.py`; how Grafana says such things, here.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tools.panels import MONEY, ROWS, SHARE, VARIABLES, Panel

UID = "reelgate"
SOURCE: Mapping[str, str] = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
EVERYTHING = ".+"


def dashboard() -> dict[str, Any]:
    """All that Grafana wants to know."""
    return {
        "uid": UID,
        "title": "Reelgate",
        "tags": ["reelgate"],
        "description": "Money, tasks, upstream keys and latencies of a Reelgate. Made by tools/dashboard.py.",
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_source_variable(), *(_variable(name, query) for name, query in VARIABLES.items())]},
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for title, panels in ROWS.items():
        number += 1
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": _place(0, y, COLUMNS, 1)}
        x, y = 0, y + 1
        for panel in panels:
            number += 1
            if x + panel.width > COLUMNS:
                x, y = 0, y + panel.height
            yield _panel(panel, number, _place(x, y, panel.width, panel.height))
            x += panel.width
        y += panels[-1].height


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": dict(SOURCE),
        "gridPos": dict(place),
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [_target(panel, *query, ref=chr(ord("A") + index)) for index, query in enumerate(panel.queries)],
    }
    if panel.repeats is not None:
        made |= {"repeat": panel.repeats, "repeatDirection": "h", "maxPerRow": 2}
    return made


def _target(panel: Panel, query: str, legend: str, *, ref: str) -> dict[str, Any]:
    is_instant = panel.kind in ("stat", "bargauge")
    return {
        "refId": ref,
        "datasource": dict(SOURCE),
        "expr": query,
        "legendFormat": legend or "__auto",
        "format": "heatmap" if panel.kind == "heatmap" else "time_series",
        "instant": is_instant,
        "range": not is_instant,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.bad_from is not None:
        steps.append({"color": "red", "value": panel.bad_from})
    # The currency is the gateway's setting, which no metric tells, so an amount is a plain number with two decimals.
    defaults: dict[str, Any] = {
        "unit": "short" if panel.unit == MONEY else panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    if panel.unit == MONEY:
        defaults["decimals"] = 2
    if panel.kind == "timeseries":
        defaults["min"] = None if panel.title == "Price drift" else 0
        defaults["custom"] = {
            "drawStyle": "line",
            "fillOpacity": 20 if panel.stacks else 0,
            "stacking": {"mode": "normal" if panel.stacks else "none"},
            "thresholdsStyle": {"mode": "off" if panel.bad_from is None else "dashed"},
        }
    if panel.kind == "bargauge":
        defaults |= {"min": 0} if panel.unit != SHARE else {"min": 0, "max": 1}
    return defaults


_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "none"},
    "bargauge": {"reduceOptions": {"calcs": ["lastNotNull"]}, "orientation": "horizontal", "displayMode": "basic"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "yAxis": {"unit": "s", "axisPlacement": "left"},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": True},
    },
    "state-timeline": {"mergeValues": True, "showValue": "never", "legend": {"showLegend": False}},
}


def _source_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "refresh": 1,
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.replace("_", " "),
        "type": "query",
        "datasource": dict(SOURCE),
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": EVERYTHING,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
