"""What can be said of a task that is not over yet: how far it is, how long it takes, when asking again is worth it.

None of it is written down. The progress is the provider's where its protocol reports one; else an estimate from what
this installation has learnt, once the upstream was seen at work.
"""

import math

from gateway.memory import kind_of
from gateway.parts import Parts
from gateway.structs import Struct
from gateway.video import State, Task

AGES_AFTER_S = 1.0  # what is said in whole seconds and percents need not be said anew more often
# A client may read once for the whole of its wait how often to ask (FACTS 5.3): thirty times until the likely end.
ASKED_TIMES = 30


class Outlook(Struct, frozen=True):
    """What is likely. Seconds unless said otherwise."""

    progress: int
    """0–100."""
    is_estimate: bool
    """The progress is ours, and not the provider's."""
    expected_s: int | None
    """How long it takes in all, from the upstream's acceptance to the end."""
    news_in_s: float
    """When it is worth asking again."""
    pause_s: float
    """The pause between questions, for a client that fixes it once."""
    good_until: float
    """When all this should be asked anew (seconds since 1970)."""


def outlook(task: Task, parts: Parts) -> Outlook:
    """What is likely of this task now."""
    now, least_s = parts.clock(), parts.settings.min_interval_s
    watch = parts.memory.watches.get(task.id)
    if task.state is not State.RUNNING or watch is None:
        return Outlook(task.progress, False, None, least_s, least_s, math.inf if watch is None else now + AGES_AFTER_S)
    kind, age_s = kind_of(task), max(0.0, now - (task.started_at or task.created_at))
    expected_s = parts.memory.durations.expected_s(kind, age_s)
    estimate = None
    if task.generating and not parts.upstreams.reports_progress(task.upstream):
        estimate = parts.memory.durations.progress(kind, age_s)
    if estimate is not None:
        watch.shown = max(watch.shown, estimate)
    until_look_s = watch.due_at - now
    return Outlook(
        progress=max(task.progress, watch.shown),
        is_estimate=estimate is not None,
        expected_s=None if expected_s is None else round(expected_s),
        news_in_s=max(least_s, until_look_s if watch.is_mine else 0.0),
        pause_s=max(least_s, (expected_s or 0.0) / ASKED_TIMES),
        good_until=now + (min(AGES_AFTER_S, until_look_s) if until_look_s > 0 else AGES_AFTER_S),
    )
