"""EvoLink's way of speaking (FACTS section 1): flat tasks, lower-case qualities, and two kinds of error codes.

Its pages disagree about `error.code`: a word on the create page of Hailuo 02, the HTTP status as an integer on the
tasks page, each with its own type words. Both are kept, each where its page stands.
"""

from collections.abc import Mapping
from typing import Any

from gateway import ids
from gateway.dialects import reading, speaking
from gateway.dialects.fields import Field, Fields, Item, Items
from gateway.dialects.reading import BOOLEAN, IMAGE, NOWHERE, OBJECT, SECONDS, TEXT
from gateway.dialects.speaking import Action, Endpoint, Row, View
from gateway.errors import GatewayError, UnknownTask
from gateway.video import Balance, Status, Task, VideoRequest

NAME = "evolink"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(Action.CREATE, "POST", "/v1/videos/generations"),
    Endpoint(Action.READ, "GET", "/v1/tasks/{id}"),
    Endpoint(Action.CREDITS, "GET", "/v1/credits"),
)
MARKS = frozenset({"quality", "model_params", "callback_url"})
LACKS = frozenset({"subject_reference", "aigc_watermark"})

_QUALITY = reading.resolution("512p", "768p", "1080p")
_IMAGES_RULE = "must be a list of at most two images: the first frame, then the last"

_IMAGES = Items("image_urls", IMAGE, at_most=2, rule=_IMAGES_RULE)
FIELDS = Fields(
    {
        "model": (Field("model", reading.NAME, required="is required"),),
        "prompt": (Field("prompt", TEXT),),
        "first_frame_image": (Item(_IMAGES, 0),),
        "last_frame_image": (Item(_IMAGES, 1),),
        "subject_reference": (),
        "resolution": (Field("quality", _QUALITY),),
        "duration_s": (Field("duration", SECONDS),),
        "prompt_optimizer": (Field("model_params.prompt_optimizer", BOOLEAN),),
        "fast_pretreatment": (Field("model_params.fast_pretreatment", BOOLEAN),),
        "aigc_watermark": (),
        "callback_url": (Field("callback_url", TEXT),),
    },
    objects={"model_params": OBJECT},
)

# Other dialects' fields → ours (FACTS 7.2).
_SPELT_ELSEWHERE: Mapping[str, str | None] = {
    "resolution": "quality",
    "size": "quality",
    "seconds": "duration",
    "metadata": "model_params",
    "image": "image_urls",
    "images": "image_urls",
    "input_reference": "image_urls",
    "first_frame_image": "image_urls[0]",
    "last_frame_image": "image_urls[1]",
    "subject_reference": None,
    "aigc_watermark": None,
    "watermark": None,
    **NOWHERE,
}

_STATUS: Mapping[Status, str] = {
    Status.PENDING: "pending",
    Status.PROCESSING: "processing",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
}

_BAD = "invalid_request_error"
_UPSTREAM = Row(502, "upstream_error", "upstream_error")
_UNAVAILABLE = Row(503, "service_unavailable", "service_unavailable_error")
_TOO_FAST = Row(429, "rate_limit_exceeded", "rate_limit_error")
_NOT_FOUND = Row(404, "not_found", "not_found_error")
# The house's code → what this dialect says (CONTRACT section 4, FACTS 1.5).
_ROWS: Mapping[str, Row] = {
    "invalid_request": Row(400, "invalid_request", _BAD),
    "unknown_model": Row(400, "invalid_request", _BAD),
    "content_policy_violation": Row(400, "content_policy_violation", _BAD),
    "not_ready": Row(400, "not_ready", _BAD),
    "unauthorized": Row(401, "unauthorized", "authentication_error"),
    "budget_spent": Row(402, "insufficient_quota", "insufficient_quota"),
    "model_not_allowed": Row(403, "model_access_denied", _BAD),
    "unknown_task": _NOT_FOUND,
    "unknown_route": _NOT_FOUND,
    "wrong_method": Row(405, "method_not_allowed", _BAD),
    "request_timeout": Row(408, "request_timeout", _BAD),
    "twin_running": Row(409, "twin_running", _BAD),
    "result_expired": Row(410, "result_expired", _BAD),
    "too_large": Row(413, "request_too_large", _BAD),
    "idempotency_key_reused": Row(422, "idempotency_key_reused", _BAD),
    "rate_limited": _TOO_FAST,
    "too_many_tasks": _TOO_FAST,
    "header_too_large": Row(431, "header_too_large", _BAD),
    "internal_error": Row(500, "internal_error", "api_error"),
    # Not 502: clients repeat on that, and this may have been bought.
    "submission_unconfirmed": Row(500, "submission_unconfirmed", "api_error"),
    "upstream_error": _UPSTREAM,
    "upstream_distrusted": _UPSTREAM,
    "upstream_unreachable": _UNAVAILABLE,
    "upstream_overloaded": _UNAVAILABLE,
    "upstream_resting": _UNAVAILABLE,
    "no_usable_key": _UNAVAILABLE,
    "storage_down": _UNAVAILABLE,
    "draining": _UNAVAILABLE,
    "crowded": _UNAVAILABLE,
    "frozen": _UNAVAILABLE,
}

