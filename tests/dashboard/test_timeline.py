"""What happened to a task, in words and in order, and what of it is told to whom."""

from typing import Any

from gateway.web.dashboard.timeline import timeline

TASK = {
    "caller": "alice",
    "dialect": "openai",
    "currency": "EUR",
    "created_at": 100.0,
    "finished_at": 190.0,
    "state": "completed",
    "failure": None,
}
REFUSED = {
    "number": 1,
    "upstream": "evolink",
    "key": "main",
    "started_at": 100.0,
    "ended_at": 101.0,
    "outcome": "refused",
    "row": "H20",
    "http_status": 429,
    "reason": "rate_limited",
    "reserved": None,
}
ACCEPTED = REFUSED | {"number": 2, "upstream": "toapis", "started_at": 101.0, "ended_at": 103.0, "outcome": "accepted"}
ACCEPTED |= {"row": None, "http_status": None, "reason": None}
ENTRIES = [
    {"number": 1, "kind": "reserve", "amount": "0.28", "at": 100.0, "reason": None},
    {"number": 2, "kind": "settle", "amount": "0.28", "at": 190.0, "reason": "seen in the console"},
]
STORY: dict[str, Any] = {"task": TASK, "attempts": [REFUSED, ACCEPTED], "entries": ENTRIES}


def told(story: dict[str, Any], *, is_operator: bool) -> list[tuple[float, str, str | None, str]]:
    return [(event.at, event.words, event.note, event.kind) for event in timeline(story, is_operator=is_operator)]


def test_the_operator_is_told_everything_in_the_order_in_which_it_happened() -> None:
    assert told(STORY, is_operator=True) == [
        (100.0, "Ordered by alice", "in the dialect openai", ""),
        (100.0, "Attempt 1: sent to evolink", "with the key main", ""),
        (100.0, "0.28 EUR reserved", None, ""),
        (101.0, "evolink refused it: nothing was bought", "rate_limited, HTTP 429, H20", "bad"),
        (101.0, "Attempt 2: sent to toapis", "with the key main", ""),
        (103.0, "toapis accepted it", None, "good"),
        (190.0, "The film is there", None, "good"),
        (190.0, "0.28 EUR spent", "seen in the console", ""),
    ]


def test_a_virtual_key_is_told_neither_keys_nor_what_an_upstream_or_a_person_said() -> None:
    events = told(STORY, is_operator=False)
    assert [words for _, words, _, _ in events] == [words for _, words, _, _ in told(STORY, is_operator=True)]
    assert [note for _, _, note, _ in events if note] == ["in the dialect openai"]


def test_what_is_not_over_has_no_end() -> None:
    running = TASK | {"finished_at": None, "state": "running"}
    sending = REFUSED | {"ended_at": None, "outcome": "intent"}
    events = told({"task": running, "attempts": [sending], "entries": ENTRIES[:1]}, is_operator=True)
    assert [words for _, words, _, _ in events] == [
        "Ordered by alice",
        "Attempt 1: sent to evolink",
        "0.28 EUR reserved",
    ]


def test_a_failure_says_why() -> None:
    failed = TASK | {"state": "failed", "failure": {"code": "x", "message": "the content was refused"}}
    suspend = {"number": 2, "kind": "suspend", "amount": "0.28", "at": 190.0, "reason": None}
    events = told({"task": failed, "attempts": [], "entries": [*ENTRIES[:1], suspend]}, is_operator=False)
    assert events[-2:] == [
        (190.0, "It failed", "the content was refused", "bad"),
        (190.0, "0.28 EUR wait for a person", None, ""),
    ]
