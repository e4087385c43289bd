"""Which answers to a create are acceptance (FAILURES H1, H2, H4, H29, T10, T12; FACTS 1.3, 2.1, 3.4, 4.1)."""

from typing import Any

import pytest

from gateway.errors import BadCall, InDoubt, Refused
from gateway.providers import PROVIDERS
from gateway.video import Receipt
from tests.providers.fakes import CREATED, answer, submit

ERROR = {"code": "internal_error", "message": "no", "type": "api_error"}

ACCEPTED: list[tuple[str, Any, Receipt]] = [
    (
        "evolink",
        {
            "created": 1757169743, "id": "task-unified-1757169743-7cvnl5zw", "model": "MiniMax-Hailuo-2.3",
            "object": "video.generation.task", "progress": 0, "status": "pending",
        },
        Receipt("task-unified-1757169743-7cvnl5zw"),
    ),
    (
        "evolink",
        {
            "id": "task-unified-1", "status": "pending", "type": "video",
            "task_info": {"can_cancel": True, "estimated_time": 165, "video_duration": 8},
            "usage": {"billing_rule": "per_second", "credits_reserved": 50, "user_group": "default"},
        },
        Receipt("task-unified-1", 50.0),
    ),
    ("evolink", {"id": "task-1", "usage": {"credits_reserved": "4.5"}, "error": None}, Receipt("task-1", 4.5)),
    ("evolink", {"id": "task-1", "usage": {"credits_reserved": True}}, Receipt("task-1")),
    (
        "toapis",
        {
            "id": "vid_01J9HA7JPQ9A0Z6JZ3V8M9W6PZ", "object": "generation.task", "model": "MiniMax-Hailuo-2.3",
            "status": "queued", "progress": 0, "created_at": 1768380224, "metadata": {},
        },
        Receipt("vid_01J9HA7JPQ9A0Z6JZ3V8M9W6PZ"),
    ),
    ("toapis", {"code": 200, "data": [{"status": "submitted", "task_id": "task_01"}]}, Receipt("task_01")),
    (
        "newapi",
        {
            "id": "task_x", "task_id": "task_x", "object": "video", "model": "MiniMax-Hailuo-2.3", "status": "queued",
            "progress": 0, "created_at": 1742515200,
        },
        Receipt("task_x"),
    ),
    ("newapi", {"task_id": "abcd1234efgh", "status": "queued"}, Receipt("abcd1234efgh")),
    ("newapi", {"id": "task_x", "object": "video", "status": "queued"}, Receipt("task_x")),
    ("newapi", {"id": "task_x", "task_id": 7, "status": "queued"}, Receipt("task_x")),
    (
        "minimax",
        {"task_id": "106916112212032", "base_resp": {"status_code": 0, "status_msg": "success"}},
        Receipt("106916112212032"),
    ),
    ("minimax", {"task_id": 106916112212032, "base_resp": {"status_code": 0}}, Receipt("106916112212032")),
    ("minimax", {"task_id": "106916112212032"}, Receipt("106916112212032")),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "body", "receipt"), ACCEPTED)
@pytest.mark.parametrize("status", [200, 201, 202])
def test_every_documented_answer_to_a_create_is_a_receipt(
    provider: str, body: Any, receipt: Receipt, status: int
) -> None:
    result, upstream = submit(provider, answer(body, status))
    assert result == receipt
    assert upstream.operations == ["submit"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [400, 409, 429, 500, 503])
def test_an_id_without_an_error_is_acceptance_whatever_the_status_h29(provider: str, status: int) -> None:
    assert submit(provider, answer(CREATED[provider], status))[0] == Receipt("task-1")


@pytest.mark.parametrize("code", [1002, 1008, 1026, 1033, "1004"])
def test_a_minimax_id_beside_a_complaint_is_acceptance_and_the_looks_decide_h2(code: object) -> None:
    body = {"task_id": "task-1", "base_resp": {"status_code": code, "status_msg": "hm"}}
    assert submit("minimax", answer(body))[0] == Receipt("task-1")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("error", [None, {}, [], "", False], ids=str)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_empty_error_beside_an_id_is_none_and_the_id_is_acceptance(
    provider: str, error: object, status: int
) -> None:
    assert submit(provider, answer({**CREATED[provider], "error": error}, status))[0] == Receipt("task-1")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("error", [None, {}, [], "", False], ids=str)
def test_an_empty_error_without_an_id_is_judged_by_the_status(provider: str, error: object) -> None:
    assert isinstance(submit(provider, answer({"error": error}, 200))[0], InDoubt)
    assert isinstance(submit(provider, answer({"error": error}, 400))[0], BadCall)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("error", [ERROR, {"code": 0}, [ERROR], "no", " ", True, 0, 1], ids=str)
