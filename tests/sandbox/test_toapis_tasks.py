"""A video's life at ToAPIs, its balance and its errors (FACTS 2.2 to 2.4)."""

import re
from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., Any]
TASKS = "/toapis/v1/videos/generations"

REFUSALS = {
    "400": (400, "invalid_request", "invalid_request_error", None),
    "401": (401, "unauthorized", "authentication_error", None),
    "402": (402, "insufficient_quota", "insufficient_quota", None),
    "403": (403, "model_access_denied", "permission_error", None),
    "404": (404, "not_found", "not_found_error", None),
    "422": (422, "content_policy_violation", "invalid_request_error", None),
    "429": (429, "rate_limit_exceeded", "rate_limit_error", "2"),
    "429-bare": (429, "rate_limit_exceeded", "rate_limit_error", None),
    "500": (500, "internal_error", "api_error", None),
    "502": (502, "upstream_error", "api_error", None),
    "503": (503, "service_unavailable", "api_error", "5"),
}


def test_a_create_answers_in_the_documented_shape(create_toapis: Create) -> None:
    answer = create_toapis(metadata={"prompt_optimizer": True}).json()
    assert re.fullmatch(r"vid_01K4F[0-9A-HJKMNP-TV-Z]{21}", answer.pop("id"))
    assert answer == {
        "object": "generation.task",
        "model": "MiniMax-Hailuo-2.3",
        "status": "queued",
        "progress": 0,
        "created_at": 1757169743,
        "metadata": {},
    }


def test_ids_sort_by_time(create_toapis: Create, clock: Any) -> None:
    first = create_toapis().json()["id"]
    clock.walk(0.01)
    assert first < create_toapis().json()["id"]


def test_a_task_goes_from_queued_through_in_progress_to_completed(
    client: Any, create_toapis: Create, clock: Any
) -> None:
    task_id = create_toapis().json()["id"]

    def look() -> dict[str, Any]:
        answer = client.get(f"{TASKS}/{task_id}")
        assert answer.status_code == 200
        return dict(answer.json())

    head = {"id": task_id, "object": "generation.task", "model": "MiniMax-Hailuo-2.3", "created_at": 1757169743}
    assert look() == {**head, "status": "queued", "progress": 0}
    clock.walk(3)
    assert look() == {**head, "status": "in_progress", "progress": 1}
    clock.walk(27)
    url = f"http://sandbox.test/films/{task_id}.mp4"
    assert look() == {
        **head,
        "status": "completed",
        "progress": 100,
        "completed_at": 1757169773,
        "expires_at": 1757169773 + 24 * 3600,
        "result": {"type": "video", "data": [{"url": url, "format": "mp4"}]},
    }
    assert client.get(url, headers={"authorization": ""}).headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("fail-content", "Generation failed: Content violates the content policy"),
        ("fail-generation", "Generation failed: the generation ended without any content"),
    ],
)
def test_a_failed_task_says_why(client: Any, create_toapis: Create, clock: Any, word: str, message: str) -> None:
    task_id = create_toapis(prompt=f"a ship #sandbox:{word}").json()["id"]
    clock.walk(30)
    assert client.get(f"{TASKS}/{task_id}").json() == {
        "id": task_id,
        "object": "generation.task",
        "model": "MiniMax-Hailuo-2.3",
        "status": "failed",
        "progress": 0,
        "created_at": 1757169743,
        "error": {"code": "generation_failed", "message": message},
    }


def test_an_unknown_task_is_not_found(client: Any) -> None:
    answer = client.get(f"{TASKS}/vid_01J9HA7JPQ9A0Z6JZ3V8M9W6PZ")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {
            "code": "task_not_found",
            "message": "there is no such task",
            "param": "task_id",
            "type": "not_found_error",
        }
    }


@pytest.mark.parametrize(("word", "expected"), REFUSALS.items())
def test_a_status_word_refuses_and_sells_nothing(
    client: Any, create_toapis: Create, word: str, expected: tuple[int, str, str, str | None]
) -> None:
    answer = create_toapis(prompt=f"a ship #sandbox:{word} at dawn")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"], answer.headers.get("retry-after")) == expected
    assert (error["param"], set(error)) == (None, {"code", "message", "param", "type"})
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        ("poll-404", 404, "task_not_found"),
        ("poll-429", 429, "rate_limit_exceeded"),
        ("poll-500", 500, "internal_error"),
    ],
)
def test_the_first_looks_can_go_wrong(client: Any, create_toapis: Create, word: str, status: int, code: str) -> None:
    task_id = create_toapis(prompt=f"#sandbox:{word}=1").json()["id"]
    answer = client.get(f"{TASKS}/{task_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert client.get(f"{TASKS}/{task_id}").json()["status"] == "queued"


def test_an_unknown_status_and_a_missing_result(client: Any, create_toapis: Create, clock: Any) -> None:
    task_id = create_toapis(prompt="#sandbox:unknown-status #sandbox:no-result").json()["id"]
    clock.walk(15)
    assert client.get(f"{TASKS}/{task_id}").json()["status"] == "rendering"
    clock.walk(15)
    answer = client.get(f"{TASKS}/{task_id}").json()
    assert answer["status"] == "completed"
    assert not {"result", "expires_at"} & set(answer)


@pytest.mark.parametrize("path", ["/toapis/v1/balance", "/toapis/balance"])
def test_the_balance_is_in_dollars(client: Any, create_toapis: Create, clock: Any, path: str) -> None:
    create_toapis(duration=10)
    assert client.get(path).json() == {
        "success": True,
        "remain_balance": 99.44,
        "used_balance": 0.0,
        "unlimited_quota": False,
    }
    clock.walk(50)
    balance = client.get(path).json()
    assert (balance["remain_balance"], balance["used_balance"]) == (99.44, 0.56)


@pytest.mark.parametrize("authorization", ["Bearer sk-bad-one", ""])
def test_an_unknown_token_has_no_balance_and_no_error_status(client: Any, authorization: str) -> None:
    answer = client.get("/toapis/v1/balance", headers={"authorization": authorization})
    assert answer.status_code == 200
    assert (answer.json()["success"], set(answer.json())) == (False, {"success", "message"})


def test_a_path_that_is_not_there_and_a_wrong_method_are_said_in_the_envelope(client: Any) -> None:
    missing, wrong = client.get("/toapis/v1/nothing"), client.post("/toapis/v1/balance")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
