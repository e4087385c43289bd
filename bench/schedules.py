"""The learnt schedule of looks beside a fixed one, on simulated films: no process, no clock, always the same figures.

A service is a way to draw how long a film takes. Both schedules watch the same films; the learnt one begins with
nothing, and its first films are left out of its figures, as a gateway that has been running for an hour leaves them
behind.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import mean, quantiles

from bench.rows import Row
from gateway.durations import Durations, Kind

FIXED_S = 10.0
MIN_S, MAX_S = 2.0, 30.0  # what `polling` is without a word in the configuration
FILMS, FIRST_FILMS = 2_000, 50
SHORT_LOOKS = 3  # a film that is over so soon cannot be known sooner with fewer looks
_KIND = Kind("MiniMax-Hailuo-2.3", "768P", "simulated")

SERVICES: Mapping[str, Callable[[random.Random], float]] = {
    "180 s, give or take 20": lambda rng: max(1.0, rng.gauss(180, 20)),
    "240 s, give or take 10": lambda rng: max(1.0, rng.gauss(240, 10)),
    "90 s, some much longer": lambda rng: 90 * rng.lognormvariate(0, 0.4),
    "60 s or 300 s": lambda rng: rng.choice((60, 300)) * rng.uniform(0.9, 1.1),
    "8 to 12 s": lambda rng: rng.uniform(8, 12),
}


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of watching: looks for each film, and seconds from its end until that was known."""

    looks: float
    late_s: float
    late_p95_s: float

    def __str__(self) -> str:
        return f"{self.looks:.1f} looks, {self.late_s:.1f} s late (p95 {self.late_p95_s:.1f})"


class Fixed:
    """The same pause, whatever was seen."""

    def wait_s(self, age_s: float, roll: float) -> float:
        """The first look falls anywhere in the rhythm."""
        return FIXED_S if age_s else FIXED_S * roll

    def learn(self, duration_s: float) -> None:
        """Nothing."""


class Learnt:
    """The gateway's own."""

    def __init__(self) -> None:
        self._durations = Durations()

    def wait_s(self, age_s: float, roll: float) -> float:
        """As the watcher asks."""
        return self._durations.look_after(_KIND, age_s, MIN_S, MAX_S, roll)

    def learn(self, duration_s: float) -> None:
        """As the watcher tells."""
        self._durations.learn(_KIND, duration_s)


def rows() -> Iterator[Row]:
    """A row for every service."""
    for name, draw in SERVICES.items():
        learnt, fixed = watched(draw, Learnt()), watched(draw, Fixed())
        is_sooner, are_fewer = learnt.late_s < fixed.late_s, learnt.looks < fixed.looks
        takes_longer = fixed.looks > SHORT_LOOKS
        yield Row(
            f"looks: {name}",
            str(learnt),
            f"{fixed}, every {FIXED_S:g} s",
            f"{learnt.looks / fixed.looks:.2f} looks, {learnt.late_s / fixed.late_s:.2f} late",
            "fewer, sooner" if takes_longer else "sooner",
            is_sooner and (are_fewer or not takes_longer),
            raw={"learnt": asdict(learnt), "fixed": asdict(fixed)},
        )


def watched(draw: Callable[[random.Random], float], schedule: Fixed | Learnt) -> Watched:
    """Watch the films of a service by a schedule."""
    films, rolls = random.Random(1), random.Random(2)  # noqa: S311 - films, not secrets
    looks, late = list[int](), list[float]()
    for _ in range(FILMS):
        ends_at = draw(films)
        seen_s, age_s, count = 0.0, 0.0, 0
        while age_s < ends_at:
            seen_s, count = age_s, count + 1
            age_s += schedule.wait_s(age_s, rolls.random())
        schedule.learn((seen_s + age_s) / 2)
        looks.append(count)
        late.append(age_s - ends_at)
    looks, late = looks[FIRST_FILMS:], late[FIRST_FILMS:]
    return Watched(mean(looks), mean(late), quantiles(late, n=20)[-1])
