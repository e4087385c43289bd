"""How much is measured. A full run takes some twelve minutes, a quick one three."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """How many rounds of what length, and how many of everything else."""

    rounds: int
    """Pairs of gateway and yardstick, taken in turn. Odd, so that the median is one of them."""
    round_s: int
    latency_round_s: int
    warm_up_s: int
    """Of each server before its first round."""
    warm_s: int
    """Of polls before the memory is looked at first; at any pace worth measuring, 10,000 and more."""
    polls: int
    starts: int
    events: int
    """Of each stream."""
    stored: tuple[int, ...]
    """How many tasks there are already."""


FULL = Plan(
    rounds=3,
    round_s=4,
    latency_round_s=3,
    warm_up_s=1,
    warm_s=4,
    polls=100_000,
    starts=5,
    events=1_000,
    stored=(0, 10_000, 1_000_000),
)
QUICK = Plan(
    rounds=3,
    round_s=1,
    latency_round_s=1,
    warm_up_s=1,
    warm_s=2,
    polls=10_000,
    starts=3,
    events=300,
    stored=(0, 10_000),
)

POLLING_S_MAX = 40  # for the memory figure: a slow gateway gets one over fewer polls
SETTLE_S = 0.3  # between rounds: what one server still has to do must not fall into the other's round
