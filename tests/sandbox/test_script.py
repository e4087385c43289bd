"""The script words that need no socket to be seen."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.script import WORDS, Stage, read_script

Create = Callable[..., Any]
REFUSALS = {
    "400": (400, "invalid_request", "invalid_request_error"),
    "401": (401, "unauthorized", "authentication_error"),
    "402": (402, "insufficient_quota", "insufficient_quota"),
    "403": (403, "model_access_denied", "invalid_request_error"),
    "404": (404, "not_found", "not_found_error"),
    "422": (422, "content_policy_violation", "invalid_request_error"),
    "429": (429, "rate_limit_exceeded", "rate_limit_error"),
    "429-bare": (429, "rate_limit_exceeded", "rate_limit_error"),
    "500": (500, "internal_error", "api_error"),
    "502": (502, "upstream_error", "upstream_error"),
    "503": (503, "service_unavailable", "service_unavailable_error"),
}
RETRY_AFTER = {"429": "2", "503": "5"}


@pytest.mark.parametrize(("word", "expected"), REFUSALS.items())
def test_a_status_word_refuses_and_sells_nothing(
    client: Any, create: Create, word: str, expected: tuple[int, str, str]
) -> None:
    answer = create(prompt=f"a ship #sandbox:{word} at dawn")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == expected
    assert answer.headers.get("retry-after") == RETRY_AFTER.get(word)
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize(("word", "status"), [("503-html", 503), ("504", 504)])
def test_an_edge_speaks_html_and_no_retry_after(client: Any, create: Create, word: str, status: int) -> None:
    answer = create(prompt=f"#sandbox:{word}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert "retry-after" not in answer.headers
    assert client.get("/_sandbox/videos").json() == []


def test_a_redirect_leads_to_a_path_that_is_not_there(client: Any, create: Create) -> None:
    answer = create(prompt="#sandbox:redirect")
    assert answer.status_code == 307
    assert client.post(answer.headers["location"], json={}).status_code == 404
    assert [entry["status"] for entry in client.get("/_sandbox/requests").json()] == [307, 404]
    assert client.get("/_sandbox/videos").json() == []


def test_a_number_lets_a_later_try_succeed(create: Create) -> None:
    prompt = "a ship #sandbox:429=2"
    assert [create(prompt=prompt).status_code for _ in range(4)] == [429, 429, 200, 200]
    assert create(prompt=f"{prompt} again").status_code == 429


def test_a_malformed_answer_is_html_and_was_billed(client: Any, create: Create) -> None:
    answer = create(prompt="#sandbox:malformed")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert len(client.get("/_sandbox/videos").json()) == 1


def test_malformed_json_breaks_off_before_the_id_and_was_billed(client: Any, create: Create) -> None:
    answer = create(prompt="#sandbox:malformed-json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    with pytest.raises(ValueError, match="delimiter"):
        answer.json()
    assert "id" not in answer.text
    assert len(client.get("/_sandbox/videos").json()) == 1


def test_an_answer_without_id_is_good_json_and_was_billed(client: Any, create: Create) -> None:
    answer = create(prompt="#sandbox:no-id")
    assert answer.status_code == 200
    assert answer.json()["object"] == "video.generation.task"
    assert "id" not in answer.json()
    assert len(client.get("/_sandbox/videos").json()) == 1


@pytest.mark.parametrize(
    ("word", "status", "retry_after"), [("poll-500", 500, None), ("poll-429", 429, "1"), ("poll-404", 404, None)]
)
def test_the_first_looks_can_go_wrong(
    client: Any, create: Create, word: str, status: int, retry_after: str | None
) -> None:
    def look(prompt: str, times: int) -> list[Any]:
        task_id = create(prompt=prompt).json()["id"]
        return [client.get(f"/evolink/v1/tasks/{task_id}") for _ in range(times)]

    answers = look(f"#sandbox:{word}", 4)
    assert [answer.status_code for answer in answers] == [status] * 3 + [200]
    assert answers[0].json()["error"]["code"] == status
    assert answers[0].headers.get("retry-after") == retry_after
    assert [answer.status_code for answer in look(f"#sandbox:{word}=1", 2)] == [status, 200]


def test_an_unknown_status_stands_for_processing(client: Any, create: Create, clock: Any) -> None:
    task_id = create(prompt="#sandbox:unknown-status").json()["id"]
    words = []
    for _ in range(3):
        words.append(client.get(f"/evolink/v1/tasks/{task_id}").json()["status"])
        clock.walk(15)
    assert words == ["pending", "rendering", "completed"]


def test_a_task_can_complete_without_results(client: Any, create: Create, clock: Any) -> None:
    task_id = create(prompt="#sandbox:no-result").json()["id"]
    clock.walk(30)
    answer = client.get(f"/evolink/v1/tasks/{task_id}").json()
    assert answer["status"] == "completed"
    assert "results" not in answer


def test_one_prompt_can_hold_a_word_of_each_stage(client: Any, create: Create, clock: Any) -> None:
    task_id = create(prompt="#sandbox:slow=0 #sandbox:poll-500=1 #sandbox:fail-content").json()["id"]
    clock.walk(30)
    assert client.get(f"/evolink/v1/tasks/{task_id}").status_code == 500
    assert client.get(f"/evolink/v1/tasks/{task_id}").json()["status"] == "failed"


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("#sandbox:tpyo", "no script word"),
        ("#sandbox:", "no script word"),
        ("#sandbox:429 #sandbox:500", "two script words"),
        ("#sandbox:no-id=3", "takes no number"),
    ],
)
def test_a_script_that_cannot_be_followed_is_refused(client: Any, create: Create, prompt: str, word: str) -> None:
    answer = create(prompt=prompt)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")
    assert word in answer.json()["error"]["message"]
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize("name", WORDS)
def test_every_word_can_be_read_and_says_what_it_does(name: str) -> None:
    (cue,) = read_script(f"a ship at dawn #sandbox:{name}, slowly", WORDS[name].only_in or "evolink").values()
    assert cue.name == name
    assert cue.word.does
    assert cue.word.stage in Stage


def test_a_prompt_without_a_word_has_no_script() -> None:
    assert read_script("a #sandbox of children", "evolink") == {}
