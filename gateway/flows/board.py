"""What the person who runs the gateway looks at first: what was spent today and by whom, what is held, which keys rest,
how long videos take, what failed and whose fault it was, what will be gone.

Ready for JSON, like all of `overview.py`. Days are UTC's, as those of budgets are. Latencies and errors are those of
this process since it began; everything else is storage's, and so all replicas'.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway import ids
from gateway.errors import CallerError, Fault, GatewayError
from gateway.flows import overview
from gateway.keys import KeyState
from gateway.money import render_micros
from gateway.parts import Parts
from gateway.periods import DAY_S, date_of
from gateway.quantiles import added, spread_of, spread_of_values
from gateway.store import Wanted
from gateway.structs import asdict
from gateway.video import Balance, Caller

DAYS = 30
"""How far back spend over time is told."""
FAILURES_S = DAY_S
SOON_S = 14 * DAY_S
"""Keys that expire within this time are told of."""
TOOK_MAX = 2_000
"""Of so many of the newest tasks it is told how long their films took, day by day."""
GOING_MAX, GOING_LOOKED_THROUGH_MAX = 5, 500
_CLIENT_ROUTES = ("/v1/",)  # with whatever dialect before it; people's pages and probes are nobody's latency


async def board(parts: Parts) -> dict[str, Any]:
    """All of it, as it is now."""
    now = parts.clock()
    totals = await parts.books.totals({}, {}, now)
    return {
        "at": now,
        "currency": parts.settings.currency,
        "frozen_since": parts.admission.frozen_since,
        "today": await _today(parts, now),
        "days": await days(parts, now),
        "tasks": {state.value: count for state, count in totals.tasks.items()},
        "holds": {
            money.value: {"amount": render_micros(held.amount), "oldest_at": held.since}
            for money, held in totals.held.items()
        },
        "keys": await _keys(parts),
        "durations": durations(parts),
        "took": await _took(parts, now),
        "latencies": _latencies(parts),
        "failures": await _failures(parts, now),
        "errors": _errors(parts),
        "going": await _going(parts, totals.films_due, now),
    }


async def own_board(parts: Parts, caller: Caller) -> dict[str, Any]:
    """What the holder of a virtual key sees of it: its money, and nobody else's."""
    now = parts.clock()
    own, team = await parts.registry.balances(caller, now)
    return {
        "at": now,
        "currency": parts.settings.currency,
        "key": _holder(caller, own, team, now),
        "days": await days(parts, now, caller=caller.key_id),
        "models": await overview.spent(parts, "model", Wanted(caller=caller.key_id, since=_first_day(now))),
        "frozen_since": parts.admission.frozen_since,
    }


def _holder(caller: Caller, own: Balance, team: Balance, now: float) -> dict[str, Any]:
    """A virtual key as its holder sees it: what it may, and what it and its team have left."""
    return {
        "id": caller.key_id,
        "team": caller.team,
        "models": list(caller.models),
        "dialect": caller.dialect,
        "rpm": caller.rpm,
        "max_tasks": caller.max_tasks,
        "expires_at": caller.expires_at,
        "period": None if caller.budget is None else caller.budget.period,
        "balance": overview.balance(own, caller.budget, now),
        "team_balance": None if caller.team is None else overview.balance(team, caller.team_budget, now),
    }


async def days(parts: Parts, now: float, caller: str | None = None) -> list[dict[str, Any]]:
    """What was ordered on each of the last days, and what it cost; of one caller, or of all."""
    since = _first_day(now)
    spent = await overview.spent(parts, "day", Wanted(since=since, caller=caller))
    by_day = {group["name"]: group for group in spent["groups"]}
    nothing = {"spent": render_micros(0), "held": render_micros(0), "suspended": render_micros(0), "tasks": {}}
    names = [date_of(since + number * DAY_S) for number in range(DAYS)]
    return [by_day.get(name, {"name": name, **nothing}) for name in names]


def durations(parts: Parts) -> list[dict[str, Any]]:
    """How long videos took from the upstream's acceptance to the film, by what decides it; of the last ones of each."""
    found = [
        {**kind._asdict(), **asdict(spread)}
        for kind, seconds in parts.memory.durations.seen()
        if (spread := spread_of_values(seconds)) is not None
    ]
    return sorted(found, key=lambda item: (item["model"], item["resolution"] or "", item["upstream"]))


