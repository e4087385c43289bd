"""OpenAI Videos: JSON and forms in, the house's request out."""

from typing import Any

import pytest

from gateway.dialects import openai
from tests.dialects.factory import WORD, params, parse, problems, understood

FIRST, LAST, OTHER = "https://example.com/first.jpg", "https://example.com/last.jpg", "https://example.com/other"
DATA_URL = "data:image/jpeg;base64,iVBORw0KGgo="
SUBJECT = [{"type": "character", "image": [FIRST]}]

EXAMPLES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "FACTS 5.2: the fields of a create, as JSON",
        {"model": "MiniMax-Hailuo-2.3", "prompt": "a harbour", "seconds": "6", "size": "1366x768"},
        {"model": "MiniMax-Hailuo-2.3", "prompt": "a harbour", "duration_s": 6, "resolution": "768P"},
    ),
    (
        "FACTS 5.3: extra_body, as its form arrives",
        {
            "model": "MiniMax-Hailuo-02",
            "prompt": "a harbour",
            "seconds": "10",
            "image_urls": [FIRST, LAST],
            "model_params": {"prompt_optimizer": "false"},
            "metadata": {"resolution": "768P"},
        },
        {
            "model": "MiniMax-Hailuo-02",
            "prompt": "a harbour",
            "duration_s": 10,
            "first_frame_image": FIRST,
            "last_frame_image": LAST,
            "resolution": "768P",
            "prompt_optimizer": False,
        },
    ),
    (
        "FACTS 5.3: input_reference as the Node SDK sends the object",
        {"model": "M", "prompt": "p", "input_reference": {"image_url": FIRST}},
        {"model": "M", "prompt": "p", "first_frame_image": FIRST},
    ),
    (
        "FACTS 5.2: input_reference as a file",
        {"model": "M", "prompt": "p", "input_reference": DATA_URL},
        {"model": "M", "prompt": "p", "first_frame_image": DATA_URL},
    ),
    (
        "CONTRACT 4: a file part whose content is a link",
        {"model": "M", "prompt": "p", "input_reference": FIRST},
        {"model": "M", "prompt": "p", "first_frame_image": FIRST},
    ),
    (
        "CONTRACT 4: every extra in metadata, as a form",
        {
            "model": "M",
            "prompt": "p",
            "metadata": {
                "resolution": "1080p",
                "prompt_optimizer": "false",
                "fast_pretreatment": "true",
                "aigc_watermark": "true",
                "last_frame_image": LAST,
                "subject_reference": SUBJECT,
            },
        },
        {
            "model": "M",
            "prompt": "p",
            "resolution": "1080P",
            "prompt_optimizer": False,
            "fast_pretreatment": True,
            "aigc_watermark": True,
            "last_frame_image": LAST,
            "subject_reference": FIRST,
        },
    ),
    (
        "CONTRACT 4: every extra at the top, as JSON",
        {
            "model": "M",
            "prompt": "p",
            "duration": 6,
            "resolution": "512P",
            "prompt_optimizer": False,
            "fast_pretreatment": True,
            "aigc_watermark": True,
            "last_frame_image": LAST,
            "subject_reference": SUBJECT,
            "image_urls": [FIRST],
        },
        {
            "model": "M",
            "prompt": "p",
            "duration_s": 6,
            "resolution": "512P",
            "prompt_optimizer": False,
            "fast_pretreatment": True,
            "aigc_watermark": True,
            "first_frame_image": FIRST,
            "last_frame_image": LAST,
            "subject_reference": FIRST,
        },
    ),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES])
