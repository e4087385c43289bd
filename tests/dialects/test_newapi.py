"""new-api: many spellings in, the house's request out; the house's task in, three documented shapes at once out."""

import json
from typing import Any

import pytest

from gateway.dialects import newapi
from gateway.dialects.speaking import View
from gateway.video import Balance, Mode
from tests.dialects.factory import LINK, WORD, make_task, params, parse, problems, understood

FIRST, LAST, OTHER = "https://example.com/start_frame.png", "https://example.com/last.png", "https://example.com/other"
PROMPT = "Contemporary dance, the people in the picture are performing, [dolly in]"
SUBJECT = [{"type": "character", "image": [FIRST]}]

SEED_004: dict[str, Any] = {
    "model": "MiniMax-Hailuo-2.3",
    "prompt": PROMPT,
    "duration": 6,
    "metadata": {
        "first_frame_image": FIRST,
        "resolution": "1080P",
        "prompt_optimizer": True,
        "aigc_watermark": False,
    },
}
SEED_004_UNDERSTOOD = {
    "model": "MiniMax-Hailuo-2.3",
    "prompt": PROMPT,
    "first_frame_image": FIRST,
    "resolution": "1080P",
    "duration_s": 6,
}


def test_the_example_of_seed_004_and_facts_3_2_is_understood() -> None:
    assert understood("newapi", SEED_004) == SEED_004_UNDERSTOOD


def test_metadata_may_come_as_a_json_string() -> None:
    body = {**SEED_004, "metadata": json.dumps(SEED_004["metadata"])}
    assert understood("newapi", body) == SEED_004_UNDERSTOOD


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "no JSON",
        "[]",
        "null",
        '"text"',
        '{"duration": NaN}',
        '{"duration": 6, "duration": 6}',
        '{"callback_url": "\\ud800"}',
        '{"callback_url": "a\\u0000b"}',
        '{"a":' * 40 + "1" + "}" * 40,
        "[" * 100_000,
        5,
        True,
        [],
    ],
    ids=str,
)
def test_metadata_that_is_no_strict_object_is_one_problem_for_all_its_fields(metadata: object) -> None:
    request = parse("newapi", {"model": "M", "metadata": metadata})
    assert [problem.param for problem in request.problems] == ["metadata"]
    assert {request.param(name) for name in ("first_frame_image", "resolution", "callback_url")} == {"metadata"}


def test_every_metadata_field_is_understood() -> None:
    metadata = {
        "first_frame_image": FIRST,
        "last_frame_image": LAST,
        "subject_reference": SUBJECT,
        "resolution": "720p",
        "prompt_optimizer": False,
        "fast_pretreatment": True,
        "callback_url": "https://example.com/hook",
        "aigc_watermark": True,
        "duration": 10,
    }
    assert understood("newapi", {"model": "M", "metadata": metadata}) == {
        "model": "M",
        "first_frame_image": FIRST,
        "last_frame_image": LAST,
        "subject_reference": FIRST,
        "resolution": "720P",
        "duration_s": 10,
        "prompt_optimizer": False,
        "fast_pretreatment": True,
        "aigc_watermark": True,
        "callback_url": "https://example.com/hook",
    }


@pytest.mark.parametrize(
    ("body", "spelling"),
    [
        ({"image": FIRST}, "image"),
        ({"images": [FIRST]}, "images[0]"),
        ({"input_reference": FIRST}, "input_reference"),
        ({"metadata": {"first_frame_image": FIRST}}, "metadata.first_frame_image"),
        ({"image": FIRST, "images": [FIRST], "input_reference": FIRST}, "image"),
        ({"image": FIRST, "metadata": {"first_frame_image": FIRST}}, "metadata.first_frame_image"),
    ],
)
def test_every_spelling_of_the_first_frame_is_read_and_remembered(body: dict[str, Any], spelling: str) -> None:
    request = parse("newapi", {"model": "M", **body})
    assert (request.first_frame_image, request.problems) == (FIRST, ())
    assert request.params["first_frame_image"] == spelling


def test_two_listed_images_are_the_first_and_the_last_frame() -> None:
    assert understood("newapi", {"model": "M", "images": [FIRST, LAST]}) == {
        "model": "M",
        "first_frame_image": FIRST,
        "last_frame_image": LAST,
    }


