"""The table of CONTRACT section 4, to the letter: how each dialect says each situation, and which errors are one."""

from typing import NamedTuple

from gateway import errors
from gateway.errors import GatewayError


class Line(NamedTuple):
    """How each dialect says it; EvoLink's last word is its type on the tasks page, MiniMax's only one a number."""

    evolink: tuple[int, str, str, str]
    toapis: tuple[int, str, str]
    newapi: tuple[int, str]
    openai: tuple[int, str, str]
    minimax: int


BAD = "invalid_request_error"
CONTRACT: list[tuple[Line, list[type[GatewayError]]]] = [
    (
        Line(
            evolink=(400, "invalid_request", BAD, BAD),
            toapis=(400, "invalid_request", BAD),
            newapi=(400, "invalid_request"),
            openai=(400, "invalid_request", BAD),
            minimax=2013,
        ),
        [errors.InvalidRequest, errors.BadCall],
    ),
    (
        Line(
            evolink=(400, "invalid_request", BAD, BAD),
            toapis=(400, "invalid_request", BAD),
            newapi=(400, "invalid_request"),
            openai=(404, "model_not_found", BAD),
            minimax=2013,
        ),
        [errors.UnknownModel],
    ),
    (
        Line(
            evolink=(401, "unauthorized", "authentication_error", "authentication_error"),
            toapis=(401, "unauthorized", "authentication_error"),
            newapi=(401, ""),
            openai=(401, "invalid_api_key", "authentication_error"),
            minimax=1004,
        ),
        [errors.Unauthenticated, errors.UnknownKey],
    ),
    (
        Line(
            evolink=(402, "insufficient_quota", "insufficient_quota", "insufficient_quota_error"),
            toapis=(402, "insufficient_quota", "insufficient_quota"),
            newapi=(403, "insufficient_user_quota"),
            openai=(429, "insufficient_quota", "insufficient_quota"),
            minimax=1008,
        ),
        [errors.BudgetSpent],
    ),
    (
        Line(
            evolink=(403, "model_access_denied", BAD, "permission_error"),
            toapis=(403, "model_access_denied", "permission_error"),
            newapi=(403, "access_denied"),
            openai=(403, "model_not_allowed", "permission_error"),
            minimax=2061,
        ),
        [errors.ModelNotAllowed],
    ),
    (
        Line(
            evolink=(404, "not_found", "not_found_error", "not_found_error"),
            toapis=(404, "task_not_found", "not_found_error"),
            newapi=(400, "task_not_exist"),
            openai=(404, "not_found", BAD),
            minimax=2013,
        ),
        [errors.UnknownTask],
    ),
    (
        Line(
            evolink=(404, "not_found", "not_found_error", "not_found_error"),
            toapis=(404, "not_found", "not_found_error"),
            newapi=(404, "not_found"),
            openai=(404, "not_found", BAD),
            minimax=2013,
        ),
        [errors.UnknownRoute],
    ),
    (
        Line(
            evolink=(405, "method_not_allowed", BAD, BAD),
            toapis=(405, "method_not_allowed", BAD),
            newapi=(405, "method_not_allowed"),
            openai=(405, "method_not_allowed", BAD),
            minimax=2013,
        ),
        [errors.WrongMethod],
    ),
    (
        Line(
            evolink=(413, "request_too_large", BAD, "request_too_large_error"),
            toapis=(413, "request_too_large", BAD),
            newapi=(413, "invalid_request"),
            openai=(413, "request_too_large", BAD),
            minimax=2013,
        ),
        [errors.TooLarge, errors.CallTooLarge],
    ),
    (
        Line(
            evolink=(422, "idempotency_key_reused", BAD, BAD),
            toapis=(422, "idempotency_key_reused", BAD),
            newapi=(422, "idempotency_key_reused"),
            openai=(422, "idempotency_key_reused", BAD),
            minimax=2013,
        ),
        [errors.KeyReused],
    ),
    (
        Line(
            evolink=(409, "twin_running", BAD, BAD),
            toapis=(409, "twin_running", BAD),
            newapi=(409, "twin_running"),
            openai=(409, "twin_running", BAD),
            minimax=1041,
        ),
        [errors.TwinRunning],
    ),
    (
        Line(
            evolink=(400, "not_ready", BAD, BAD),
            toapis=(400, "not_ready", BAD),
            newapi=(400, "not_ready"),
            openai=(400, "not_ready", BAD),
            minimax=2013,
        ),
        [errors.NotReady],
    ),
    (
        Line(
            evolink=(410, "result_expired", BAD, "not_found_error"),
            toapis=(410, "result_expired", BAD),
            newapi=(410, "result_expired"),
            openai=(410, "result_expired", BAD),
            minimax=2013,
        ),
        [errors.ResultExpired],
    ),
    (
        Line(
            evolink=(429, "rate_limit_exceeded", "rate_limit_error", "rate_limit_error"),
            toapis=(429, "rate_limit_exceeded", "rate_limit_error"),
            newapi=(429, "rate_limit_exceeded"),
            openai=(429, "rate_limit_exceeded", "rate_limit_error"),
            minimax=1041,
        ),
        [errors.TooFast, errors.TooManyTasks, errors.KeyBusy],
    ),
    (
        Line(
            evolink=(400, "content_policy_violation", BAD, BAD),
            toapis=(422, "content_policy_violation", BAD),
            newapi=(400, "content_policy_violation"),
            openai=(400, "content_policy_violation", BAD),
            minimax=1026,
        ),
        [errors.ContentRejected],
    ),
    (
        Line(
            evolink=(502, "upstream_error", "upstream_error", "upstream_error"),
            toapis=(502, "upstream_error", "api_error"),
            newapi=(502, "do_request_failed"),
            openai=(502, "upstream_error", "api_error"),
            minimax=1024,
        ),
        [errors.UpstreamError, errors.Distrusted, errors.Misconfigured, errors.Walled],
    ),
    (
        Line(
            evolink=(503, "service_unavailable", "service_unavailable_error", "service_unavailable_error"),
            toapis=(503, "service_unavailable", "api_error"),
            newapi=(503, "do_request_failed"),
            openai=(503, "service_unavailable", "api_error"),
            minimax=1033,
        ),
        [
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
            errors.Frozen,
        ],
    ),
    (
        Line(
            evolink=(500, "submission_unconfirmed", "api_error", "internal_server_error"),
            toapis=(500, "submission_unconfirmed", "api_error"),
            newapi=(500, "submission_unconfirmed"),
            openai=(500, "submission_unconfirmed", "api_error"),
            minimax=1000,
        ),
        [errors.InDoubt],
    ),
    (
        Line(
            evolink=(500, "internal_error", "api_error", "internal_server_error"),
            toapis=(500, "internal_error", "api_error"),
            newapi=(500, "internal_error"),
            openai=(500, "internal_error", "api_error"),
            minimax=1000,
        ),
        [errors.Internal],
    ),
]
