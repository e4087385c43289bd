"""What the person who runs the gateway looks at first: spent today and by whom, what is held, what rests, what failed.

Ready for JSON, like all of `overview.py`. Days are UTC's, as those of budgets are.
"""

from typing import Any

from gateway.flows import overview
from gateway.keys import KeyState
from gateway.money import render_micros
from gateway.parts import Parts
from gateway.periods import DAY_S

DAYS = 30
"""How far back spend over time is shown."""


async def board(parts: Parts) -> dict[str, Any]:
    """All of it, as it is now."""
    now, currency = parts.clock(), parts.settings.currency
    midnight = now // DAY_S * DAY_S
    today = {"from": str(int(midnight))}
    return {
        "at": now,
        "currency": currency,
        "today": await overview.usage(parts, {**today, "by": "key"}, currency),
        "tasks": {state.value: count for state, count in (await parts.registry.state_counts()).items()},
        "holds": await _holds(parts),
        "keys": _keys(parts),
        "frozen_since": parts.admission.frozen_since,
    }


async def _holds(parts: Parts) -> dict[str, Any]:
    """What is set aside for tasks that are not over, and what waits for a person; with the oldest of each."""
    return {
        name: {"count": holds.count, "amount": render_micros(holds.amount), "oldest_at": holds.oldest_at}
        for name, holds in (await parts.books.holds()).items()
    }


def _keys(parts: Parts) -> dict[str, Any]:
    """How many upstream keys there are, and those that are not simply well."""
    found = [
        {"upstream": upstream["name"], **key} for upstream in overview.upstreams(parts) for key in upstream["keys"]
    ]
    return {"count": len(found), "unwell": [key for key in found if key["state"] != KeyState.OK.value]}
