"""What an answer without a task id means: FAILURES section 3 for all four, section 4 for MiniMax and new-api."""

from email.utils import formatdate
from typing import Any

import pytest

from gateway import errors
from gateway.errors import Again, ModelNotOffered, Spent, UpstreamError
from gateway.providers import PROVIDERS
from gateway.wire import Reply
from tests.providers.fakes import NOW, answer, submit

HTML = b"<html><body>Bad gateway</body></html>"

# How each provider words an error (FACTS 1.5, 2.3, 3.5, 4.5).
ENVELOPES: dict[str, list[dict[str, Any]]] = {
    "evolink": [
        {"error": {"code": 400, "message": "no", "type": "invalid_request_error"}},
        {"error": {"code": "invalid_request", "message": "no", "type": "invalid_request_error"}},
    ],
    "toapis": [
        {"error": {"code": 404, "message": "no", "type": "not_found_error"}},
        {"error": {"code": "invalid_request", "message": "no", "param": "prompt", "type": "invalid_request_error"}},
    ],
    "newapi": [
        {"code": "invalid_request", "message": "no", "data": None},
        {"code": None, "message": "no", "param": None, "type": "x"},
        {"error": {"message": "no", "type": "new_api_error", "code": ""}},
    ],
    "minimax": [
        {"base_resp": {"status_code": 9999, "status_msg": "no"}},
        {"type": "error", "error": {"type": "x", "message": "no", "http_code": "400"}},
    ],
}
SAID = [(provider, envelope) for provider, envelopes in ENVELOPES.items() for envelope in envelopes]

# Status → row and class for an answer that holds an error in the provider's own envelope.
ROWS: list[tuple[int, str, type[UpstreamError]]] = [
    (301, "H7", errors.Misconfigured),
    (302, "H7", errors.Misconfigured),
    (303, "H8", errors.InDoubt),
    (307, "H7", errors.Misconfigured),
    (308, "H7", errors.Misconfigured),
    (400, "H9", errors.BadCall),
    (401, "H10", errors.KeyRejected),
    (402, "H11", errors.KeyExhausted),
    (403, "H12", errors.KeyRejected),
    (404, "H14", errors.Misconfigured),
    (405, "H14", errors.Misconfigured),
    (408, "H15", errors.InDoubt),
    (409, "H16", errors.InDoubt),
    (413, "H17", errors.CallTooLarge),
    (415, "H14", errors.Misconfigured),
    (421, "H19", errors.EdgeDown),
    (422, "H18", errors.BadCall),
    (425, "H19", errors.EdgeDown),
    (429, "H21", errors.KeyBusy),
    (500, "H22", errors.InDoubt),
    (501, "H14", errors.Misconfigured),
    (502, "H23", errors.InDoubt),
    (503, "H24", errors.Overloaded),
    (504, "H26", errors.InDoubt),
    (520, "H28", errors.InDoubt),
    (521, "H27", errors.EdgeDown),
    (522, "H28", errors.InDoubt),
    (523, "H27", errors.EdgeDown),
    (524, "H26", errors.InDoubt),
    (525, "H27", errors.EdgeDown),
    (526, "H27", errors.EdgeDown),
    (529, "H28", errors.InDoubt),
    (530, "H27", errors.EdgeDown),
]


def refusal(provider: str, reply: Reply) -> UpstreamError:
    """The error a submit comes to; it was sent once."""
    result, upstream = submit(provider, reply)
    assert isinstance(result, UpstreamError)
    assert len(upstream.calls) == 1
    assert (result.spent is Spent.NO) == isinstance(result, errors.Refused)
    return result


@pytest.mark.parametrize(("provider", "body"), SAID)
@pytest.mark.parametrize(("status", "row", "kind"), ROWS)
def test_an_error_in_the_providers_envelope_is_judged_by_its_status(
    provider: str, body: Any, status: int, row: str, kind: type[UpstreamError]
) -> None:
    error = refusal(provider, answer(body, status))
    assert (type(error), error.row, error.http_status) == (kind, row, status)
    assert error.is_vague == (status == 403)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("body", [b"", HTML, b"{", b"null", b"[]", b"{}"])
