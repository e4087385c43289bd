"""The panels of the dashboard: what each asks Prometheus. `dashboard.py` makes of them what Grafana wants.

How the series of several gateways make one is said by `docs/metrics.md`: counters are summed, and what all gateways
tell of the same storage is taken once (`max by`), whatever is summed after that. Tests ask a real Prometheus all of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RATE = "[$__rate_interval]"
MONEY, SECONDS, SHARE, PER_S, COUNT = "currency", "s", "percentunit", "reqps", "short"

# Whatever streams or waits by its nature says nothing of how fast the gateway is.
_ANSWERS = '{route!~".*/events|.*/content|.*passthrough.*|/metrics"}'
_KEYS = '{virtual_key!~"team:.+",virtual_key=~"$virtual_key"}'
_TEAMS = '{virtual_key=~"team:.+"}'
_FILMS = '{model=~"$model",resolution=~"$resolution"}'
_KEY = "upstream, key, state"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. A query is an expression and how its series are called."""

    title: str
    kind: str
    unit: str
    queries: Sequence[tuple[str, str]]
    says: str = ""
    width: int = 8
    height: int = 8
    stacks: bool = False
    repeats: str | None = None
    """The variable for each value of which there is one such panel."""
    bad_from: float | None = None
    """From here on it is drawn in red."""


def _quantiles(metric: str, by: str = "", where: str = "", legend: str = "") -> list[tuple[str, str]]:
    """p50, p95 and p99 of a histogram."""
    labels = ", ".join(filter(None, ["le", by]))
    return [
        (
            f"histogram_quantile({part}, sum by ({labels}) (rate({metric}_bucket{where}{RATE})))",
            f"{name} {legend}".strip(),
        )
        for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    ]


def _per_s(metric: str, by: str, where: str = "", legend: str = "") -> list[tuple[str, str]]:
    """Only those that are: many series are there from the start, so that their first event is seen."""
    return [(f"sum by ({by}) (rate({metric}{where}{RATE})) > 0", legend or f"{{{{{by}}}}}")]


def _used(owners: str) -> str:
    """The share of a budget that is spent or held."""
    spent, held, amount = (
        f"max by (virtual_key) (reelgate_budget_{name}{owners})" for name in ("spent", "held", "amount")
    )
    return f"({spent} + {held}) / ({amount} > 0)"


def _stat(title: str, unit: str, query: str, says: str, bad_from: float | None = None) -> Panel:
    return Panel(title, "stat", unit, [(query, "")], says, width=4, height=4, bad_from=bad_from)


_UNFINISHED = 'reelgate_tasks{state=~"queued|opened|running|unconfirmed"}'

