"""EvoLink: its pages' bodies in, the house's request out; the house's task in, its pages' answers out."""

from typing import Any

import pytest

from gateway.dialects import evolink
from gateway.dialects.speaking import View
from gateway.video import Balance, VideoRequest
from tests.dialects.factory import LINK, REQUEST, WORD, make_task, params, parse, problems, understood

FIRST, LAST = "https://example.com/first.jpg", "https://example.com/last.jpg"
DATA_URL = "data:image/png;base64,iVBORw0KGgo="

EXAMPLES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "seed-000: text to video with Hailuo 2.3",
        {"model": "MiniMax-Hailuo-2.3", "prompt": "A beautiful sunset over the ocean [Static shot]"},
        {"model": "MiniMax-Hailuo-2.3", "prompt": "A beautiful sunset over the ocean [Static shot]"},
    ),
    (
        "seed-000: every field with the example beside it",
        {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "A beautiful sunset over the ocean [Static shot]",
            "image_urls": ["https://example.com/image.jpg"],
            "quality": "768p",
            "duration": 10,
            "model_params": {},
        },
        {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "A beautiful sunset over the ocean [Static shot]",
            "first_frame_image": "https://example.com/image.jpg",
            "resolution": "768P",
            "duration_s": 10,
        },
    ),
    (
        "seed-002: Hailuo 2.3-Fast, without the image its own schema requires",
        {
            "model": "MiniMax-Hailuo-2.3-Fast",
            "prompt": "A cat slowly opens its eyes and looks around [Pan left]",
        },
        {
            "model": "MiniMax-Hailuo-2.3-Fast",
            "prompt": "A cat slowly opens its eyes and looks around [Pan left]",
        },
    ),
    (
        "seed-002: every field with the example beside it",
        {
            "model": "MiniMax-Hailuo-2.3-Fast",
            "prompt": "A cat slowly opens its eyes and looks around [Pan left]",
            "image_urls": ["https://example.com/image.jpg"],
            "quality": "1080p",
            "duration": 6,
            "model_params": {"prompt_optimizer": True},
        },
        {
            "model": "MiniMax-Hailuo-2.3-Fast",
            "prompt": "A cat slowly opens its eyes and looks around [Pan left]",
            "first_frame_image": "https://example.com/image.jpg",
            "resolution": "1080P",
            "duration_s": 6,
        },
    ),
    (
        "seed-003: text to video with Hailuo 02",
        {"model": "MiniMax-Hailuo-02", "prompt": "A beautiful sunset over the ocean [Static shot]"},
        {"model": "MiniMax-Hailuo-02", "prompt": "A beautiful sunset over the ocean [Static shot]"},
    ),
    (
        "seed-003: every field with the example beside it",
        {
            "model": "MiniMax-Hailuo-02",
            "prompt": "A young girl gradually grows into an adult woman",
            "image_urls": [FIRST, LAST],
            "quality": "768p",
            "duration": 6,
            "model_params": {"prompt_optimizer": True, "fast_pretreatment": True},
            "callback_url": "https://your-domain.com/webhooks/video-task-completed",
        },
        {
            "model": "MiniMax-Hailuo-02",
            "prompt": "A young girl gradually grows into an adult woman",
            "first_frame_image": FIRST,
            "last_frame_image": LAST,
            "resolution": "768P",
            "duration_s": 6,
            "fast_pretreatment": True,
            "callback_url": "https://your-domain.com/webhooks/video-task-completed",
        },
    ),
    (
        "FACTS 1.2: the whole body",
        {
            "model": "MiniMax-Hailuo-02",
            "prompt": "...",
            "image_urls": [FIRST, LAST],
            "quality": "768p",
            "duration": 6,
            "model_params": {"prompt_optimizer": True, "fast_pretreatment": False},
            "callback_url": "https://your-domain.com/webhooks/video-task-completed",
        },
        {
            "model": "MiniMax-Hailuo-02",
            "prompt": "...",
            "first_frame_image": FIRST,
            "last_frame_image": LAST,
            "resolution": "768P",
            "duration_s": 6,
            "callback_url": "https://your-domain.com/webhooks/video-task-completed",
        },
    ),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES])
