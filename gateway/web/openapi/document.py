"""The whole document: OpenAPI 3.1, made of the lists and tables that the gateway itself goes by."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway import __version__
from gateway.catalog import Model
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Action
from gateway.structs import Struct
from gateway.web.openapi import admin, bodies, own
from gateway.web.openapi.answers import answer_shape
from gateway.web.openapi.examples import EXAMPLES
from gateway.web.openapi.operations import Operation, operations
from gateway.web.openapi.parameters import HEADERS, OF_A_TASK, PARAMETERS, SAID, TAKEN, identifier
from gateway.web.openapi.refusals import error_shape, plain_error, refusals
from gateway.web.openapi.shapes import Schema

_ABOUT = """\
One base URL for AI video generation. Every dialect has paths of its own, which also answer below its name \
(`/evolink/v1/...`); a task that one dialect made can be read through every other.

Bodies are strict: unknown fields are refused by name, and so are NUL in texts and numbers such as `6.0` where a whole \
one is wanted. Model names and resolutions are read in any letter case. Where one thing has several spellings, those \
that are said must agree.

Errors of a create say in `x-should-retry` whether a repeat can help; 429, 502 and 503 are only sent when surely \
nothing was bought."""

_SUMMARIES: Mapping[str, str] = {
    "create": "Order a video",
    "read": "Read a task",
    "list": "List all tasks of the caller, whichever dialect made them",
    "delete": "Hide a task; one that waits is cancelled, one that runs runs on and is paid for",
    "file": "Where the film of a completed task is",
    "content": "The film of a completed task",
    "credits": "The caller's own budget",
    "events": "Follow a task: server-sent events, each with the dialect's own answer to a read",
    "models": "The models on sale here",
}
_STATUSES: Mapping[int, str] = {
    400: "The request breaks a rule",
    401: "No key, or one that is not known here",
    402: "The budget is spent",
    403: "This key may not do that",
    404: "There is nothing of that name",
    409: "The first request under this idempotency key is still being checked",
    410: "The film is no longer kept",
    413: "The body is too large",
    422: "Refused for what it is about, or another request under the same idempotency key",
    429: "Too fast, too many, or the budget is spent; nothing was bought",
    500: "A bug, or a film that may have been bought",
    502: "An upstream is broken; nothing was bought",
    503: "Nothing can take this now; nothing was bought",
}
_PUBLIC: list[dict[str, list[str]]] = []


class Terms(Struct, frozen=True, kw_only=True):
    """What a gateway offers, as far as the document tells of it."""

    models: Sequence[Model]
    takes_any_model: bool = False
    default_dialect: str = "evolink"
    has_admin: bool = False
    server_url: str = "/"


def document(terms: Terms) -> dict[str, Any]:
    """The OpenAPI document of a gateway with these terms."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, terms)
    for path, methods in (own.paths() | (admin.paths() if terms.has_admin else {})).items():
        paths[path] = methods
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Reelgate",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": terms.server_url}],
        "tags": [*({"name": name} for name in DIALECTS), {"name": "gateway"}],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(terms),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A virtual key."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A virtual key."},
                **(admin.SECURITY if terms.has_admin else {}),
            },
        },
    }


def _schemas(terms: Terms) -> dict[str, Schema]:
    """Every body, by name."""
    found: dict[str, Schema] = {"DryRun": own.DRY_RUN, "ModelList": own.MODELS, **own.SCHEMAS}
    if terms.has_admin:
        found |= {"PlainError": plain_error(), **admin.SCHEMAS}
    for name, dialect in DIALECTS.items():
        for endpoint in dialect.ENDPOINTS:
            if endpoint.action is Action.CREATE:
                models, is_open = terms.models, terms.takes_any_model
                found[_name(name, "Create")] = bodies.json_body(dialect, models, takes_any_model=is_open)
                if endpoint.takes_forms:
                    found[_name(name, "CreateForm")] = bodies.form_body(dialect, models, takes_any_model=is_open)
            if endpoint.action is not Action.CONTENT:
                found[_name(name, endpoint.action.value, "Answer")] = answer_shape(dialect, endpoint.action)
            found[_name(name, endpoint.action.value, "Error")] = error_shape(dialect, endpoint.action)
        for action in (Action.CONTENT, Action.READ, Action.OTHER):
            found[_name(name, action.value, "Error")] = error_shape(dialect, action)
    return found


def _operation(operation: Operation, terms: Terms) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.id,
        "summary": _SUMMARIES[operation.kind],
        "tags": list(operation.speakers) or ["gateway"],
        "parameters": list(_parameters(operation)),
        "responses": {str(status): answer for status, answer in sorted(_responses(operation).items())},
    }
    if operation.kind == "create":
        told["requestBody"] = _request_body(operation, terms)
    if operation.kind == "content":
        told["security"] = [{"bearer": []}, {"apiKey": []}, {}]
        told["description"] = "A link with `expires` and `signature`, as answers give it, needs no key."
    if len(operation.speakers) > 1:
        told["description"] = _choice(operation, terms)
    return told


def _choice(operation: Operation, terms: Terms) -> str:
    marks = "; ".join(
        f"{', '.join(f'`{mark}`' for mark in sorted(DIALECTS[name].MARKS))} make it {name}"
        for name in operation.speakers
    )
    return (
        f"The dialect is that of the header `x-reelgate-dialect`, else the virtual key's own, else the body tells: "
        f"{marks}; without a mark it is {terms.default_dialect}. Marks of two dialects are refused."
    )


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    if "{id}" in operation.path:
        yield identifier("path", "id")
    if operation.endpoint.query_id is not None:
        yield identifier("query", operation.endpoint.query_id)
    for name in TAKEN.get(operation.kind, ()):
        if name != "Variant" or operation.endpoint.query_id is None or operation.kind == "content":
            yield {"$ref": f"#/components/parameters/{name}"}
    if len(operation.dialects) > 1 and operation.kind != "models":
        yield {"$ref": "#/components/parameters/Dialect"}


