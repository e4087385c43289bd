"""new-api's way of speaking (FACTS section 3): everything of the model in `metadata`, many spellings, flat errors.

Its own adaptor lets the general fields (`image`, `images`, `input_reference`) fall and sells a text-to-video instead.
Here each of them is read, and two that say different things are a problem.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway import ids
from gateway.dialects import reading, speaking
from gateway.dialects.fields import Field, Fields, Item, Items
from gateway.dialects.reading import (
    BOOLEAN,
    BOOLEAN_EITHER,
    IMAGE,
    NOWHERE,
    OBJECT_OR_JSON,
    SECONDS_EITHER,
    SECONDS_NUMERAL,
    SIZE,
    SUBJECT,
    TEXT,
    Kind,
)
from gateway.dialects.speaking import Action, Endpoint, Row, View
from gateway.errors import GatewayError
from gateway.video import Balance, Mode, State, Status, Task, VideoRequest

NAME = "newapi"
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(Action.CREATE, "POST", "/v1/video/generations", takes_forms=True),
    Endpoint(Action.READ, "GET", "/v1/video/generations/{id}"),
)
MARKS: frozenset[str] = frozenset()  # its paths are its own, so nothing has to tell it apart
LACKS: frozenset[str] = frozenset()

_RESOLUTION = reading.resolution("512P", "720P", "768P", "1080P")
_IMAGES_RULE = "must be a list of at most two images: the first frame, then the last; in a form: `images[]`"

_IMAGES = Items("images", IMAGE, at_most=2, rule=_IMAGES_RULE)


def _fields(extra: Callable[[str, Kind[Any]], tuple[Field, ...]], boolean: Kind[bool]) -> Fields:
    """What a body may hold; `extra` gives the places of what stands in `metadata`."""
    return Fields(
        {
            "model": (Field("model", reading.NAME, required="is required"),),
            "prompt": (Field("prompt", TEXT),),
            "first_frame_image": (
                *extra("first_frame_image", IMAGE),
                Field("image", IMAGE),
                Item(_IMAGES, 0),
                Field("input_reference", IMAGE),
            ),
            "last_frame_image": (*extra("last_frame_image", IMAGE), Item(_IMAGES, 1)),
            "subject_reference": (Field("metadata.subject_reference", SUBJECT),),
            "resolution": (*extra("resolution", _RESOLUTION), Field("size", SIZE)),
            "duration_s": (
                Field("duration", SECONDS_EITHER),
                Field("seconds", SECONDS_NUMERAL),
                Field("metadata.duration", SECONDS_EITHER),
            ),
            "prompt_optimizer": extra("prompt_optimizer", boolean),
            "fast_pretreatment": extra("fast_pretreatment", boolean),
            "aigc_watermark": extra("aigc_watermark", boolean),
            "callback_url": extra("callback_url", TEXT),
        },
        objects={"metadata": OBJECT_OR_JSON},
        ignored=("user",),
    )


FIELDS = _fields(lambda name, kind: (Field(f"metadata.{name}", kind),), BOOLEAN)
# new-api puts every field of a form that it does not know into `metadata`, so there they stand beside the others (FACTS
# 3.2). A file is the first frame, as for those adaptors that do not let it fall (FACTS 3.3).
FORM_FIELDS = _fields(lambda name, kind: (Field(name, kind),), BOOLEAN_EITHER)

# Other dialects' fields → ours (FACTS 7.2).
_SPELT_ELSEWHERE: Mapping[str, str | None] = {
    "quality": "metadata.resolution",
    "image_urls": "images",
    "model_params": "metadata",
    "watermark": "metadata.aigc_watermark",
    **NOWHERE,
}

_SPELT_ELSEWHERE_IN_FORMS: Mapping[str, str | None] = {
    name: spelling and spelling.removeprefix("metadata.") for name, spelling in _SPELT_ELSEWHERE.items()
}

_STATUS: Mapping[Status, str] = {
    Status.PENDING: "queued",
    Status.PROCESSING: "in_progress",
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
}
_TASK_STATUS: Mapping[Status, str] = {
    Status.PENDING: "QUEUED",
    Status.PROCESSING: "IN_PROGRESS",
    Status.COMPLETED: "SUCCESS",
    Status.FAILED: "FAILURE",
}
# Accepted here, but not known to stand in an upstream's queue.
_SUBMITTED = frozenset({State.OPENED, State.UNCONFIRMED})

_PLATFORM = "35"  # new-api's number for this vendor's channel (FACTS 3.4)
_ACTION: Mapping[Mode, str] = {
    Mode.TEXT: "textGenerate",
    Mode.IMAGE: "generate",
    Mode.FIRST_LAST: "firstTailGenerate",
    Mode.SUBJECT: "referenceGenerate",
}


def _row(status: int, code: str) -> Row:
    return Row(status, code, "new_api_error")


# The house's code → what this dialect says (CONTRACT section 4, FACTS 3.5).
_ROWS: Mapping[str, Row] = {
    "invalid_request": _row(400, "invalid_request"),
    "unknown_model": _row(400, "invalid_request"),
    "content_policy_violation": _row(400, "content_policy_violation"),
    "not_ready": _row(400, "not_ready"),
    "unknown_task": _row(400, "task_not_exist"),  # not 404: its clients look at the code
    "unauthorized": _row(401, ""),
    "budget_spent": _row(403, "insufficient_user_quota"),
    "model_not_allowed": _row(403, "access_denied"),
    "unknown_route": _row(404, "not_found"),
    "wrong_method": _row(405, "method_not_allowed"),
    "request_timeout": _row(408, "invalid_request"),
    "twin_running": _row(409, "twin_running"),
    "result_expired": _row(410, "result_expired"),
    "too_large": _row(413, "invalid_request"),
    "idempotency_key_reused": _row(422, "idempotency_key_reused"),
    "rate_limited": _row(429, "rate_limit_exceeded"),
    "too_many_tasks": _row(429, "rate_limit_exceeded"),
    "header_too_large": _row(431, "invalid_request"),
    "internal_error": _row(500, "internal_error"),
    # Not 502: clients repeat on that, and this may have been bought.
    "submission_unconfirmed": _row(500, "submission_unconfirmed"),
    "upstream_error": _row(502, "do_request_failed"),
    "upstream_distrusted": _row(502, "do_request_failed"),
    "upstream_unreachable": _row(503, "do_request_failed"),
    "upstream_overloaded": _row(503, "do_request_failed"),
    "upstream_resting": _row(503, "do_request_failed"),
    "no_usable_key": _row(503, "do_request_failed"),
    "storage_down": _row(503, "do_request_failed"),
    "draining": _row(503, "do_request_failed"),
    "crowded": _row(503, "do_request_failed"),
    "frozen": _row(503, "do_request_failed"),
}


def parse(body: Mapping[str, Any]) -> VideoRequest:
    """The request of a create body (FACTS 3.2)."""
    return FIELDS.read(NAME, body, _SPELT_ELSEWHERE)


def parse_form(body: Mapping[str, Any]) -> VideoRequest:
    """The request of a create that came as a form: what JSON has in `metadata` stands at the top (FACTS 3.2)."""
    return FORM_FIELDS.read(NAME, body, _SPELT_ELSEWHERE_IN_FORMS)


def prompt_required(model: str) -> bool:
    """Always, whatever the model (FACTS 3.2)."""
    return True


def spell(name: str, value: str) -> str:
    """Resolutions are upper case here, as in the house (FACTS 7.7, 4)."""
    return value


def render_created(task: Task) -> dict[str, Any]:
    """The answer to a create: the implementation's object, a superset of the documents' two fields (FACTS 3.4)."""
    return {
        "id": ids.word(task.id),
        "task_id": ids.word(task.id),
        "object": "video",
        "model": task.request.model,
        "status": _STATUS[task.status],
        "progress": speaking.progress(task),
        "created_at": int(task.created_at),
        **speaking.extension(task),
        **speaking.failure(task, _ROWS),
    }


def render_task(task: Task, view: View) -> dict[str, Any]:
    """The answer to a poll: all three documented shapes at once (FACTS 3.4, CONTRACT section 4)."""
    link = view.link if task.status is Status.COMPLETED else None
    error = speaking.failure(task, _ROWS).get("error")
    seconds = task.request.duration_s
    return {
        "code": "success",
        "message": "",
        "data": _data(task, link, error["message"] if error else ""),
        "task_id": ids.word(task.id),
        "status": _STATUS[task.status],
        "url": link or "",
        "format": "mp4",
        "metadata": ({} if seconds is None else {"duration": seconds}) | speaking.estimate(view),
        "error": error,
        **speaking.extension(task),
    }


def render_balance(balance: Balance, caller: Balance) -> dict[str, Any]:
    """This dialect lists no such endpoint; should it be asked all the same: the key's own money, plainly."""
    return {
        "object": "credit_summary",
        "total_available": -1.0 if balance.remaining is None else speaking.amount(balance.remaining),
        "total_used": speaking.amount(balance.spent),
        "unlimited": balance.remaining is None,
    }


def render_error(error: GatewayError, action: Action) -> tuple[int, dict[str, Any]]:
    """A flat error; only a refused credential comes in an envelope, because another layer says it (FACTS 3.5)."""
    row = speaking.row(_ROWS, error)
    message = speaking.sentence(error)
    if row.status == 401:
        return row.status, {"error": {"message": message, "type": row.type, "code": row.code}}
    body: dict[str, Any] = {"code": row.code, "message": message, "data": None}
    field = speaking.field_of(error)
    if field is not None:
        body["param"] = field
    return row.status, body | speaking.findings(error)


def _data(task: Task, link: str | None, fail_reason: str) -> dict[str, Any]:
    """The implementation's task: times are 0 and texts empty where there is nothing to say, never null."""
    return {
        "task_id": ids.word(task.id),
        "platform": _PLATFORM,
        "action": _ACTION[task.mode],
        "status": "SUBMITTED" if task.state in _SUBMITTED else _TASK_STATUS[task.status],
        "fail_reason": fail_reason,
        "result_url": link or "",
        "submit_time": int(task.created_at),
        "start_time": int(task.started_at or 0),
        "finish_time": int(task.finished_at or 0),
        "progress": f"{speaking.progress(task)}%",
        "properties": {},
        "data": {},
    }
