"""Which upstream is told where to call, in which place, and what of a callback is read."""

import json
from typing import Any

import pytest

from gateway.providers import PROVIDERS
from tests.providers.fakes import SITE, ask, offer

HINT = "https://films.example/v1/callbacks/video_0000000000001.1.0123456789abcdef"
CALLER = "https://caller.example/hook"
H02 = "MiniMax-Hailuo-02"


def body_of(provider: str, model: str, hint_url: str | None) -> Any:
    request = ask(model, hint_url=hint_url, callback_url=CALLER)
    body = PROVIDERS[provider].submission(request, offer(model=model), SITE).body
    assert body is not None
    return json.loads(body)


@pytest.mark.parametrize(
    ("provider", "model", "where"),
    [
        ("evolink", H02, ("callback_url",)),
        ("newapi", H02, ("metadata", "callback_url")),
        ("newapi", "MiniMax-Hailuo-2.3", ("metadata", "callback_url")),
        ("minimax", H02, ("callback_url",)),
        ("minimax", "MiniMax-Hailuo-2.3", ("callback_url",)),
        # Its page has no such field for this model; and theirs must be of an origin that is set at their site.
        ("evolink", "MiniMax-Hailuo-2.3", None),
        ("toapis", H02, None),
    ],
)
def test_a_hint_is_asked_for_in_the_documented_place_alone(
    provider: str, model: str, where: tuple[str, ...] | None
) -> None:
    said, plain = body_of(provider, model, HINT), body_of(provider, model, None)
    assert CALLER not in json.dumps([said, plain])
    if where is None:
        assert said == plain
        return
    place = said
    for name in where[:-1]:
        place = place[name]
    assert place.pop(where[-1]) == HINT
    assert {name: value for name, value in said.items() if value != {}} == plain


@pytest.mark.parametrize(
    "url",
    [
        "http://films.example/v1/callbacks/x",
        "https://127.0.0.1/v1/callbacks/x",
        "https://10.0.0.7:8443/v1/callbacks/x",
        "https://[::1]/v1/callbacks/x",
        "https://gateway/v1/callbacks/x",
        "https://films.example/" + "x" * 2048,
    ],
)
def test_evolink_is_not_told_of_an_address_for_which_it_would_refuse_the_create(url: str) -> None:
    assert "callback_url" not in body_of("evolink", H02, url)


@pytest.mark.parametrize(
    ("provider", "said", "expected"),
    [
        ("evolink", {"id": "task-1", "status": "completed"}, "task-1"),
        ("evolink", {"task_id": "task-1"}, None),
        ("minimax", {"task_id": "115334141465231360", "status": "success"}, "115334141465231360"),
        ("minimax", {"task_id": 115334141465231360}, "115334141465231360"),
        ("minimax", {"task_id": 0}, None),
        ("minimax", {"id": "115334141465231360"}, None),
        # The vendor's own id of a task that the site calls otherwise; and an upstream that is never told where to call.
        ("newapi", {"task_id": "115334141465231360", "id": "x"}, None),
        ("toapis", {"id": "task-1", "task_id": "task-1"}, None),
    ],
)
def test_a_callback_names_a_task_in_its_documented_place(provider: str, said: Any, expected: str | None) -> None:
    assert PROVIDERS[provider].id_in_callback(said) == expected
