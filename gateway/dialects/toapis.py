"""ToAPIs' way of speaking (FACTS section 2), in its newest generation: `resolution` and `image_urls` at the top.

Its two older generations had both inside `metadata`, in other letter cases; their fields are refused with the way to
spell them now. The last frame is a field of its own here, never a second image.
"""

from collections.abc import Mapping
from typing import Any

from gateway import ids
from gateway.dialects import reading, speaking
from gateway.dialects.fields import Field, Fields, Item, Items
from gateway.dialects.reading import BOOLEAN, IMAGE_LINK, NOWHERE, OBJECT, SECONDS, TEXT
from gateway.dialects.speaking import Action, Endpoint, Row, View
from gateway.errors import BadCall, GatewayError
from gateway.video import Balance, Status, Task, VideoRequest

NAME = "toapis"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(Action.CREATE, "POST", "/v1/videos/generations"),
    Endpoint(Action.READ, "GET", "/v1/videos/generations/{id}"),
    Endpoint(Action.CREDITS, "GET", "/v1/balance"),
)
MARKS = frozenset({"resolution", "metadata"})
LACKS = frozenset({"subject_reference"})

_RESOLUTION = reading.resolution("512P", "768P", "1080P")
_IMAGES_RULE = "must be a list of at most one image, the first frame; the last one is `metadata.last_frame_image`"
# Their page requires a prompt even for image-to-video; that of Hailuo 02 does not (FACTS 2.1).
_PROMPT_REQUIRED = frozenset({"MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast"})

FIELDS = Fields(
    {
        "model": (Field("model", reading.NAME, required="is required"),),
        "prompt": (Field("prompt", TEXT),),
        "first_frame_image": (Item(Items("image_urls", IMAGE_LINK, at_most=1, rule=_IMAGES_RULE), 0),),
        "last_frame_image": (Field("metadata.last_frame_image", IMAGE_LINK),),
        "subject_reference": (),
        "resolution": (Field("resolution", _RESOLUTION),),
        "duration_s": (Field("duration", SECONDS),),
        "prompt_optimizer": (Field("metadata.prompt_optimizer", BOOLEAN),),
        "fast_pretreatment": (Field("metadata.fast_pretreatment", BOOLEAN),),
        "aigc_watermark": (Field("metadata.aigc_watermark", BOOLEAN),),
        "callback_url": (Field("metadata.callback_url", TEXT),),
    },
    objects={"metadata": OBJECT},
)

# Other dialects' fields, and those of older generations → ours (FACTS 2 and 7.2).
_SPELT_ELSEWHERE: Mapping[str, str | None] = {
    "quality": "resolution",
    "size": "resolution",
    "seconds": "duration",
    "model_params": "metadata",
    "image": "image_urls",
    "images": "image_urls",
    "input_reference": "image_urls",
    "first_frame_image": "image_urls[0]",
    "watermark": "metadata.aigc_watermark",
    "subject_reference": None,
    **NOWHERE,
}

_STATUS: Mapping[Status, str] = {
    Status.PENDING: "queued",
    Status.PROCESSING: "in_progress",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
}

_BAD = "invalid_request_error"
_UPSTREAM = Row(502, "upstream_error", "api_error")
_UNAVAILABLE = Row(503, "service_unavailable", "api_error")
_TOO_FAST = Row(429, "rate_limit_exceeded", "rate_limit_error")
# The house's code → what this dialect says (CONTRACT section 4, FACTS 2.3).
_ROWS: Mapping[str, Row] = {
    "invalid_request": Row(400, "invalid_request", _BAD),
    "unknown_model": Row(400, "invalid_request", _BAD),
    "not_ready": Row(400, "not_ready", _BAD),
    "unauthorized": Row(401, "unauthorized", "authentication_error"),
    "budget_spent": Row(402, "insufficient_quota", "insufficient_quota"),
    "model_not_allowed": Row(403, "model_access_denied", "permission_error"),
    "unknown_task": Row(404, "task_not_found", "not_found_error"),
    "unknown_route": Row(404, "not_found", "not_found_error"),
    "wrong_method": Row(405, "method_not_allowed", _BAD),
    "request_timeout": Row(408, "request_timeout", _BAD),
    "twin_running": Row(409, "twin_running", _BAD),
    "result_expired": Row(410, "result_expired", _BAD),
    "too_large": Row(413, "request_too_large", _BAD),
    "content_policy_violation": Row(422, "content_policy_violation", _BAD),
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


def parse(body: Mapping[str, Any]) -> VideoRequest:
    """The request of a create body (FACTS 2.1)."""
    return FIELDS.read(NAME, body, _SPELT_ELSEWHERE)


def prompt_required(model: str) -> bool:
    """For Hailuo 2.3 and 2.3-Fast, also with an image (FACTS 7.7, 2)."""
    return model in _PROMPT_REQUIRED


def spell(name: str, value: str) -> str:
    """Resolutions are upper case here, as in the house (FACTS 7.7, 4)."""
    return value


def render_created(task: Task) -> dict[str, Any]:
    """The answer to a create (FACTS 2.1)."""
    return {**_head(task), "metadata": {}, **speaking.failure(task, _ROWS)}


def render_task(task: Task, view: View) -> dict[str, Any]:
    """The answer to a poll (FACTS 2.2). The page's body has the link in `result`, its samples read it off the top."""
    body = {**_head(task), **speaking.failure(task, _ROWS)}
    if view.is_estimate:
        body["metadata"] = speaking.estimate(view)
    if task.status is Status.COMPLETED:
        if task.finished_at is not None:
            body["completed_at"] = int(task.finished_at)
        if view.link_expires_at is not None:
            body["expires_at"] = view.link_expires_at
        films = [] if view.link is None else [{"url": view.link, "format": "mp4"}]
        body["result"] = {"type": "video", "data": films}
        if view.link is not None:
            body["url"] = view.link
    return body


def render_balance(balance: Balance, caller: Balance) -> dict[str, Any]:
    """The answer to a question for the balance (FACTS 2.4): the key's own, or its owner's where it has none."""
    shown = caller if balance.limit is None else balance
    return {
        "success": True,
        "remain_balance": -1.0 if shown.remaining is None else speaking.amount(shown.remaining),
        "used_balance": speaking.amount(shown.spent),
        "unlimited_quota": shown.remaining is None,
    }


def render_error(error: GatewayError, action: Action) -> tuple[int, dict[str, Any]]:
    """An error with a word for its code (FACTS 2.3); of the page's two kinds, the one its status table lists."""
    row = speaking.row(_ROWS, error)
    # The status table has a 422 of its own, so what an upstream found unprocessable stays that (CONTRACT section 7).
    status = 422 if isinstance(error, BadCall) and error.http_status == 422 else row.status
    body: dict[str, Any] = {"code": row.code, "message": speaking.sentence(error), "type": row.type}
    field = speaking.field_of(error)
    if field is not None:
        body["param"] = field
    return status, {"error": body | speaking.findings(error)}


def _head(task: Task) -> dict[str, Any]:
    return {
        "id": ids.word(task.id),
        "object": "generation.task",
        "model": task.request.model,
        "status": _STATUS[task.status],
        "progress": speaking.progress(task),
        "created_at": int(task.created_at),
        **speaking.extension(task),
    }
