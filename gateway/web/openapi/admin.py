"""The paths of the admin API, in the words of `web/admin.py` and `flows/overview.py`; there where an admin key is."""

import re
from collections.abc import Sequence
from typing import Any

from gateway.dialects import DIALECTS
from gateway.flows.overview import FILTERS, LIMIT, LIMIT_MAX, SUSPENSE
from gateway.periods import PERIODS
from gateway.store import GROUPS
from gateway.video import State
from gateway.virtual_keys import AMOUNT_MAX, NAME
from gateway.web.openapi.shapes import Schema

SECURITY: dict[str, Any] = {"adminKey": {"type": "http", "scheme": "bearer", "description": "The admin key."}}
# What a path may hold behind a percent sign (`gateway/serving/framing.py`): no separator, no control character.
_IN_A_PATH: Schema = {"type": "string", "pattern": "^[^\\x00-\\x1f\\x7f/\\\\]+$"}
_NAME: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
_AMOUNT: Schema = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": AMOUNT_MAX},
        {"type": "string", "pattern": "^[0-9]{1,9}(\\.[0-9]{1,6})?$"},
    ]
}
_BUDGET: Schema = {
    "description": "In the configured currency. Without a period it is for a lifetime; null is no budget.",
    "anyOf": [
        {
            "type": "object",
            "properties": {"amount": _AMOUNT, "period": {"enum": [*PERIODS, None]}},
            "required": ["amount"],
            "additionalProperties": False,
        },
        *_AMOUNT["anyOf"],
        {"type": "string", "pattern": f"^[0-9]{{1,9}}(\\.[0-9]{{1,6}})?/({'|'.join(PERIODS)})$"},
        {"type": "null"},
    ],
}
_COUNT: Schema = {"type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000}


def _object(members: dict[str, Schema], required: Sequence[str]) -> Schema:
    return {"type": "object", "properties": members, "required": list(required), "additionalProperties": False}


def _told(*names: str) -> Schema:
    """An answer in which at least these stand."""
    return {"type": "object", "properties": {name: {} for name in names}, "required": list(names)}


def _listed(name: str, item: Schema) -> Schema:
    return {"type": "object", "properties": {name: {"type": "array", "items": item}}, "required": [name]}


_BALANCE = ("limit", "available", "held", "spent", "until")
_KEY = (
    *("id", "state", "source", "hint", "team", "dialect", "models", "rpm", "max_tasks", "passthrough"),
    *("created_at", "expires_at", "revoked_at", "budget", "balance"),
)
_BOARD = (
    *("at", "currency", "frozen_since", "today", "days", "tasks", "holds", "keys", "durations", "took", "latencies"),
    *("failures", "errors", "going"),
)
_TASK = (
    *("id", "number", "state", "money", "caller", "team", "dialect", "model", "mode", "resolution", "duration"),
    *("prompt", "price", "currency", "upstream", "key", "upstream_id", "attempts", "progress", "failure"),
    *("created_at", "started_at", "finished_at", "looked_at", "hidden"),
)
SCHEMAS: dict[str, Schema] = {
    "AdminKeyBody": _object(
        {
            "id": _NAME,
            "team": {"anyOf": [_NAME, {"type": "null"}]},
            "models": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 256}}
            | {"minItems": 1, "maxItems": 100},
            "dialect": {"enum": [*DIALECTS, None]},
            "budget": _BUDGET,
            "rpm": _COUNT,
            "max_tasks": _COUNT,
            "passthrough": {"type": "boolean"},
            "expires": {
                "type": ["string", "null"],
                "pattern": "^[1-9][0-9]{0,3}[dh]$",
                "description": "`90d` or `12h` from now. Dates in ISO's spelling are taken, too.",
            },
        },
        ["id"],
    ),
    "AdminTeamBody": _object({"id": _NAME, "budget": _BUDGET}, ["id"]),
    "AdminTeamChange": _object({"id": _NAME, "budget": _BUDGET}, ["id", "budget"]),
    "AdminReason": _object({"reason": {"type": "string", "minLength": 1}}, ["reason"]),
    "AdminReceipt": _object({"upstream_id": {"type": "string", "minLength": 1}}, ["upstream_id"]),
    "AdminNothing": _object({}, []),
    "AdminKey": _told(*_KEY),
    "AdminNewKey": _told("key", *_KEY),
    "AdminTeam": _told("id", "source", "budget", "balance"),
    "AdminTask": _told(*_TASK),
}
_SPAN: Schema = {"type": "string", "pattern": "^([1-9][0-9]{0,3}[dh]|[0-9]{1,10})$"}
_OF: dict[str, Schema] = {name: {"type": "string"} for name in FILTERS}
_FILTERS: dict[str, Schema] = {
    "state": {"type": "string", "enum": [*(state.value for state in State), SUSPENSE]},
    **_OF,
    "from": _SPAN,
    "to": _SPAN,
    "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT},
    "after": {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"},
}
_USAGE = {**_OF, "by": {"type": "string", "enum": list(GROUPS)}, "from": _SPAN, "to": _SPAN}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def paths() -> dict[str, dict[str, Any]]:
    """Path → method → operation."""
    return {
        path: {"parameters": _named(path), **methods} if "{" in path else methods for path, methods in _paths().items()
    }


def _named(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", path)
    return [{"name": name, "in": "path", "required": True, "schema": _IN_A_PATH} for name in names]


def _paths() -> dict[str, dict[str, Any]]:
    key, team, task = _ref("AdminKey"), _ref("AdminTeam"), _ref("AdminTask")
    story = _told("task", "waits_since", "attempts", "entries")
    found = _told("brought_home", "to_decide", "drift", "note")
    usage = _told("currency", "by", "from", "to", "groups", "total", "budgets")
    revoked, frozen = _told("id", "state"), _told("frozen", "since")
    return {
        "/admin/keys": {
            "get": _operation("admin_keys", "Every virtual key, with its money", _listed("keys", key)),
            "post": _operation("admin_create_key", "Make a key", _ref("AdminNewKey"), 201, body="AdminKeyBody"),
        },
        "/admin/keys/{id}": {"delete": _operation("admin_delete_key", "Revoke a key", revoked, body="AdminNothing")},
        "/admin/keys/{id}/revoke": {
            "post": _operation("admin_revoke_key", "Revoke a key", revoked, body="AdminNothing"),
        },
        "/admin/teams": {
            "get": _operation("admin_teams", "Every team, with its money", _listed("teams", team)),
            "post": _operation("admin_create_team", "Make a team", team, 201, body="AdminTeamBody"),
            "put": _operation("admin_update_team", "Change a team's budget", team, body="AdminTeamChange"),
        },
        "/admin/overview": {"get": _operation("admin_overview", "How things stand", _told(*_BOARD))},
        "/admin/usage": {"get": _operation("admin_usage", "What was spent, on what", usage, query=_USAGE)},
        "/admin/tasks": {
            "get": _operation("admin_tasks", "Tasks, newest first", _told("tasks", "next"), query=_FILTERS),
        },
        "/admin/tasks/{id}": {"get": _operation("admin_task", "The whole story of a task", story)},
        "/admin/tasks/{id}/adopt": {
            "post": _operation("admin_adopt", "The upstream has it", task, body="AdminReceipt"),
        },
        "/admin/tasks/{id}/release": {
            "post": _operation("admin_release", "The upstream has it not", task, body="AdminReason"),
        },
        "/admin/tasks/{id}/settle": {
            "post": _operation("admin_settle", "It was bought and is lost", task, body="AdminReason"),
        },
        "/admin/reconcile": {
            "post": _operation("admin_reconcile", "Bring receipts home", found, body="AdminNothing"),
        },
        "/admin/upstreams": {
            "get": _operation("admin_upstreams", "Upstream keys", _listed("upstreams", _told("name")))
        },
        "/admin/upstreams/{name}/keys/{id}/recover": {
            "post": _operation(
                "admin_recover", "A key is good again", _told("upstream", "key", "ended"), body="AdminNothing"
            ),
        },
        "/admin/freeze": {"post": _operation("admin_freeze", "Refuse all creates", frozen, body="AdminNothing")},
        "/admin/unfreeze": {"post": _operation("admin_unfreeze", "Take them again", frozen, body="AdminNothing")},
    }


def _operation(
    name: str,
    summary: str,
    answer: Schema,
    status: int = 200,
    *,
    body: str | None = None,
    query: dict[str, Schema] | None = None,
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": ["admin"],
        "security": [{"adminKey": []}],
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in (query or {}).items()
        ],
        "responses": {
            str(status): _answer("It is so", answer),
            **{str(code): _answer(words, _ref("PlainError")) for code, words in _REFUSED.items()},
        },
    }
    if body is not None:
        content = {"application/json": {"schema": _ref(body)}}
        told["requestBody"] = {"required": body != "AdminNothing", "content": content}
    return told


_REFUSED = {
    400: "The request breaks a rule",
    401: "Not the admin key",
    404: "There is nothing of that name",
    409: "The name is taken, or there is nothing to decide",
    413: "The body is too large",
    500: "A bug",
    502: "An upstream did not answer",
    503: "Storage is down",
}


def _answer(description: str, schema: Schema) -> dict[str, Any]:
    headers = {"x-request-id": {"$ref": "#/components/headers/x-request-id"}}
    return {"description": description, "headers": headers, "content": {"application/json": {"schema": schema}}}
