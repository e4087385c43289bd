"""What the person who runs the gateway sees, ready for JSON: the admin API and `--json` of the commands say the same.

Money is text with at least two decimals, in the configured currency; times are seconds since 1970. Prompts stand here,
for whoever has the admin key or the storage itself, and in no log.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway import ids
from gateway.errors import InvalidRequest, Problem
from gateway.flows.decisions import NO_LIST, Findings
from gateway.money import render_micros
from gateway.parts import Desk, Parts
from gateway.periods import FOR_EVER_S, window_of
from gateway.store import GROUPS, Entry, Refusal, Story, Usage, Wanted
from gateway.structs import asdict, replace
from gateway.video import Balance, Budget, Caller, Route, State, Task
from gateway.virtual_keys import Issued, Team, moment_of, span_s_of

SUSPENSE = "suspense"
"""Stands beside the states of a task: those whose money waits for a person."""
LIMIT, LIMIT_MAX = 50, 500
USAGE_S = 30 * 86_400.0
FILTERS = ("caller", "team", "model", "upstream")


async def keys(desk: Desk, some: Sequence[Issued] | None = None) -> list[dict[str, Any]]:
    """Every virtual key there is or was, or some of them, with its money."""
    issued = desk.admission.issued() if some is None else some
    budgets = {item.key.id: item.key.budget for item in issued}
    balances, _ = await desk.books.balances(budgets, {}, desk.clock())
    return [key(item, balances[item.key.id], desk.clock()) for item in issued]


async def teams(desk: Desk) -> list[dict[str, Any]]:
    """Every team, with its money."""
    known = desk.admission.teams()
    _, balances = await desk.books.balances({}, {team.id: team.budget for team in known}, desk.clock())
    return [_team(team, balances[team.id], desk) for team in known]


async def usage(desk: Desk, said: Mapping[str, str], currency: str) -> dict[str, Any]:
    """What was spent and is held, by one of GROUPS, for all or for those that `said` names, and what every budget has
    left. Raises InvalidRequest."""
    now = desk.clock()
    _refuse_others(said, ("by", *FILTERS, "from", "to"))
    by = said.get("by", "key")
    if by not in GROUPS:
        raise InvalidRequest.at("by", "this cannot be grouped by", *GROUPS)
    since = _time(said, "from", now)
    until = _time(said, "to", now)
    since = now - USAGE_S if since is None else since
    spending = await spent(desk, by, Wanted(since=since, until=until, **_filters(said)))
    return {
        "currency": currency,
        "by": by,
        "from": _second(since),
        "to": _second(now if until is None else until),
        **spending,
        "budgets": await _budgets(desk),
    }


async def spent(desk: Desk, by: str, wanted: Wanted) -> dict[str, Any]:
    """What the tasks asked for cost, in groups and in all."""
    groups = await desk.books.usage(by, wanted)
    return {
        "groups": [{"name": name, **_usage(item)} for name, item in groups.items()],
        "total": _usage(_sum(groups.values())),
    }


async def page(desk: Desk, said: Mapping[str, str], seen_by: Caller | None = None) -> dict[str, Any]:
    """Tasks, newest first; `next` is what to say as `after` for those that follow. Raises InvalidRequest.

    All there are, or those that a caller may see.
    """
    wanted, limit, after = _read_page(said, desk.clock())
    wanted = replace(wanted, seen_by=seen_by)
    found = await desk.books.page(wanted, limit + 1, after)
    more = len(found) > limit
    return {
        "tasks": [task(item) for item in found[:limit]],
        "next": ids.word(found[limit - 1].id) if more else None,
    }


async def upstreams(parts: Parts) -> list[dict[str, Any]]:
    """Every upstream and its keys as this process sees them, never a secret, and when a key was last refused."""
    sights = parts.upstreams.sights()
    routes = [Route(upstream.name, sight.spec.id) for upstream, keys in sights for sight in keys]
    refused = await parts.books.refusals(routes)
    return [
        {
            "name": upstream.name,
            "provider": upstream.provider.NAME,
            "base_url": upstream.site.base_url,
            "priority": upstream.priority,
            "weight": upstream.weight,
            "keys": [
                {
                    "id": sight.spec.id,
                    "account": sight.spec.account,
                    "state": sight.state.value,
                    "until": _second(sight.until),
                    "barred_models": list(sight.barred),
                    "rpm": sight.spec.rpm,
                    "max_tasks": sight.spec.max_tasks,
                    "live_tasks": sight.live_tasks,
                    "last_refusal": _refusal(refused.get(Route(upstream.name, sight.spec.id))),
                }
                for sight in keys
            ],
        }
        for upstream, keys in sights
    ]


def story(told: Story) -> dict[str, Any]:
    """Everything that happened to a task and to its money."""
    return {
        "task": task(told.task) | {"request": told.task.request.canonical()},
        "waits_since": _second(told.waits_since),
        "attempts": [
            {
                "number": item.number,
                "upstream": item.upstream,
                "key": item.key_id,
                "started_at": _second(item.started_at),
                "ended_at": _second(item.ended_at),
                "outcome": item.outcome,
                "row": item.row,
                "http_status": item.http_status,
                "reason": item.reason,
                "reserved": item.reserved,
            }
            for item in told.attempts
        ],
        "entries": [_entry(item) for item in told.entries],
    }


def task(shown: Task) -> dict[str, Any]:
    """A task as whoever runs the gateway sees it."""
    request = shown.request
    return {
        "id": ids.word(shown.id),
        "number": str(shown.id),
        "state": shown.state.value,
        "money": shown.money.value,
        "caller": shown.caller,
        "team": shown.team,
        "dialect": shown.dialect,
        "model": request.model,
        "mode": shown.mode.value,
        "resolution": request.resolution,
        "duration": request.duration_s,
        "prompt": request.prompt,
        "price": _amount(shown.price),
        "currency": shown.currency,
        "upstream": shown.upstream or None,
        "key": shown.key_id or None,
        "upstream_id": shown.upstream_id,
        "attempts": shown.attempts,
        "progress": shown.progress,
        "failure": None if shown.failure is None else asdict(shown.failure),
        "created_at": _second(shown.created_at),
        "started_at": _second(shown.started_at),
        "finished_at": _second(shown.finished_at),
        "looked_at": _second(shown.looked_at),
        "hidden": shown.hidden,
    }


def key(issued: Issued, money: Balance, now: float) -> dict[str, Any]:
    """A virtual key, never its text."""
    told = issued.key
    return {
        "id": told.id,
        "state": key_state(issued, now),
        "source": "configuration" if issued.is_configured else "storage",
        "hint": issued.hint,
        "team": told.team,
        "dialect": told.dialect,
        "models": list(told.models),
        "rpm": told.rpm,
        "max_tasks": told.max_tasks,
        "passthrough": told.passthrough,
        "created_at": _second(issued.created_at),
        "expires_at": _second(told.expires_at),
        "revoked_at": _second(issued.revoked_at),
        "budget": _budget(told.budget),
        "balance": balance(money, told.budget, now),
    }


def key_state(issued: Issued, now: float) -> str:
    """`active`, `expired` or `revoked`."""
    if issued.revoked_at is not None:
        return "revoked"
    return "expired" if issued.key.expires_at is not None and issued.key.expires_at <= now else "active"


def balance(money: Balance, budget: Budget | None, now: float) -> dict[str, Any]:
    """`available` is None where nothing is limited; the stretch that it counts in ends at `until`, if ever."""
    ends_at = FOR_EVER_S if budget is None else window_of(budget.period, now).ends_at
    return {
        "limit": _amount(money.limit),
        "available": _amount(money.remaining),
        "held": render_micros(money.held),
        "spent": render_micros(money.spent),
        "until": None if ends_at == FOR_EVER_S else _second(ends_at),
    }


def findings(found: Findings) -> dict[str, Any]:
    """What `reconcile` did, what it asks, and the commands that answer."""
    return {
        "brought_home": [task(item) for item in found.brought_home],
        "to_decide": [
            {"task": task(item.task), "evidence": item.evidence, "commands": _commands(item.task, item.evidence)}
            for item in found.questions
        ],
        "drift": list(found.drift),
        "note": NO_LIST,
    }


def _commands(shown: Task, evidence: str | None) -> list[str]:
    word = ids.word(shown.id)
    answers = [
        f"reelgate tasks adopt {word} {evidence or 'UPSTREAM_ID'}",
        f"reelgate tasks release {word} --reason WHY",
    ]
    return answers if shown.state is State.UNCONFIRMED else [*answers, f"reelgate tasks settle {word} --reason WHY"]


def _read_page(said: Mapping[str, str], now: float) -> tuple[Wanted, int, int | None]:
    _refuse_others(said, ("state", *FILTERS, "from", "to", "limit", "after"))
    states = (*(state.value for state in State), SUSPENSE)
    state = said.get("state")
    if state is not None and state not in states:
        raise InvalidRequest.at("state", "this is not a state of a task", *states)
    after = said.get("after")
    number = None if after is None else ids.number_of(after)
    if after is not None and number is None:
        raise InvalidRequest.at("after", "this is not the id of a task")
    wanted = Wanted(
        state=None if state in (None, SUSPENSE) else State(state),
        is_suspended=state == SUSPENSE,
        since=_time(said, "from", now),
        until=_time(said, "to", now),
        **_filters(said),
    )
    return wanted, _limit(said.get("limit")), number


def _filters(said: Mapping[str, str]) -> dict[str, Any]:
    return {name: said[name] for name in FILTERS if name in said}


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= LIMIT_MAX:
        raise InvalidRequest.at("limit", f"must be a whole number from 1 to {LIMIT_MAX}")
    return int(text)


def _time(said: Mapping[str, str], name: str, now: float) -> float | None:
    """`7d` and `12h` ago, a date, a date and time, or seconds since 1970."""
    text = said.get(name)
    if text is None:
        return None
    span_s = span_s_of(text)
    if span_s is not None:
        return now - span_s
    if text.isascii() and text.isdigit():
        return float(text[:12])
    moment = moment_of(text)
    if moment is None:
        raise InvalidRequest.at(name, "must be a time, like 7d (ago), 12h, 2030-12-31 or 2030-12-31T18:00:00Z")
    return moment


def _refuse_others(said: Mapping[str, str], known: Iterable[str]) -> None:
    names = tuple(known)
    problems = [Problem(name, "there is no such filter", names) for name in said if name not in names]
    if problems:
        raise InvalidRequest.of(problems)


async def _budgets(desk: Desk) -> list[dict[str, Any]]:
    """Of every key that opens something, and every team."""
    now = desk.clock()
    key_budgets, team_budgets = desk.admission.owners()
    of_keys, of_teams = await desk.books.balances(key_budgets, team_budgets, now)
    return [
        *({"key": name, **balance(money, key_budgets[name], now)} for name, money in of_keys.items()),
        *({"team": name, **balance(money, team_budgets[name], now)} for name, money in of_teams.items()),
    ]


def _team(shown: Team, money: Balance, desk: Desk) -> dict[str, Any]:
    return {
        "id": shown.id,
        "source": "configuration" if desk.admission.is_configured_team(shown.id) else "storage",
        "budget": _budget(shown.budget),
        "balance": balance(money, shown.budget, desk.clock()),
    }


def _budget(budget: Budget | None) -> dict[str, Any] | None:
    return None if budget is None else {"amount": render_micros(budget.amount), "period": budget.period}


def _usage(item: Usage) -> dict[str, Any]:
    return {
        "held": render_micros(item.held),
        "suspended": render_micros(item.suspended),
        "spent": render_micros(item.spent),
        "tasks": {state.value: count for state, count in sorted(item.tasks.items())},
    }


def _sum(items: Iterable[Usage]) -> Usage:
    total = Usage()
    for item in items:
        total.held += item.held
        total.suspended += item.suspended
        total.spent += item.spent
        for state, count in item.tasks.items():
            total.tasks[state] = total.tasks.get(state, 0) + count
    return total


def _refusal(found: Refusal | None) -> dict[str, Any] | None:
    if found is None:
        return None
    said = asdict(found) | {"at": _second(found.at), "task": ids.word(found.task_id)}
    del said["task_id"]
    return said


def _entry(item: Entry) -> dict[str, Any]:
    return asdict(item) | {"amount": render_micros(item.amount), "at": _second(item.at)}


def _amount(micros: int | None) -> str | None:
    return None if micros is None else render_micros(micros)


def _second(at: float | None) -> float | None:
    return None if at is None else round(at, 3)
