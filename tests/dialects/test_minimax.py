"""MiniMax V1: its flat bodies in, the house's request out; the house's task in, query, file and callback out."""

from typing import Any

import pytest

from gateway import errors
from gateway.dialects import minimax
from gateway.dialects.speaking import Action, FileDialect, View
from gateway.video import Balance, Failure, Mode, VideoRequest
from tests.dialects.factory import ID, LINK, WORD, make_task, parse, problems, understood

FIRST, LAST = "https://example.com/first.jpg", "https://example.com/last.jpg"
DATA_URL = "data:image/jpeg;base64,iVBORw0KGgo="
SUBJECT = [{"type": "character", "image": [FIRST]}]

# The pages' modes with the fields of FACTS 4.2 each.
EXAMPLES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "text to video",
        {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "A man picks up a book [Pedestal up], then reads [Static shot].",
            "duration": 6,
            "resolution": "1080P",
        },
        {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "A man picks up a book [Pedestal up], then reads [Static shot].",
            "duration_s": 6,
            "resolution": "1080P",
        },
    ),
    (
        "image to video",
        {"model": "MiniMax-Hailuo-2.3-Fast", "first_frame_image": DATA_URL, "duration": 10, "resolution": "768p"},
        {"model": "MiniMax-Hailuo-2.3-Fast", "first_frame_image": DATA_URL, "duration_s": 10, "resolution": "768P"},
    ),
    (
        "first and last frame",
        {"model": "MiniMax-Hailuo-02", "prompt": "p", "first_frame_image": FIRST, "last_frame_image": LAST},
        {"model": "MiniMax-Hailuo-02", "prompt": "p", "first_frame_image": FIRST, "last_frame_image": LAST},
    ),
    (
        "subject reference",
        {"model": "S2V-01", "prompt": "p", "subject_reference": SUBJECT},
        {"model": "S2V-01", "prompt": "p", "subject_reference": FIRST},
    ),
    (
        "every option",
        {
            "model": "T2V-01",
            "prompt": "p",
            "resolution": "720P",
            "prompt_optimizer": False,
            "fast_pretreatment": True,
            "aigc_watermark": True,
            "callback_url": "https://example.com/hook",
        },
        {
            "model": "T2V-01",
            "prompt": "p",
            "resolution": "720P",
            "prompt_optimizer": False,
            "fast_pretreatment": True,
            "aigc_watermark": True,
            "callback_url": "https://example.com/hook",
        },
    ),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in EXAMPLES], ids=[row[0] for row in EXAMPLES])
