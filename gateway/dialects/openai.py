"""OpenAI's way of speaking of videos (FACTS section 5): a protocol that outlived its service, kept alive by relays.

Its SDKs send forms even without a file, so every scalar may come as a string: `"true"` is a boolean and `"6"` a
number here, in JSON as well. What these models can do beyond its fields is said in `metadata`, at the top, or (as
one SDK's users do) in `model_params`; two spellings that say different things are a problem.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway import ids
from gateway.dialects import reading, speaking
from gateway.dialects.fields import Field, Fields, Item, Items
from gateway.dialects.reading import (
    BOOLEAN_EITHER,
    IMAGE,
    NOWHERE,
    SECONDS_EITHER,
    SIZE,
    SUBJECT,
    TEXT,
    Kind,
    Reader,
    Said,
)
from gateway.dialects.speaking import Action, Endpoint, Row, View
from gateway.errors import GatewayError
from gateway.video import Balance, Status, Task, VideoRequest

NAME = "openai"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(Action.CREATE, "POST", "/v1/videos", takes_forms=True),
    Endpoint(Action.LIST, "GET", "/v1/videos"),
    Endpoint(Action.READ, "GET", "/v1/videos/{id}"),
    Endpoint(Action.DELETE, "DELETE", "/v1/videos/{id}"),
)
MARKS: frozenset[str] = frozenset()  # its paths are its own, so nothing has to tell it apart
LACKS: frozenset[str] = frozenset()

_MODEL_RULE = "is required; OpenAI's default model is not sold here"
_IMAGES_RULE = "must be a list of at most two images, the first frame, then the last; in a form: `image_urls[]`"
_FILE_ID_RULE = "file ids are not offered; send the file itself, or give `input_reference.image_url`"
_OBJECT = Kind(
    reading.OBJECT.read,
    "must be an object; in a form, its members are written `object[member]`",
    schema=reading.OBJECT.schema,
)
_REFERENCE: Kind[str | Mapping[str, Any]] = Kind(
    lambda value: value if isinstance(value, Mapping) else IMAGE.read(value),
    "must be a file, a link (http:// or https://), a data URL, or an object with exactly an `image_url`",
    schema={
        "anyOf": [
            IMAGE.schema,
            {
                "type": "object",
                "properties": {"image_url": IMAGE.schema, "file_id": {"type": "null"}},
                "required": ["image_url"],
                "additionalProperties": False,
            },
        ]
    },
)
_RESOLUTION = reading.resolution("512P", "720P", "768P", "1080P")


def _reference(read: Reader) -> Said[str]:
    """The first frame: text, or an object with exactly one of `image_url` and `file_id`, which is not on offer."""
    given = read.value("input_reference", _REFERENCE)
    if not isinstance(given.value, Mapping):
        return Said(given.param, given.value, given.is_broken)
    file_id: Said[str] = read.refused("input_reference.file_id", _FILE_ID_RULE)
    if file_id.is_broken:
        read.ignore("input_reference.image_url")
        return file_id
    return read.required("input_reference.image_url", IMAGE)


def _extra(name: str, kind: Kind[Any], *other_paths: str) -> tuple[Field, ...]:
    """A field that OpenAI does not have: in `metadata`, at the top, or at another path."""
    return tuple(Field(path, kind) for path in (f"metadata.{name}", name, *other_paths))


_IMAGES = Items("image_urls", IMAGE, at_most=2, rule=_IMAGES_RULE)
FIELDS = Fields(
    {
        "model": (Field("model", reading.NAME, required=_MODEL_RULE),),
        "prompt": (Field("prompt", TEXT),),
        "first_frame_image": (Field("input_reference", _REFERENCE, by=_reference), Item(_IMAGES, 0)),
        "last_frame_image": (*_extra("last_frame_image", IMAGE), Item(_IMAGES, 1)),
        "subject_reference": _extra("subject_reference", SUBJECT),
        "resolution": (*_extra("resolution", _RESOLUTION), Field("size", SIZE)),
        "duration_s": (Field("seconds", SECONDS_EITHER), Field("duration", SECONDS_EITHER)),
        "prompt_optimizer": _extra("prompt_optimizer", BOOLEAN_EITHER, "model_params.prompt_optimizer"),
        "fast_pretreatment": _extra("fast_pretreatment", BOOLEAN_EITHER, "model_params.fast_pretreatment"),
        "aigc_watermark": _extra("aigc_watermark", BOOLEAN_EITHER),
        "callback_url": (),
    },
    objects={"metadata": _OBJECT, "model_params": _OBJECT, "input_reference": _OBJECT},
    ignored=("user",),
)

# Other dialects' fields → ours (FACTS 7.2).
_SPELT_ELSEWHERE: Mapping[str, str | None] = {
    "quality": "metadata.resolution",
    "image": "input_reference",
    "images": "image_urls",
    "first_frame_image": "input_reference",
    "watermark": "metadata.aigc_watermark",
    "callback_url": None,
    **NOWHERE,
}

_STATUS: Mapping[Status, str] = {
    Status.PENDING: "queued",
    Status.PROCESSING: "in_progress",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
}

_BAD = "invalid_request_error"
_TOO_FAST = Row(429, "rate_limit_exceeded", "rate_limit_error")
_NOT_FOUND = Row(404, "not_found", _BAD)
_UPSTREAM = Row(502, "upstream_error", "api_error")
_UNAVAILABLE = Row(503, "service_unavailable", "api_error")
# The house's code → what this dialect says (CONTRACT sections 4 and 7).
_ROWS: Mapping[str, Row] = {
    "invalid_request": Row(400, "invalid_request", _BAD),
    "content_policy_violation": Row(400, "content_policy_violation", _BAD),
    "not_ready": Row(400, "not_ready", _BAD),
    "unauthorized": Row(401, "invalid_api_key", "authentication_error"),
    "model_not_allowed": Row(403, "model_not_allowed", "permission_error"),
    "unknown_model": Row(404, "model_not_found", _BAD),
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
    "budget_spent": Row(429, "insufficient_quota", "insufficient_quota"),  # never to be retried, whatever 429 says
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
    """The request of a create body, whether it came as JSON or as a form (FACTS 5.2, 5.3)."""
    return FIELDS.read(NAME, body, _SPELT_ELSEWHERE)


def prompt_required(model: str) -> bool:
    """Always, whatever the model (FACTS 5.2)."""
    return True


def spell(name: str, value: str) -> str:
    """Resolutions are upper case here, as in the house (FACTS 7.7, 4)."""
    return value


def render_created(task: Task) -> dict[str, Any]:
    """The answer to a create: the video object, in which nothing is known of a link yet."""
    return render_task(task, View())


def render_task(task: Task, view: View) -> dict[str, Any]:
    """The video object, with every field its specification requires (FACTS 5.2). The link is always `/content`."""
    is_completed = task.status is Status.COMPLETED
    pixels = speaking.pixels(task)
    seconds = task.request.duration_s
    return {
        "id": ids.word(task.id),
        "object": "video",
        "model": task.request.model,
        "status": _STATUS[task.status],
        "progress": speaking.progress(task),
        "created_at": int(task.created_at),
        "completed_at": int(task.finished_at) if is_completed and task.finished_at is not None else None,
        "expires_at": view.link_expires_at if is_completed else None,
        "prompt": task.request.prompt,
        "size": None if pixels is None else f"{pixels[0]}x{pixels[1]}",
        "seconds": None if seconds is None else str(seconds),
        "remixed_from_video_id": None,
        "error": speaking.failure(task, _ROWS).get("error"),
        **speaking.extension(task),
    }


def render_list(shown: Sequence[tuple[Task, View]], *, has_more: bool) -> dict[str, Any]:
    """One page of video objects (FACTS 5.2)."""
    data = [render_task(task, view) for task, view in shown]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def render_deleted(task: Task) -> dict[str, Any]:
    """The answer to a delete (FACTS 5.2)."""
    return {"id": ids.word(task.id), "object": "video.deleted", "deleted": True}


def render_balance(balance: Balance, caller: Balance) -> dict[str, Any]:
    """This dialect lists no such endpoint; should it be asked all the same: null where there is no limit."""
    return {
        "object": "credit_summary",
        "total_granted": None if balance.limit is None else speaking.amount(balance.limit),
        "total_used": speaking.amount(balance.spent),
        "total_available": None if balance.remaining is None else speaking.amount(balance.remaining),
    }


def render_error(error: GatewayError, action: Action) -> tuple[int, dict[str, Any]]:
    """An error in the only envelope there is; `param` is null where no field is at fault."""
    row = speaking.row(_ROWS, error)
    body = {
        "message": speaking.sentence(error),
        "type": row.type,
        "param": speaking.field_of(error),
        "code": row.code,
    }
    return row.status, {"error": body | speaking.findings(error)}
