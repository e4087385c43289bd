"""Every metric, declared once. Labels are closed sets: never a client's words, never a secret.

Counters are told of what happened; gauges that mirror the parts (`tasks`, `key_state`) are read when scraped.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.errors import GatewayError
from gateway.keys import KeyState
from gateway.money import MICROS
from gateway.video import Balance, State
from gateway.wire import CallRecord

_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_UPSTREAM_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
_TASK_BUCKETS = (15, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1800)
_OTHER_METHOD = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

KeyStates = Callable[[], Iterable[tuple[str, str, KeyState]]]


class Metrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "reelgate_requests",
            "Requests answered.",
            ("route", "method", "status", "dialect"),
            registry=registry,
        )
        self._request_duration = Histogram(
            "reelgate_request_duration_seconds",
            "From the first byte of a request to the last byte of its answer.",
            ("route",),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._overhead = Histogram(
            "reelgate_overhead_seconds",
            "Of a request's duration, what was not spent waiting for an upstream.",
            ("route",),
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._upstream_requests = Counter(
            "reelgate_upstream_requests",
            "Calls to upstreams.",
            ("upstream", "operation", "outcome"),
            registry=registry,
        )
        self._upstream_duration = Histogram(
            "reelgate_upstream_duration_seconds",
            "Duration of calls to upstreams.",
            ("upstream", "operation"),
            buckets=_UPSTREAM_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "reelgate_errors",
            "Requests that were answered with an error, by whose fault it was.",
            ("fault", "reason"),
            registry=registry,
        )
        self._refusals = Counter(
            "reelgate_preflight_refusals",
            "Creates refused before anything was sent.",
            ("reason",),
            registry=registry,
        )
        self._rotations = Counter(
            "reelgate_key_rotations",
            "Submits that moved on to another key or upstream because nothing was bought.",
            ("upstream", "reason"),
            registry=registry,
        )
        self._task_duration = Histogram(
            "reelgate_task_duration_seconds",
            "From acceptance by the upstream to the finished film.",
            ("model", "resolution"),
            buckets=_TASK_BUCKETS,
            registry=registry,
        )
        self._spend = Counter(
            "reelgate_spend",
            "Price of finished videos, in the configured currency.",
            ("model",),
            registry=registry,
        )
        self._polls_saved = Counter(
            "reelgate_polls_saved",
            "Polls of clients that were answered without a look at the upstream.",
            registry=registry,
        )
        self._callbacks = Counter(
            "reelgate_callbacks",
            "Attempts to tell a caller of the end of its task, and callbacks that were withdrawn without one.",
            ("outcome",),
            registry=registry,
        )
        self._surprises = Counter(
            "reelgate_upstream_surprises",
            "Answers of upstreams that no document lists.",
            ("upstream", "kind"),
            registry=registry,
        )
        self._reserved = Counter(
            "reelgate_upstream_reserved",
            "What upstreams said they set aside for accepted videos, in their own unit.",
            ("upstream", "model"),
            registry=registry,
        )
        self._drift = Gauge(
            "reelgate_price_drift_ratio",
            "How far the last video's reserved units per price lie from the upstream's average; 0 where prices agree.",
            ("upstream", "model"),
            registry=registry,
        )
        self._rates: dict[str, tuple[float, float]] = {}
        self._tasks = Gauge("reelgate_tasks", "Tasks in storage by state.", ("state",), registry=registry)
        self._expiring = Gauge(
            "reelgate_results_expiring",
            "Finished films that are not kept, and go when their links do.",
            registry=registry,
        )
        self._budgets = {
            name: Gauge(f"reelgate_budget_{name}", says, ("virtual_key",), registry=registry)
            for name, says in (
                ("amount", "What a virtual key may hold and spend in the current period; a team's under `team:ID`."),
                ("spent", "What the finished videos of a virtual key cost in the current period."),
                ("held", "What is set aside for the unfinished videos of a virtual key."),
            )
        }
        Gauge("reelgate_build_info", "The running version.", ("version",), registry=registry).labels(__version__).set(1)
        self._request_children: dict[tuple[str, str, int, str], Counter] = {}
        self._timing_children: dict[str, tuple[Histogram, Histogram]] = {}

    def mirror(self, key_states: KeyStates) -> None:
        """Read the keys whenever the metrics are scraped."""
        self._registry.register(_Mirror(key_states))

    def count_expiring(self, count: int) -> None:
        """How many finished films nobody has kept, asked by whoever is about to read the exposition."""
        self._expiring.set(count)

    def count_tasks(self, counts: Mapping[str, int]) -> None:
        """How many tasks storage holds in each state, asked by whoever is about to read the exposition."""
        for state in State:
            self._tasks.labels(state.value).set(counts.get(state.value, 0))

    def count_money(self, keys: Mapping[str, Balance], teams: Mapping[str, Balance]) -> None:
        """What every key and team may spend and has spent, asked by whoever is about to read the exposition.

        No key has a colon in its name, so a team is told from a key by it. Without a budget there is no amount.
        """
        for gauge in self._budgets.values():
            gauge.clear()
        for owner, balance in (*keys.items(), *((f"team:{name}", balance) for name, balance in teams.items())):
            self._budgets["spent"].labels(owner).set(balance.spent / MICROS)
            self._budgets["held"].labels(owner).set(balance.held / MICROS)
            if balance.limit is not None:
                self._budgets["amount"].labels(owner).set(balance.limit / MICROS)

    def request(
        self, route: str, method: str, status: int, dialect: str, *, duration_s: float, overhead_s: float
    ) -> None:
        key = (route, method if method in METHODS else _OTHER_METHOD, status, dialect)
        child = self._request_children.get(key)
        if child is None:
            child = self._request_children[key] = self._requests.labels(key[0], key[1], str(status), dialect)
        child.inc()
        timing = self._timing_children.get(route)
        if timing is None:
            timing = (self._request_duration.labels(route), self._overhead.labels(route))
            self._timing_children[route] = timing
        timing[0].observe(duration_s)
        timing[1].observe(overhead_s)

    def error(self, error: GatewayError) -> None:
        self._errors.labels(error.fault.value, error.code).inc()

    def refusal(self, error: GatewayError) -> None:
        self._refusals.labels(error.code).inc()

    def call(self, record: CallRecord) -> None:
        self._upstream_requests.labels(record.upstream, record.operation, record.outcome).inc()
        self._upstream_duration.labels(record.upstream, record.operation).observe(record.duration_s)

    def rotation(self, upstream: str, error: GatewayError) -> None:
        self._rotations.labels(upstream, error.code).inc()

    def finished(self, model: str, resolution: str | None, *, duration_s: float, price: float) -> None:
        self._task_duration.labels(model, resolution or "none").observe(duration_s)
        self._spend.labels(model).inc(price)

    def reserved(self, upstream: str, model: str, *, units: float, price: int) -> None:
        """An upstream said what it set aside (FACTS 1.5). Its unit has no rate to ours, but one model's units must be
        to its price as another's are; where they are not, a price here is not the upstream's."""
        self._reserved.labels(upstream, model).inc(units)
        units_before, price_before = self._rates.get(upstream, (0.0, 0.0))
        self._rates[upstream] = (units_before + units, price_before + price)
        if price > 0 and units_before > 0:
            average = units_before / price_before if price_before else 0.0
            self._drift.labels(upstream, model).set((units / price) / average - 1 if average else 0.0)

    def poll_saved(self) -> None:
        self._polls_saved.inc()

    def callback(self, outcome: str) -> None:
        """`outcome`: `delivered`, `failed` (the next attempt is due), `given_up`, `gone`, `withdrawn`."""
        self._callbacks.labels(outcome).inc()

    def surprise(self, upstream: str, kind: str) -> None:
        """`kind`: `status_word`, `known_id`, `unreadable`."""
        self._surprises.labels(upstream, kind).inc()

    def exposition(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _Mirror(Collector):
    def __init__(self, key_states: KeyStates) -> None:
        self._key_states = key_states

    def collect(self) -> Iterator[Metric]:
        keys = GaugeMetricFamily(
            "reelgate_key_state", "1 for the state a key is in.", labels=("upstream", "key", "state")
        )
        for upstream, key, state in self._key_states():
            for possible in KeyState:
                keys.add_metric((upstream, key, possible.value), float(possible is state))
        yield keys

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is asked of the parts before the first scrape
