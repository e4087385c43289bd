"""The ToAPIs protocol (FACTS section 2), in the newest form of its pages."""

from collections.abc import Mapping
from random import Random
from typing import Any

from gateway.sandbox.calls import Answer, Call, Refusal, json_answer
from gateway.sandbox.downloads import film_url
from gateway.sandbox.front import Protocol, Route
from gateway.sandbox.purchase import look, purchase, status_word
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.tasks import Status, Task
from gateway.sandbox.toapis_request import NAME, read_order

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MICROS_PER_DOLLAR = 1_000_000

_STATUS_WORDS: Mapping[Status, str] = {
    Status.PENDING: "queued",
    Status.PROCESSING: "in_progress",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
}
# FACTS 2.3: the codes of the status page's table, as words, with types like those of the two samples. What the table
# leaves out is said in its manner.
_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request", "invalid_request_error"),
    401: ("unauthorized", "authentication_error"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("model_access_denied", "permission_error"),
    404: ("not_found", "not_found_error"),
    405: ("method_not_allowed", "invalid_request_error"),
    413: ("request_too_large", "invalid_request_error"),
    422: ("content_policy_violation", "invalid_request_error"),
    429: ("rate_limit_exceeded", "rate_limit_error"),
    500: ("internal_error", "api_error"),
    502: ("upstream_error", "api_error"),
    503: ("service_unavailable", "api_error"),
}
# The one sample of a failed task is of a refused content, and its code is that of any failure (FACTS 2.2).
_FAILURE_CODE = "generation_failed"
_FAILURE_WORDS: Mapping[str, str] = {
    "fail-content": "Generation failed: Content violates the content policy",
    "fail-generation": "Generation failed: the generation ended without any content",
}


def create(sandbox: Sandbox, call: Call) -> Answer:
    """`POST /v1/videos/generations` (FACTS 2.1)."""
    account = sandbox.accounts.open(call.key)
    order = read_order(call.json_object(), sandbox.sales, make_id)
    return purchase(sandbox, account, call, order, lambda task: json_answer(200, _created(task)))


def read_task(sandbox: Sandbox, call: Call) -> Answer:
    """`GET /v1/videos/generations/{id}` (FACTS 2.2)."""
    account = sandbox.accounts.open(call.key)
    task = look(sandbox, account, NAME, call.path_words["task_id"])
    return json_answer(200, _looked_at(task, sandbox.now(), call.base_url))


def read_balance(sandbox: Sandbox, call: Call) -> Answer:
    """`GET /v1/balance` or `/balance` (FACTS 2.4), in dollars."""
    sandbox.now()
    account = sandbox.accounts.open(call.key)
    balance = {
        "remain_balance": account.available_micros / _MICROS_PER_DOLLAR,
        "used_balance": account.spent_micros / _MICROS_PER_DOLLAR,
    }
    return json_answer(200, {"success": True, **balance, "unlimited_quota": False})


def make_id(random: Random, now: float) -> str:
    """FACTS 2.2: `vid_` and a ULID, of 48 bits of milliseconds and 80 of chance."""
    number = (int(now * 1000) << 80) | random.getrandbits(80)
    return "vid_" + "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def refuse(refusal: Refusal) -> Answer:
    code, kind = _ERRORS[refusal.status]
    return _refuse(refusal, code, kind)


def refuse_task(refusal: Refusal) -> Answer:
    code, kind = {**_ERRORS, 404: ("task_not_found", "not_found_error")}[refusal.status]
    return _refuse(refusal, code, kind)


def refuse_balance(refusal: Refusal) -> Answer:
    """An unknown token is told so in a good answer (FACTS 2.4)."""
    return json_answer(200, {"success": False, "message": refusal.message})


def _refuse(refusal: Refusal, code: str, kind: str) -> Answer:
    error = {"code": code, "message": refusal.message, "param": refusal.param, "type": kind}
    return json_answer(refusal.status, {"error": error}, refusal.headers)


def _created(task: Task) -> dict[str, Any]:
    return {**_head(task), "status": "queued", "progress": 0, "created_at": int(task.created_at), "metadata": {}}


def _looked_at(task: Task, now: float, base_url: str) -> dict[str, Any]:
    status = task.status(now)
    answer = {
        **_head(task),
        "status": status_word(task, now, _STATUS_WORDS),
        "progress": task.progress(now),
        "created_at": int(task.created_at),
    }
    if status is Status.COMPLETED:
        answer["completed_at"] = int(task.ends_at)
        if task.outcome != "no-result":
            answer["expires_at"] = int(task.link_dies_at)
            answer["result"] = {"type": "video", "data": [{"url": film_url(base_url, task), "format": "mp4"}]}
    if status is Status.FAILED:
        answer["error"] = {"code": _FAILURE_CODE, "message": _FAILURE_WORDS[task.outcome or ""]}
    return answer


def _head(task: Task) -> dict[str, Any]:
    return {"id": task.id, "object": "generation.task", "model": task.order.offer.model}


PROTOCOL = Protocol(
    NAME,
    (
        Route.at("POST", "/v1/videos/generations", create, refuse),
        Route.at("GET", "/v1/videos/generations/(?P<task_id>[^/]+)", read_task, refuse_task),
        Route.at("GET", "(?:/v1)?/balance", read_balance, refuse_balance),
    ),
    refuse,
)