def test_three_listed_images_are_refused() -> None:
    assert params("newapi", {"model": "M", "images": [FIRST, LAST, OTHER]}) == ["images"]


@pytest.mark.parametrize(
    ("body", "one", "other"),
    [
        ({"image": FIRST, "input_reference": OTHER}, "image", "input_reference"),
        ({"images": [FIRST], "image": OTHER}, "image", "images[0]"),
        ({"metadata": {"first_frame_image": FIRST}, "images": [OTHER]}, "metadata.first_frame_image", "images[0]"),
        (
            {"metadata": {"last_frame_image": LAST}, "images": [FIRST, OTHER]},
            "metadata.last_frame_image",
            "images[1]",
        ),
        ({"metadata": {"resolution": "768P"}, "size": "1920x1080"}, "metadata.resolution", "size"),
        ({"duration": 6, "seconds": "10"}, "duration", "seconds"),
        ({"duration": "6", "metadata": {"duration": 10}}, "duration", "metadata.duration"),
        ({"seconds": "6", "metadata": {"duration": 10}}, "seconds", "metadata.duration"),
    ],
)
def test_two_spellings_that_differ_are_one_problem_naming_both(body: dict[str, Any], one: str, other: str) -> None:
    request = parse("newapi", {"model": "M", **body})
    (problem,) = request.problems
    assert problem.param == one
    assert f"`{one}` and `{other}`" in problem.message
    assert one in request.params.values()  # so that pre-flight knows it has been spoken of


@pytest.mark.parametrize(
    "body",
    [
        {"duration": 6, "seconds": "6", "metadata": {"duration": "6"}},
        {"duration": "6"},
        {"seconds": "6"},
        {"metadata": {"duration": 6}},
    ],
)
def test_durations_come_as_integers_or_digits_and_the_same_value_twice_is_fine(body: dict[str, Any]) -> None:
    assert understood("newapi", {"model": "M", **body}) == {"model": "M", "duration_s": 6}


@pytest.mark.parametrize("value", [6.0, True, "", "6.0", " 6", "06", "six", "+6", "-6", "６", "1" * 10, [6]])
def test_what_is_neither_integer_nor_digits_is_no_duration(value: object) -> None:
    assert params("newapi", {"model": "M", "duration": value}) == ["duration"]
    assert params("newapi", {"model": "M", "metadata": {"duration": value}}) == ["metadata.duration"]


@pytest.mark.parametrize("value", [6, 6.0, True, "", "6s"])
def test_seconds_are_a_string_of_digits_and_nothing_else(value: object) -> None:
    assert params("newapi", {"model": "M", "seconds": value}) == ["seconds"]


@pytest.mark.parametrize(("size", "resolution"), [("1366x768", "768P"), ("1920x1080", "1080P")])
def test_the_two_known_sizes_are_resolutions(size: str, resolution: str) -> None:
    request = parse("newapi", {"model": "M", "size": size, "metadata": {"resolution": resolution}})
    assert (request.resolution, request.problems) == (resolution, ())


@pytest.mark.parametrize("size", ["", "1280x720", "768x1366", "1080x1920", "1024x1024", "1920X1080", "1080P", 1080, {}])
def test_any_other_size_is_refused_with_the_two_that_exist(size: object) -> None:
    (problem,) = parse("newapi", {"model": "M", "size": size}).problems
    assert (problem.param, problem.allowed) == ("size", ("1366x768", "1920x1080"))


@pytest.mark.parametrize(
    "subject",
    [
        [],
        {},
        FIRST,
        [FIRST],
        SUBJECT * 2,
        [{"type": "character", "image": FIRST}],
        [{"type": "character", "image": []}],
        [{"type": "character", "image": [FIRST, LAST]}],
        [{"type": "character", "image": [7]}],
        [{"type": "character", "image": ["face.png"]}],
        [{"type": "person", "image": [FIRST]}],
        [{"image": [FIRST]}],
        [{"type": "character"}],
        [{"type": "character", "image": [FIRST], "name": "Ann"}],
    ],
    ids=str,
)
def test_a_subject_is_exactly_one_character_with_exactly_one_image(subject: object) -> None:
    (problem,) = parse("newapi", {"model": "M", "metadata": {"subject_reference": subject}}).problems
    assert problem.param == "metadata.subject_reference"
    assert '{"type": "character", "image": […]}' in problem.message


