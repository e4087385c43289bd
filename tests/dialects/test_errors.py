"""The table of CONTRACT section 4, to the letter, and a row in every dialect for every way the house says no."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from gateway import errors
from gateway.dialects import DIALECTS, evolink, newapi, toapis
from gateway.dialects.speaking import Action
from gateway.errors import GatewayError, InvalidRequest, Problem, Spent
from tests.dialects.factory import BudgetSpent, KeyReused, TooManyTasks, TwinRunning

TABLES = {"evolink": evolink._ROWS, "toapis": toapis._ROWS, "newapi": newapi._ROWS}


def every_class(base: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    if base.__module__ == errors.__name__:
        yield base
        for child in base.__subclasses__():
            yield from every_class(child)


def make(kind: type[GatewayError], **other: Any) -> GatewayError:
    return kind("no", **({"row": "H0", **other} if issubclass(kind, errors.UpstreamError) else other))


def say(dialect: str, error: GatewayError, action: Action = Action.CREATE) -> tuple[int, dict[str, Any]]:
    status, body = DIALECTS[dialect].render_error(error, action)
    assert json.loads(json.dumps(body)) == body
    return status, body


class NewInTheTree(GatewayError):
    status: ClassVar[int] = 418
    code = "new_in_the_tree"


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
    assert TABLES[dialect].keys() == TABLES["evolink"].keys()


# (error, EvoLink's create, EvoLink's type on the tasks page, ToAPIs, new-api)
Line = tuple[type[GatewayError], tuple[int, str, str], str, tuple[int, str, str], tuple[int, str]]
BAD = "invalid_request_error"
CONTRACT: list[Line] = [
    (InvalidRequest, (400, "invalid_request", BAD), BAD, (400, "invalid_request", BAD), (400, "invalid_request")),
    (errors.UnknownModel, (400, "invalid_request", BAD), BAD, (400, "invalid_request", BAD), (400, "invalid_request")),
    (
        errors.Unauthenticated,
        (401, "unauthorized", "authentication_error"),
        "authentication_error",
        (401, "unauthorized", "authentication_error"),
        (401, ""),
    ),
    (
        BudgetSpent,
        (402, "insufficient_quota", "insufficient_quota"),
        "insufficient_quota_error",
        (402, "insufficient_quota", "insufficient_quota"),
        (403, "insufficient_user_quota"),
    ),
    (
        errors.ModelNotAllowed,
        (403, "model_access_denied", BAD),
        "permission_error",
        (403, "model_access_denied", "permission_error"),
        (403, "access_denied"),
    ),
    (
        errors.UnknownTask,
        (404, "not_found", "not_found_error"),
        "not_found_error",
        (404, "task_not_found", "not_found_error"),
        (400, "task_not_exist"),
    ),
    (
        errors.UnknownRoute,
        (404, "not_found", "not_found_error"),
        "not_found_error",
        (404, "not_found", "not_found_error"),
        (404, "not_found"),
    ),
    (
        errors.WrongMethod,
        (405, "method_not_allowed", BAD),
        BAD,
        (405, "method_not_allowed", BAD),
        (405, "method_not_allowed"),
    ),
    (
        errors.TooLarge,
        (413, "request_too_large", BAD),
        "request_too_large_error",
        (413, "request_too_large", BAD),
        (413, "invalid_request"),
    ),
    (
        KeyReused,
        (422, "idempotency_key_reused", BAD),
        BAD,
        (422, "idempotency_key_reused", BAD),
        (422, "idempotency_key_reused"),
    ),
    (TwinRunning, (409, "twin_running", BAD), BAD, (409, "twin_running", BAD), (409, "twin_running")),
    (errors.NotReady, (400, "not_ready", BAD), BAD, (400, "not_ready", BAD), (400, "not_ready")),
    (
        errors.ResultExpired,
        (410, "result_expired", BAD),
        "not_found_error",
        (410, "result_expired", BAD),
        (410, "result_expired"),
    ),
    *[
        (
            kind,
            (429, "rate_limit_exceeded", "rate_limit_error"),
            "rate_limit_error",
            (429, "rate_limit_exceeded", "rate_limit_error"),
            (429, "rate_limit_exceeded"),
        )
        for kind in (errors.TooFast, TooManyTasks, errors.KeyBusy)
    ],
    (
        errors.ContentRejected,
        (400, "content_policy_violation", BAD),
        BAD,
        (422, "content_policy_violation", BAD),
        (400, "content_policy_violation"),
    ),
    *[
        (
            kind,
            (502, "upstream_error", "upstream_error"),
            "upstream_error",
            (502, "upstream_error", "api_error"),
            (502, "do_request_failed"),
        )
        for kind in (errors.UpstreamError, errors.Distrusted, errors.Misconfigured, errors.Walled)
    ],
    *[
        (
            kind,
            (503, "service_unavailable", "service_unavailable_error"),
            "service_unavailable_error",
            (503, "service_unavailable", "api_error"),
            (503, "do_request_failed"),
        )
        for kind in (
            errors.Unreachable,
            errors.EdgeDown,
            errors.Overloaded,
            errors.Resting,
            errors.KeyExhausted,
            errors.KeyRejected,
            errors.KeyBarred,
            errors.Unavailable,
            errors.StorageDown,
            errors.Draining,
        )
    ],
    (errors.BadCall, (400, "invalid_request", BAD), BAD, (400, "invalid_request", BAD), (400, "invalid_request")),
    (
        errors.CallTooLarge,
        (413, "request_too_large", BAD),
        "request_too_large_error",
        (413, "request_too_large", BAD),
        (413, "invalid_request"),
    ),
    (
        errors.InDoubt,
        (500, "submission_unconfirmed", "api_error"),
        "internal_server_error",
        (500, "submission_unconfirmed", "api_error"),
        (500, "submission_unconfirmed"),
    ),
    (
        errors.Internal,
        (500, "internal_error", "api_error"),
        "internal_server_error",
        (500, "internal_error", "api_error"),
        (500, "internal_error"),
    ),
]


@pytest.mark.parametrize("line", CONTRACT, ids=lambda line: line[0].__name__)
def test_each_situation_is_said_as_the_contract_has_it(line: Line) -> None:
    kind, evolink_create, evolink_type, toapis_row, (newapi_status, newapi_code) = line
    error = make(kind, param="here")

    status, code, type_ = evolink_create
    assert say("evolink", error) == (
        status,
        {"error": {"code": code, "message": "no", "type": type_, "param": "here"}},
    )
    for action in (Action.READ, Action.CREDITS):
        numbered_status, body = say("evolink", error, action)
        body["error"].pop("fallback_suggestion", None)
        assert numbered_status == status
        assert body == {"error": {"code": status, "message": "no", "type": evolink_type, "param": "here"}}

    status, code, type_ = toapis_row
    assert say("toapis", error) == (
        status,
        {"error": {"code": code, "message": "no", "type": type_, "param": "here"}},
    )
    if newapi_status == 401:
        expected: dict[str, Any] = {"error": {"message": "no", "type": "new_api_error", "code": ""}}
    else:
        expected = {"code": newapi_code, "message": "no", "data": None, "param": "here"}
    assert say("newapi", error) == (newapi_status, expected)


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


def test_a_message_that_names_its_field_does_not_name_it_twice() -> None:
    error = InvalidRequest.at("colour", "unknown field `colour`", "model", "prompt")
    assert say("evolink", error)[1]["error"]["message"] == "unknown field `colour`; allowed: model, prompt"


def test_an_unknown_model_is_a_matter_of_the_field_model_even_where_nobody_says_so() -> None:
    error = errors.UnknownModel("no such model")
    assert say("evolink", error)[1]["error"]["param"] == "model"
    assert say("toapis", error)[1]["error"]["param"] == "model"
    assert say("newapi", error)[1]["param"] == "model"


def test_an_unknown_task_on_evolinks_tasks_page_is_a_matter_of_the_task_id() -> None:
    assert say("evolink", errors.UnknownTask("no such task"), Action.READ) == (
        404,
        {"error": {"code": 404, "message": "no such task", "type": "not_found_error", "param": "task_id"}},
    )


@pytest.mark.parametrize(
    ("error", "suggestion"),
    [
        (BudgetSpent("no"), "ask whoever runs this gateway to raise the budget"),
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
    assert statuses == {"evolink": 400, "toapis": 422, "newapi": 400}


@pytest.mark.parametrize("dialect", TABLES)
def test_a_code_without_a_row_speaks_for_itself(dialect: str) -> None:
    status, body = say(dialect, NewInTheTree("no"))
    assert (status, body.get("error", body)["code"]) == (418, "new_in_the_tree")
