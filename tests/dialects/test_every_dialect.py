"""What holds in every dialect: types are checked and never coerced, the unknown is refused, and nothing raises."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Action, Endpoint, FileDialect, Lister, View
from gateway.video import VideoRequest
from tests.dialects.factory import LINK, SPOKEN, STATES, make_task, params, parse, understood, with_field

IMAGE = "https://example.com/a.png"
NOT_TEXT: list[Any] = [5, 1.5, True, [], {}, ["text"]]
NOT_BOOLEAN_NOR_WORD: list[Any] = ["", "True", "FALSE", "yes", "1", " true", 0, 1, 1.0, [], {}]
NOT_BOOLEAN: list[Any] = ["true", "false", *NOT_BOOLEAN_NOR_WORD]
NOT_IMAGE: list[Any] = [5, True, [IMAGE], {}, "", "a.png", "//example.com/a.png", "file:///etc/passwd"]
NOT_IMAGES: list[Any] = [IMAGE, 5, True, {"0": IMAGE}, [IMAGE] * 3, ""]
NOT_SECONDS: list[Any] = [6.0, True, "six", "", [6], {}]
NOT_RESOLUTION: list[Any] = [768, True, "", "768", "HD", ["768P"], {}]
NOT_OBJECT: list[Any] = [5, True, [], "text", [{}]]

# dialect → (field, canonical field that stays unsaid, values of a wrong type)
FIELDS: dict[str, list[tuple[str, str, list[Any]]]] = {
    "evolink": [
        ("model", "model", [*NOT_TEXT, ""]),
        ("prompt", "prompt", NOT_TEXT),
        ("image_urls", "first_frame_image", NOT_IMAGES),
        ("quality", "resolution", NOT_RESOLUTION),
        ("duration", "duration_s", [*NOT_SECONDS, "6"]),
        ("model_params", "prompt_optimizer", [*NOT_OBJECT, "{}"]),
        ("model_params.prompt_optimizer", "prompt_optimizer", NOT_BOOLEAN),
        ("model_params.fast_pretreatment", "fast_pretreatment", NOT_BOOLEAN),
        ("callback_url", "callback_url", NOT_TEXT),
    ],
    "toapis": [
        ("model", "model", [*NOT_TEXT, ""]),
        ("prompt", "prompt", NOT_TEXT),
        ("image_urls", "first_frame_image", [*NOT_IMAGES, [IMAGE] * 2]),
        ("resolution", "resolution", NOT_RESOLUTION),
        ("duration", "duration_s", [*NOT_SECONDS, "6"]),
        ("metadata", "last_frame_image", [*NOT_OBJECT, "{}"]),
        ("metadata.last_frame_image", "last_frame_image", NOT_IMAGE),
        ("metadata.prompt_optimizer", "prompt_optimizer", NOT_BOOLEAN),
        ("metadata.fast_pretreatment", "fast_pretreatment", NOT_BOOLEAN),
        ("metadata.aigc_watermark", "aigc_watermark", NOT_BOOLEAN),
        ("metadata.callback_url", "callback_url", NOT_TEXT),
    ],
    "newapi": [
        ("model", "model", [*NOT_TEXT, ""]),
        ("prompt", "prompt", NOT_TEXT),
        ("image", "first_frame_image", NOT_IMAGE),
        ("images", "first_frame_image", NOT_IMAGES),
        ("input_reference", "first_frame_image", NOT_IMAGE),
        ("size", "resolution", NOT_RESOLUTION),
        ("duration", "duration_s", NOT_SECONDS),
        ("seconds", "duration_s", [*NOT_SECONDS, 6]),
        ("metadata", "resolution", NOT_OBJECT),
        ("metadata.first_frame_image", "first_frame_image", NOT_IMAGE),
        ("metadata.last_frame_image", "last_frame_image", NOT_IMAGE),
        ("metadata.subject_reference", "subject_reference", [*NOT_IMAGE, IMAGE]),
        ("metadata.resolution", "resolution", NOT_RESOLUTION),
        ("metadata.duration", "duration_s", NOT_SECONDS),
        ("metadata.prompt_optimizer", "prompt_optimizer", NOT_BOOLEAN),
        ("metadata.fast_pretreatment", "fast_pretreatment", NOT_BOOLEAN),
        ("metadata.aigc_watermark", "aigc_watermark", NOT_BOOLEAN),
        ("metadata.callback_url", "callback_url", NOT_TEXT),
    ],
    "openai": [
        ("model", "model", [*NOT_TEXT, ""]),
        ("prompt", "prompt", NOT_TEXT),
        ("input_reference", "first_frame_image", [value for value in NOT_IMAGE if value != {}]),
        ("input_reference.image_url", "first_frame_image", NOT_IMAGE),
        ("image_urls", "first_frame_image", NOT_IMAGES),
        ("size", "resolution", NOT_RESOLUTION),
        ("seconds", "duration_s", NOT_SECONDS),
        ("duration", "duration_s", NOT_SECONDS),
        ("metadata", "resolution", [*NOT_OBJECT, "{}"]),
        ("model_params", "prompt_optimizer", [*NOT_OBJECT, "{}"]),
        *[
            (where + name, name, values)
            for where in ("metadata.", "")
            for name, values in (
                ("last_frame_image", NOT_IMAGE),
                ("subject_reference", [*NOT_IMAGE, IMAGE]),
                ("resolution", NOT_RESOLUTION),
                ("prompt_optimizer", NOT_BOOLEAN_NOR_WORD),
                ("fast_pretreatment", NOT_BOOLEAN_NOR_WORD),
                ("aigc_watermark", NOT_BOOLEAN_NOR_WORD),
            )
        ],
        ("model_params.prompt_optimizer", "prompt_optimizer", NOT_BOOLEAN_NOR_WORD),
        ("model_params.fast_pretreatment", "fast_pretreatment", NOT_BOOLEAN_NOR_WORD),
    ],
    "minimax": [
        ("model", "model", [*NOT_TEXT, ""]),
        ("prompt", "prompt", NOT_TEXT),
        ("first_frame_image", "first_frame_image", NOT_IMAGE),
        ("last_frame_image", "last_frame_image", NOT_IMAGE),
        ("subject_reference", "subject_reference", [*NOT_IMAGE, IMAGE]),
        ("prompt_optimizer", "prompt_optimizer", NOT_BOOLEAN),
        ("fast_pretreatment", "fast_pretreatment", NOT_BOOLEAN),
        ("duration", "duration_s", [*NOT_SECONDS, "6"]),
        ("resolution", "resolution", NOT_RESOLUTION),
        ("callback_url", "callback_url", NOT_TEXT),
        ("aigc_watermark", "aigc_watermark", NOT_BOOLEAN),
    ],
}
CASES = [
    pytest.param(dialect, field, canonical, value, id=f"{dialect}-{field}-{json.dumps(value)[:30]}")
    for dialect, fields in FIELDS.items()
    for field, canonical, values in fields
    for value in values
]


@pytest.mark.parametrize(("dialect", "field", "canonical", "value"), CASES)
def test_a_wrong_type_is_one_problem_and_counts_as_unsaid(
    dialect: str, field: str, canonical: str, value: object
) -> None:
    request = parse(dialect, with_field(field, value))
    assert [problem.param for problem in request.problems] == [field]
    assert getattr(request, canonical) == getattr(VideoRequest(), canonical)
    assert request.params[canonical] == field


NULLABLE = [
    (name, row[0]) for name, rows in FIELDS.items() for row in rows[1:] if row[0] != "input_reference.image_url"
]


@pytest.mark.parametrize(("dialect", "field"), NULLABLE)
def test_null_says_nothing(dialect: str, field: str) -> None:
    assert understood(dialect, with_field(field, None)) == {"model": "MiniMax-Hailuo-02"}


@pytest.mark.parametrize("dialect", SPOKEN)
@pytest.mark.parametrize("body", [{}, {"model": None}, {"model": ""}], ids=str)
def test_a_model_is_required(dialect: str, body: dict[str, Any]) -> None:
    assert params(dialect, body) == ["model"]


@pytest.mark.parametrize("dialect", SPOKEN)
def test_an_empty_prompt_says_nothing_and_a_blank_one_is_left_for_the_catalog(dialect: str) -> None:
    assert parse(dialect, {"model": "M", "prompt": ""}).prompt is None
    assert parse(dialect, {"model": " M ", "prompt": "  "}).canonical() == {
        **VideoRequest().canonical(),
        "model": " M ",
        "prompt": "  ",
    }


@pytest.mark.parametrize("dialect", SPOKEN)
def test_all_problems_are_collected_and_not_only_the_first(dialect: str) -> None:
    body = {"prompt": 5, "duration": True, "colour": "red", "dura tion": 6}
    assert params(dialect, body) == ["model", "prompt", "duration", "colour", "dura tion"]


@pytest.mark.parametrize("dialect", SPOKEN)
def test_a_misspelt_field_is_refused_with_the_nearest_one_and_all_that_are_allowed(dialect: str) -> None:
    (problem,) = parse(dialect, {"model": "M", "Promt": "p"}).problems
    assert problem.message == "unknown field `Promt`; did you mean `prompt`?"
    assert {"model", "prompt", "duration"} <= set(problem.allowed)
    assert not [name for name in problem.allowed if "." in name]


@pytest.mark.parametrize("dialect", SPOKEN)
def test_a_field_that_resembles_nothing_gets_no_suggestion(dialect: str) -> None:
    (problem,) = parse(dialect, {"model": "M", "xyzzy": 1}).problems
    assert (problem.param, problem.message) == ("xyzzy", "unknown field `xyzzy`")


@pytest.mark.parametrize("dialect", SPOKEN)
@pytest.mark.parametrize("field", ["mode", "seed", "fps", "n"])
def test_a_field_without_a_counterpart_is_not_taken_for_a_misspelt_one(dialect: str, field: str) -> None:
    (problem,) = parse(dialect, {"model": "M", field: 1}).problems
    assert problem.message == f"unknown field `{field}`; {dialect} has nothing like it, leave it out"


INNER = {"evolink": "model_params", "toapis": "metadata", "newapi": "metadata", "openai": "metadata"}


@pytest.mark.parametrize("dialect", INNER)
def test_inner_unknown_fields_are_named_by_path(dialect: str) -> None:
    where = INNER[dialect]
    (problem,) = parse(dialect, {"model": "M", where: {"prompt_optimiser": True}}).problems
    assert problem.param == f"{where}.prompt_optimiser"
    assert f"did you mean `{where}.prompt_optimizer`?" in problem.message
    assert set(problem.allowed) >= {f"{where}.prompt_optimizer", f"{where}.fast_pretreatment"}


@pytest.mark.parametrize("dialect", SPOKEN)
def test_what_is_written_back_of_unknown_fields_has_a_limit(dialect: str) -> None:
    body: dict[str, Any] = {"model": "M", **{f"x{number}": number for number in range(10_000)}}
    assert len(parse(dialect, body).problems) == 21
    (problem,) = parse(dialect, {"model": "M", "x" * 100_000: 1}).problems
    assert len(problem.param) < 70
    assert params(dialect, {"model": "M", "": 1}) == ['""']


@pytest.mark.parametrize("dialect", SPOKEN)
def test_every_canonical_field_has_a_spelling(dialect: str) -> None:
    for body in ({}, {"model": "M", "metadata": 5, "model_params": 5}):
        assert set(parse(dialect, body).params) == set(VideoRequest().canonical())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([IMAGE, "768p", "6", "{}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.text() | st.sampled_from(
    sorted({field.rpartition(".")[2] for rows in FIELDS.values() for field, *_ in rows})
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)
BODIES = st.dictionaries(NAMES, VALUES | OBJECTS | OBJECTS.map(json.dumps), max_size=8)


@given(dialect=st.sampled_from(sorted(SPOKEN)), body=BODIES)
def test_no_json_object_makes_a_dialect_raise_and_every_problem_names_its_field(
    dialect: str, body: dict[str, Any]
) -> None:
    request = parse(dialect, body)
    assert all(problem.param and problem.message for problem in request.problems)
    assert request.fingerprint() == parse(dialect, body).fingerprint()


@given(
    progress=st.integers(),
    dialect=st.sampled_from(sorted(SPOKEN.keys() - {"minimax"})),
    state=st.sampled_from(sorted(STATES)),
)
def test_progress_is_a_hundred_for_completed_tasks_alone(progress: int, dialect: str, state: str) -> None:
    shown = SPOKEN[dialect].render_created(make_task(state, progress=progress))["progress"]
    assert 0 <= shown <= 100
    assert (shown == 100) is (state == "completed")


@pytest.mark.parametrize("dialect", SPOKEN)
@pytest.mark.parametrize("state", STATES)
def test_every_answer_is_plain_json(dialect: str, state: str) -> None:
    module, task, view = SPOKEN[dialect], make_task(state), View(LINK, 1)
    answers = [module.render_created(task), module.render_task(task, view)]
    if isinstance(module, Lister):
        answers += [module.render_list([(task, view)], has_more=True), module.render_deleted(task)]
    if isinstance(module, FileDialect):
        answers.append(module.render_file(task, view))
    for answer in answers:
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer


@pytest.mark.parametrize("dialect", SPOKEN)
@pytest.mark.parametrize("state", [state for state in STATES if state != "completed"])
def test_a_link_is_shown_of_completed_tasks_alone(dialect: str, state: str) -> None:
    assert LINK not in json.dumps(SPOKEN[dialect].render_task(make_task(state, link=LINK), View(LINK, 1)))


@pytest.mark.parametrize("dialect", SPOKEN)
def test_a_failed_task_always_says_something(dialect: str) -> None:
    body = SPOKEN[dialect].render_task(make_task("failed", failure=None), View())
    message = "the task failed for an unknown reason"
    if dialect == "minimax":
        assert body["base_resp"] == {"status_code": 1000, "status_msg": message}
    else:
        assert body["error"] == {"code": "unknown_error", "message": message}


def test_what_only_some_dialects_can_do_goes_with_their_endpoints() -> None:
    actions = {name: {endpoint.action for endpoint in module.ENDPOINTS} for name, module in SPOKEN.items()}
    for name, module in SPOKEN.items():
        assert isinstance(module, Lister) is ({Action.LIST, Action.DELETE} <= actions[name])
        assert isinstance(module, FileDialect) is (Action.FILE in actions[name])


def test_the_registry_lists_nothing_that_is_not_tested_here() -> None:
    assert DIALECTS.items() <= SPOKEN.items()
    assert {name: module.NAME for name, module in SPOKEN.items()} == {name: name for name in SPOKEN}


def test_endpoints_and_marks_are_those_of_the_contract() -> None:
    shared = "/v1/videos/generations"
    assert {name: module.ENDPOINTS for name, module in SPOKEN.items()} == {
        "evolink": (
            Endpoint(Action.CREATE, "POST", shared),
            Endpoint(Action.READ, "GET", "/v1/tasks/{id}"),
            Endpoint(Action.CREDITS, "GET", "/v1/credits"),
        ),
        "toapis": (
            Endpoint(Action.CREATE, "POST", shared),
            Endpoint(Action.READ, "GET", "/v1/videos/generations/{id}"),
            Endpoint(Action.CREDITS, "GET", "/v1/balance"),
        ),
        "newapi": (
            Endpoint(Action.CREATE, "POST", "/v1/video/generations", takes_forms=True),
            Endpoint(Action.READ, "GET", "/v1/video/generations/{id}"),
        ),
        "openai": (
            Endpoint(Action.CREATE, "POST", "/v1/videos", takes_forms=True),
            Endpoint(Action.LIST, "GET", "/v1/videos"),
            Endpoint(Action.READ, "GET", "/v1/videos/{id}"),
            Endpoint(Action.DELETE, "DELETE", "/v1/videos/{id}"),
        ),
        "minimax": (
            Endpoint(Action.CREATE, "POST", "/v1/video_generation"),
            Endpoint(Action.READ, "GET", "/v1/query/video_generation", query_id="task_id"),
            Endpoint(Action.FILE, "GET", "/v1/files/retrieve", query_id="file_id"),
            Endpoint(Action.CONTENT, "GET", "/v1/files/retrieve_content", query_id="file_id"),
        ),
    }
    assert {name: set(module.MARKS) for name, module in SPOKEN.items()} == {
        "evolink": {"quality", "model_params", "callback_url"},
        "toapis": {"resolution", "metadata"},
        "newapi": set(),
        "openai": set(),
        "minimax": set(),
    }
