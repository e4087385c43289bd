"""The vendor's own way of speaking, MiniMax V1 (FACTS section 4): flat bodies, decimal ids, and errors inside HTTP 200.

A film is reached in two steps: the query answers a `file_id`, which is asked for its link. Task and file have one
number here. Nothing of the vendor's way is known for other paths and for the bytes of a film, whose readers look at
the HTTP status and would save an error as a film: there the status is the house's own.
"""

from collections.abc import Mapping
from typing import Any

from gateway import ids
from gateway.dialects import reading, speaking
from gateway.dialects.fields import Field, Fields
from gateway.dialects.reading import BOOLEAN, IMAGE, NOWHERE, SECONDS, SUBJECT, TEXT
from gateway.dialects.speaking import Action, Endpoint, View
from gateway.errors import GatewayError, Spent
from gateway.video import Balance, Status, Task, VideoRequest

NAME = "minimax"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(Action.CREATE, "POST", "/v1/video_generation"),
    Endpoint(Action.READ, "GET", "/v1/query/video_generation", query_id="task_id"),
    Endpoint(Action.FILE, "GET", "/v1/files/retrieve", query_id="file_id"),
    Endpoint(Action.CONTENT, "GET", "/v1/files/retrieve_content", query_id="file_id"),
)
MARKS: frozenset[str] = frozenset()  # its paths are its own, so nothing has to tell it apart
LACKS: frozenset[str] = frozenset()

_RESOLUTION = reading.resolution("512P", "720P", "768P", "1080P")

FIELDS = Fields(
    {
        "model": (Field("model", reading.NAME, required="is required"),),
        "prompt": (Field("prompt", TEXT),),
        "first_frame_image": (Field("first_frame_image", IMAGE),),
        "last_frame_image": (Field("last_frame_image", IMAGE),),
        "subject_reference": (Field("subject_reference", SUBJECT),),
        "resolution": (Field("resolution", _RESOLUTION),),
        "duration_s": (Field("duration", SECONDS),),
        "prompt_optimizer": (Field("prompt_optimizer", BOOLEAN),),
        "fast_pretreatment": (Field("fast_pretreatment", BOOLEAN),),
        "aigc_watermark": (Field("aigc_watermark", BOOLEAN),),
        "callback_url": (Field("callback_url", TEXT),),
    }
)

# Other dialects' fields → ours (FACTS 7.2). Those of `metadata` and `model_params` stand at the top here.
_SPELT_ELSEWHERE: Mapping[str, str | None] = {
    "quality": "resolution",
    "size": "resolution",
    "seconds": "duration",
    "image": "first_frame_image",
    "images": "first_frame_image",
    "image_urls": "first_frame_image",
    "input_reference": "first_frame_image",
    "watermark": "aigc_watermark",
    "user": None,
    **NOWHERE,
}

# One of the vendor's clients dies on "Queueing", so all that is not yet running is being prepared (CONTRACT section 4).
_STATUS: Mapping[Status, str] = {
    Status.PENDING: "Preparing",
    Status.PROCESSING: "Processing",
    Status.COMPLETED: "Success",
    Status.FAILED: "Fail",
}
_CALLBACK_STATUS: Mapping[Status, str] = {
    Status.PENDING: "processing",
    Status.PROCESSING: "processing",
    Status.COMPLETED: "success",
    Status.FAILED: "failed",
}

_UNKNOWN_ERROR, _INTERNAL_ERROR, _DOWNSTREAM_ERROR = 1000, 1024, 1033
_NOT_AUTHORIZED, _NO_BALANCE, _NOT_IN_PLAN = 1004, 1008, 2061
_SENSITIVE_INPUT, _SENSITIVE_OUTPUT = 1026, 1027
_TOO_MANY = 1041  # its clients read 1002, the documented one, as a content error
_INVALID = 2013
# The house's code → `base_resp.status_code` (CONTRACT section 4, FACTS 4.5).
_ROWS: Mapping[str, int] = {
    "invalid_request": _INVALID,
    "unknown_model": _INVALID,
    "unknown_task": _INVALID,
    "unknown_route": _INVALID,
    "wrong_method": _INVALID,
    "too_large": _INVALID,
    "header_too_large": _INVALID,
    "request_timeout": _INVALID,
    "not_ready": _INVALID,
    "result_expired": _INVALID,
    "idempotency_key_reused": _INVALID,
    "unauthorized": _NOT_AUTHORIZED,
    "budget_spent": _NO_BALANCE,
    "model_not_allowed": _NOT_IN_PLAN,
    "twin_running": _TOO_MANY,
    "rate_limited": _TOO_MANY,
    "too_many_tasks": _TOO_MANY,
    "content_policy_violation": _SENSITIVE_INPUT,
    "internal_error": _UNKNOWN_ERROR,
    "submission_unconfirmed": _UNKNOWN_ERROR,
    "upstream_error": _INTERNAL_ERROR,
    "upstream_distrusted": _INTERNAL_ERROR,
    "upstream_unreachable": _DOWNSTREAM_ERROR,
    "upstream_overloaded": _DOWNSTREAM_ERROR,
    "upstream_resting": _DOWNSTREAM_ERROR,
    "no_usable_key": _DOWNSTREAM_ERROR,
    "storage_down": _DOWNSTREAM_ERROR,
    "draining": _DOWNSTREAM_ERROR,
    "crowded": _DOWNSTREAM_ERROR,
    "frozen": _DOWNSTREAM_ERROR,
}
# A film that was refused for what it shows, in the words of every upstream (FACTS 1.4, 2.3, 3.5, 4.5).
_CONTENT_FAILURES = frozenset({"content_policy_violation", "content_policy", "1026", "1027"})
# Where the vendor answers 200 to everything.
_IN_BAND = frozenset({Action.CREATE, Action.READ, Action.FILE})