def test_user_is_ignored_whatever_it_is() -> None:
    assert understood("newapi", {"model": "M", "user": {"name": ["Ann"]}}) == {"model": "M"}


FORMS: list[dict[str, Any]] = [
    {"seconds": "6", "resolution": "1080P", "first_frame_image": FIRST, "prompt_optimizer": "false"},
    {"duration": "6", "size": "1920x1080", "input_reference": FIRST, "prompt_optimizer": "false"},
    {"metadata": {"duration": "6"}, "resolution": "1080p", "images": [FIRST], "prompt_optimizer": "false"},
    {"seconds": "6", "resolution": "1080P", "image": FIRST, "prompt_optimizer": "false", "aigc_watermark": "false"},
]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_says_at_the_top_what_json_has_in_metadata(form: dict[str, Any]) -> None:
    body = {"model": "MiniMax-Hailuo-2.3", "prompt": "p", "duration": 6}
    plain = {**body, "metadata": {"first_frame_image": FIRST, "resolution": "1080P", "prompt_optimizer": False}}
    del body["duration"]
    request = newapi.parse_form({**body, **form})
    assert request.problems == ()
    assert request.canonical() == parse("newapi", plain).canonical()
    assert request.fingerprint() == parse("newapi", plain).fingerprint()


def test_a_forms_problems_are_told_under_its_own_names() -> None:
    form = {"model": "M", "prompt": "p", "resolution": "HD", "seconds": "soon", "quality": "768p"}
    found = newapi.parse_form({**form, "prompt_optimizer": "yes", "metadata": {"aigc_watermark": "true"}}).problems
    assert [problem.param for problem in found] == [
        *("resolution", "seconds", "prompt_optimizer", "quality", "metadata.aigc_watermark"),
    ]  # fmt: skip
    assert [problem.message.partition("; ")[2] for problem in found[3:]] == [
        *("newapi spells it `resolution`", "newapi spells it `aigc_watermark`"),
    ]  # fmt: skip


def test_json_still_has_them_in_metadata_alone() -> None:
    body = {"model": "M", "prompt": "p", "resolution": "768P", "metadata": {"prompt_optimizer": "true"}}
    assert params("newapi", body) == ["metadata.prompt_optimizer", "resolution"]


def test_foreign_fields_are_refused_with_their_spelling_here() -> None:
    body = {
        "model": "M",
        "resolution": "768P",
        "quality": "768p",
        "image_urls": [],
        "seed": 1,
        "metadata": {"prompt": "p"},
    }
    assert problems("newapi", body) == [
        ("resolution", "unknown field `resolution`; newapi spells it `metadata.resolution`"),
        ("quality", "unknown field `quality`; newapi spells it `metadata.resolution`"),
        ("image_urls", "unknown field `image_urls`; newapi spells it `images`"),
        ("seed", "unknown field `seed`; newapi has nothing like it, leave it out"),
        ("metadata.prompt", "unknown field `metadata.prompt`; newapi spells it `prompt`"),
    ]


def test_a_misspelt_field_of_two_places_is_led_to_the_preferred_one() -> None:
    assert problems("newapi", {"model": "M", "Duration": 6}) == [
        ("Duration", "unknown field `Duration`; did you mean `duration`?")
    ]


def test_params_name_the_preferred_spelling_where_nothing_was_said() -> None:
    assert parse("newapi", {"model": "M"}).params == {
        "model": "model",
        "prompt": "prompt",
        "first_frame_image": "metadata.first_frame_image",
        "last_frame_image": "metadata.last_frame_image",
        "subject_reference": "metadata.subject_reference",
        "resolution": "metadata.resolution",
        "duration_s": "duration",
        "prompt_optimizer": "metadata.prompt_optimizer",
        "fast_pretreatment": "metadata.fast_pretreatment",
        "aigc_watermark": "metadata.aigc_watermark",
        "callback_url": "metadata.callback_url",
    }