def test_the_pages_examples_are_understood(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert understood("evolink", body) == expected


@pytest.mark.parametrize("quality", ["512p", "512P", "1080p", "1080P", "720P", "99999p"])
def test_a_quality_in_any_letter_case_is_folded_and_left_to_the_catalog(quality: str) -> None:
    assert understood("evolink", {"model": "M", "quality": quality}) == {"model": "M", "resolution": quality.upper()}


@pytest.mark.parametrize("quality", ["", "4k", "768", "p", " 768p", "768p ", "768pp", "７６８p", "1366x768", "123456p"])
def test_a_quality_that_is_no_resolution_is_refused_with_the_words_of_this_dialect(quality: str) -> None:
    (problem,) = parse("evolink", {"model": "M", "quality": quality}).problems
    assert (problem.param, problem.allowed) == ("quality", ("512p", "768p", "1080p"))


@pytest.mark.parametrize("duration", [True, False, 6.0, 6.5, "6", "", [6], {}])
def test_a_duration_that_is_not_a_json_integer_is_refused(duration: object) -> None:
    assert params("evolink", {"model": "M", "duration": duration}) == ["duration"]


@pytest.mark.parametrize("duration", [-1, 0, 5, 6, 10, 10**30])
def test_any_json_integer_is_a_duration_for_the_catalog_to_judge(duration: int) -> None:
    assert parse("evolink", {"model": "M", "duration": duration}).duration_s == duration


def test_three_images_are_refused_and_count_as_none() -> None:
    request = parse("evolink", {"model": "M", "image_urls": [FIRST, LAST, FIRST]})
    assert [problem.param for problem in request.problems] == ["image_urls"]
    assert (request.first_frame_image, request.last_frame_image) == (None, None)


def test_no_images_and_an_empty_list_are_the_same() -> None:
    assert parse("evolink", {"model": "M"}) == parse("evolink", {"model": "M", "image_urls": []})


def test_a_broken_image_among_two_is_named_by_its_place() -> None:
    request = parse("evolink", {"model": "M", "image_urls": [FIRST, "last.jpg"]})
    assert [problem.param for problem in request.problems] == ["image_urls[1]"]
    assert request.first_frame_image == FIRST
    assert request.params["last_frame_image"] == "image_urls[1]"


@pytest.mark.parametrize("image", [FIRST, "HTTP://EXAMPLE.COM/a", DATA_URL, "DATA:IMAGE/webp;BASE64,AA", "http://"])
def test_links_and_data_urls_are_taken_as_they_are(image: str) -> None:
    assert parse("evolink", {"model": "M", "image_urls": [image]}).first_frame_image == image


@pytest.mark.parametrize(
    "image",
    ["", " https://example.com", "ftp://example.com/a", "data:text/plain;base64,AA", "data:image/png,AA", 7, None],
)
def test_what_is_neither_link_nor_data_url_is_no_image(image: object) -> None:
    assert params("evolink", {"model": "M", "image_urls": [image]}) == ["image_urls[0]"]


def test_params_name_the_callers_own_fields_also_where_nothing_was_said() -> None:
    assert parse("evolink", {"model": "M", "image_urls": [FIRST]}).params == {
        "model": "model",
        "prompt": "prompt",
        "first_frame_image": "image_urls[0]",
        "last_frame_image": "image_urls",
        "subject_reference": "subject_reference",
        "resolution": "quality",
        "duration_s": "duration",
        "prompt_optimizer": "model_params.prompt_optimizer",
        "fast_pretreatment": "model_params.fast_pretreatment",
        "aigc_watermark": "aigc_watermark",
        "callback_url": "callback_url",
    }


def test_foreign_fields_are_refused_with_their_spelling_here() -> None:
    body = {"model": "M", "resolution": "768P", "metadata": {}, "first_frame_image": FIRST, "aigc_watermark": False}
    assert problems("evolink", body) == [
        ("resolution", "unknown field `resolution`; evolink spells it `quality`"),
        ("metadata", "unknown field `metadata`; evolink spells it `model_params`"),
        ("first_frame_image", "unknown field `first_frame_image`; evolink spells it `image_urls[0]`"),
        ("aigc_watermark", "unknown field `aigc_watermark`; evolink has nothing like it, leave it out"),
    ]


def test_the_request_knows_its_dialect_but_is_compared_without_it() -> None:
    request = parse("evolink", {"model": "M", "prompt": "p"})
    assert request.dialect == "evolink"
    assert request == VideoRequest(model="M", prompt="p")


def test_a_quality_is_spelt_in_lower_case_and_nothing_else_is() -> None:
    assert evolink.spell("resolution", "1080P") == "1080p"
    assert evolink.spell("model", "MiniMax-Hailuo-02") == "MiniMax-Hailuo-02"


HEAD = {
    "created": 1757169743,
    "id": WORD,
    "model": "MiniMax-Hailuo-2.3",
    "object": "video.generation.task",
    "task_info": {"can_cancel": False, "video_duration": 6},
    "type": "video",
}
ERROR = {"code": "generation_failed", "message": "the film came out empty"}
POLLS: dict[str, dict[str, Any]] = {
    "queued": {**HEAD, "progress": 0, "status": "pending", "submission": "queued"},
    "opened": {**HEAD, "progress": 0, "status": "pending", "submission": "sending"},
    "unconfirmed": {**HEAD, "progress": 0, "status": "pending", "submission": "unconfirmed"},
    "waiting": {**HEAD, "progress": 0, "status": "pending"},
    "generating": {**HEAD, "progress": 50, "status": "processing"},
    "completed": {**HEAD, "progress": 100, "status": "completed", "results": [LINK]},
    "failed": {**HEAD, "progress": 50, "status": "failed", "error": ERROR},
    "refused": {**HEAD, "progress": 0, "status": "failed", "error": ERROR},
}


@pytest.mark.parametrize("state", POLLS)
def test_a_poll_is_answered_in_the_shape_of_the_tasks_page(state: str) -> None:
    view = View(LINK, 1757256200) if state == "completed" else View()
    assert evolink.render_task(make_task(state), view) == POLLS[state]


@pytest.mark.parametrize("state", POLLS)
def test_a_create_is_answered_with_the_task_as_it_stands_but_without_links(state: str) -> None:
    expected = {name: value for name, value in POLLS[state].items() if name != "results"}
    assert evolink.render_created(make_task(state)) == expected


def test_a_completed_task_whose_link_is_gone_has_no_results() -> None:
    assert evolink.render_task(make_task("completed"), View())["results"] == []


def test_a_task_without_a_duration_does_not_invent_one() -> None:
    silent = VideoRequest(model="S2V-01")
    assert evolink.render_created(make_task(request=silent))["task_info"] == {"can_cancel": False}
    assert REQUEST.duration_s == 6


def test_credits_show_the_keys_own_money_and_its_owners() -> None:
    own = Balance(limit=50_000_000, held=280_000, spent=1_230_000)
    team = Balance(limit=200_000_000, held=560_000, spent=100_010_000)
    assert evolink.render_balance(own, team) == {
        "data": {
            "token": {"remaining_credits": 48.49, "unlimited_credits": False, "used_credits": 1.23},
            "user": {"remaining_credits": 99.43, "unlimited_credits": False, "used_credits": 100.01},
        },
        "message": "",
        "success": True,
    }


def test_a_caller_without_a_budget_reads_as_unlimited_and_an_overdrawn_one_as_empty() -> None:
    tokens = evolink.render_balance(Balance(None, 0, 280_000), Balance(1_000_000, 0, 2_000_000))["data"]
    assert tokens == {
        "token": {"remaining_credits": -1.0, "unlimited_credits": True, "used_credits": 0.28},
        "user": {"remaining_credits": 0.0, "unlimited_credits": False, "used_credits": 2.0},
    }
