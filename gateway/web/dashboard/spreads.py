"""How something is spread, as a mark within a table's row: the half, the slow twentieth and the slowest hundredth.

The numbers stand beside the mark as text, so that it is for the eye alone.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from markupsafe import Markup


def longest(rows: Iterable[Mapping[str, Any]]) -> float:
    """What the marks of a table are drawn against: the longest that any of its rows tells."""
    return max((float(row["p99"]) for row in rows), default=0.0)


def spread(row: Mapping[str, Any], top: float) -> Markup:
    """A dot at the median, a line to where nineteen of twenty are done, a thin one to all but one of a hundred."""
    half, slow, slowest = (_percent(float(row[name]), top) for name in ("p50", "p95", "p99"))
    return Markup(
        '<svg class="spread" width="100%" height="14" aria-hidden="true"><line class="whole" x2="100%" y1="7" y2="7"/>'
        '<line class="rest" x1="{1}%" x2="{2}%" y1="7" y2="7"/><line class="most" x1="{0}%" x2="{1}%" y1="7" y2="7"/>'
        '<circle cx="{0}%" cy="7" r="4"/></svg>'
    ).format(half, slow, slowest)


def _percent(value: float, top: float) -> str:
    # A little air at both ends, so that a dot there is whole.
    return f"{2 + 96 * (min(value, top) / top if top else 0.0):.2f}"
