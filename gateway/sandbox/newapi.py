"""The new-api protocol (FACTS section 3): the task routes as the implementation answers, which is a relay's.

What its outer door refuses (keys, paths) wears another envelope than what its task routes refuse.
"""

import string
from collections.abc import Mapping
from random import Random
from typing import Any

from gateway.sandbox.calls import Answer, Call, Refusal, json_answer
from gateway.sandbox.downloads import film_url
from gateway.sandbox.front import Protocol, Route
from gateway.sandbox.newapi_request import NAME, read_order
from gateway.sandbox.purchase import look, purchase, status_word
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.tasks import Status, Task

_ID_ALPHABET = string.ascii_letters + string.digits
_PLATFORM = "35"  # what the one documented answer says (FACTS 3.4)

_STATUS_WORDS: Mapping[Status, str] = {
    Status.PENDING: "SUBMITTED",
    Status.PROCESSING: "IN_PROGRESS",
    Status.COMPLETED: "SUCCESS",
    Status.FAILED: "FAILURE",
}
# Steps, not a measure: the vendor behind it tells none (FACTS 3.3).
_PROGRESS: Mapping[Status, str] = {
    Status.PENDING: "0%",
    Status.PROCESSING: "50%",
    Status.COMPLETED: "100%",
    Status.FAILED: "100%",
}
_ACTIONS: Mapping[str, str] = {
    "t2v": "textGenerate",
    "i2v": "generate",
    "flf": "firstTailGenerate",
    "s2v": "referenceGenerate",
}
_OPENAI_STATUS_WORDS: Mapping[Status, str] = {
    Status.PENDING: "queued",
    Status.PROCESSING: "in_progress",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
}

# FACTS 3.5: codes of the outer door, in `error`; those of the task routes, flat, with the status they come with.
_OUTER_CODES: Mapping[int, str] = {401: "", 403: "access_denied", 404: "", 405: "", 413: ""}
_TASK_CODES: Mapping[int, tuple[int, str]] = {
    400: (400, "invalid_request"),
    402: (403, "insufficient_user_quota"),
    422: (400, "1026"),  # the vendor's number, as a string
    429: (429, "rate_limit_exceeded"),
    500: (500, "do_request_failed"),
    502: (502, "do_request_failed"),
    503: (503, "do_request_failed"),
}
# The text of a 429 is replaced whatever it was (FACTS 3.5): "the upstreams of this group are busy, try again later".
_MESSAGES: Mapping[int, str] = {422: "hailuo api error: {}", 429: "当前分组上游负载已饱和，请稍后再试"}


def create(sandbox: Sandbox, call: Call) -> Answer:
    """`POST /v1/video/generations` (FACTS 3.2, 3.4)."""
    account = sandbox.accounts.open(call.key)
    order = read_order(_read_body(call), sandbox.sales, make_id)
    return purchase(sandbox, account, call, order, lambda task: json_answer(200, _created(task)))


def read_task(sandbox: Sandbox, call: Call) -> Answer:
    """`GET /v1/video/generations/{id}` (FACTS 3.4, the implementation's shape)."""
    account = sandbox.accounts.open(call.key)
    task = look(sandbox, account, NAME, call.path_words["task_id"])
    data = _looked_at(task, sandbox.now(), call.base_url)
    return json_answer(200, {"code": "success", "message": "", "data": data})


def read_video(sandbox: Sandbox, call: Call) -> Answer:
    """`GET /v1/videos/{id}` (FACTS 3.4, as OpenAI said it)."""
    account = sandbox.accounts.open(call.key)
    task = look(sandbox, account, NAME, call.path_words["task_id"])
    return json_answer(200, _looked_at_as_video(task, sandbox.now(), call.base_url))


def make_id(random: Random, _now: float) -> str:
    return "task_" + "".join(random.choices(_ID_ALPHABET, k=32))


def refuse(refusal: Refusal) -> Answer:
    if refusal.status in _OUTER_CODES:
        error = {"message": refusal.message, "type": "new_api_error", "code": _OUTER_CODES[refusal.status]}
        return json_answer(refusal.status, {"error": error}, refusal.headers)
    status, code = _TASK_CODES[refusal.status]
    message = _MESSAGES.get(refusal.status, "{}").format(refusal.message)
    return _refuse_flat(refusal, status, refusal.code or code, message)


def refuse_read(refusal: Refusal) -> Answer:
    """A task that is not there is the caller's mistake here, and no missing page (FACTS 3.5)."""
    if refusal.status == 404:
        return _refuse_flat(refusal, 400, "task_not_exist", "task_not_exist")
    return refuse(refusal)


def _refuse_flat(refusal: Refusal, status: int, code: str | int, message: str) -> Answer:
    return json_answer(status, {"code": code, "message": message, "data": None}, refusal.headers)


def _read_body(call: Call) -> dict[str, Any]:
    try:
        return call.json_object()
    except Refusal as refusal:
        raise Refusal(400, refusal.message, code="invalid_json") from refusal


def _created(task: Task) -> dict[str, Any]:
    return {**_head(task), "status": "queued", "progress": 0, "created_at": int(task.created_at)}


def _looked_at(task: Task, now: float, base_url: str) -> dict[str, Any]:
    status = task.status(now)
    has_started, has_ended = now >= task.processing_at, now >= task.ends_at
    return {
        "id": task.number,
        "task_id": task.id,
        "platform": _PLATFORM,
        "action": _ACTIONS[task.order.offer.mode],
        "status": status_word(task, now, _STATUS_WORDS),
        "fail_reason": task.failure[1] if status is Status.FAILED and task.failure is not None else "",
        "result_url": film_url(base_url, task) if _has_film(task, now) else "",
        "submit_time": int(task.created_at),
        "start_time": int(task.processing_at) if has_started else 0,
        "finish_time": int(task.ends_at) if has_ended else 0,
        "progress": _PROGRESS[status],
        "properties": {},
        "data": {},
    }


def _looked_at_as_video(task: Task, now: float, base_url: str) -> dict[str, Any]:
    status = task.status(now)
    answer = {
        **_head(task),
        "status": status_word(task, now, _OPENAI_STATUS_WORDS),
        "progress": int(_PROGRESS[status].removesuffix("%")),
        "created_at": int(task.created_at),
        # The time of the last change, whether it is the last one or not (FACTS 3.4).
        "completed_at": int(max(at for at in (task.created_at, task.processing_at, task.ends_at) if at <= now)),
    }
    if _has_film(task, now):
        answer["metadata"] = {"url": film_url(base_url, task)}
    if status is Status.FAILED and task.failure is not None:
        code, message = task.failure
        answer["error"] = {"message": message, "code": code}
    return answer


def _has_film(task: Task, now: float) -> bool:
    return task.status(now) is Status.COMPLETED and task.outcome != "no-result"


def _head(task: Task) -> dict[str, Any]:
    return {"id": task.id, "task_id": task.id, "object": "video", "model": task.order.offer.model}


PROTOCOL = Protocol(
    NAME,
    (
        Route.at("POST", "/v1/video/generations", create, refuse),
        Route.at("GET", "/v1/video/generations/(?P<task_id>[^/]+)", read_task, refuse_read),
        Route.at("GET", "/v1/videos/(?P<task_id>[^/]+)", read_video, refuse_read),
    ),
    refuse,
)
