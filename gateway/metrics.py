"""The metrics, told of what happens in this process. What there is stands in `measures.py`.

Counters and histograms are the library's. Gauges say how things stand: those about storage are told anew by whoever is
about to read the exposition, those about the keys are asked then.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.samples import Sample

from gateway import __version__
from gateway.errors import GatewayError, UpstreamError
from gateway.keys import KeyState
from gateway.measures import CALLBACKS, DECLARED, FAILURES, OTHER, Declared, Kind
from gateway.money import MICROS
from gateway.quantiles import Bucket
from gateway.tallies import OF_REQUESTS, RequestTally
from gateway.totals import OWN, Families, Family
from gateway.video import Balance, Held, Money, State
from gateway.wire import CallRecord

# A second series for every series, which says when the first one began.
disable_created_metrics()  # type: ignore[no-untyped-call]  # of a library that is otherwise typed


class Bounded(Protocol):
    """One kind of work of which only so much may be under way."""

    @property
    def what(self) -> str: ...
    @property
    def most(self) -> int: ...
    @property
    def taken(self) -> int: ...
    @property
    def refused(self) -> int: ...


KeyStates = Callable[[], Iterable[tuple[str, str, KeyState]]]
Samples = dict[tuple[str, ...], float]
"""Label values → value."""


class Metrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters = {
            it.name: Counter(it.name, it.says, it.labels, registry=self._registry)
            for it in DECLARED
            if it.kind is Kind.COUNTER and it.name not in OF_REQUESTS
        }
        self._histograms = {
            it.name: Histogram(it.name, it.says, it.labels, buckets=it.buckets, registry=self._registry)
            for it in DECLARED
            if it.kind is Kind.HISTOGRAM and it.name not in OF_REQUESTS
        }
        self._requests = RequestTally(*[_DECLARED[name] for name in OF_REQUESTS])
        self._registry.register(self._requests)
        # Not the library's: a thousand keys have three thousand of them, which it takes 50 ms to write.
        self._gauges: dict[str, Samples] = {it.name: {} for it in DECLARED if it.kind is Kind.GAUGE}
        self._gauges["reelgate_build_info"] = {(__version__,): 1.0}
        self._key_states: KeyStates = tuple
        self._bounds: Sequence[Bounded] = ()
        self._refused: dict[str, int] = {}
        self._rates: dict[str, tuple[float, float]] = {}

    def begin(self, models: Iterable[str]) -> None:
        """Series that are there before their first event: of one that begins with it, `increase` never sees it."""
        for model in (*models, OTHER):
            self._count("spend", model, by=0)
        for outcome in CALLBACKS:
            self._count("callbacks", outcome, by=0)
        for kind in _kinds(GatewayError):
            self._count("errors", kind.fault.value, kind.code, by=0)
            if not issubclass(kind, UpstreamError):  # which is an answer to what was sent
                self._count("preflight_refusals", kind.code, by=0)

    # --- how things stand --------------------------------------------------------------------------------------------

    def mirror(self, key_states: KeyStates, bounds: Iterable[Bounded]) -> None:
        """Read the keys, and what is under way, whenever the metrics are scraped."""
        self._key_states = key_states
        self._bounds = tuple(bounds)

    def count_tasks(self, counts: Mapping[State, int]) -> None:
        """How many tasks storage holds in each state, asked by whoever is about to read the exposition."""
        self._gauges["reelgate_tasks"] = {(state.value,): float(counts.get(state, 0)) for state in State}

    def count_expiring(self, count: int, oldest_s: float) -> None:
        """How many finished films nobody has kept, and for how long, asked as the others."""
        self._gauges["reelgate_results_expiring"] = {(): float(count)}
        self._gauges["reelgate_oldest_result_seconds"] = {(): oldest_s}

    def count_money(self, keys: Mapping[str, Balance], teams: Mapping[str, Balance]) -> None:
        """What every key and team may spend and has spent, asked as the others.

        No key has a colon in its name, so a team is told from a key by it. Without a budget there is no amount.
        """
        owners = {(name,): balance for name, balance in keys.items()}
        owners |= {(f"team:{name}",): balance for name, balance in teams.items()}
        self._gauges["reelgate_budget_spent"] = {owner: it.spent / MICROS for owner, it in owners.items()}
        self._gauges["reelgate_budget_held"] = {owner: it.held / MICROS for owner, it in owners.items()}
        self._gauges["reelgate_budget_amount"] = {
            owner: it.limit / MICROS for owner, it in owners.items() if it.limit is not None
        }

    def count_holds(self, held: Mapping[Money, Held], now: float) -> None:
        """What is set aside in all, and since when, asked as the others."""
        self._gauges["reelgate_held_amount"] = {(money.value,): it.amount / MICROS for money, it in held.items()}
        self._gauges["reelgate_oldest_hold_seconds"] = {
            (money.value,): 0.0 if it.since is None else max(0.0, now - it.since) for money, it in held.items()
        }

    def freeze(self, is_frozen: bool) -> None:
        """Whether creates are stopped, asked as the others."""
        self._gauges["reelgate_frozen"] = {(): float(is_frozen)}

    def count_age(self, seconds: float) -> None:
        """How old the others are."""
        self._gauges["reelgate_storage_figures_age_seconds"] = {(): seconds}

    def storage_is_up(self) -> None:
        """The others could be asked."""
        self._gauges["reelgate_storage_up"] = {(): 1.0}

    def storage_is_down(self) -> None:
        """The others could not be asked; what storage said before is not told as if it still were so."""
        self._gauges["reelgate_storage_up"] = {(): 0.0}
        for name in _OF_STORAGE:
            self._gauges[name] = {}

    def audited(self, drift: int, now: float) -> None:
        """The books were looked through, and so many things did not add up."""
        self._gauges["reelgate_books_drift"] = {(): float(drift)}
        self._gauges["reelgate_books_audited_timestamp_seconds"] = {(): now}

    # --- what happened -----------------------------------------------------------------------------------------------

    def request(
        self, route: str, method: str, status: int, dialect: str, *, duration_s: float, overhead_s: float
    ) -> None:
        self._requests.add(route, method, status, dialect, duration_s=duration_s, overhead_s=overhead_s)

    def error(self, error: GatewayError) -> None:
        self._count("errors", error.fault.value, error.code)

    def refusal(self, error: GatewayError) -> None:
        self._count("preflight_refusals", error.code)

    def call(self, record: CallRecord) -> None:
        self._count("upstream_requests", record.upstream, record.operation, record.outcome)
        duration = self._histograms["reelgate_upstream_duration_seconds"]
        duration.labels(record.upstream, record.operation).observe(record.duration_s)

    def rotation(self, upstream: str, error: GatewayError) -> None:
        self._count("key_rotations", upstream, error.code)

    def finished(self, model: str, resolution: str, *, duration_s: float) -> None:
        self._histograms["reelgate_task_duration_seconds"].labels(model, resolution).observe(duration_s)

    def failed(self, model: str, code: str) -> None:
        self._count("task_failures", model, code if code in FAILURES else OTHER)

    def spent(self, model: str, price: int) -> None:
        """Money was settled; millionths."""
        self._count("spend", model, by=price / MICROS)

    def reserved(self, upstream: str, model: str, *, units: float, price: int) -> None:
        """An upstream said what it set aside (FACTS 1.5). Its unit has no rate to ours, but one model's units must be
        to its price as another's are; where they are not, a price here is not the upstream's."""
        self._count("upstream_reserved", upstream, model, by=units)
        units_before, price_before = self._rates.get(upstream, (0.0, 0.0))
        self._rates[upstream] = (units_before + units, price_before + price)
        if price > 0 and units_before > 0:
            average = units_before / price_before if price_before else 0.0
            drift = (units / price) / average - 1 if average else 0.0
            self._gauges["reelgate_price_drift_ratio"][upstream, model] = drift

    def poll_saved(self) -> None:
        self._counters["reelgate_polls_saved_total"].inc()

    def callback(self, outcome: str) -> None:
        """`outcome`: one of CALLBACKS."""
        self._count("callbacks", outcome)

    def surprise(self, upstream: str, kind: str) -> None:
        """`kind`: `status_word`, `known_id`."""
        self._count("upstream_surprises", upstream, kind)

    def buckets(self, name: str) -> dict[tuple[str, ...], list[Bucket]]:
        """What a histogram has counted in this process: label values → cumulative buckets."""
        found: dict[tuple[str, ...], list[Bucket]] = {}
        for sample in self._samples(name, f"{name}_bucket"):
            labels = tuple(value for label, value in sample.labels.items() if label != "le")
            found.setdefault(labels, []).append(Bucket(float(sample.labels["le"]), sample.value))
        return found

    def counts(self, name: str) -> dict[tuple[str, ...], float]:
        """What a counter has counted in this process, by its label values."""
        return {tuple(sample.labels.values()): sample.value for sample in self._samples(name, f"{name}_total")}

    def _samples(self, family_name: str, name: str) -> Iterator[Sample]:
        for family in self._registry.collect():
            if family.name == family_name:
                yield from (sample for sample in family.samples if sample.name == name)

    def exposition(self, families: Families | None = None) -> bytes:
        """Everything, in Prometheus's text format; with `families`, those instead."""
        if families is not None:
            return "".join(_written(families)).encode()
        self._look_around()
        return "".join(self._lines()).encode()

    def families(self) -> Families:
        """Everything, in plain values, in the order of the exposition."""
        self._look_around()
        counted = {
            f"{it.name}_total" if it.type == "counter" else it.name: it.samples for it in self._registry.collect()
        }
        plain = [
            _family(name, {(sample.name, tuple(sample.labels.items())): sample.value for sample in samples})
            for name, samples in counted.items()
        ]
        for name, gauge in self._gauges.items():
            labels = _DECLARED[name].labels
            series = {(name, tuple(zip(labels, said, strict=True))): value for said, value in gauge.items()}
            plain.append(_family(name, series))
        return plain

    def _look_around(self) -> None:
        self._gauges["reelgate_key_state"] = {
            (upstream, key, possible.value): float(possible is state)
            for upstream, key, state in self._key_states()
            for possible in KeyState
        }
        self._gauges["reelgate_under_way"] = {(bound.what,): float(bound.taken) for bound in self._bounds}
        self._gauges["reelgate_under_way_max"] = {(bound.what,): float(bound.most) for bound in self._bounds}
        for bound in self._bounds:
            self._count("overload_refusals", bound.what, by=bound.refused - self._refused.get(bound.what, 0))
            self._refused[bound.what] = bound.refused

    def _count(self, name: str, *labels: str, by: float = 1) -> None:
        self._counters[f"reelgate_{name}_total"].labels(*labels).inc(by)

    def _lines(self) -> Iterator[str]:
        # Not the library's writing either, which spells every label anew at every scrape.
        for family in self._registry.collect():
            yield _heading(_DECLARED[f"{family.name}_total" if family.type == "counter" else family.name])
            for sample in family.samples:
                labels = sample.labels
                yield f"{sample.name}{_braces(tuple(labels), tuple(labels.values()))} {sample.value!r}\n"
        for name, samples in self._gauges.items():
            if samples:
                declared = _DECLARED[name]
                yield _heading(declared)
                for values, value in samples.items():
                    yield f"{name}{_braces(declared.labels, values)} {value!r}\n"


