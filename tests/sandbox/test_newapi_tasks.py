"""A video's life at new-api, and its errors (FACTS 3.4, 3.5)."""

import re
from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., Any]
TASKS, VIDEOS = "/newapi/v1/video/generations", "/newapi/v1/videos"
IMAGE = "https://example.com/first.jpg"

# Word, and what comes: status, code, Retry-After.
REFUSALS = [
    ("400", 400, "invalid_request", None),
    ("402", 403, "insufficient_user_quota", None),
    ("422", 400, "1026", None),
    ("429", 429, "rate_limit_exceeded", "2"),
    ("429-bare", 429, "rate_limit_exceeded", None),
    ("500", 500, "do_request_failed", None),
    ("502", 502, "do_request_failed", None),
    ("503", 503, "do_request_failed", "5"),
]


def test_a_create_answers_in_the_documented_shape(create_newapi: Create) -> None:
    answer = create_newapi().json()
    task_id = answer.pop("id")
    assert re.fullmatch(r"task_[A-Za-z0-9]{32}", task_id)
    assert answer == {
        "task_id": task_id,
        "object": "video",
        "model": "MiniMax-Hailuo-2.3",
        "status": "queued",
        "progress": 0,
        "created_at": 1757169743,
    }


def test_a_task_goes_from_submitted_through_in_progress_to_success(
    client: Any, create_newapi: Create, clock: Any
) -> None:
    create_newapi()
    task_id = create_newapi().json()["task_id"]

    def look() -> dict[str, Any]:
        answer = client.get(f"{TASKS}/{task_id}")
        assert answer.status_code == 200
        return dict(answer.json())

    def wrapped(**said: Any) -> dict[str, Any]:
        data = {
            "id": 2,
            "task_id": task_id,
            "platform": "35",
            "action": "textGenerate",
            "fail_reason": "",
            "result_url": "",
            "submit_time": 1757169743,
            "start_time": 0,
            "finish_time": 0,
            "properties": {},
            "data": {},
        }
        return {"code": "success", "message": "", "data": {**data, **said}}

    assert look() == wrapped(status="SUBMITTED", progress="0%")
    clock.walk(3)
    assert look() == wrapped(status="IN_PROGRESS", progress="50%", start_time=1757169746)
    clock.walk(27)
    url = f"http://sandbox.test/films/{task_id}.mp4"
    times = {"start_time": 1757169746, "finish_time": 1757169773}
    assert look() == wrapped(status="SUCCESS", progress="100%", result_url=url, **times)
    assert client.get(url, headers={"authorization": ""}).headers["content-type"] == "video/mp4"


def test_a_task_can_be_read_as_openai_said_it(client: Any, create_newapi: Create, clock: Any) -> None:
    task_id = create_newapi().json()["task_id"]
    head = {"id": task_id, "task_id": task_id, "object": "video", "model": "MiniMax-Hailuo-2.3"}
    head["created_at"] = 1757169743
    url = f"{VIDEOS}/{task_id}"
    assert client.get(url).json() == {**head, "status": "queued", "progress": 0, "completed_at": 1757169743}
    clock.walk(3)
    assert client.get(url).json() == {**head, "status": "in_progress", "progress": 50, "completed_at": 1757169746}
    clock.walk(27)
    assert client.get(url).json() == {
        **head,
        "status": "completed",
        "progress": 100,
        "completed_at": 1757169773,
        "metadata": {"url": f"http://sandbox.test/films/{task_id}.mp4"},
    }


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ({"metadata": {"first_frame_image": IMAGE}}, "generate"),
        (
            {"model": "MiniMax-Hailuo-02", "metadata": {"first_frame_image": IMAGE, "last_frame_image": IMAGE}},
            "firstTailGenerate",
        ),
        (
            {"model": "S2V-01", "metadata": {"subject_reference": [{"type": "character", "image": [IMAGE]}]}},
            "referenceGenerate",
        ),
    ],
)
def test_the_mode_is_said(client: Any, create_newapi: Create, said: dict[str, Any], action: str) -> None:
    task_id = create_newapi(**said).json()["id"]
    assert client.get(f"{TASKS}/{task_id}").json()["data"]["action"] == action


