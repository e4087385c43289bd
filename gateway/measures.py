"""The table of metrics: what each is called, what its labels may say, how the figures of several processes make one.

Rule for editors: a metric is a line of `DECLARED`, and what its labels may say stands in `LABELS`. `docs/metrics.md` is
made from both (`python tools/metrics.py > docs/metrics.md`). Whoever puts the figures of several processes together
goes by `ACROSS`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from gateway.structs import Struct


class Kind(StrEnum):
    """Prometheus's word for what a metric is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(StrEnum):
    """How the same series of several processes, workers or replicas, make one."""

    SUM = "sum"  # each tells its own part
    MAX = "max"  # each tells of what they share, some of them a moment later than others
    MIN = "min"  # it is well only where it is well with all of them


class Declared(Struct, frozen=True):
    """One metric, under the name that Prometheus shows."""

    name: str
    kind: Kind
    says: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    across: Across = Across.SUM
    buckets: tuple[float, ...] = ()


def _counter(name: str, says: str, *labels: str, unit: str = "") -> Declared:
    return Declared(f"reelgate_{name}_total", Kind.COUNTER, says, labels, unit)


def _histogram(name: str, says: str, *labels: str, buckets: tuple[float, ...]) -> Declared:
    return Declared(f"reelgate_{name}_seconds", Kind.HISTOGRAM, says, labels, "seconds", buckets=buckets)


def _gauge(name: str, says: str, *labels: str, unit: str = "", across: Across = Across.MAX) -> Declared:
    return Declared(f"reelgate_{name}", Kind.GAUGE, says, labels, unit, across)


_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_UPSTREAM_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
_TASK_BUCKETS = (15, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1800)

