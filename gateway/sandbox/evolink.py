"""The EvoLink protocol (FACTS section 1), as strict as its documents."""

import string
from collections.abc import Mapping
from random import Random
from typing import Any

from gateway.sandbox import evolink_files
from gateway.sandbox.calls import Answer, Call, Refusal, json_answer
from gateway.sandbox.downloads import film_url
from gateway.sandbox.evolink_request import NAME, read_order
from gateway.sandbox.front import Protocol, Route
from gateway.sandbox.purchase import look, purchase, status_word
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.tasks import Status, Task, total_s

_ID_ALPHABET = string.ascii_lowercase + string.digits
# Nowhere documented; a cent is a round number, and FACTS 1.3 shows 50 of them for eight seconds.
_MICROS_PER_CREDIT = 10_000

_STATUS_WORDS: Mapping[Status, str] = {status: status.value for status in Status}

# FACTS 1.5, the create of seed-003: codes are words. What that page does not list follows the other page's types.
_CREATE_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request", "invalid_request_error"),
    401: ("unauthorized", "authentication_error"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("model_access_denied", "invalid_request_error"),
    404: ("not_found", "not_found_error"),
    422: ("content_policy_violation", "invalid_request_error"),
    429: ("rate_limit_exceeded", "rate_limit_error"),
    500: ("internal_error", "api_error"),
    502: ("upstream_error", "upstream_error"),
    503: ("service_unavailable", "service_unavailable_error"),
}
# FACTS 1.5, seed-002: the code is the status.
_TASK_ERROR_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large_error",
    429: "rate_limit_error",
    500: "internal_server_error",
    502: "upstream_error",
    503: "service_unavailable_error",
}
_SUGGESTIONS: Mapping[int, str] = {402: "top up the balance", 429: "wait and try again"}


def create(sandbox: Sandbox, call: Call) -> Answer:
    """`POST /v1/videos/generations` (FACTS 1.2, 1.3)."""
    account = sandbox.accounts.open(call.key)
    order = read_order(call.json_object(), sandbox.sales, make_id)
    return purchase(sandbox, account, call, order, lambda task: json_answer(200, _created(task)))


def read_task(sandbox: Sandbox, call: Call) -> Answer:
    """`GET /v1/tasks/{id}` (FACTS 1.4)."""
    account = sandbox.accounts.open(call.key)
    task = look(sandbox, account, NAME, call.path_words["task_id"])
    return json_answer(200, _looked_at(task, sandbox.now(), call.base_url))


def read_credits(sandbox: Sandbox, call: Call) -> Answer:
    """`GET /v1/credits` (FACTS 1.6). One key is one user here, so both halves say the same."""
    sandbox.now()
    account = sandbox.accounts.open(call.key)
    money = {
        "remaining_credits": account.available_micros / _MICROS_PER_CREDIT,
        "used_credits": account.spent_micros / _MICROS_PER_CREDIT,
    }
    return json_answer(
        200, {"data": {"token": {**money, "unlimited_credits": False}, "user": money}, "message": "", "success": True}
    )


def make_id(random: Random, now: float) -> str:
    """FACTS 7.5: `task-unified-<unix>-<8>`."""
    return f"task-unified-{int(now)}-{''.join(random.choices(_ID_ALPHABET, k=8))}"


def refuse_create(refusal: Refusal) -> Answer:
    code, kind = _CREATE_ERRORS[refusal.status]
    return _refuse(refusal, {"code": code, "message": refusal.message, "type": kind})


def refuse_task(refusal: Refusal) -> Answer:
    error = {"code": refusal.status, "message": refusal.message, "type": _TASK_ERROR_TYPES[refusal.status]}
    if refusal.status in _SUGGESTIONS:
        error["fallback_suggestion"] = _SUGGESTIONS[refusal.status]
    return _refuse(refusal, error)


def _refuse(refusal: Refusal, error: dict[str, Any]) -> Answer:
    if refusal.param is not None:
        error["param"] = refusal.param
    return json_answer(refusal.status, {"error": error}, refusal.headers)


def _created(task: Task) -> dict[str, Any]:
    offer = task.order.offer
    return {
        **_head(task, progress=0, status="pending"),
        "task_info": {
            "can_cancel": True,
            "estimated_time": round(total_s(offer)),
            "video_duration": offer.duration_s,
        },
        "type": "video",
        "usage": {
            "billing_rule": "per_second",
            "credits_reserved": offer.price_micros / _MICROS_PER_CREDIT,
            "user_group": "default",
        },
    }


def _looked_at(task: Task, now: float, base_url: str) -> dict[str, Any]:
    status = task.status(now)
    answer = {
        **_head(task, progress=task.progress(now), status=status_word(task, now, _STATUS_WORDS)),
        "task_info": {"can_cancel": status is Status.PENDING},
        "type": "video",
    }
    if status is Status.COMPLETED and task.outcome != "no-result":
        answer["results"] = [film_url(base_url, task)]
    if status is Status.FAILED and task.failure is not None:
        code, message = task.failure
        answer["error"] = {"code": code, "message": message}
    return answer


def _head(task: Task, *, progress: int, status: str) -> dict[str, Any]:
    return {
        "created": int(task.created_at),
        "id": task.id,
        "model": task.order.offer.model,
        "object": "video.generation.task",
        "progress": progress,
        "status": status,
    }


PROTOCOL = Protocol(
    NAME,
    (
        Route.at("POST", "/v1/videos/generations", create, refuse_create),
        Route.at("GET", "/v1/tasks/(?P<task_id>[^/]+)", read_task, refuse_task),
        Route.at("GET", "/v1/credits", read_credits, refuse_task),
        Route.at("POST", "/api/v1/files/upload/base64", evolink_files.upload, evolink_files.refuse),
    ),
    refuse_task,
)
