"""What several processes counted, as one sum: pure sums over plain values.

Counters and histograms add up over all processes that ever lived, so that no sum goes backwards when one of them ends.
Gauges are of the living, each by its line in `measures.py`; and what whoever is asked knows himself, nobody tells him.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from gateway.measures import Across, Kind
from gateway.structs import Struct

Labels = tuple[tuple[str, str], ...]
OWN = "own"
"""Beside the words of `Across`: each process knows it himself."""

_ACROSS: Mapping[str, Callable[[float, float], float]] = {
    Across.SUM.value: lambda one, other: one + other,
    Across.MAX.value: max,
    Across.MIN.value: min,
    OWN: lambda one, other: one,
}


class Family(Struct, frozen=True):
    """All series of one metric. It says itself how it adds up: another process may be of another version.

    `samples`: the series' name and labels, and its value.
    """

    name: str
    kind: str
    says: str
    across: str
    samples: Mapping[tuple[str, Labels], float]

    @property
    def is_counted(self) -> bool:
        return self.kind != Kind.GAUGE.value

    def plain(self) -> list[Any]:
        """Itself in lists and words, for JSON."""
        samples = [[name, [list(pair) for pair in labels], value] for (name, labels), value in self.samples.items()]
        return [self.name, self.kind, self.says, self.across, samples]

    @classmethod
    def of_plain(cls, plain: Sequence[Any]) -> Self:
        """The inverse of `plain`."""
        name, kind, says, across, samples = plain
        pairs = {(series, tuple((key, word) for key, word in labels)): value for series, labels, value in samples}
        return cls(name, kind, says, across, pairs)


Families = Sequence[Family]


def told(families: Families) -> Families:
    """What a process has to tell the others: all but what they know themselves."""
    return [family for family in families if family.across != OWN]


def counted(families: Families) -> Families:
    """What is left of a process that is gone."""
    return [family for family in families if family.is_counted]


def add_up(own: Families, living: Iterable[Families], gone: Iterable[Families]) -> Families:
    """The sum of one process, those beside it, and those before it; in the order of `own`."""
    sums = {family.name: family for family in own}
    for others in living:
        for family in others:
            sums[family.name] = _joined(sums.get(family.name), family)
    for others in gone:
        for family in counted(others):
            sums[family.name] = _joined(sums.get(family.name), family)
    return list(sums.values())


def _joined(one: Family | None, other: Family) -> Family:
    if one is None:
        return other
    join = _ACROSS[one.across]
    samples = dict(one.samples)
    for series, value in other.samples.items():
        samples[series] = join(samples[series], value) if series in samples else value
    return Family(one.name, one.kind, one.says, one.across, samples)