def test_a_good_status_without_anything_to_read_is_doubt(provider: str, body: bytes) -> None:
    error = refusal(provider, answer(body))
    assert (type(error), error.row) == (errors.NoApi if body == HTML else errors.InDoubt, "H4")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "row", "kind"),
    [
        (204, "H6", errors.InDoubt),
        (401, "H10", errors.KeyRejected),
        (403, "H13", errors.Walled),
        (502, "H23", errors.InDoubt),
        (503, "H25", errors.InDoubt),
    ],
)
def test_an_answer_without_json_says_less_than_one_of_the_provider(
    provider: str, status: int, row: str, kind: type[UpstreamError]
) -> None:
    error = refusal(provider, answer(b"" if status == 204 else HTML, status))
    assert (type(error), error.row) == (kind, row)
    assert error.is_vague == (status == 401)


@pytest.mark.parametrize(("provider", "body"), SAID)
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 1), ("9999", 300), ("soon", 30), ("-5", 30), (formatdate(NOW + 40, usegmt=True), 40)],
)
def test_a_retry_after_is_clamped_to_five_minutes_h20(provider: str, body: Any, header: str, seconds: int) -> None:
    for status, row in ((429, "H20"), (503, "H24")):
        error = refusal(provider, answer(body, status, retry_after=header))
        assert (error.row, error.retry_after) == (row, seconds)