def _request_body(operation: Operation, terms: Terms) -> dict[str, Any]:
    refs = {name: _ref(_name(name, "Create")) for name in operation.speakers}
    speakers = [DIALECTS[name] for name in operation.speakers]
    default = terms.default_dialect if terms.default_dialect in operation.speakers else operation.speakers[0]
    schema = bodies.shared_body(speakers, default, refs) if len(speakers) > 1 else refs[default]
    on_sale = {model.name for model in terms.models}
    examples = {
        f"{name}: {how}".replace(" ", "-").replace(":", ""): {"summary": f"{name}, {how}", "value": body}
        for name in operation.speakers
        for how, body in EXAMPLES[name].items()
        if body["model"] in on_sale and (len(speakers) == 1 or name == default or DIALECTS[name].MARKS & body.keys())
    }
    content: dict[str, Any] = {"application/json": {"schema": schema, **({"examples": examples} if examples else {})}}
    if operation.endpoint.takes_forms:
        content["multipart/form-data"] = {"schema": _ref(_name(default, "CreateForm"))}
    return {"required": True, "content": content}


def _responses(operation: Operation) -> dict[int, dict[str, Any]]:
    action = operation.endpoint.action
    found = {status: dict(answer) for status, answer in _good(operation).items()}
    dialects = [DIALECTS[name] for name in operation.dialects]
    schemas = _either([_ref(_name(name, action.value, "Error")) for name in operation.dialects])
    of_a_task = OF_A_TASK if operation.kind in SAID else ()
    says = ("x-request-id", *of_a_task, "retry-after", *(["x-should-retry"] if operation.kind == "create" else []))
    told = {} if operation.method == "HEAD" else {"content": {"application/json": {"schema": schemas}}}
    for status, codes in refusals(dialects, action, is_stream=operation.kind == "events").items():
        if status == 200:  # errors that come in a good answer
            media = found[200]["content"].setdefault("application/json", {})
            media["schema"] = _either([*([media["schema"]] if media else []), schemas])
            found[200]["description"] += f", or an error: {', '.join(codes)}"
            continue
        words = ", ".join(f"`{code}`" for code in codes if code)
        found[status] = {
            "description": f"{_STATUSES[status]}{f' ({words})' if words else ''}",
            "headers": _headers(says),
            **told,
        }
    if "{" in operation.path:  # the server's own word, before there is a dialect
        misspelt = {"description": "The path hides what belongs into no id", "headers": _headers(says), **told}
        found.setdefault(400, misspelt)
    if operation.kind == "content":  # in every dialect, whatever status it has for a bad request
        headers = _headers((*says, "content-range"))
        found[416] = {"description": "The film has no such part", "headers": headers, **told}
    return found


def _good(operation: Operation) -> dict[int, dict[str, Any]]:
    """Status → the answer, where all goes well."""
    kind, headers = operation.kind, _headers(("x-request-id", *SAID.get(operation.kind, ())))
    match kind:
        case "content":
            film = {
                "video/mp4": {"schema": {"type": "string", "format": "binary"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            }
            content = {} if operation.method == "HEAD" else {"content": film}
            return {
                200: {"description": "The film", "headers": headers, **content},
                206: {
                    "description": "The part of it that was asked for",
                    "headers": {**headers, **_headers(("content-range",))},
                    **content,
                },
            }
        case "events":
            stream = {
                "text/event-stream": {"schema": {"description": "The `data` of each event is an answer to a read."}}
            }
            return {
                200: {"description": "Events `status`, until the task is over", "headers": headers, "content": stream},
                204: {"description": "The last event is known: there is nothing to come", "headers": headers},
            }
    good: dict[str, Any] = {"description": _SUMMARIES[kind], "headers": headers}
    schema = _ref("ModelList") if kind == "models" else _either(list(_answers(operation)))
    good["content"] = {"application/json": {"schema": schema}}
    links = dict(_links(operation))
    if links:
        good["links"] = links
    return {200: good, **({304: {"description": "Nothing has changed since"}} if kind == "read" else {})}


def _answers(operation: Operation) -> Iterator[Schema]:
    yield from (_ref(_name(name, operation.endpoint.action.value, "Answer")) for name in operation.speakers)
    if operation.kind == "create":
        yield _ref("DryRun")


def _links(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    """From a create to what can be asked of its task, in the same way of speaking."""
    if operation.kind != "create":
        return
    prefix = operation.path.removesuffix(operation.endpoint.path)
    speaker = operation.speakers[0]
    for other in operations():
        is_of_a_task = other.kind in ("read", "file", "delete", "content", "events")
        is_spoken = not other.speakers or speaker in other.speakers
        if is_of_a_task and is_spoken and other.path.startswith(f"{prefix}/v1/"):
            name = other.endpoint.query_id or "id"
            parameters = {name: "$response.header.x-reelgate-task-id"}
            yield other.id, {"operationId": other.id, "parameters": parameters}


def _headers(names: Sequence[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _either(schemas: Sequence[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _name(*words: str) -> str:
    return "".join(word[0].upper() + word[1:] for word in words)