def parse(body: Mapping[str, Any]) -> VideoRequest:
    """The request of a create body (FACTS 4.2)."""
    return FIELDS.read(NAME, body, _SPELT_ELSEWHERE)


def prompt_required(model: str) -> bool:
    """Never beyond the model's own rule (FACTS 4.2)."""
    return False


def spell(name: str, value: str) -> str:
    """Resolutions are upper case here, as in the house (FACTS 7.7, 4)."""
    return value


def render_created(task: Task) -> dict[str, Any]:
    """The answer to a create (FACTS 4.1). What became of the task is the query's to say, also of one that failed."""
    return {"task_id": str(task.id), "base_resp": _base_resp(), **speaking.extension(task)}


def render_task(task: Task, view: View) -> dict[str, Any]:
    """The answer to a query (FACTS 4.1)."""
    is_completed = task.status is Status.COMPLETED
    body: dict[str, Any] = {
        "task_id": str(task.id),
        "status": _STATUS[task.status],
        "file_id": str(task.id) if is_completed else "",
    }
    pixels = speaking.pixels(task)
    if is_completed and pixels is not None:
        body["video_width"], body["video_height"] = pixels
    return {**body, "base_resp": _outcome(task), **speaking.extension(task)}


def render_file(task: Task, view: View) -> dict[str, Any]:
    """The answer to a question for the film of a completed task (FACTS 4.1). `bytes` is 0, as in the vendor's own."""
    file = {
        "file_id": task.id,
        "bytes": 0,
        "created_at": int(task.finished_at or task.created_at),
        "filename": f"{ids.word(task.id)}.mp4",
        "purpose": "video_generation",
        "download_url": view.link or "",
    }
    return {"file": file, "base_resp": _base_resp()}


def render_callback(task: Task, view: View) -> dict[str, Any]:
    """What is pushed to the caller: the query's answer in the callback's own words (FACTS 4.6)."""
    return {**render_task(task, view), "status": _CALLBACK_STATUS[task.status]}


def render_balance(balance: Balance, caller: Balance) -> dict[str, Any]:
    """This dialect lists no such endpoint; should it be asked all the same: null where there is no limit."""
    return {
        "remaining": None if balance.remaining is None else speaking.amount(balance.remaining),
        "used": speaking.amount(balance.spent),
        "base_resp": _base_resp(),
    }


def render_error(error: GatewayError, action: Action) -> tuple[int, dict[str, Any]]:
    """An error inside HTTP 200, where the vendor says its errors so."""
    otherwise = _INVALID if error.status < 500 else _UNKNOWN_ERROR
    code = _ROWS.get(error.code, otherwise)
    body = {"base_resp": _base_resp(code, speaking.sentence(error)), **speaking.findings(error)}
    return 200 if action in _IN_BAND else _http_status(error), body


def _http_status(error: GatewayError) -> int:
    """Of what may have been bought: not 502, because clients repeat on that."""
    return error.status if error.spent is Spent.NO else 500


def _outcome(task: Task) -> dict[str, Any]:
    """0 for all that goes well; a failed generation is told apart by what it showed, and a task that no upstream
    accepted by what its create would have been answered with (CONTRACT section 4)."""
    error = speaking.failure(task).get("error")
    if error is None:
        return _base_resp()
    of_a_generation = _SENSITIVE_OUTPUT if error["code"] in _CONTENT_FAILURES else _UNKNOWN_ERROR
    was_accepted = task.upstream_id is not None
    code = of_a_generation if was_accepted else _ROWS.get(error["code"], of_a_generation)
    return _base_resp(code, error["message"])


def _base_resp(code: int = 0, message: str = "success") -> dict[str, Any]:
    return {"status_code": code, "status_msg": message}