CONTENT = [
    ("evolink", 400, {"error": {"code": "content_policy_violation", "message": "no", "type": "x"}}),
    ("toapis", 422, {"error": {"code": "content_policy_violation", "message": "no", "type": "x"}}),
    ("newapi", 400, {"code": "content_policy_violation", "message": "no", "data": None}),
    ("newapi", 400, {"code": "1026", "message": "hailuo api error: input new_sensitive", "data": None}),
    ("toapis", 400, {"error": {"code": "invalid_request", "message": "input new_sensitive", "type": "x"}}),
    ("minimax", 200, {"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}),
]


@pytest.mark.parametrize(("provider", "status", "body"), CONTENT)
def test_refused_content_is_told_apart_from_a_bad_call(provider: str, status: int, body: Any) -> None:
    error = refusal(provider, answer(body, status))
    assert type(error) is errors.ContentRejected
    assert error.message in ("no", "input new_sensitive")


MODEL_CODES = ["model_not_found", "Model_Not_Found", "model_unavailable", "unsupported_model", "model_access_denied"]


def said(code: object, message: str = "no", **more: object) -> list[dict[str, Any]]:
    """An error in both envelopes that there are."""
    return [{"error": {"code": code, "message": message, **more}}, {"code": code, "message": message, **more}]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_400_about_the_model_leaves_it_to_another_upstream_h9(provider: str) -> None:
    about_model = [body for code in MODEL_CODES for body in said(code)]
    about_model += [body for code in ("invalid_request", 400, None) for body in said(code, param="model")]
    about_model += said("model_unavailable", "the moderation model is not here")
    for body in about_model:
        error = refusal(provider, answer(body, 400))
        if provider == "newapi" and "model_not_found" in str(body):
            assert (type(error), error.row) == (errors.KeyBarred, "H12"), body  # of the token's group, so of the key
            continue
        assert (type(error), error.row, error.param) == (ModelNotOffered, "H9", "model"), body
        assert isinstance(error, errors.BadCall)
        assert error.again is Again.ANOTHER_UPSTREAM


@pytest.mark.parametrize("provider", PROVIDERS)
def test_only_a_code_or_a_param_speaks_of_the_model(provider: str) -> None:
    for body in (
        *said("invalid_request", "model_not_found: the model does not exist"),
        *said("missing_model"),
        *said("invalid_model_params"),
        *said("invalid_request", param="model_params.prompt_optimizer"),
    ):
        assert type(refusal(provider, answer(body, 400))) is errors.BadCall, body
    for body in (
        *said("content_policy_violation", param="model"),
        *said(400, "against our content policy", param="model"),
    ):
        assert type(refusal(provider, answer(body, 400))) is errors.ContentRejected, body
    for body in said("unknown_model", param="model"):
        assert type(refusal(provider, answer(body, 422))) is errors.BadCall, body


FIELDS = [
    ("evolink", "quality", "resolution"),
    ("evolink", "image_urls", "first_frame_image"),
    ("evolink", "image_urls[0]", "first_frame_image"),
    ("evolink", "image_urls[1]", "last_frame_image"),
    ("evolink", "model_params.prompt_optimizer", "prompt_optimizer"),
    ("toapis", "duration", "duration_s"),
    ("toapis", "resolution", "resolution"),
    ("toapis", "metadata.last_frame_image", "last_frame_image"),
    ("newapi", "metadata.resolution", "resolution"),
    ("newapi", "size", "resolution"),
    ("newapi", "duration", "duration_s"),
    ("minimax", "duration", "duration_s"),
    ("minimax", "first_frame_image", "first_frame_image"),
    ("minimax", "group_id", "group_id"),
]


@pytest.mark.parametrize(("provider", "field", "canonical"), FIELDS)
def test_a_complaint_about_a_field_names_the_canonical_one(provider: str, field: str, canonical: str) -> None:
    body = {"error": {"code": "invalid_request", "message": "no", "param": field}}
    assert refusal(provider, answer(body, 400)).param == canonical
    if provider == "newapi":
        assert refusal(provider, answer({"code": None, "message": "no", "param": field}, 400)).param == canonical


# --- MiniMax's codes (FAILURES section 4) ------------------------------------------------------------------------

CODES: list[tuple[int, type[UpstreamError], int | None]] = [
    (1002, errors.KeyBusy, 30),
    (1039, errors.KeyBusy, 60),
    (1041, errors.KeyBusy, 60),
    (2045, errors.KeyBusy, 60),
    (2056, errors.KeyBusy, 900),
    (1004, errors.KeyRejected, None),
    (2038, errors.KeyRejected, None),
    (2049, errors.KeyRejected, None),
    (2061, errors.KeyBarred, None),
    (1008, errors.KeyExhausted, None),
    (1028, errors.KeyExhausted, None),
    (1030, errors.KeyExhausted, None),
    (1026, errors.ContentRejected, None),
    (1042, errors.BadCall, None),
    (2013, errors.BadCall, None),
    (1000, errors.InDoubt, None),
    (1001, errors.InDoubt, None),
    (1013, errors.InDoubt, None),
    (1024, errors.InDoubt, None),
    (1027, errors.InDoubt, None),
    (1033, errors.InDoubt, None),
]


@pytest.mark.parametrize(("code", "kind", "rest_s"), CODES)
@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("no_id", [{}, {"task_id": ""}, {"task_id": None}, {"task_id": 0}])
def test_a_minimax_code_inside_200_is_its_row(
    code: int, kind: type[UpstreamError], rest_s: int | None, as_text: bool, no_id: dict[str, object]
) -> None:
    base_resp = {"status_code": str(code) if as_text else code, "status_msg": "status message"}
    error = refusal("minimax", answer({**no_id, "base_resp": base_resp}))
    assert (type(error), error.row, error.retry_after, error.is_vague) == (kind, f"M{code}", rest_s, False)
    assert error.param == ("prompt" if code == 1042 else None)


@pytest.mark.parametrize(("code", "kind", "rest_s"), CODES)
def test_new_api_hands_a_minimax_code_on_as_text(code: int, kind: type[UpstreamError], rest_s: int | None) -> None:
    body = {"code": str(code), "message": "hailuo api error: status message", "data": None}
    error = refusal("newapi", answer(body, 400))
    assert (type(error), error.row, error.retry_after) == (kind, f"M{code}", rest_s)
    assert error.is_vague == isinstance(error, errors.Refused)  # the credential may be the site's own
    if isinstance(error, errors.BadCall | errors.ContentRejected):
        assert error.message == "status message"


@pytest.mark.parametrize("code", [1, 999, 1003, 2048, 987654321, -1])
def test_a_code_that_is_not_listed_is_doubt(code: int) -> None:
    error = refusal("minimax", answer({"base_resp": {"status_code": code, "status_msg": "?"}}))
    assert (type(error), error.row) == (errors.InDoubt, "M")
    assert str(code) in error.message


def test_a_vendors_code_that_is_not_listed_is_doubt_behind_new_api_too() -> None:
    error = refusal("newapi", answer({"code": "2999", "message": "hailuo api error: ?", "data": None}, 400))
    assert (type(error), error.row) == (errors.InDoubt, "M")


@pytest.mark.parametrize("status", [408, 409, 500, 502, 504, 520])
def test_a_code_never_makes_certain_what_the_status_leaves_in_doubt(status: int) -> None:
    minimax = refusal("minimax", answer({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, status))
    newapi = refusal("newapi", answer({"code": "1002", "message": "rate limit", "data": None}, status))
    assert (type(minimax), type(newapi)) == (errors.InDoubt, errors.InDoubt)


def test_a_code_makes_doubtful_what_the_status_alone_would_refuse() -> None:
    error = refusal("minimax", answer({"base_resp": {"status_code": 1001, "status_msg": "timeout"}}, 503))
    assert (type(error), error.row) == (errors.InDoubt, "M1001")


def test_the_longer_of_a_codes_rest_and_a_header_counts() -> None:
    for code, header, seconds in ((1002, "45", 45), (1002, "5", 30), (2056, "45", 900)):
        body = {"base_resp": {"status_code": code, "status_msg": "slow down"}}
        assert refusal("minimax", answer(body, 429, retry_after=header)).retry_after == seconds


def test_a_callers_error_never_quotes_what_is_said_of_our_key() -> None:
    for code in (1002, 1004, 1008, 2061):
        body = {"base_resp": {"status_code": code, "status_msg": "account 1234 of acme"}}
        assert "acme" not in refusal("minimax", answer(body)).message


NEW_API_WORDS: list[tuple[int, str, str, type[UpstreamError]]] = [
    (403, "insufficient_user_quota", "H11", errors.KeyExhausted),
    (403, "pre_consume_token_quota_failed", "H11", errors.KeyExhausted),
    (503, "model_not_found", "H12", errors.KeyBarred),
    (400, "model_price_error", "H14", errors.Misconfigured),
    (400, "model_mapping_failed", "H14", errors.Misconfigured),
    (400, "invalid_api_platform", "H14", errors.Misconfigured),
    (400, "invalid_request", "H9", errors.BadCall),
    (400, "400", "H9", errors.BadCall),
    (500, "model_price_error", "H22", errors.InDoubt),
    (500, "do_request_failed", "H22", errors.InDoubt),
    (500, "build_request_failed", "H22", errors.InDoubt),
]


@pytest.mark.parametrize(("status", "code", "row", "kind"), NEW_API_WORDS)
def test_new_apis_own_words_say_more_than_their_status(
    status: int, code: str, row: str, kind: type[UpstreamError]
) -> None:
    for body in ({"code": code, "message": "no", "data": None}, {"error": {"code": code, "message": "no"}}):
        error = refusal("newapi", answer(body, status))
        assert (type(error), error.row) == (kind, row)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("error", [errors.InDoubt("broke", row="T7"), errors.Unreachable("none", row="T2")])
def test_what_the_door_to_upstreams_found_passes_unchanged(provider: str, error: UpstreamError) -> None:
    assert submit(provider, error)[0] is error


@pytest.mark.parametrize("body", [{"message": "Service Unavailable"}, {"detail": "upstream timed out"}, {"error": "x"}])
def test_what_stands_before_a_provider_is_not_the_provider(body: dict[str, Any]) -> None:
    for provider in ENVELOPES:
        assert type(refusal(provider, answer(body, 503))) is errors.InDoubt
        assert type(refusal(provider, answer(body, 403))) is errors.Walled


@pytest.mark.parametrize(
    "words", ["duration violates the schema", "model names are case-sensitive", "prohibited value"]
)
def test_a_rule_that_is_broken_is_not_content_that_is_refused(words: str) -> None:
    for status in (400, 422):
        body = {"error": {"code": "invalid_request", "message": words, "type": "invalid_request_error"}}
        assert type(refusal("evolink", answer(body, status))) is errors.BadCall
