"""What a figure is: a row of the table, with the rounds it was made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.load import Round


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `met` is None where there is no goal."""

    name: str
    gateway: str = ""
    yardstick: str = ""
    compared: str = ""
    goal: str = ""
    met: bool | None = None
    failed: str | None = None
    """Why there is no figure."""
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rounds of the gateway and of its yardstick, taken in turn."""

    gateway: Sequence[Round]
    yardstick: Sequence[Round]

    def middle(self, value: Callable[[Round], float]) -> tuple[float, float]:
        """The medians of both sides."""
        return median(map(value, self.gateway)), median(map(value, self.yardstick))

    def compare(self, each: Callable[[Round, Round], float]) -> tuple[float, float, float]:
        """(least, median, greatest) over the pairs, each of which saw the same minute of the machine."""
        values = sorted(each(ours, theirs) for ours, theirs in zip(self.gateway, self.yardstick, strict=True))
        return values[0], median(values), values[-1]


def throughput_row(name: str, pairs: Pairs, *, ratio_min: float | None = None) -> Row:
    """Requests a second, and the share of the yardstick's."""
    ours, theirs = pairs.middle(lambda item: item.per_s)
    least, middle, greatest = pairs.compare(lambda ours, theirs: ours.per_s / theirs.per_s)
    return Row(
        name,
        f"{ours:,.0f}/s",
        f"{theirs:,.0f}/s {pairs.yardstick[0].server}",
        f"{middle:.2f} ({least:.2f}…{greatest:.2f})",
        "" if ratio_min is None else f">= {ratio_min:.2f}",
        None if ratio_min is None else middle >= ratio_min,
        raw={"pairs": pairs, "ratio": [least, middle, greatest], "goal": ratio_min},
    )


def processor_row(name: str, pairs: Pairs, *, us_max: float | None = None) -> Row:
    """Processor time for a request: it hardly suffers from what else the machine does."""
    ours, theirs = pairs.middle(lambda item: item.cpu_us)
    share, _ = pairs.middle(lambda item: item.cpu_share)
    _, middle, _ = pairs.compare(lambda ours, theirs: theirs.cpu_us / ours.cpu_us)
    core = f"{middle:.2f} by processor, core {share:.0%} ours"
    return Row(
        name,
        f"{ours:,.0f} µs",
        f"{theirs:,.0f} µs",
        core,
        "" if us_max is None else f"<= {us_max:g} µs",
        None if us_max is None else ours <= us_max,
        raw={"us": ours, "ratio": middle, "cpu_share": share, "goal": us_max},
    )


def added_row(name: str, pairs: Pairs, *, added_ms_max: float | None = None) -> Row:
    """Milliseconds that the gateway adds to the median answer on one connection."""
    ours, theirs = pairs.middle(lambda item: item.p50_us / 1000)
    least, middle, greatest = pairs.compare(lambda ours, theirs: (ours.p50_us - theirs.p50_us) / 1000)
    return Row(
        name,
        f"{ours:.3f} ms",
        f"{theirs:.3f} ms",
        f"{middle:+.3f} ms ({least:+.3f}…{greatest:+.3f})",
        "" if added_ms_max is None else f"<= {added_ms_max:g} ms",
        None if added_ms_max is None else middle <= added_ms_max,
        raw={"pairs": pairs, "added_ms": [least, middle, greatest], "goal": added_ms_max},
    )


def tail_row(name: str, pairs: Pairs) -> Row:
    """The 99th percentile on one connection."""
    ours, theirs = pairs.middle(lambda item: item.p99_us / 1000)
    _, middle, _ = pairs.compare(lambda ours, theirs: (ours.p99_us - theirs.p99_us) / 1000)
    return Row(name, f"{ours:.3f} ms", f"{theirs:.3f} ms", f"{middle:+.3f} ms", raw={"added_ms": middle})