def test_the_documents_examples_are_understood(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert understood("openai", body) == expected


def test_a_form_and_json_of_one_request_are_the_same() -> None:
    form = {
        "model": "M",
        "prompt": "p",
        "seconds": "6",
        "model_params": {"fast_pretreatment": "true"},
        "metadata": {"prompt_optimizer": "true", "aigc_watermark": "false"},
    }
    plain = {"model": "M", "prompt": "p", "duration": 6, "fast_pretreatment": True, "aigc_watermark": False}
    assert parse("openai", form) == parse("openai", plain)
    assert parse("openai", form).fingerprint() == parse("openai", plain).fingerprint()


@pytest.mark.parametrize("word", ["true", True])
@pytest.mark.parametrize("where", ["", "metadata", "model_params"])
def test_a_boolean_may_be_a_word_anywhere(where: str, word: object) -> None:
    field = {"fast_pretreatment": word}
    body = {"model": "M", **({where: field} if where else field)}
    assert understood("openai", body) == {"model": "M", "fast_pretreatment": True}


@pytest.mark.parametrize("body", [{}, {"model": None}])
def test_a_missing_model_is_not_filled_in_with_openais_own(body: dict[str, Any]) -> None:
    assert problems("openai", body) == [("model", "is required; OpenAI's default model is not sold here")]


def test_a_sora_model_is_read_and_left_for_the_catalog() -> None:
    assert understood("openai", {"model": "sora-2", "prompt": "p"}) == {"model": "sora-2", "prompt": "p"}


def test_a_prompt_is_always_required() -> None:
    assert openai.prompt_required("MiniMax-Hailuo-02")
    assert openai.prompt_required("S2V-01")


@pytest.mark.parametrize("value", [6, "6"])
@pytest.mark.parametrize("field", ["seconds", "duration"])
def test_seconds_come_under_two_names_as_an_integer_or_digits(field: str, value: object) -> None:
    request = parse("openai", {"model": "M", field: value})
    assert (request.duration_s, request.params["duration_s"], request.problems) == (6, field, ())


@pytest.mark.parametrize("seconds", ["4", "8", "12", 5])
def test_seconds_that_are_not_sold_are_read_and_left_for_the_catalog(seconds: object) -> None:
    assert understood("openai", {"model": "M", "seconds": seconds}) == {"model": "M", "duration_s": int(str(seconds))}


@pytest.mark.parametrize(("size", "resolution"), [("1366x768", "768P"), ("1920x1080", "1080P")])
def test_the_two_known_sizes_are_resolutions(size: str, resolution: str) -> None:
    request = parse("openai", {"model": "M", "size": size, "metadata": {"resolution": resolution}})
    assert (request.resolution, request.problems) == (resolution, ())


@pytest.mark.parametrize("size", ["", "1280x720", "720x1280", "1024x1792", "1792x1024", "768x1366", "768P", 1080, {}])
def test_any_other_size_is_refused_with_the_two_that_exist(size: object) -> None:
    (problem,) = parse("openai", {"model": "M", "size": size}).problems
    assert (problem.param, problem.allowed) == ("size", ("1366x768", "1920x1080"))


FILE_ID = "file ids are not offered; send the file itself, or give `input_reference.image_url`"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({}, [("input_reference.image_url", "is required")]),
        ({"image_url": None}, [("input_reference.image_url", "is required")]),
        ({"file_id": "file-1"}, [("input_reference.file_id", FILE_ID)]),
        ({"file_id": "file-1", "image_url": FIRST}, [("input_reference.file_id", FILE_ID)]),
        (
            {"image_url": FIRST, "detail": "high"},
            [("input_reference.detail", "unknown field `input_reference.detail`")],
        ),
    ],
)
def test_a_reference_object_has_exactly_an_image_url(
    reference: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert problems("openai", {"model": "M", "input_reference": reference}) == expected


def test_a_broken_reference_is_remembered_under_the_name_that_was_said() -> None:
    for reference, said in (({"file_id": "x"}, "file_id"), ({}, "image_url"), ({"image_url": "x"}, "image_url")):
        request = parse("openai", {"model": "M", "input_reference": reference})
        assert request.params["first_frame_image"] == f"input_reference.{said}"


def test_what_is_not_on_offer_is_not_listed_as_allowed() -> None:
    (problem,) = parse("openai", {"model": "M", "input_reference": {"image_url": FIRST, "file_ids": 1}}).problems
    assert problem.allowed == ("input_reference.image_url",)
    assert problem.message == "unknown field `input_reference.file_ids`"


@pytest.mark.parametrize(
    ("body", "one", "other"),
    [
        ({"input_reference": FIRST, "image_urls": [OTHER]}, "input_reference", "image_urls[0]"),
        (
            {"input_reference": {"image_url": FIRST}, "image_urls": [OTHER]},
            "input_reference.image_url",
            "image_urls[0]",
        ),
        ({"image_urls": [FIRST, LAST], "last_frame_image": OTHER}, "last_frame_image", "image_urls[1]"),
        (
            {"metadata": {"last_frame_image": LAST}, "image_urls": [FIRST, OTHER]},
            "metadata.last_frame_image",
            "image_urls[1]",
        ),
        ({"seconds": "6", "duration": 10}, "seconds", "duration"),
        ({"size": "1366x768", "resolution": "1080P"}, "resolution", "size"),
        ({"metadata": {"resolution": "768P"}, "resolution": "1080P"}, "metadata.resolution", "resolution"),
        (
            {"metadata": {"prompt_optimizer": "true"}, "model_params": {"prompt_optimizer": False}},
            "metadata.prompt_optimizer",
            "model_params.prompt_optimizer",
        ),
    ],
)
def test_two_spellings_that_differ_are_one_problem_naming_both(body: dict[str, Any], one: str, other: str) -> None:
    request = parse("openai", {"model": "M", **body})
    (problem,) = request.problems
    assert problem.param == one
    assert f"`{one}` and `{other}`" in problem.message
    assert one in request.params.values()  # so that pre-flight knows it has been spoken of


def test_the_same_said_twice_is_fine() -> None:
    body = {
        "model": "M",
        "input_reference": {"image_url": FIRST},
        "image_urls": [FIRST],
        "seconds": "6",
        "duration": 6,
        "resolution": "1080p",
        "size": "1920x1080",
        "metadata": {"prompt_optimizer": "false"},
        "prompt_optimizer": False,
    }
    assert understood("openai", body) == {
        "model": "M",
        "first_frame_image": FIRST,
        "duration_s": 6,
        "resolution": "1080P",
        "prompt_optimizer": False,
    }


def test_user_is_ignored_whatever_it_is() -> None:
    assert understood("openai", {"model": "M", "user": {"name": ["Ann"]}}) == {"model": "M"}


def test_foreign_fields_are_refused_with_their_spelling_here() -> None:
    body = {
        "model": "M",
        "quality": "768p",
        "first_frame_image": FIRST,
        "images": [],
        "callback_url": "https://example.com/hook",
        "seed": "1",
        "metadata": {"callback_url": "https://example.com/hook", "seconds": "6", "note": "mine"},
        "model_params": {"resolution": "768P"},
    }
    assert problems("openai", body) == [
        ("quality", "unknown field `quality`; openai spells it `metadata.resolution`"),
        ("first_frame_image", "unknown field `first_frame_image`; openai spells it `input_reference`"),
        ("images", "unknown field `images`; openai spells it `image_urls`"),
        ("callback_url", "unknown field `callback_url`; openai has nothing like it, leave it out"),
        ("seed", "unknown field `seed`; openai has nothing like it, leave it out"),
        ("metadata.callback_url", "unknown field `metadata.callback_url`; openai has nothing like it, leave it out"),
        ("metadata.seconds", "unknown field `metadata.seconds`; openai spells it `seconds`"),
        ("metadata.note", "unknown field `metadata.note`"),
        ("model_params.resolution", "unknown field `model_params.resolution`; openai spells it `metadata.resolution`"),
    ]


def test_params_name_the_preferred_spelling_where_nothing_was_said() -> None:
    assert parse("openai", {"model": "M"}).params == {
        "model": "model",
        "prompt": "prompt",
        "first_frame_image": "input_reference",
        "last_frame_image": "metadata.last_frame_image",
        "subject_reference": "metadata.subject_reference",
        "resolution": "metadata.resolution",
        "duration_s": "seconds",
        "prompt_optimizer": "metadata.prompt_optimizer",
        "fast_pretreatment": "metadata.fast_pretreatment",
        "aigc_watermark": "metadata.aigc_watermark",
        "callback_url": "callback_url",
    }


def test_the_query_of_a_list_is_not_a_matter_of_the_body() -> None:
    assert params("openai", {"model": "M", "after": WORD, "limit": 20}) == ["after", "limit"]
