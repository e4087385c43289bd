"""A video's life at EvoLink, from the create to the dead link (FACTS 1.3, 1.4)."""

import re
from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., Any]


def test_a_create_answers_in_the_documented_shape(create: Create) -> None:
    answer = create().json()
    assert re.fullmatch(r"task-unified-1757169743-[a-z0-9]{8}", answer.pop("id"))
    assert answer == {
        "created": 1757169743,
        "model": "MiniMax-Hailuo-2.3",
        "object": "video.generation.task",
        "progress": 0,
        "status": "pending",
        "task_info": {"can_cancel": True, "estimated_time": 30, "video_duration": 6},
        "type": "video",
        "usage": {"billing_rule": "per_second", "credits_reserved": 28.0, "user_group": "default"},
    }


def test_a_task_goes_from_pending_through_processing_to_completed(client: Any, create: Create, clock: Any) -> None:
    task_id = create().json()["id"]

    def look() -> dict[str, Any]:
        answer = client.get(f"/evolink/v1/tasks/{task_id}")
        assert answer.status_code == 200
        return dict(answer.json())

    clock.walk(2.9)
    assert look() == {
        "created": 1757169743,
        "id": task_id,
        "model": "MiniMax-Hailuo-2.3",
        "object": "video.generation.task",
        "progress": 0,
        "status": "pending",
        "task_info": {"can_cancel": True},
        "type": "video",
    }
    clock.walk(0.1)
    first = look()
    assert (first["status"], first["progress"], first["task_info"]) == ("processing", 1, {"can_cancel": False})
    clock.walk(20)
    second = look()
    assert second["status"] == "processing"
    assert 50 < second["progress"] < 100
    assert "results" not in second
    clock.walk(7)
    last = look()
    assert (last["status"], last["progress"]) == ("completed", 100)
    assert last["results"] == [f"http://sandbox.test/films/{task_id}.mp4"]


@pytest.mark.parametrize(
    ("said", "total_s"), [({}, 30), ({"duration": 10}, 50), ({"quality": "1080p"}, 48)], ids=["768p/6", "10s", "1080p"]
)
def test_bigger_videos_take_longer(client: Any, create: Create, clock: Any, said: dict[str, Any], total_s: int) -> None:
    created = create(**said).json()
    assert created["task_info"]["estimated_time"] == total_s
    clock.walk(total_s - 0.1)
    assert client.get(f"/evolink/v1/tasks/{created['id']}").json()["status"] == "processing"
    clock.walk(0.2)
    assert client.get(f"/evolink/v1/tasks/{created['id']}").json()["status"] == "completed"


def test_no_id_is_given_twice(create: Create) -> None:
    assert len({create().json()["id"] for _ in range(50)}) == 50


def test_the_same_seed_makes_the_same_ids(poor_client: Any, poor_twin: Any) -> None:
    body = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship"}
    ids, twin_ids = (
        [sandbox.post("/evolink/v1/videos/generations", json=body).json()["id"] for _ in range(3)]
        for sandbox in (poor_client, poor_twin)
    )
    assert ids == twin_ids


def test_an_unknown_task_is_not_found(client: Any) -> None:
    answer = client.get("/evolink/v1/tasks/task-unified-1-abcdefgh")
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "code": 404,
        "message": "there is no such task",
        "type": "not_found_error",
        "param": "task_id",
    }


def test_another_keys_task_is_not_found(client: Any, create: Create) -> None:
    task_id = create().json()["id"]
    answer = client.get(f"/evolink/v1/tasks/{task_id}", headers={"authorization": "Bearer sk-evo-bob"})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("word", "code"),
    [("fail-generation", "generation_failed_no_content"), ("fail-content", "content_policy_violation")],
)
def test_a_failed_task_says_why(client: Any, create: Create, clock: Any, word: str, code: str) -> None:
    task_id = create(prompt=f"a ship #sandbox:{word}").json()["id"]
    clock.walk(29)
    assert client.get(f"/evolink/v1/tasks/{task_id}").json()["status"] == "processing"
    clock.walk(1)
    answer = client.get(f"/evolink/v1/tasks/{task_id}").json()
    assert (answer["status"], answer["progress"], answer["error"]["code"]) == ("failed", 0, code)
    assert answer["error"]["message"]
    assert "results" not in answer
    assert client.get(f"/films/{task_id}.mp4").status_code == 404


def test_a_path_that_is_not_there_and_a_wrong_method_are_said_in_the_envelope(client: Any) -> None:
    missing, wrong = client.get("/evolink/v1/nothing"), client.get("/evolink/v1/videos/generations")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, 404)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, 405)
    assert "POST" in wrong.json()["error"]["message"]
