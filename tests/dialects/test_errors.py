"""The table of CONTRACT section 4, to the letter, and a row in every dialect for every way the house says no."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from gateway import errors
from gateway.dialects import evolink, minimax, newapi, openai, toapis
from gateway.dialects.speaking import Action
from gateway.errors import GatewayError, InvalidRequest, Problem, Spent
from tests.dialects.factory import SPOKEN
from tests.dialects.situations import CONTRACT, Line

TABLES: dict[str, set[str]] = {
    "evolink": set(evolink._ROWS),
    "toapis": set(toapis._ROWS),
    "newapi": set(newapi._ROWS),
    "openai": set(openai._ROWS),
    "minimax": set(minimax._ROWS),
}

SITUATIONS = [pytest.param(kind, line, id=kind.__name__) for line, kinds in CONTRACT for kind in kinds]


def every_class(base: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    if base.__module__ == errors.__name__:
        yield base
        for child in base.__subclasses__():
            yield from every_class(child)


def make(kind: type[GatewayError], **other: Any) -> GatewayError:
    return kind("no", **({"row": "H0", **other} if issubclass(kind, errors.UpstreamError) else other))


def say(dialect: str, error: GatewayError, action: Action = Action.CREATE) -> tuple[int, dict[str, Any]]:
    status, body = SPOKEN[dialect].render_error(error, action)
    assert json.loads(json.dumps(body)) == body
    return status, body


class NewInTheTree(GatewayError):
    status: ClassVar[int] = 418
    code = "new_in_the_tree"


class NewAndOurs(GatewayError):
    code = "new_and_ours"


@pytest.mark.parametrize("dialect", TABLES)
@pytest.mark.parametrize("kind", list(dict.fromkeys(every_class())), ids=lambda kind: kind.__name__)
def test_every_error_of_the_house_has_a_row_of_its_own(dialect: str, kind: type[GatewayError]) -> None:
    assert kind.code in TABLES[dialect]


@pytest.mark.parametrize("dialect", TABLES)
@pytest.mark.parametrize("kind", list(dict.fromkeys(every_class())), ids=lambda kind: kind.__name__)
def test_statuses_that_clients_repeat_on_mean_that_nothing_was_bought(dialect: str, kind: type[GatewayError]) -> None:
    for action in Action:
        status, _ = say(dialect, make(kind), action)
        assert status not in {429, 502, 503} or kind.spent is Spent.NO


@pytest.mark.parametrize("dialect", TABLES)
def test_all_dialects_know_the_same_codes(dialect: str) -> None:
    assert TABLES[dialect] == TABLES["evolink"]


@pytest.mark.parametrize(("kind", "line"), SITUATIONS)
def test_evolink_says_each_situation_in_the_words_of_both_its_pages(kind: type[GatewayError], line: Line) -> None:
    status, code, type_, numbered_type = line.evolink
    error = make(kind, param="here")
    words: dict[str, Any] = {"code": code, "message": "no", "type": type_, "param": "here"}
    assert say("evolink", error) == (status, {"error": words})
    for action in (Action.READ, Action.CREDITS):
        numbered_status, body = say("evolink", error, action)
        body["error"].pop("fallback_suggestion", None)
        assert numbered_status == status
        assert body == {"error": {"code": status, "message": "no", "type": numbered_type, "param": "here"}}


@pytest.mark.parametrize("dialect", ["toapis", "openai"])
@pytest.mark.parametrize(("kind", "line"), SITUATIONS)
def test_toapis_and_openai_say_each_situation_in_one_envelope(
    dialect: str, kind: type[GatewayError], line: Line
) -> None:
    status, code, type_ = getattr(line, dialect)
    for action in Action:
        assert say(dialect, make(kind, param="here"), action) == (
            status,
            {"error": {"code": code, "message": "no", "type": type_, "param": "here"}},
        )


@pytest.mark.parametrize(("kind", "line"), SITUATIONS)
def test_newapi_says_each_situation_flat_but_for_credentials(kind: type[GatewayError], line: Line) -> None:
    status, code = line.newapi
    expected: dict[str, Any] = {"code": code, "message": "no", "data": None, "param": "here"}
    if status == 401:
        expected = {"error": {"message": "no", "type": "new_api_error", "code": ""}}
    assert say("newapi", make(kind, param="here")) == (status, expected)


@pytest.mark.parametrize(("kind", "line"), SITUATIONS)
def test_minimax_says_each_situation_by_a_number_inside_200(kind: type[GatewayError], line: Line) -> None:
    for action in (Action.CREATE, Action.READ, Action.FILE):
        assert say("minimax", make(kind, param="here"), action) == (
            200,
            {"base_resp": {"status_code": line.minimax, "status_msg": "no"}},
        )


@pytest.mark.parametrize(("kind", "line"), SITUATIONS)
def test_whoever_fetches_a_film_from_minimax_sees_by_the_status_that_it_is_none(
    kind: type[GatewayError], line: Line
) -> None:
    for action in (Action.CONTENT, Action.OTHER):
        status, body = say("minimax", make(kind), action)
        assert status == (500 if kind.spent is Spent.MAYBE else kind.status)
        assert body == {"base_resp": {"status_code": line.minimax, "status_msg": "no"}}


PROBLEMS = [
    Problem("quality", "the model does not offer this quality", ("768p", "1080p")),
    Problem("image_urls", "the model needs a first-frame image"),
]
LISTED = [
    {"param": "quality", "message": "the model does not offer this quality", "allowed": ["768p", "1080p"]},
    {"param": "image_urls", "message": "the model needs a first-frame image", "allowed": []},
]
SENTENCE = "quality: the model does not offer this quality; allowed: 768p, 1080p"


def test_all_problems_come_in_one_answer_and_the_first_is_the_error_itself() -> None:
    error = InvalidRequest.of(PROBLEMS)
    inner = {
        "code": "invalid_request",
        "message": SENTENCE,
        "type": "invalid_request_error",
        "param": "quality",
        "problems": LISTED,
    }
    assert say("evolink", error) == (400, {"error": inner})
    assert say("toapis", error) == (400, {"error": inner})
    assert say("evolink", error, Action.READ) == (400, {"error": {**inner, "code": 400}})
    assert say("newapi", error) == (
        400,
        {"code": "invalid_request", "message": SENTENCE, "data": None, "param": "quality", "problems": LISTED},
    )
    assert say("openai", error) == (400, {"error": inner})
    assert say("minimax", error) == (
        200,
        {"base_resp": {"status_code": 2013, "status_msg": SENTENCE}, "problems": LISTED},
    )


def test_a_message_that_names_its_field_does_not_name_it_twice() -> None:
    error = InvalidRequest.at("colour", "unknown field `colour`", "model", "prompt")
    assert say("evolink", error)[1]["error"]["message"] == "unknown field `colour`; allowed: model, prompt"


def test_an_unknown_model_is_a_matter_of_the_field_model_even_where_nobody_says_so() -> None:
    error = errors.UnknownModel("no such model")
    assert say("evolink", error)[1]["error"]["param"] == "model"
    assert say("toapis", error)[1]["error"]["param"] == "model"
    assert say("newapi", error)[1]["param"] == "model"
    assert say("openai", error)[1]["error"]["param"] == "model"


def test_openais_envelope_is_whole_even_where_no_field_is_at_fault() -> None:
    inner = {"message": "no", "type": "api_error", "param": None, "code": "internal_error"}
    assert say("openai", errors.Internal("no")) == (500, {"error": inner})


def test_an_unknown_task_on_evolinks_tasks_page_is_a_matter_of_the_task_id() -> None:
    assert say("evolink", errors.UnknownTask("no such task"), Action.READ) == (
        404,
        {"error": {"code": 404, "message": "no such task", "type": "not_found_error", "param": "task_id"}},
    )


@pytest.mark.parametrize(
    ("error", "suggestion"),
    [
        (errors.BudgetSpent("no"), "ask whoever runs this gateway to raise the budget"),
        (errors.TooFast("no", retry_after=60), "retry after 60 seconds"),
        (errors.TooFast("no"), "retry in a moment"),
        (errors.Draining("no", retry_after=30), "retry after 30 seconds"),
        (errors.Internal("no"), "retry in a moment"),
        (errors.Distrusted("no", row="T4"), "retry in a moment"),
        (errors.UnknownTask("no"), None),
        (errors.Unauthenticated("no"), None),
    ],
)
def test_a_suggestion_stands_where_the_tasks_page_shows_one(error: GatewayError, suggestion: str | None) -> None:
    assert say("evolink", error, Action.READ)[1]["error"].get("fallback_suggestion") == suggestion
    assert "fallback_suggestion" not in say("evolink", error, Action.CREATE)[1]["error"]


def test_what_an_upstream_found_unprocessable_stays_422_in_toapis_alone() -> None:
    error = errors.BadCall("no", row="H18", http_status=422)
    statuses = {dialect: say(dialect, error)[0] for dialect in TABLES}
    assert statuses == {"evolink": 400, "toapis": 422, "newapi": 400, "openai": 400, "minimax": 200}


@pytest.mark.parametrize("dialect", [dialect for dialect in TABLES if dialect != "minimax"])
def test_a_code_without_a_row_speaks_for_itself(dialect: str) -> None:
    status, body = say(dialect, NewInTheTree("no"))
    assert (status, body.get("error", body)["code"]) == (418, "new_in_the_tree")


@pytest.mark.parametrize(("kind", "number"), [(NewInTheTree, 2013), (NewAndOurs, 1000)])
def test_a_code_without_a_row_is_the_callers_or_unknown_to_minimax(kind: type[GatewayError], number: int) -> None:
    assert say("minimax", kind("no")) == (200, {"base_resp": {"status_code": number, "status_msg": "no"}})