def test_an_id_beside_an_error_is_doubt_with_200_and_a_refusal_with_400(provider: str, error: object) -> None:
    body = {**CREATED[provider], "error": error}
    assert isinstance(submit(provider, answer(body, 200))[0], InDoubt)
    assert isinstance(submit(provider, answer(body, 400))[0], BadCall)


@pytest.mark.parametrize("provider", ["toapis", "newapi"])
@pytest.mark.parametrize("code", [400, "invalid_request", "1002", {}])
def test_an_id_beside_the_code_of_a_flat_error_is_doubt(provider: str, code: object) -> None:
    result, _ = submit(provider, answer({**CREATED[provider], "code": code}))
    assert isinstance(result, InDoubt)
    assert result.row == "H4"


NO_IDS: list[object] = [
    None,
    "",
    "  ",
    "\t\n",
    "x" * 257,
    "a\0b",
    "a\nb",
    "a\ufffdb",
    -1,
    0,
    1.5,
    True,
    [],
    ["task-1"],
    {},
]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("value", NO_IDS, ids=repr)
def test_what_is_no_id_is_doubt_h4(provider: str, value: object) -> None:
    place = "id" if provider in ("evolink", "toapis") else "task_id"
    result, _ = submit(provider, answer({**CREATED[provider], place: value}))
    assert isinstance(result, InDoubt)
    assert result.row == "H4"


@pytest.mark.parametrize("provider", ["evolink", "toapis", "newapi"])
@pytest.mark.parametrize(
    "body", [{"id": 17}, {"id": 5, "task_id": 7.5}, {"id": 106916112212032, "task_id": 17}], ids=str
)
def test_a_number_is_no_id_where_the_documents_know_only_words(provider: str, body: dict[str, Any]) -> None:
    result, _ = submit(provider, answer({**body, "status": "queued"}))
    assert isinstance(result, InDoubt)
    assert result.row == "H4"


def test_a_zero_written_as_text_is_no_id_where_ids_are_numbers() -> None:
    assert isinstance(submit("minimax", answer({"task_id": "0"}))[0], InDoubt)


def test_an_id_in_another_providers_place_is_no_id() -> None:
    for provider in ("evolink", "toapis"):
        assert isinstance(submit(provider, answer({"task_id": "task-1"}))[0], InDoubt)
    assert isinstance(submit("minimax", answer({"id": "task-1"}))[0], InDoubt)
    for provider in PROVIDERS:
        assert isinstance(submit(provider, answer({"data": {"id": "task-1", "task_id": "task-1"}}))[0], InDoubt)


def test_two_tasks_in_the_oldest_answer_of_toapis_are_doubt() -> None:
    tasks = [{"task_id": "task-1"}, {"task_id": "task-2"}]
    assert isinstance(submit("toapis", answer({"code": 200, "data": tasks}))[0], InDoubt)


BROKEN = {
    "evolink": b'{"id":"task-1","status":"pen',
    "toapis": b'{"code":200,"data":[{"task_id":"task-1"}],"met',
    "newapi": b'{"id":"task-1","task_id":"task-1","object":"vi',
    "minimax": b'{"task_id":"task-1","base_resp":{"status_co',
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_id_that_arrived_before_the_answer_broke_off_is_salvaged(provider: str) -> None:
    for is_whole in (False, True):  # the connection died; or the upstream wrote no more
        assert submit(provider, answer(BROKEN[provider], is_whole=is_whole))[0] == Receipt("task-1")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(("status", "kind"), [(200, InDoubt), (500, InDoubt), (503, InDoubt), (400, Refused)])
def test_an_answer_that_broke_off_before_its_id_is_judged_by_its_status_line(
    provider: str, status: int, kind: type[Exception]
) -> None:
    result, _ = submit(provider, answer(BROKEN[provider][:10], status, is_whole=False))
    assert isinstance(result, kind)


def test_a_minimax_complaint_that_broke_off_proves_nothing() -> None:
    body = b'{"base_resp":{"status_code":1002,"status_msg":"rate limit"}'
    for is_whole in (False, True):
        result, _ = submit("minimax", answer(body, is_whole=is_whole))
        assert isinstance(result, InDoubt)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_salvaged_id_that_may_go_on_is_no_id(provider: str) -> None:
    place = b"id" if provider in ("evolink", "toapis") else b"task_id"
    for body in (b'{"%b":"task-' % place, b'{"%b":"task-1"' % place, b'{"%b":10691611' % place):
        result, _ = submit(provider, answer(body, is_whole=False))
        assert isinstance(result, InDoubt)