# Where the code is the HTTP status, the type words are those of the tasks page.
_NUMBERED = frozenset({Action.READ, Action.CREDITS})
_NUMBERED_TYPES: Mapping[int, str] = {
    402: "insufficient_quota_error",
    403: "permission_error",
    404: "not_found_error",
    410: "not_found_error",
    413: "request_too_large_error",
    500: "internal_server_error",
}
# The page shows a suggestion for these; None: it depends on whether a time is known.
_SUGGESTIONS: Mapping[int, str | None] = {
    402: "ask whoever runs this gateway to raise the budget",
    429: None,
    500: None,
    502: None,
    503: None,
}


def parse(body: Mapping[str, Any]) -> VideoRequest:
    """The request of a create body (FACTS 1.2)."""
    return FIELDS.read(NAME, body, _SPELT_ELSEWHERE)


def prompt_required(model: str) -> bool:
    """Never beyond the model's own rule: the pages leave it out for image-to-video (FACTS 7.7, 2)."""
    return False


def spell(name: str, value: str) -> str:
    """Qualities are lower case here (FACTS 7.7, 4)."""
    return value.lower() if name == "resolution" else value


def render_created(task: Task) -> dict[str, Any]:
    """The answer to a create (FACTS 1.3). What an upstream would bill is not ours to invent, so no `usage`."""
    info: dict[str, Any] = {"can_cancel": False}
    if task.request.duration_s is not None:
        info["video_duration"] = task.request.duration_s
    return {
        "created": int(task.created_at),
        "id": ids.word(task.id),
        "model": task.request.model,
        "object": "video.generation.task",
        "progress": speaking.progress(task),
        "status": _STATUS[task.status],
        "task_info": info,
        "type": "video",
        **speaking.extension(task),
        **speaking.failure(task, _ROWS),
    }


def render_task(task: Task, view: View) -> dict[str, Any]:
    """The answer to a poll (FACTS 1.4): the created answer, and the links once there are any."""
    body = render_created(task)
    body["task_info"] |= speaking.estimate(view)
    if view.expected_s is not None:
        body["task_info"]["estimated_time"] = view.expected_s
    if task.status is Status.COMPLETED:
        body["results"] = [] if view.link is None else [view.link]
    return body


def render_balance(balance: Balance, caller: Balance) -> dict[str, Any]:
    """The answer to a question for credits (FACTS 1.6): `token` is the key's own, `user` its owner's."""
    return {
        "data": {"token": _credits(balance), "user": _credits(caller)},
        "message": "",
        "success": True,
    }


def render_error(error: GatewayError, action: Action) -> tuple[int, dict[str, Any]]:
    """An error in the words of the page that its endpoint stands on (FACTS 1.5)."""
    row = speaking.row(_ROWS, error)
    body: dict[str, Any] = {"code": row.code, "message": speaking.sentence(error), "type": row.type}
    field = speaking.field_of(error)
    if action in _NUMBERED:
        body |= {"code": row.status, "type": _NUMBERED_TYPES.get(row.status, row.type)}
        field = field or ("task_id" if error.code == UnknownTask.code else None)
        if row.status in _SUGGESTIONS:
            body["fallback_suggestion"] = _SUGGESTIONS[row.status] or _when_to_retry(error)
    if field is not None:
        body["param"] = field
    return row.status, {"error": body | speaking.findings(error)}


def _credits(balance: Balance) -> dict[str, Any]:
    """-1 stands for unlimited, as at the sister site (FACTS 2.4): a zero would read as spent."""
    unlimited = balance.remaining is None
    return {
        "remaining_credits": -1.0 if balance.remaining is None else speaking.amount(balance.remaining),
        "unlimited_credits": unlimited,
        "used_credits": speaking.amount(balance.spent),
    }


def _when_to_retry(error: GatewayError) -> str:
    return "retry in a moment" if error.retry_after is None else f"retry after {error.retry_after} seconds"