# What is asked of storage at every scrape.
_OF_STORAGE = (
    *("reelgate_tasks", "reelgate_results_expiring", "reelgate_oldest_result_seconds", "reelgate_held_amount"),
    *("reelgate_oldest_hold_seconds", "reelgate_budget_amount", "reelgate_budget_spent", "reelgate_budget_held"),
)
# What whoever is asked knows as well as all others, and better: theirs is as old as their last scrape.
_ASKED = frozenset(
    (*_OF_STORAGE, "reelgate_storage_up", "reelgate_frozen", "reelgate_key_state", "reelgate_build_info")
)
_DECLARED = {declared.name: declared for declared in DECLARED}


def _family(name: str, samples: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]) -> Family:
    declared = _DECLARED[name]
    across = OWN if name in _ASKED else declared.across.value
    return Family(name, declared.kind.value, declared.says, across, samples)


def _written(families: Families) -> Iterator[str]:
    for family in families:
        if family.samples or family.is_counted:
            yield f"# HELP {family.name} {family.says}\n# TYPE {family.name} {family.kind}\n"
        for (name, labels), value in family.samples.items():
            yield f"{name}{_braces(tuple(key for key, _ in labels), tuple(word for _, word in labels))} {value!r}\n"


def _kinds(of: type[GatewayError]) -> Iterator[type[GatewayError]]:
    """Every class of errors that says a code of its own."""
    if "code" in vars(of):
        yield of
    for kind in of.__subclasses__():
        yield from _kinds(kind)


def _heading(declared: Declared) -> str:
    return f"# HELP {declared.name} {declared.says}\n# TYPE {declared.name} {declared.kind.value}\n"


@lru_cache(maxsize=16_384)  # the same at every scrape, for some thousand keys; three gauges of one key share theirs
def _braces(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not names:
        return ""
    pairs = sorted(zip(names, values, strict=True))
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
