"""ToAPIs: its page's bodies in, the house's request out; the house's task in, its page's answers out."""

from typing import Any

import pytest

from gateway.dialects import toapis
from gateway.dialects.speaking import View
from gateway.video import Balance
from tests.dialects.factory import LINK, WORD, make_task, params, parse, problems, understood

FIRST, LAST = "https://example.com/first-frame.jpg", "https://example.com/last.jpg"
PROMPT = "A cat running in a garden [Push in], then stops and looks at the camera [Static shot]"

# The page names its examples and gives the fields' values, but prints no whole body.
EXAMPLES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "seed-001: text to video",
        {"model": "MiniMax-Hailuo-2.3", "prompt": PROMPT, "duration": 6, "resolution": "768P"},
        {"model": "MiniMax-Hailuo-2.3", "prompt": PROMPT, "duration_s": 6, "resolution": "768P"},
    ),
    (
        "seed-001: image to video",
        {"model": "MiniMax-Hailuo-2.3", "prompt": PROMPT, "image_urls": [FIRST], "resolution": "1080P"},
        {"model": "MiniMax-Hailuo-2.3", "prompt": PROMPT, "first_frame_image": FIRST, "resolution": "1080P"},
    ),
    (
        "seed-001: image to video, fast",
        {"model": "MiniMax-Hailuo-2.3-Fast", "prompt": PROMPT, "image_urls": [FIRST]},
        {"model": "MiniMax-Hailuo-2.3-Fast", "prompt": PROMPT, "first_frame_image": FIRST},
    ),
    (
        "seed-001: two directives in one bracket",
        {"model": "MiniMax-Hailuo-2.3", "prompt": "a harbour [Pan left, Pedestal up]"},
        {"model": "MiniMax-Hailuo-2.3", "prompt": "a harbour [Pan left, Pedestal up]"},
    ),
    (
        "seed-001: a ten-second film",
        {"model": "MiniMax-Hailuo-2.3", "prompt": PROMPT, "duration": 10},
        {"model": "MiniMax-Hailuo-2.3", "prompt": PROMPT, "duration_s": 10},
    ),
    (
        "FACTS 2.1: every extended parameter, with Hailuo 02",
        {
            "model": "MiniMax-Hailuo-02",
            "image_urls": [FIRST],
            "resolution": "768p",
            "metadata": {
                "prompt_optimizer": False,
                "fast_pretreatment": True,
                "aigc_watermark": True,
                "callback_url": "https://example.com/hook",
                "last_frame_image": LAST,
            },
        },
        {
            "model": "MiniMax-Hailuo-02",
            "first_frame_image": FIRST,
            "last_frame_image": LAST,
            "resolution": "768P",
            "prompt_optimizer": False,
            "fast_pretreatment": True,
            "aigc_watermark": True,
            "callback_url": "https://example.com/hook",
        },
    ),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES])
