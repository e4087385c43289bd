"""What happened to a task, one thing after the other, in words for people.

Attempts, the ledger and the task itself each know a part of it. Whoever came with a virtual key is told what a client
would be: not which key of the upstream was used, nor what an upstream said to it, nor why a person moved the money.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.structs import Struct

_OUTCOMES: Mapping[str, tuple[str, str]] = {
    "accepted": ("{upstream} accepted it", "good"),
    "refused": ("{upstream} refused it: nothing was bought", "bad"),
    "doubt": ("It is not known whether {upstream} accepted it", "warn"),
}
_LINES: Mapping[str, str] = {
    "reserve": "{amount} reserved",
    "suspend": "{amount} wait for a person",
    "resume": "{amount} reserved again",
    "settle": "{amount} spent",
    "release": "{amount} available again",
}
_ENDS: Mapping[str, tuple[str, str]] = {
    "completed": ("The film is there", "good"),
    "failed": ("It failed", "bad"),
    "refused": ("It was refused", "bad"),
}


class Event(Struct, frozen=True):
    """One thing that happened. `kind` is good, bad, warn or nothing."""

    at: float
    words: str
    note: str | None = None
    kind: str = ""


def timeline(story: Mapping[str, Any], *, is_operator: bool) -> list[Event]:
    """The events of a story (`flows/overview.py`), the oldest first; those of one moment as they follow each other."""
    task = story["task"]
    events = [*_beginning(task), *_attempts(story, is_operator), *_end(task), *_ledger(story, is_operator)]
    return sorted(events, key=lambda event: event.at)  # which keeps the order of equals


def _beginning(task: Mapping[str, Any]) -> Iterator[Event]:
    yield Event(task["created_at"], f"Ordered by {task['caller']}", f"in the dialect {task['dialect']}")


def _attempts(story: Mapping[str, Any], is_operator: bool) -> Iterator[Event]:
    for attempt in story["attempts"]:
        upstream = attempt["upstream"] or "an upstream"
        key = f"with the key {attempt['key']}" if is_operator else None
        yield Event(attempt["started_at"], f"Attempt {attempt['number']}: sent to {upstream}", key)
        if attempt["ended_at"] is not None:
            words, kind = _OUTCOMES[attempt["outcome"]]
            why = _why(attempt) if is_operator else None
            yield Event(attempt["ended_at"], words.format(upstream=upstream), why, kind)


def _why(attempt: Mapping[str, Any]) -> str | None:
    status = attempt["http_status"]
    said = (attempt["reason"], None if status is None else f"HTTP {status}", attempt["row"])
    return ", ".join(str(word) for word in said if word is not None) or None


def _end(task: Mapping[str, Any]) -> Iterator[Event]:
    if task["finished_at"] is not None:
        words, kind = _ENDS[task["state"]]
        failure = task["failure"]
        yield Event(task["finished_at"], words, None if failure is None else failure["message"], kind)


def _ledger(story: Mapping[str, Any], is_operator: bool) -> Iterator[Event]:
    for entry in story["entries"]:
        amount = f"{entry['amount']} {story['task']['currency']}"
        yield Event(entry["at"], _LINES[entry["kind"]].format(amount=amount), entry["reason"] if is_operator else None)
