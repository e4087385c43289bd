"""Keys and their money (FACTS 1.6; CONTRACT 7, "sandbox keys")."""

from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., Any]


def credits_of(client: Any) -> tuple[float, float]:
    token = client.get("/evolink/v1/credits").json()["data"]["token"]
    return token["remaining_credits"], token["used_credits"]


def test_credits_answer_in_the_documented_shape(client: Any) -> None:
    money = {"remaining_credits": 10_000.0, "used_credits": 0.0}
    assert client.get("/evolink/v1/credits").json() == {
        "data": {"token": {**money, "unlimited_credits": False}, "user": money},
        "message": "",
        "success": True,
    }


def test_a_completed_video_is_held_first_and_spent_then(client: Any, create: Create, clock: Any) -> None:
    create(duration=10)
    assert credits_of(client) == (9944, 0)
    clock.walk(50)
    assert credits_of(client) == (9944, 56)


def test_a_failed_video_is_refunded(client: Any, create: Create, clock: Any) -> None:
    create(prompt="a ship #sandbox:fail-generation")
    assert credits_of(client) == (9972, 0)
    clock.walk(30)
    assert credits_of(client) == (10_000, 0)


def test_money_settles_although_nobody_looks(client: Any, create: Create, clock: Any) -> None:
    for _ in range(3):
        create()
    clock.walk(3600)
    assert credits_of(client) == (9916, 84)


def test_a_balance_runs_out(poor_client: Any) -> None:
    body = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship", "quality": "1080p"}  # 0.49 each
    answers = [poor_client.post("/evolink/v1/videos/generations", json=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 402]
    assert answers[2].json()["error"]["code"] == "insufficient_quota"
    assert len(poor_client.get("/_sandbox/videos").json()) == 2


@pytest.mark.parametrize(
    ("key", "status", "code", "kind"),
    [
        ("sk-empty-one", 402, "insufficient_quota", "insufficient_quota"),
        ("sk-bad-one", 401, "unauthorized", "authentication_error"),
    ],
)
def test_two_kinds_of_keys_are_refused(
    client: Any, create: Create, key: str, status: int, code: str, kind: str
) -> None:
    answer = create(key=key)
    assert answer.status_code == status
    assert (answer.json()["error"]["code"], answer.json()["error"]["type"]) == (code, kind)
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer  ", "Basic abc", "sk-evo-bare"])
def test_without_a_bearer_key_every_route_is_closed(client: Any, authorization: str) -> None:
    headers = {"authorization": authorization}
    create = client.post("/evolink/v1/videos/generations", json={}, headers=headers)
    assert (create.status_code, create.json()["error"]["code"]) == (401, "unauthorized")
    for path in ("/evolink/v1/tasks/x", "/evolink/v1/credits"):
        answer = client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, 401)
    upload = client.post("/evolink/api/v1/files/upload/base64", json={}, headers=headers)
    assert (upload.status_code, upload.json()["success"]) == (401, False)


def test_an_empty_key_reads_its_empty_balance(client: Any) -> None:
    answer = client.get("/evolink/v1/credits", headers={"authorization": "Bearer sk-empty"})
    assert answer.json()["data"]["token"]["remaining_credits"] == 0
