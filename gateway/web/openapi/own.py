"""The gateway's own paths, which speak no dialect and ask for no key, and the bodies that all dialects share."""

from typing import Any

from gateway.dialects import DIALECTS
from gateway.video import Mode
from gateway.web.openapi.shapes import Schema
from gateway.web.paths import DOCUMENT_PATH, HEALTH_PATHS, READINESS_PATHS

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}

DRY_RUN: Schema = {
    "type": "object",
    "description": "What an order would do: nothing was opened, nothing was sent.",
    "properties": {
        "valid": {"const": True},
        "mode": {"type": "string", "enum": [mode.value for mode in Mode]},
        "model": _TEXT,
        "upstream": _TEXT,
        "price": {"type": ["string", "null"], "pattern": "^[0-9]+\\.[0-9]{2,6}$"},
        "currency": _TEXT,
        "warnings": {"type": "array", "items": _TEXT},
        "upstream_request": {
            "type": "object",
            "description": "The call that would be made, without any key.",
            "properties": {"method": _TEXT, "url": _TEXT, "body": {}},
            "required": ["method", "url", "body"],
        },
    },
    "required": ["valid", "mode", "model", "upstream", "price", "currency", "warnings", "upstream_request"],
}
MODELS: Schema = {
    "type": "object",
    "properties": {
        "object": {"const": "list"},
        "data": {
            "type": "array",
            "items": {"type": "object", "properties": {"id": _TEXT}, "required": ["id"]},
        },
    },
    "required": ["object", "data"],
}
SCHEMAS: dict[str, Schema] = {
    "Health": {
        "type": "object",
        "properties": {"status": {"const": "ok"}, "version": _TEXT},
        "required": ["status", "version"],
    },
    "Readiness": {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": ["ready", "frozen", "not ready"]},
            "checks": {
                "type": "object",
                "properties": {"storage": _FLAG, "keys": _FLAG, "accepting": _FLAG},
                "required": ["storage", "keys", "accepting"],
            },
            "frozen": _FLAG,
        },
        "required": ["status", "checks", "frozen"],
    },
}


def paths() -> dict[str, dict[str, Any]]:
    """Path → method → operation."""
    found: dict[str, dict[str, Any]] = {}
    for number, path in enumerate(HEALTH_PATHS):
        found[path] = _both(f"health{_suffix(number)}", "Whether the process is alive", {200: _json("Health")})
    for number, path in enumerate(READINESS_PATHS):
        answers = {200: _json("Readiness"), 503: _json("Readiness")}
        found[path] = _both(f"readiness{_suffix(number)}", "Whether creates can be taken", answers)
    text = {"description": "In the format of Prometheus", "content": {"text/plain": {"schema": _TEXT}}}
    found["/metrics"] = {"get": _operation("metrics", "Metrics", {200: text})}
    this = {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}
    refused = {"description": "There is no such dialect", "content": {"application/json": {"schema": {}}}}
    answers = {200: this, 304: {"description": "Nothing has changed since"}, 400: refused}
    found[DOCUMENT_PATH] = _both("document", "This document", answers)
    for operation in found[DOCUMENT_PATH].values():
        schema = {"type": "string", "enum": list(DIALECTS)}
        dialect = {"name": "dialect", "in": "query", "schema": schema, "description": "What a client of one needs."}
        operation["parameters"] = [dialect, {"$ref": "#/components/parameters/IfNoneMatch"}]
    return found


def _both(name: str, summary: str, answers: dict[int, dict[str, Any]]) -> dict[str, Any]:
    bare = {status: {key: answer[key] for key in answer if key != "content"} for status, answer in answers.items()}
    return {"get": _operation(name, summary, answers), "head": _operation(f"{name}_head", summary, bare)}


def _operation(name: str, summary: str, answers: dict[int, dict[str, Any]]) -> dict[str, Any]:
    responses = {
        str(status): {"headers": {"x-request-id": {"$ref": "#/components/headers/x-request-id"}}, **answer}
        for status, answer in answers.items()
    }
    return {"operationId": name, "summary": summary, "tags": ["gateway"], "security": [], "responses": responses}


def _json(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": name, "content": {"application/json": {"schema": schema}}}


def _suffix(number: int) -> str:
    return f"_{number + 1}" if number else ""