DECLARED: Sequence[Declared] = (
    _counter("requests", "Requests answered.", "route", "method", "status", "dialect"),
    _histogram(
        "request_duration",
        "From the first byte of a request to the last byte of its answer.",
        "route",
        buckets=_REQUEST_BUCKETS,
    ),
    _histogram(
        "overhead",
        "Of a request's duration, what was not spent waiting for an upstream.",
        "route",
        buckets=_REQUEST_BUCKETS,
    ),
    _counter(
        "errors",
        "Requests that were answered with an error, and orders that ended in doubt, by whose fault it was.",
        "fault",
        "reason",
    ),
    _counter("preflight_refusals", "Creates refused before anything was sent.", "reason"),
    _counter("polls_saved", "Polls of clients that were answered without a look at the upstream."),
    _counter("upstream_requests", "Calls to upstreams.", "upstream", "operation", "outcome"),
    _histogram(
        "upstream_duration", "Duration of calls to upstreams.", "upstream", "operation", buckets=_UPSTREAM_BUCKETS
    ),
    _counter(
        "upstream_surprises",
        "What no document of an upstream lists: a status word, or an id that another task holds.",
        "upstream",
        "kind",
    ),
    _counter(
        "upstream_reserved",
        "What upstreams said they set aside for accepted videos.",
        "upstream",
        "model",
        unit="the upstream's own",
    ),
    _gauge(
        "price_drift_ratio",
        "How far the last video's reserved units per price lie from the upstream's average; 0 where prices agree.",
        "upstream",
        "model",
        unit="ratio",
    ),
    _gauge("key_state", "1 for the state a key of an upstream is in, 0 for the others.", "upstream", "key", "state"),
    _counter(
        "key_rotations",
        "Submits that moved on to another key or upstream because nothing was bought.",
        "upstream",
        "reason",
    ),
    _gauge("tasks", "Tasks in storage by state.", "state"),
    _histogram(
        "task_duration",
        "From acceptance by the upstream to the finished film.",
        "model",
        "resolution",
        buckets=_TASK_BUCKETS,
    ),
    _counter(
        "task_failures", "Tasks that were accepted, or may have been, and ended without a film.", "model", "reason"
    ),
    _counter("spend", "What was spent: the prices of videos whose money was settled.", "model", unit="currency"),
    _gauge(
        "budget_amount",
        "What a virtual key may hold and spend in the current period; a team's under `team:ID`. None without a budget.",
        "virtual_key",
        unit="currency",
    ),
    _gauge(
        "budget_spent",
        "What the finished videos of a virtual key cost in the current period; a team's under `team:ID`.",
        "virtual_key",
        unit="currency",
    ),
    _gauge(
        "budget_held",
        "What is set aside for the unfinished videos of a virtual key; a team's under `team:ID`.",
        "virtual_key",
        unit="currency",
    ),
    _gauge("held_amount", "What is set aside in all, of every key and period.", "money", unit="currency"),
    _gauge(
        "oldest_hold_seconds", "Age of the oldest price that is set aside; 0 where none is.", "money", unit="seconds"
    ),
    _gauge("books_drift", "What did not add up in the ledger and the accounts when they were last audited."),
    _gauge("books_audited_timestamp_seconds", "When the books were last audited.", unit="seconds since 1970"),
    _counter(
        "callbacks",
        "Attempts to tell a caller of the end of its task, and callbacks that were withdrawn without one.",
        "outcome",
    ),
    _gauge("results_expiring", "Finished films that are not kept, and go when their links do."),
    _gauge(
        "oldest_result_seconds", "How long ago the oldest of those was finished; 0 where there is none.", unit="seconds"
    ),
    _gauge("frozen", "1 while a person has stopped all creates."),
    _gauge(
        "storage_up",
        "1 where storage answered this scrape; where it did not, 0, and what is read from it is left out.",
        across=Across.MIN,
    ),
    _gauge(
        "storage_figures_age_seconds",
        "How old what is read from storage is here: at most ten seconds where storage answers late.",
        unit="seconds",
    ),
    _counter("overload_refusals", "Work that was refused because as much of it was under way as may be.", "what"),
    _gauge("under_way", "Places that are taken, of each kind of work that has a bound.", "what", across=Across.SUM),
    _gauge("under_way_max", "Places that there are (`bounds` in the configuration).", "what", across=Across.SUM),
    _gauge("build_info", "Always 1; the label is the running version.", "version"),
)
ACROSS: Mapping[str, Across] = {declared.name: declared.across for declared in DECLARED}

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""Where a client or an upstream said a word of its own."""
CALLBACKS = ("delivered", "failed", "given_up", "gone", "withdrawn")
"""What becomes of an attempt to tell a caller; after `failed`, the next one is due."""
# An upstream's code for a failure is its own word; of these, the house knows what they mean.
FAILURES = frozenset({"content_policy_violation", "generation_failed", "generation_failed_no_content"}) | frozenset(
    {"result_missing", "upstream_task_missing", "submission_unconfirmed"}
)

LABELS: Mapping[str, str] = {
    "route": "a path as it stands in the list of routes, such as `/v1/tasks/{id}`; `/v1/{passthrough}` for all that is "
    "passed on, `unknown` for all that is not there",
    "method": "of HTTP, in capitals; `other` for any that the gateway does not know",
    "status": "of HTTP, 100 to 599; `499` for a client that left; `other` for what an upstream made up",
    "dialect": "`evolink`, `toapis`, `newapi`, `openai`, `minimax`; `none` where none was spoken",
    "fault": "`caller`, `policy` (whoever runs this gateway decided it), `upstream`, `gateway`",
    "reason": "a code of the gateway's own list (`gateway/errors.py`); of a failure, one of those listed in "
    "`gateway/measures.py`, or `other`",
    "what": "a name from `bounds` in the configuration",
    "upstream": "a name from `upstreams` in the configuration",
    "key": "an id from `upstreams[].keys` in the configuration, never the key",
    "operation": "`submit`, `poll`, `locate`, `upload`, `balance`, `passthrough`",
    "outcome": "of a call: the class of its status (`2xx`), or the code of the error that came instead; of a callback: "
    "`delivered`, `failed` (the next attempt is due), `given_up`, `gone` (410), `withdrawn`",
    "kind": "`status_word`, `known_id`",
    "model": "a model of the catalog; `other` for one that was forwarded unknown",
    "resolution": "a resolution of the catalog; `none` where a model has no choice, `other` for an unknown model",
    "state": "of a task: `queued`, `opened`, `running`, `unconfirmed`, `completed`, `failed`, `refused`; of a key: "
    "`ok`, `resting`, `exhausted`, `retired`, `barred`, `draining`",
    "virtual_key": "the id of a virtual key that is not revoked, or `team:` and the id of a team",
    "money": "`held` for tasks that are not over, `suspended` for those that wait for a person",
    "version": "of the gateway",
}