ROWS: Mapping[str, Sequence[Panel]] = {
    "Now": (
        _stat(
            "Spent in 24 hours",
            MONEY,
            'sum(max by (virtual_key) (increase(reelgate_budget_spent{virtual_key!~"team:.+"}[1d])))',
            "By all keys that are not revoked. A video counts when its film is there.",
        ),
        _stat(
            "Held",
            MONEY,
            "sum(max by (money) (reelgate_held_amount))",
            "Set aside for what is not over, or waits for a person.",
        ),
        _stat(
            "Oldest hold",
            SECONDS,
            "max(reelgate_oldest_hold_seconds)",
            "What is older than an hour waits for a person: `reelgate tasks reconcile`.",
            bad_from=3600,
        ),
        _stat("Unfinished tasks", COUNT, f"sum(max by (state) ({_UNFINISHED}))", "Waiting, sent, running or in doubt."),
        _stat(
            "Films in 24 hours",
            COUNT,
            "sum(increase(reelgate_task_duration_seconds_count[1d]))",
            "Finished films of all gateways.",
        ),
        _stat(
            "Alerts",
            COUNT,
            'count(ALERTS{alertname=~"Reelgate.+",alertstate="firing"}) or vector(0)',
            "Rules of deploy/prometheus/alerts.yml that fire.",
            bad_from=1,
        ),
        _stat(
            "Usable upstream keys",
            COUNT,
            f'sum(max by ({_KEY}) (reelgate_key_state{{state="ok"}}))',
            "Keys that take a create now.",
        ),
        _stat(
            "Results expiring",
            COUNT,
            "max(reelgate_results_expiring)",
            "Finished films that are not kept, and go when their links do.",
        ),
        _stat(
            "Books that do not add up",
            COUNT,
            "max(reelgate_books_drift)",
            "Found by the last audit, once an hour. Must be 0.",
            bad_from=1,
        ),
        _stat("Creates frozen", "bool_yes_no", "max(reelgate_frozen)", "By `reelgate freeze`.", bad_from=1),
        _stat("Storage answers", "bool_yes_no", "min(reelgate_storage_up)", "At every gateway."),
        _stat("Gateways", COUNT, "count(reelgate_build_info)", "That were scraped lately."),
    ),
    "Money": (
        Panel(
            "Budgets of virtual keys",
            "bargauge",
            SHARE,
            [(_used(_KEYS), "{{virtual_key}}")],
            "Spent and held, of what the current period allows.",
            bad_from=0.8,
        ),
        Panel(
            "Budgets of teams",
            "bargauge",
            SHARE,
            [(_used(_TEAMS), "{{virtual_key}}")],
            "Spent and held, of what the current period allows.",
            bad_from=0.8,
        ),
        Panel(
            "Spent in 24 hours, by virtual key",
            "bargauge",
            MONEY,
            [(f"max by (virtual_key) (increase(reelgate_budget_spent{_KEYS}[1d]))", "{{virtual_key}}")],
        ),
        Panel(
            "Spent in the current period",
            "timeseries",
            MONEY,
            [(f"max by (virtual_key) (reelgate_budget_spent{_KEYS})", "{{virtual_key}}")],
            "Falls to 0 when a budget's period ends.",
        ),
        Panel(
            "Held, by virtual key",
            "timeseries",
            MONEY,
            [(f"max by (virtual_key) (reelgate_budget_held{_KEYS})", "{{virtual_key}}")],
            stacks=True,
        ),
        Panel(
            "Spend, by model",
            "timeseries",
            MONEY,
            [(f'sum by (model) (increase(reelgate_spend_total{{model=~"$model"}}{RATE}))', "{{model}}")],
            "Whatever was settled in each interval.",
            stacks=True,
        ),
        Panel(
            "Held in all", "timeseries", MONEY, [("max by (money) (reelgate_held_amount)", "{{money}}")], stacks=True
        ),
        Panel(
            "Age of the oldest hold",
            "timeseries",
            SECONDS,
            [("max by (money) (reelgate_oldest_hold_seconds)", "{{money}}")],
            bad_from=3600,
        ),
        Panel(
            "Price drift",
            "timeseries",
            SHARE,
            [("max by (upstream, model) (reelgate_price_drift_ratio)", "{{upstream}} {{model}}")],
            "How far what an upstream reserved for the last video lies from its average; 0 where prices agree.",
        ),
    ),
    "Tasks": (
        Panel(
            "Tasks that are not over",
            "timeseries",
            COUNT,
            [(f"max by (state) ({_UNFINISHED})", "{{state}}")],
            stacks=True,
        ),
        Panel("Tasks in storage", "bargauge", COUNT, [("max by (state) (reelgate_tasks)", "{{state}}")]),
        Panel(
            "Tasks that failed, by reason",
            "timeseries",
            COUNT,
            [(f'sum by (reason) (increase(reelgate_task_failures_total{{model=~"$model"}}{RATE}))', "{{reason}}")],
            "Accepted, or possibly so, and ended without a film.",
            stacks=True,
        ),
        Panel(
            "Durations of $model",
            "heatmap",
            SECONDS,
            [(f"sum by (le) (increase(reelgate_task_duration_seconds_bucket{_FILMS}{RATE}))", "{{le}}")],
            "From acceptance to the finished film, for the resolutions chosen above.",
            width=24,
            repeats="model",
        ),
        Panel(
            "Durations, by model and resolution",
            "timeseries",
            SECONDS,
            _quantiles("reelgate_task_duration_seconds", "model, resolution", _FILMS, "{{model}} {{resolution}}"),
            width=24,
        ),
        Panel(
            "Results expiring",
            "timeseries",
            COUNT,
            [("max(reelgate_results_expiring)", "films")],
            "Finished films that are not kept.",
            width=6,
        ),
        Panel(
            "Age of the oldest of them",
            "timeseries",
            SECONDS,
            [("max(reelgate_oldest_result_seconds)", "oldest")],
            "A link of an upstream lives a day.",
            width=6,
            bad_from=72_000,
        ),
        Panel(
            "Polls saved",
            "timeseries",
            PER_S,
            [
                (f"sum(rate(reelgate_polls_saved_total{RATE}))", "answered without a look"),
                (f'sum(rate(reelgate_upstream_requests_total{{operation="poll"}}{RATE}))', "looks at upstreams"),
            ],
            width=6,
        ),
        Panel("Callbacks", "timeseries", PER_S, _per_s("reelgate_callbacks_total", "outcome"), width=6),
    ),
    "Gateway": (
        Panel(
            "Places taken, of those there are",
            "timeseries",
            SHARE,
            [("sum by (what) (reelgate_under_way) / sum by (what) (reelgate_under_way_max)", "{{what}}")],
            width=12,
        ),
        Panel(
            "Refused for want of a place",
            "timeseries",
            PER_S,
            [(f"sum by (what) (rate(reelgate_overload_refusals_total{RATE}))", "{{what}}")],
            width=6,
        ),
        Panel(
            "Age of what storage says",
            "timeseries",
            "s",
            [("max(reelgate_storage_figures_age_seconds)", "age")],
            width=6,
        ),
        Panel(
            "Answers, by status",
            "timeseries",
            PER_S,
            _per_s("reelgate_requests_total", "status"),
            stacks=True,
        ),
        Panel(
            "Latency",
            "timeseries",
            SECONDS,
            _quantiles("reelgate_request_duration_seconds", where=_ANSWERS),
            "Of all answers but streams and films.",
        ),
        Panel(
            "Overhead",
            "timeseries",
            SECONDS,
            _quantiles("reelgate_overhead_seconds", where=_ANSWERS),
            "Of the latency, what was not spent waiting for an upstream.",
        ),
        Panel("Answers, by dialect", "timeseries", PER_S, _per_s("reelgate_requests_total", "dialect"), stacks=True),
        Panel("Errors, by fault", "timeseries", PER_S, _per_s("reelgate_errors_total", "fault"), stacks=True),
        Panel(
            "Creates refused before anything was sent",
            "timeseries",
            PER_S,
            _per_s("reelgate_preflight_refusals_total", "reason"),
            stacks=True,
        ),
    ),
    "Upstreams": (
        Panel(
            "States of keys",
            "state-timeline",
            COUNT,
            [(f"max by ({_KEY}) (reelgate_key_state) == 1", "{{upstream}} {{key}} {{state}}")],
            "A line for each state that a key was in.",
            width=16,
        ),
        Panel(
            "Rotations",
            "timeseries",
            PER_S,
            _per_s("reelgate_key_rotations_total", "upstream, reason", legend="{{upstream}} {{reason}}"),
            "Submits that moved on to another key or upstream.",
        ),
        Panel(
            "Calls, by outcome",
            "timeseries",
            PER_S,
            _per_s("reelgate_upstream_requests_total", "upstream, outcome", legend="{{upstream}} {{outcome}}"),
        ),
        Panel(
            "Latency of submits",
            "timeseries",
            SECONDS,
            _quantiles("reelgate_upstream_duration_seconds", "upstream", '{operation="submit"}', "{{upstream}}"),
        ),
        Panel(
            "Latency of looks",
            "timeseries",
            SECONDS,
            _quantiles("reelgate_upstream_duration_seconds", "upstream", '{operation="poll"}', "{{upstream}}"),
        ),
        Panel(
            "Share of failed calls",
            "timeseries",
            SHARE,
            [
                (
                    f'sum by (upstream) (rate(reelgate_upstream_requests_total{{outcome!~"[1-4]xx"}}{RATE}))'
                    f" / sum by (upstream) (rate(reelgate_upstream_requests_total{RATE}) > 0)",
                    "{{upstream}}",
                )
            ],
            "No answer, or one that is the upstream's own failure.",
            bad_from=0.2,
        ),
        Panel(
            "Surprises",
            "timeseries",
            COUNT,
            [(f"sum by (upstream, kind) (increase(reelgate_upstream_surprises_total{RATE}))", "{{upstream}} {{kind}}")],
            "What no document of an upstream lists.",
        ),
        Panel(
            "Reserved at upstreams",
            "timeseries",
            COUNT,
            [
                (
                    f"sum by (upstream, model) (increase(reelgate_upstream_reserved_total{RATE}))",
                    "{{upstream}} {{model}}",
                )
            ],
            "What they said they set aside, each in its own unit.",
        ),
    ),
}
VARIABLES: Mapping[str, str] = {
    "virtual_key": "label_values(reelgate_budget_spent, virtual_key)",
    "model": "label_values(reelgate_task_duration_seconds_count, model)",
    "resolution": "label_values(reelgate_task_duration_seconds_count, resolution)",
}
