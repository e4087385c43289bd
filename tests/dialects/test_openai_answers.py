"""OpenAI Videos: the house's task in, the video object, lists and deletions out."""

from typing import Any

import pytest

from gateway.dialects import openai
from gateway.dialects.speaking import Lister, View
from gateway.video import Balance, Mode, VideoRequest
from tests.dialects.factory import ID, LINK, REQUEST, WORD, make_task

VIDEO = {
    "id": WORD,
    "object": "video",
    "model": "MiniMax-Hailuo-2.3",
    "status": "queued",
    "progress": 0,
    "created_at": 1757169743,
    "completed_at": None,
    "expires_at": None,
    "prompt": "a lighthouse at dusk",
    "size": "1366x768",
    "seconds": "6",
    "remixed_from_video_id": None,
    "error": None,
}
ERROR = {"code": "generation_failed", "message": "the film came out empty"}
POLLS: dict[str, dict[str, Any]] = {
    "queued": {**VIDEO, "submission": "queued"},
    "opened": {**VIDEO, "submission": "sending"},
    "unconfirmed": {**VIDEO, "submission": "unconfirmed"},
    "waiting": VIDEO,
    "generating": {**VIDEO, "status": "in_progress", "progress": 50},
    "completed": {
        **VIDEO,
        "status": "completed",
        "progress": 100,
        "completed_at": 1757169800,
        "expires_at": 1757256200,
    },
    "failed": {**VIDEO, "status": "failed", "progress": 50, "error": ERROR},
    "refused": {**VIDEO, "status": "failed", "error": ERROR},
}


@pytest.mark.parametrize("state", POLLS)
def test_a_poll_is_answered_with_every_field_of_the_video_object(state: str) -> None:
    assert openai.render_task(make_task(state), View(LINK, 1757256200)) == POLLS[state]


@pytest.mark.parametrize("state", POLLS)
def test_a_create_is_answered_with_the_video_object_as_it_stands(state: str) -> None:
    assert openai.render_created(make_task(state)) == {**POLLS[state], "expires_at": None}


def test_a_completed_task_whose_link_is_gone_expires_at_no_time() -> None:
    body = openai.render_task(make_task("completed", finished_at=None), View())
    assert (body["completed_at"], body["expires_at"]) == (None, None)


@pytest.mark.parametrize(
    ("mode", "resolution", "size"),
    [
        (Mode.TEXT, "768P", "1366x768"),
        (Mode.TEXT, "1080P", "1920x1080"),
        (Mode.TEXT, "720P", None),
        (Mode.TEXT, None, None),
        (Mode.IMAGE, "768P", None),
        (Mode.FIRST_LAST, "1080P", None),
        (Mode.SUBJECT, None, None),
    ],
)
def test_a_size_is_told_only_where_it_is_known(mode: Mode, resolution: str | None, size: str | None) -> None:
    task = make_task(mode=mode, request=VideoRequest(model="M", resolution=resolution))
    body = openai.render_task(task, View())
    assert (body["size"], body["seconds"], body["prompt"]) == (size, None, None)


def test_a_list_shows_its_tasks_in_the_order_given() -> None:
    first, last = make_task("completed"), make_task("waiting", id=ID + 1, request=REQUEST)
    lister: Lister = openai
    page = lister.render_list([(first, View(LINK, 1757256200)), (last, View())], has_more=True)
    assert page == {
        "object": "list",
        "data": [POLLS["completed"], {**POLLS["waiting"], "id": "video_03dmv9ek31wtf"}],
        "first_id": WORD,
        "last_id": "video_03dmv9ek31wtf",
        "has_more": True,
    }


def test_an_empty_list_has_no_first_and_no_last() -> None:
    assert openai.render_list([], has_more=False) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_a_delete_is_answered_with_the_id_and_nothing_of_the_task() -> None:
    assert openai.render_deleted(make_task()) == {"id": WORD, "object": "video.deleted", "deleted": True}


@pytest.mark.parametrize(
    ("balance", "granted", "used", "available"),
    [(Balance(1_000_000, 100_000, 200_000), 1.0, 0.2, 0.7), (Balance(None, 0, 280_000), None, 0.28, None)],
)
def test_an_endpoint_that_is_not_listed_still_has_an_honest_answer(
    balance: Balance, granted: float | None, used: float, available: float | None
) -> None:
    assert openai.render_balance(balance, balance) == {
        "object": "credit_summary",
        "total_granted": granted,
        "total_used": used,
        "total_available": available,
    }
