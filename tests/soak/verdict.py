"""Whether it was flat, exact, and always answered: the first sixth of a run against its last, and the books."""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from tests.soak.callers import Callers
from tests.soak.measuring import Sample, typical

PART = 6  # of an hour, ten minutes
# Memory fills what may be filled: twenty thousand tasks of two KiB, four thousand answers, what SQLite keeps of a file
# that grows, and what the allocator keeps of the worst moment. More than that is a leak.
MEMORY_MORE_MIB = 64.0
DESCRIPTORS_MORE, DESCRIPTORS_TIMES = 25, 1.5  # they breathe with the traffic
THREADS_MORE = 8
SLOWER_TIMES = 1.5  # beyond what the bare server became slower
SLOWER_MS = 2.0  # below this, a ratio says nothing
SAID_MAX = 20  # of one kind
BOUGHT_STATES = frozenset({"running", "completed"})


@dataclass(frozen=True)
class Compared:
    """One figure at the beginning and at the end."""

    name: str
    first: float | None
    last: float | None
    allowed: float | None
    """What the last may be at most; None where it is only shown."""

    @property
    def is_flat(self) -> bool:
        return self.allowed is None or self.last is None or self.last <= self.allowed

    def __str__(self) -> str:
        told = [
            f"{value:12.2f}" if value is not None else f"{'-':>12}" for value in (self.first, self.last, self.allowed)
        ]
        return f"{self.name:24}{''.join(told)}   {'' if self.is_flat else 'NOT FLAT'}".rstrip()


def compare(samples: Sequence[Sample]) -> list[Compared]:
    """The first sixth of the samples against the last. In the very first, the callers are only just coming."""
    samples = samples[1:] if len(samples) > PART else samples
    length = max(1, len(samples) // PART)
    first, last = list(samples[:length]), list(samples[-length:])

    def both(name: str) -> tuple[float | None, float | None]:
        return typical(first, name), typical(last, name)

    def plus(name: str, more: float, times: float = 1.0) -> Compared:
        before, after = both(name)
        return Compared(name, before, after, None if before is None else before * times + more)

    def beside_bare(name: str, bare: str) -> Compared:
        before, after = both(name)
        bare_before, bare_after = both(bare)
        if before is None or not bare_before or bare_after is None:
            return Compared(name, before, after, None)
        machine = max(1.0, bare_after / bare_before)
        return Compared(name, before, after, max(before * machine * SLOWER_TIMES, before + SLOWER_MS))

    def shown(name: str) -> Compared:
        return Compared(name, *both(name), None)

    return [
        plus("rss_mib", MEMORY_MORE_MIB),
        plus("descriptors", DESCRIPTORS_MORE, DESCRIPTORS_TIMES),
        plus("threads", THREADS_MORE),
        beside_bare("poll_p50", "bare_p50"),
        beside_bare("poll_p99", "bare_p99"),
        beside_bare("create_p50", "bare_p50"),
        beside_bare("create_p99", "bare_p99"),
        *(shown(name) for name in ("bare_p50", "bare_p99", "watch_p50", "watch_max", "age_s", "database_mib")),
    ]


def check_books(callers: Callers) -> list[str]:
    """One sentence for everything that does not add up between callers, gateway and upstream, once all is over."""
    stage = callers.stage
    with closing(sqlite3.connect(f"file:{stage.folder / 'reelgate.db'}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT state, upstream_id, request FROM tasks").fetchall()
    orders = [(state, upstream_id, json.loads(request)["prompt"]) for state, upstream_id, request in rows]
    return list(find_wrong(orders, list(stage.bought.values()), set(callers.told.values()), stage.drift))


def find_wrong(
    orders: Sequence[tuple[str, str | None, str]], sold: Sequence[str], told: Collection[str], drift: Sequence[str]
) -> Iterator[str]:
    """`orders` are the gateway's tasks (state, upstream's id, prompt), `sold` the prompts of all that the upstream
    billed, `told` those of which a caller was told an id."""
    bought = set(sold)
    yield from (f"the books: {line}" for line in drift[:SAID_MAX])
    yield from (f"bought twice: {prompt}" for prompt, times in Counter(sold).items() if times > 1)
    tasks = Counter(prompt for state, _, prompt in orders if state != "refused")
    yield from (f"{count} tasks of one order: {prompt}" for prompt, count in tasks.items() if count > 1)
    known = {prompt for _, _, prompt in orders}
    yield from (f"bought without an intention: {prompt}" for prompt in sorted(bought - known)[:SAID_MAX])
    yield from (f"told and forgotten: {prompt}" for prompt in sorted(set(told) - known)[:SAID_MAX])
    held = {prompt for state, upstream_id, prompt in orders if upstream_id is not None or state in BOUGHT_STATES}
    yield from (f"counted and never bought: {prompt}" for prompt in sorted(held - bought)[:SAID_MAX])
    unspent = {prompt for state, _, prompt in orders if state in ("refused", "queued")}
    doubtful = {prompt for state, _, prompt in orders if state not in ("refused", "queued")}
    yield from (f"bought and not counted: {prompt}" for prompt in sorted((unspent - doubtful) & bought)[:SAID_MAX])