CREATED = {
    "id": WORD,
    "task_id": WORD,
    "object": "video",
    "model": "MiniMax-Hailuo-2.3",
    "status": "queued",
    "progress": 0,
    "created_at": 1757169743,
}
ERROR = {"code": "generation_failed", "message": "the film came out empty"}
DATA = {
    "task_id": WORD,
    "platform": "35",
    "action": "textGenerate",
    "fail_reason": "",
    "result_url": "",
    "submit_time": 1757169743,
    "start_time": 0,
    "finish_time": 0,
    "progress": "0%",
    "properties": {},
    "data": {},
}
TOP = {
    "code": "success",
    "message": "",
    "task_id": WORD,
    "status": "queued",
    "url": "",
    "format": "mp4",
    "metadata": {"duration": 6},
    "error": None,
}
POLLS: dict[str, dict[str, Any]] = {
    "queued": {**TOP, "data": {**DATA, "status": "QUEUED"}, "submission": "queued"},
    "opened": {**TOP, "data": {**DATA, "status": "SUBMITTED"}, "submission": "sending"},
    "unconfirmed": {**TOP, "data": {**DATA, "status": "SUBMITTED"}, "submission": "unconfirmed"},
    "waiting": {**TOP, "data": {**DATA, "status": "QUEUED", "start_time": 1757169745}},
    "generating": {
        **TOP,
        "status": "in_progress",
        "data": {**DATA, "status": "IN_PROGRESS", "start_time": 1757169745, "progress": "50%"},
    },
    "completed": {
        **TOP,
        "status": "completed",
        "url": LINK,
        "data": {
            **DATA,
            "status": "SUCCESS",
            "result_url": LINK,
            "start_time": 1757169745,
            "finish_time": 1757169800,
            "progress": "100%",
        },
    },
    "failed": {
        **TOP,
        "status": "failed",
        "error": ERROR,
        "data": {
            **DATA,
            "status": "FAILURE",
            "fail_reason": "the film came out empty",
            "start_time": 1757169745,
            "finish_time": 1757169800,
            "progress": "50%",
        },
    },
    "refused": {
        **TOP,
        "status": "failed",
        "error": ERROR,
        "data": {
            **DATA,
            "status": "FAILURE",
            "fail_reason": "the film came out empty",
            "finish_time": 1757169800,
        },
    },
}
CREATES: dict[str, dict[str, Any]] = {
    "queued": {**CREATED, "submission": "queued"},
    "opened": {**CREATED, "submission": "sending"},
    "unconfirmed": {**CREATED, "submission": "unconfirmed"},
    "waiting": CREATED,
    "generating": {**CREATED, "status": "in_progress", "progress": 50},
    "completed": {**CREATED, "status": "completed", "progress": 100},
    "failed": {**CREATED, "status": "failed", "progress": 50, "error": ERROR},
    "refused": {**CREATED, "status": "failed", "error": ERROR},
}


@pytest.mark.parametrize("state", POLLS)
def test_a_poll_is_answered_in_all_three_documented_shapes_at_once(state: str) -> None:
    view = View(LINK, 1757256200) if state == "completed" else View()
    assert newapi.render_task(make_task(state), view) == POLLS[state]


@pytest.mark.parametrize("state", CREATES)
def test_a_create_is_answered_with_the_video_object_and_the_task_id(state: str) -> None:
    assert newapi.render_created(make_task(state)) == CREATES[state]


@pytest.mark.parametrize(
    ("mode", "action"),
    [
        (Mode.TEXT, "textGenerate"),
        (Mode.IMAGE, "generate"),
        (Mode.FIRST_LAST, "firstTailGenerate"),
        (Mode.SUBJECT, "referenceGenerate"),
    ],
)
def test_the_action_tells_the_mode(mode: Mode, action: str) -> None:
    assert newapi.render_task(make_task(mode=mode), View())["data"]["action"] == action


def test_an_endpoint_that_is_not_listed_still_has_an_honest_answer() -> None:
    balance = Balance(limit=1_000_000, held=100_000, spent=200_000)
    assert newapi.render_balance(balance, balance) == {
        "object": "credit_summary",
        "total_available": 0.7,
        "total_used": 0.2,
        "unlimited": False,
    }