def test_the_pages_examples_are_understood(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert understood("toapis", body) == expected


@pytest.mark.parametrize("field", ["image_urls[0]", "metadata.last_frame_image"])
def test_data_urls_are_refused_because_this_dialect_takes_links_only(field: str) -> None:
    image = "data:image/png;base64,iVBORw0KGgo="
    body = {"image_urls": [image]} if field == "image_urls[0]" else {"metadata": {"last_frame_image": image}}
    assert params("toapis", {"model": "M", **body}) == [field]


def test_two_images_are_refused_with_the_place_of_the_last_frame() -> None:
    (problem,) = parse("toapis", {"model": "M", "image_urls": [FIRST, LAST]}).problems
    assert problem.param == "image_urls"
    assert "metadata.last_frame_image" in problem.message


def test_a_prompt_is_required_for_the_two_models_of_the_2_3_page() -> None:
    models = ["MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast", "MiniMax-Hailuo-02"]
    assert [toapis.prompt_required(model) for model in models] == [True, True, False]


def test_a_resolution_that_is_none_is_refused_with_the_words_of_this_dialect() -> None:
    (problem,) = parse("toapis", {"model": "M", "resolution": "HD"}).problems
    assert (problem.param, problem.allowed) == ("resolution", ("512P", "768P", "1080P"))


def test_params_name_the_callers_own_fields_also_where_nothing_was_said() -> None:
    assert parse("toapis", {"model": "M"}).params == {
        "model": "model",
        "prompt": "prompt",
        "first_frame_image": "image_urls",
        "last_frame_image": "metadata.last_frame_image",
        "subject_reference": "subject_reference",
        "resolution": "resolution",
        "duration_s": "duration",
        "prompt_optimizer": "metadata.prompt_optimizer",
        "fast_pretreatment": "metadata.fast_pretreatment",
        "aigc_watermark": "metadata.aigc_watermark",
        "callback_url": "metadata.callback_url",
    }


def test_foreign_fields_and_those_of_older_generations_are_refused_with_their_spelling_of_today() -> None:
    body = {
        "model": "M",
        "quality": "768p",
        "callback_url": "https://example.com",
        "metadata": {"resolution": "768p", "first_frame_image": FIRST, "watermark": True},
    }
    assert problems("toapis", body) == [
        ("quality", "unknown field `quality`; toapis spells it `resolution`"),
        ("callback_url", "unknown field `callback_url`; toapis spells it `metadata.callback_url`"),
        ("metadata.resolution", "unknown field `metadata.resolution`; toapis spells it `resolution`"),
        ("metadata.first_frame_image", "unknown field `metadata.first_frame_image`; toapis spells it `image_urls[0]`"),
        ("metadata.watermark", "unknown field `metadata.watermark`; toapis spells it `metadata.aigc_watermark`"),
    ]


HEAD = {"id": WORD, "object": "generation.task", "model": "MiniMax-Hailuo-2.3", "created_at": 1757169743}
ERROR = {"code": "generation_failed", "message": "the film came out empty"}
POLLS: dict[str, dict[str, Any]] = {
    "queued": {**HEAD, "status": "queued", "progress": 0, "submission": "queued"},
    "opened": {**HEAD, "status": "queued", "progress": 0, "submission": "sending"},
    "unconfirmed": {**HEAD, "status": "queued", "progress": 0, "submission": "unconfirmed"},
    "waiting": {**HEAD, "status": "queued", "progress": 0},
    "generating": {**HEAD, "status": "in_progress", "progress": 50},
    "completed": {
        **HEAD,
        "status": "completed",
        "progress": 100,
        "completed_at": 1757169800,
        "expires_at": 1757256200,
        "result": {"type": "video", "data": [{"url": LINK, "format": "mp4"}]},
        "url": LINK,  # where the page's own samples read it
    },
    "failed": {**HEAD, "status": "failed", "progress": 50, "error": ERROR},
    "refused": {**HEAD, "status": "failed", "progress": 0, "error": ERROR},
}


@pytest.mark.parametrize("state", POLLS)
def test_a_poll_is_answered_in_the_shape_of_the_status_page(state: str) -> None:
    view = View(LINK, 1757256200) if state == "completed" else View()
    assert toapis.render_task(make_task(state), view) == POLLS[state]


@pytest.mark.parametrize("state", POLLS)
def test_a_create_is_answered_with_the_task_as_it_stands_and_empty_metadata(state: str) -> None:
    later = {"completed_at", "expires_at", "result", "url"}
    expected = {name: value for name, value in POLLS[state].items() if name not in later}
    assert toapis.render_created(make_task(state)) == {**expected, "metadata": {}}


def test_a_completed_task_whose_link_is_gone_has_no_data() -> None:
    body = toapis.render_task(make_task("completed", finished_at=None), View())
    assert body["result"] == {"type": "video", "data": []}
    assert not {"expires_at", "completed_at", "url"} & set(body)


@pytest.mark.parametrize(
    ("own", "owner", "expected"),
    [
        (Balance(12_800_000, 0, 2_300_000), Balance(None, 0, 9_000_000), (10.5, 2.3, False)),
        (Balance(None, 0, 280_000), Balance(None, 0, 280_000), (-1, 0.28, True)),
        (Balance(None, 0, 280_000), Balance(1_000_000, 500_000, 300_000), (0.2, 0.3, False)),
        (Balance(1_000_000, 0, 2_000_000), Balance(None, 0, 2_000_000), (0, 2.0, False)),
    ],
    ids=["the key's own", "no budget anywhere", "the team's where the key has none", "overdrawn, which is not -1"],
)
def test_the_balance_is_the_keys_own_or_its_owners_where_it_has_none(
    own: Balance, owner: Balance, expected: tuple[float, float, bool]
) -> None:
    remain, used, unlimited = expected
    assert toapis.render_balance(own, owner) == {
        "success": True,
        "remain_balance": remain,
        "used_balance": used,
        "unlimited_quota": unlimited,
    }
