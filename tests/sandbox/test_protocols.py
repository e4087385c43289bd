"""What holds in every protocol: one core, and four ways to speak of it."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.script import WORDS, Stage

Creates = dict[str, Callable[..., Any]]
PROTOCOLS = ("evolink", "toapis", "newapi", "minimax")
ID_FIELDS = {"evolink": "id", "toapis": "id", "newapi": "task_id", "minimax": "task_id"}
LOOKS = {
    "evolink": "/evolink/v1/tasks/{}",
    "toapis": "/toapis/v1/videos/generations/{}",
    "newapi": "/newapi/v1/video/generations/{}",
    "minimax": "/minimax/v1/query/video_generation?task_id={}",
}
NEED_A_SOCKET = ("drop", "drop-after-accept", "half-answer", "hang", "slow", "slow-drip")


def is_refused(answer: Any) -> bool:
    base_resp = answer.json().get("base_resp", {"status_code": 0})
    return bool(answer.status_code >= 400 or base_resp["status_code"] != 0)


def test_tasks_of_one_protocol_are_not_found_in_another(client: Any, creates: Creates) -> None:
    ids = {name: creates[name]().json()[ID_FIELDS[name]] for name in PROTOCOLS}
    for name in PROTOCOLS:
        for owner, task_id in ids.items():
            assert is_refused(client.get(LOOKS[name].format(task_id))) == (name != owner)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_another_keys_task_is_not_found(client: Any, creates: Creates, protocol: str) -> None:
    task_id = creates[protocol]().json()[ID_FIELDS[protocol]]
    headers = {"authorization": "Bearer sk-bob"}
    assert is_refused(client.get(LOOKS[protocol].format(task_id), headers=headers))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_keys_without_balance_or_validity_buy_nothing(client: Any, creates: Creates, protocol: str) -> None:
    for key in ("sk-empty-x", "sk-bad-x"):
        assert is_refused(creates[protocol](key=key))
    assert client.get("/_sandbox/videos").json() == []


def test_a_key_has_one_balance_whatever_is_spoken(client: Any, creates: Creates, clock: Any) -> None:
    for name in PROTOCOLS:
        creates[name]()
    clock.walk(30)
    balance = client.get("/toapis/v1/balance").json()
    assert (balance["remain_balance"], balance["used_balance"]) == (98.88, 1.12)
    assert client.get("/evolink/v1/credits").json()["data"]["token"]["used_credits"] == 112


def test_every_purchase_and_every_request_is_written_down(client: Any, creates: Creates) -> None:
    for name in PROTOCOLS:
        creates[name](prompt=f"a ship at {name}")
    videos, requests = client.get("/_sandbox/videos").json(), client.get("/_sandbox/requests").json()
    assert tuple(video["provider"] for video in videos) == PROTOCOLS
    assert tuple(entry["provider"] for entry in requests) == PROTOCOLS
    assert [video["request"] for video in videos] == [entry["json"] for entry in requests]
    assert {video["price"] for video in videos} == {"0.28"}
    assert requests[3]["path"] == "/minimax/v1/video_generation"


def test_a_model_without_a_listed_price_has_one_all_the_same(client: Any, creates: Creates) -> None:
    creates["minimax"](model="T2V-01")
    assert client.get("/_sandbox/videos").json()[0]["price"] == "0.43"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_word_that_refuses_sells_nothing(client: Any, creates: Creates, protocol: str) -> None:
    for word in (name for name, word in WORDS.items() if word.stage is Stage.REFUSE and name not in NEED_A_SOCKET):
        answer = creates[protocol](prompt=f"a ship #sandbox:{word}")
        is_json = answer.headers["content-type"] == "application/json"
        assert is_refused(answer) if is_json else answer.status_code in (307, 404, 503, 504), word
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_redirect_stays_in_the_protocol_and_leads_nowhere(client: Any, creates: Creates, protocol: str) -> None:
    answer = creates[protocol](prompt="#sandbox:redirect")
    assert answer.status_code == 307
    assert answer.headers["location"].startswith(f"http://sandbox.test/{protocol}/moved/v1/")
    assert client.post(answer.headers["location"], json={}).status_code == 404


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_number_lets_a_later_try_succeed(creates: Creates, protocol: str) -> None:
    answers = [creates[protocol](prompt="a ship #sandbox:429=2") for _ in range(3)]
    assert [is_refused(answer) for answer in answers] == [True, True, False]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_without_id_is_good_json_and_was_billed(client: Any, creates: Creates, protocol: str) -> None:
    answer = creates[protocol](prompt="#sandbox:no-id")
    assert (answer.status_code, is_refused(answer)) == (200, False)
    assert not {"id", "task_id"} & set(answer.json())
    assert creates[protocol](prompt="#sandbox:malformed").headers["content-type"] == "text/html; charset=utf-8"
    with pytest.raises(ValueError, match="delimiter"):
        creates[protocol](prompt="#sandbox:malformed-json").json()
    assert len(client.get("/_sandbox/videos").json()) == 3


@pytest.mark.parametrize("protocol", ["evolink", "toapis", "newapi"])
def test_a_word_of_minimax_is_refused_elsewhere(client: Any, creates: Creates, protocol: str) -> None:
    answer = creates[protocol](prompt="#sandbox:base-resp=1027")
    assert answer.status_code == 400
    assert "minimax" in answer.text
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_word_with_a_typing_error_is_refused(client: Any, creates: Creates, protocol: str) -> None:
    answer = creates[protocol](prompt="#sandbox:tpyo")
    assert is_refused(answer)
    assert "no script word" in answer.text
    assert client.get("/_sandbox/videos").json() == []