async def _took(parts: Parts, now: float) -> list[dict[str, Any]]:
    """How long films took that were ordered on each of the last days; nothing is said of a day without one."""
    since = _first_day(now)
    by_day: dict[int, list[float]] = {}
    for at, seconds in await parts.books.took(TOOK_MAX, since):
        by_day.setdefault(int((at - since) // DAY_S), []).append(seconds)
    spreads = [spread_of_values(sorted(by_day.get(number, ()))) for number in range(DAYS)]
    return [
        {"name": date_of(since + number * DAY_S)} | ({"count": 0} if spread is None else asdict(spread))
        for number, spread in enumerate(spreads)
    ]


async def _today(parts: Parts, now: float) -> dict[str, Any]:
    midnight = now // DAY_S * DAY_S
    by_key = await overview.spent(parts, "key", Wanted(since=midnight))
    by_team = await overview.spent(parts, "team", Wanted(since=midnight))
    return {
        "since": midnight,
        "total": by_key["total"],
        "keys": _dearest(by_key["groups"]),
        "teams": _dearest(group for group in by_team["groups"] if group["name"]),
    }


def _dearest(groups: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(groups, key=lambda group: (-float(group["spent"]), -float(group["held"]), group["name"]))


async def _keys(parts: Parts) -> dict[str, Any]:
    """How many upstream keys there are, and those that are not simply well."""
    found = [
        {"upstream": upstream["name"], **key}
        for upstream in await overview.upstreams(parts)
        for key in upstream["keys"]
    ]
    return {"count": len(found), "unwell": [key for key in found if key["state"] != KeyState.OK.value]}


def _latencies(parts: Parts) -> dict[str, Any]:
    """Of the gateway itself (`overhead_seconds`) and of its upstreams, in this process."""
    overhead = {
        labels[0]: buckets
        for labels, buckets in parts.metrics.buckets("reelgate_overhead_seconds").items()
        if any(root in labels[0] for root in _CLIENT_ROUTES)
    }
    whole = spread_of(added(list(overhead.values()))) if overhead else None
    routes = [
        {"route": route, **asdict(spread)}
        for route, buckets in overhead.items()
        if (spread := spread_of(buckets)) is not None
    ]
    calls = [
        {"upstream": upstream, "operation": operation, **asdict(spread)}
        for (upstream, operation), buckets in parts.metrics.buckets("reelgate_upstream_duration_seconds").items()
        if (spread := spread_of(buckets)) is not None
    ]
    return {
        "gateway": None if whole is None else asdict(whole),
        "routes": sorted(routes, key=lambda item: -item["count"]),
        "upstreams": sorted(calls, key=lambda item: (item["upstream"], item["operation"])),
    }


async def _failures(parts: Parts, now: float) -> list[dict[str, Any]]:
    """Why tasks have failed in the last day, and who can mend it."""
    return [
        {
            "fault": fault_of(trouble.code).value,
            "code": trouble.code,
            "upstream": trouble.upstream or None,
            "count": trouble.count,
            "message": trouble.message,
            "at": trouble.at,
            "task": ids.word(trouble.newest),
        }
        for trouble in await parts.books.failures(now - FAILURES_S)
    ]


def _errors(parts: Parts) -> list[dict[str, Any]]:
    """What requests to this process were answered with, and orders that ended in doubt; the most frequent first."""
    counts = parts.metrics.counts("reelgate_errors")
    found = [{"fault": fault, "code": code, "count": int(count)} for (fault, code), count in counts.items() if count]
    return sorted(found, key=lambda item: (-int(str(item["count"])), str(item["code"])))


async def _going(parts: Parts, count: int, now: float) -> dict[str, Any]:
    """What will be gone: films that nobody keeps, with those that go first, and keys whose time is nearly over."""
    films = [
        (at, task)
        for task in await parts.books.going(GOING_LOOKED_THROUGH_MAX)
        if (at := (task.finished_at or task.created_at) + (parts.upstreams.link_life_s(task) or DAY_S)) > now
    ]
    films.sort(key=lambda film: film[0])
    keys = [
        {"key": item.key.id, "at": item.key.expires_at}
        for item in parts.admission.issued()
        if item.revoked_at is None and item.key.expires_at is not None and now < item.key.expires_at < now + SOON_S
    ]
    return {
        "are_kept": parts.archive is not None,
        "films": count,
        "first_films": [{"task": ids.word(task.id), "caller": task.caller, "at": at} for at, task in films[:GOING_MAX]],
        "keys": sorted(keys, key=lambda key: key["at"] or 0.0),
    }


def fault_of(code: str) -> Fault:
    """Who can mend what a task failed with. Words that are not ours are an upstream's."""
    return _FAULTS.get(code, Fault.UPSTREAM)


def _faults() -> Mapping[str, Fault]:
    """Of every word in the tree of errors. Where classes share a word, whoever can mend it best: the caller."""
    found: dict[str, Fault] = {}
    open_classes = [GatewayError]
    while open_classes:
        kind = open_classes.pop()
        open_classes += kind.__subclasses__()
        if "code" in vars(kind) and (kind.code not in found or issubclass(kind, CallerError)):
            found[kind.code] = kind.fault
    return found


_FAULTS: Mapping[str, Fault] = {
    **_faults(),
    # What no class has: the words with which a task ends that was never sent, or that was refused for what it says.
    "cancelled": Fault.CALLER,
    "content_policy_violation": Fault.CALLER,
    "queue_timeout": Fault.POLICY,
}


def _first_day(now: float) -> float:
    return (now // DAY_S - DAYS + 1) * DAY_S