@pytest.mark.parametrize(
    ("word", "code", "reason"),
    [
        ("fail-content", "content_policy_violation", "the content was refused by the content policy"),
        ("fail-generation", "generation_failed_no_content", "the generation ended without any content"),
    ],
)
def test_a_failed_task_says_why(
    client: Any, create_newapi: Create, clock: Any, word: str, code: str, reason: str
) -> None:
    task_id = create_newapi(prompt=f"a ship #sandbox:{word}").json()["id"]
    clock.walk(30)
    data = client.get(f"{TASKS}/{task_id}").json()["data"]
    assert (data["status"], data["progress"], data["fail_reason"]) == ("FAILURE", "100%", reason)
    assert (data["result_url"], data["finish_time"]) == ("", 1757169773)
    video = client.get(f"{VIDEOS}/{task_id}").json()
    assert (video["status"], video["error"]) == ("failed", {"message": reason, "code": code})
    assert "metadata" not in video


@pytest.mark.parametrize("path", [TASKS, VIDEOS])
def test_an_unknown_task_is_a_bad_request(client: Any, path: str) -> None:
    answer = client.get(f"{path}/task_unknown")
    assert answer.status_code == 400
    assert answer.json() == {"code": "task_not_exist", "message": "task_not_exist", "data": None}


@pytest.mark.parametrize(("word", "status", "code", "retry_after"), REFUSALS)
def test_a_status_word_refuses_flat_and_sells_nothing(
    client: Any, create_newapi: Create, word: str, status: int, code: str, retry_after: str | None
) -> None:
    answer = create_newapi(prompt=f"a ship #sandbox:{word} at dawn")
    content = answer.json()
    assert (answer.status_code, content["code"], answer.headers.get("retry-after")) == (status, code, retry_after)
    assert (content["data"], set(content)) == (None, {"code", "message", "data"})
    assert client.get("/_sandbox/videos").json() == []


def test_messages_that_new_api_makes_itself(create_newapi: Create) -> None:
    assert create_newapi(prompt="#sandbox:422").json()["message"].startswith("hailuo api error: ")
    assert create_newapi(prompt="#sandbox:429").json()["message"] == "当前分组上游负载已饱和，请稍后再试"


@pytest.mark.parametrize(
    ("word", "status", "code"), [("401", 401, ""), ("403", 403, "access_denied"), ("404", 404, "")]
)
def test_what_the_outer_door_refuses_wears_another_envelope(
    client: Any, create_newapi: Create, word: str, status: int, code: str
) -> None:
    answer = create_newapi(prompt=f"#sandbox:{word}")
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (status, "new_api_error", code)
    assert set(error) == {"message", "type", "code"}
    assert client.get("/_sandbox/videos").json() == []


def test_paths_and_keys_are_refused_by_the_outer_door(client: Any) -> None:
    answers = [
        client.get("/newapi/v1/nothing"),
        client.get(TASKS),
        client.get(f"{TASKS}/x", headers={"authorization": ""}),
        client.get(f"{VIDEOS}/x", headers={"authorization": "Bearer sk-bad"}),
    ]
    assert [answer.status_code for answer in answers] == [404, 405, 401, 401]
    assert {answer.json()["error"]["type"] for answer in answers} == {"new_api_error"}


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        ("poll-404", 400, "task_not_exist"),
        ("poll-429", 429, "rate_limit_exceeded"),
        ("poll-500", 500, "do_request_failed"),
    ],
)
def test_the_first_looks_can_go_wrong(client: Any, create_newapi: Create, word: str, status: int, code: str) -> None:
    task_id = create_newapi(prompt=f"#sandbox:{word}=1").json()["id"]
    answer = client.get(f"{TASKS}/{task_id}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert client.get(f"{TASKS}/{task_id}").json()["data"]["status"] == "SUBMITTED"


def test_an_unknown_status_and_a_missing_result(client: Any, create_newapi: Create, clock: Any) -> None:
    task_id = create_newapi(prompt="#sandbox:unknown-status #sandbox:no-result").json()["id"]
    clock.walk(15)
    assert client.get(f"{TASKS}/{task_id}").json()["data"]["status"] == "rendering"
    clock.walk(15)
    data = client.get(f"{TASKS}/{task_id}").json()["data"]
    assert (data["status"], data["result_url"]) == ("SUCCESS", "")
    assert "metadata" not in client.get(f"{VIDEOS}/{task_id}").json()
