"""The first page: for the operator the whole gateway at a glance, for the holder of a virtual key its own part."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from gateway.flows import board
from gateway.parts import Parts
from gateway.web.dashboard.charts import Series, bars, lines, money, seconds
from gateway.web.dashboard.pages import Page, Role, Visit
from gateway.web.dashboard.spreads import longest, spread
from gateway.web.exchange import Answer

LISTED_MAX = 8
"""Rows of a list on this page; all of them stand on the page that it leads to."""


def pages(parts: Parts) -> Sequence[Page]:
    """`/dashboard` itself."""

    async def whole(visit: Visit) -> Answer:
        told = await board.board(parts)
        return visit.page(
            "overview.html",
            board=told,
            chart=spending(told["days"], told["currency"]),
            took=taking(told["took"]),
            listed=LISTED_MAX,
            spread=spread,
            longest=longest,
        )

    async def own(visit: Visit) -> Answer:
        told = await board.own_board(parts, visit.caller())
        return visit.page("own.html", board=told, chart=spending(told["days"], told["currency"]))

    return [Page(path="/dashboard", entry="Overview", read={Role.OPERATOR: whole, Role.HOLDER: own})]


def taking(days: Sequence[Mapping[str, Any]]) -> Markup:
    """How long films took that were ordered on each day: half of them, and nineteen of twenty."""
    series = [Series(word, tuple(day.get(name) for day in days)) for word, name in (("half", "p50"), ("95 %", "p95"))]
    return lines("From acceptance to film, by day", [day["name"][5:] for day in days], series, seconds)


def spending(days: Sequence[Mapping[str, Any]], currency: str) -> Markup:
    """What was spent on each day, and what is still held for what was ordered then."""
    series = [
        Series("spent", tuple(float(day["spent"]) for day in days)),
        Series("held", tuple(float(day["held"]) for day in days)),
    ]
    labels = [day["name"][5:] for day in days]  # the year is the same in nearly all of them
    return bars("Spent each day", labels, series, money(currency))
