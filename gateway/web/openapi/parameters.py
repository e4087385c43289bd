"""What an operation takes beside a body, and what it says beside an answer: parameters and headers, each once."""

from typing import Any

from gateway.dialects import DIALECTS
from gateway.flows.preflight import MAX_PRICE
from gateway.web.choice import HEADER as DIALECT_HEADER
from gateway.web.openapi.shapes import Schema
from gateway.web.videos import LIST_LIMIT, LIST_LIMIT_MAX
from gateway.web.waiting import WAIT_MAX_S
from gateway.web.wishes import DRY_RUN, IDEMPOTENCY_KEY, KEY_CHARACTERS_MAX

_ID_PATTERN = "^(video_[0-9a-hjkmnp-tv-z]{13}|[1-9][0-9]{0,18})$"
_ID = "The task: its word or its number, whichever dialect made it."
_TEXT: Schema = {"type": "string"}  # what it cannot mean is ignored, as the standards say
_BOOLEAN: Schema = {"type": "string", "enum": ["true", "false"]}


def _of(where: str, name: str, schema: Schema, description: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": schema, "description": description}


def identifier(where: str, name: str) -> dict[str, Any]:
    """The parameter that names a task, in the path or the query."""
    return _of(where, name, {"type": "string", "pattern": _ID_PATTERN}, _ID, required=True)


PARAMETERS: dict[str, dict[str, Any]] = {
    "IdempotencyKey": _of(
        "header",
        IDEMPOTENCY_KEY.title(),
        {"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX, "pattern": "^[ -~]+$"},
        "A repeat of the same request under the same key, within a day, gets the first answer and buys nothing. "
        "Another request under it is refused.",
    ),
    "DryRun": _of(
        "header", DRY_RUN, _BOOLEAN, "`true`: check everything, send nothing, and answer with what would be sent."
    ),
    "MaxPrice": _of(
        "header",
        MAX_PRICE,
        {"type": "string", "pattern": "^[0-9]{1,9}(\\.[0-9]{1,6})?$"},
        "Refuse the video if it is dearer than this.",
    ),
    "Dialect": _of(
        "header",
        DIALECT_HEADER,
        {"type": "string", "enum": list(DIALECTS)},
        "The dialect that is spoken, where a path does not say; before the key's own and before the marks in the body.",
    ),
    "Prefer": _of(
        "header",
        "Prefer",
        _TEXT,
        f"`wait=30`: answer when the status changes, or after so many seconds; {WAIT_MAX_S} at most.",
    ),
    "IfNoneMatch": _of(
        "header", "If-None-Match", _TEXT, "The `ETag` of the last answer: 304 if nothing has changed since."
    ),
    "LastEventId": _of("header", "Last-Event-ID", _TEXT, "The last event that is known."),
    "Range": _of("header", "Range", _TEXT, "`bytes=0-1023`: a part of it."),
    "IfRange": _of(
        "header",
        "If-Range",
        _TEXT,
        "The film's `ETag` or `Last-Modified`: of another film, it is all of it that comes.",
    ),
    "Limit": _of(
        "query",
        "limit",
        {"type": "integer", "minimum": 1, "maximum": LIST_LIMIT_MAX, "default": LIST_LIMIT},
        "How many tasks at most.",
    ),
    "After": _of("query", "after", {"type": "string", "pattern": _ID_PATTERN}, "The task to go on after."),
    "Order": _of("query", "order", {"type": "string", "enum": ["desc", "asc"], "default": "desc"}, "Newest first?"),
    "Variant": _of("query", "variant", {"type": "string", "enum": ["video"]}, "There is nothing but the video."),
    "Upstream": _of("query", "upstream", _BOOLEAN, "`true`: and what else the passthrough upstream lists."),
}

HEADERS: dict[str, dict[str, Any]] = {
    "x-request-id": {
        "schema": {"type": "string"},
        "description": "The caller's own, or one made here.",
        "required": True,
    },
    "x-reelgate-task-id": {"schema": {"type": "string"}, "description": "The task's word."},
    "x-reelgate-upstream": {"schema": {"type": "string"}, "description": "The upstream that has the task."},
    "x-reelgate-attempts": {
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "description": "How often it was sent; all but the last were refused.",
    },
    "x-reelgate-price": {
        "schema": {"type": "string", "pattern": "^[0-9]+\\.[0-9]{2,6} [A-Z]{3}$"},
        "description": "`0.28 USD`",
    },
    "x-reelgate-warnings": {"schema": {"type": "string"}, "description": "A JSON array of texts, in ASCII."},
    "x-reelgate-upstream-reason": {"schema": {"type": "string"}, "description": "Of a dry run: why that upstream."},
    "x-reelgate-budget-left": {"schema": {"type": "string"}, "description": "Of a dry run: what is left to order for."},
    "idempotent-replayed": {"schema": {"type": "string", "enum": ["true"]}, "description": "This is the first answer."},
    "x-should-retry": {
        "schema": {"type": "string", "enum": ["true", "false"]},
        "description": "`true` only if nothing was spent and a repeat can help.",
    },
    "retry-after": {
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "description": "Seconds until there may be news, or until a repeat can help.",
    },
    "openai-poll-after-ms": {
        "schema": {"type": "string", "pattern": "^[0-9]{4,5}$"},
        "description": "In which rhythm to poll.",
    },
    "preference-applied": {"schema": {"type": "string"}, "description": "What was made of `Prefer`."},
    "content-range": {"schema": {"type": "string"}, "description": "Which part of the film it is, or how long it is."},
    "etag": {"schema": {"type": "string"}, "description": "A tag of what is told, for `If-None-Match`."},
}

OF_A_TASK = ("x-reelgate-task-id", "x-reelgate-upstream", "x-reelgate-attempts", "x-reelgate-price")
_UNFINISHED = ("retry-after", "openai-poll-after-ms")
_DRY_RUN = ("x-reelgate-upstream-reason", "x-reelgate-budget-left")
# What each kind of operation takes, and what its good answers say in headers.
TAKEN: dict[str, tuple[str, ...]] = {
    "create": ("IdempotencyKey", "DryRun", "MaxPrice"),
    "read": ("Prefer", "IfNoneMatch"),
    "list": ("Limit", "After", "Order"),
    "content": ("Variant", "Range", "IfRange"),
    "events": ("LastEventId",),
    "models": ("Upstream",),
}
SAID: dict[str, tuple[str, ...]] = {
    "create": (
        *OF_A_TASK,
        *_UNFINISHED,
        *_DRY_RUN,
        "x-reelgate-warnings",
        "idempotent-replayed",
        "x-should-retry",
    ),
    "read": (*OF_A_TASK, *_UNFINISHED, "etag", "preference-applied"),
    "delete": (*OF_A_TASK,),
    "file": (*OF_A_TASK,),
    "content": (*OF_A_TASK,),
    "events": (*OF_A_TASK,),
}