def test_the_pages_modes_are_understood(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert understood("minimax", body) == expected


@pytest.mark.parametrize("model", ["MiniMax-Hailuo-2.3", "S2V-01"])
def test_a_prompt_is_required_only_where_the_model_says_so(model: str) -> None:
    assert not minimax.prompt_required(model)


@pytest.mark.parametrize(
    "subject",
    [[], {}, FIRST, [FIRST], SUBJECT * 2, [{"type": "character", "image": FIRST}], [{"image": [FIRST]}]],
    ids=str,
)
def test_a_subject_is_exactly_one_character_with_exactly_one_image(subject: object) -> None:
    (problem,) = parse("minimax", {"model": "M", "subject_reference": subject}).problems
    assert problem.param == "subject_reference"
    assert '{"type": "character", "image": […]}' in problem.message


def test_params_are_the_canonical_names_but_for_the_duration() -> None:
    unsaid = {name: name for name in VideoRequest().canonical()}
    assert parse("minimax", {"model": "M"}).params == {**unsaid, "duration_s": "duration"}


def test_foreign_fields_are_refused_with_their_spelling_here() -> None:
    body = {
        "model": "M",
        "quality": "768p",
        "size": "1366x768",
        "seconds": "6",
        "image_urls": [FIRST],
        "input_reference": FIRST,
        "user": "Ann",
        "seed": 1,
        "metadata": {"resolution": "768P"},
        "model_params": {},
    }
    assert problems("minimax", body) == [
        ("quality", "unknown field `quality`; minimax spells it `resolution`"),
        ("size", "unknown field `size`; minimax spells it `resolution`"),
        ("seconds", "unknown field `seconds`; minimax spells it `duration`"),
        ("image_urls", "unknown field `image_urls`; minimax spells it `first_frame_image`"),
        ("input_reference", "unknown field `input_reference`; minimax spells it `first_frame_image`"),
        ("user", "unknown field `user`; minimax has nothing like it, leave it out"),
        ("seed", "unknown field `seed`; minimax has nothing like it, leave it out"),
        ("metadata", "unknown field `metadata`"),
        ("model_params", "unknown field `model_params`"),
    ]


NUMBER = str(ID)
SUCCESS = {"status_code": 0, "status_msg": "success"}
FAILED = {"status_code": 1000, "status_msg": "the film came out empty"}
PENDING = {"task_id": NUMBER, "status": "Preparing", "file_id": "", "base_resp": SUCCESS}
POLLS: dict[str, dict[str, Any]] = {
    "queued": {**PENDING, "submission": "queued"},
    "opened": {**PENDING, "submission": "sending"},
    "unconfirmed": {**PENDING, "submission": "unconfirmed"},
    "waiting": PENDING,
    "generating": {**PENDING, "status": "Processing"},
    "completed": {
        **PENDING,
        "status": "Success",
        "file_id": NUMBER,
        "video_width": 1366,
        "video_height": 768,
    },
    "failed": {**PENDING, "status": "Fail", "base_resp": FAILED},
    "refused": {**PENDING, "status": "Fail", "base_resp": FAILED},
}
CALLBACK_WORDS = {"Preparing": "processing", "Processing": "processing", "Success": "success", "Fail": "failed"}


@pytest.mark.parametrize("state", POLLS)
def test_a_query_is_answered_in_the_vendors_words(state: str) -> None:
    assert minimax.render_task(make_task(state), View(LINK, 1757256200)) == POLLS[state]


@pytest.mark.parametrize("state", POLLS)
def test_a_callback_is_the_querys_answer_in_words_of_its_own(state: str) -> None:
    expected = {**POLLS[state], "status": CALLBACK_WORDS[POLLS[state]["status"]]}
    assert minimax.render_callback(make_task(state), View(LINK, 1757256200)) == expected


@pytest.mark.parametrize("state", POLLS)
def test_a_create_is_answered_with_a_decimal_id_whatever_became_of_the_task(state: str) -> None:
    submission = {name: word for name, word in POLLS[state].items() if name == "submission"}
    assert minimax.render_created(make_task(state)) == {"task_id": NUMBER, "base_resp": SUCCESS, **submission}


@pytest.mark.parametrize(
    ("mode", "resolution", "size"),
    [
        (Mode.TEXT, "1080P", (1920, 1080)),
        (Mode.TEXT, "720P", None),
        (Mode.IMAGE, "1080P", None),
        (Mode.SUBJECT, None, None),
    ],
)
def test_a_size_is_told_only_where_it_is_known(
    mode: Mode, resolution: str | None, size: tuple[int, int] | None
) -> None:
    task = make_task("completed", mode=mode, request=VideoRequest(model="M", resolution=resolution))
    body = minimax.render_task(task, View(LINK))
    known = {} if size is None else {"video_width": size[0], "video_height": size[1]}
    assert {name: body[name] for name in body if name.startswith("video_")} == known


@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("content_policy_violation", 1027),
        ("content_policy", 1027),
        ("1026", 1027),
        ("1027", 1027),
        ("generation_failed", 1000),
        ("submission_unconfirmed", 1000),
        ("queue_timeout", 1000),
        ("unknown_error", 1000),
    ],
)
def test_a_film_refused_for_what_it_shows_is_told_apart_from_other_failures(code: str, number: int) -> None:
    task = make_task("failed", failure=Failure(code, "no film"), upstream_id="106916112212032")
    body = minimax.render_task(task, View())
    assert body["status"] == "Fail"
    assert body["base_resp"] == {"status_code": number, "status_msg": "no film"}


REFUSALS = (errors.ContentRejected, errors.BadCall, errors.KeyBusy, errors.Misconfigured, errors.Overloaded)


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("state", ["refused", "failed"])
def test_a_refusal_after_the_answer_has_the_number_that_the_create_would_have_had(
    state: str, refusal: type[errors.Refused]
) -> None:
    error = refusal("no", row="H9")
    task = make_task(state, failure=Failure(error.code, error.message))
    _, created = minimax.render_error(error, Action.CREATE)
    assert created["base_resp"]["status_code"] in (1026, 2013, 1041, 1024, 1033)
    for render in (minimax.render_task, minimax.render_callback):
        body = render(task, View())
        assert body["status"] in ("Fail", "failed")
        assert body["base_resp"] == created["base_resp"]


@pytest.mark.parametrize("code", ["queue_timeout", "cancelled", "submission_unconfirmed"])
def test_a_task_that_ended_here_for_a_cause_no_create_is_refused_for_is_an_unknown_error(code: str) -> None:
    body = minimax.render_task(make_task("failed", failure=Failure(code, "no")), View())
    assert body["base_resp"]["status_code"] == 1000


def test_a_file_has_an_integer_id_and_the_link() -> None:
    dialect: FileDialect = minimax
    assert dialect.render_file(make_task("completed"), View(LINK, 1757256200)) == {
        "file": {
            "file_id": ID,
            "bytes": 0,
            "created_at": 1757169800,
            "filename": f"{WORD}.mp4",
            "purpose": "video_generation",
            "download_url": LINK,
        },
        "base_resp": SUCCESS,
    }


def test_a_file_of_unknown_age_and_without_a_link_is_told_as_it_is() -> None:
    file = minimax.render_file(make_task("completed", finished_at=None), View())["file"]
    assert (file["created_at"], file["download_url"]) == (1757169743, "")


@pytest.mark.parametrize(
    ("balance", "remaining", "used"),
    [(Balance(1_000_000, 100_000, 200_000), 0.7, 0.2), (Balance(None, 0, 280_000), None, 0.28)],
)
def test_an_endpoint_that_is_not_listed_still_has_an_honest_answer(
    balance: Balance, remaining: float | None, used: float
) -> None:
    assert minimax.render_balance(balance, balance) == {"remaining": remaining, "used": used, "base_resp": SUCCESS}
