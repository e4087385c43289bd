"""Every way in which an operation says no, read off the tree of errors and the dialects' renderers."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway import errors
from gateway.dialects.speaking import Action, Dialect
from gateway.errors import GatewayError, Problem, UpstreamError
from gateway.web.openapi.shapes import GLOSSARY, Schema, shape_of

_PROBLEM = Problem("prompt", "a prompt that is not blank is required here", ("a", "b"))
# What a request can meet wherever it goes.
_ANYWHERE = (errors.InvalidRequest, errors.Unauthenticated, errors.StorageDown, errors.Internal)
_OF_A_TASK = (*_ANYWHERE, errors.UnknownTask)
_OF_A_FILM = (*_OF_A_TASK, errors.NotReady, errors.ResultExpired, errors.LookFailed, errors.Unavailable)
# What never comes of a create: it names no task and no film, and its doubt is answered with a task.
_NOT_OF_A_CREATE = frozenset(
    {errors.UnknownTask, errors.UnknownRoute, errors.WrongMethod, errors.NotReady, errors.ResultExpired}
    | {errors.UnmetRange}
    | {errors.LookFailed, errors.InDoubt}
    # What the server itself says of a connection, before there is a path.
    | {errors.UnknownExpectation, errors.UnknownVersion, errors.HeadTooLarge, errors.TooSlow, errors.Crowded}
)


def errors_of(action: Action, *, is_stream: bool = True) -> tuple[type[GatewayError], ...]:
    """The classes of errors that an operation may end with. Of streams there are so many and no more."""
    match action:
        case Action.CREATE:
            return tuple(cls for cls in _raised() if cls not in _NOT_OF_A_CREATE)
        case Action.READ:
            return (*_OF_A_TASK, errors.TooFast) if is_stream else _OF_A_TASK
        case Action.DELETE:
            return _OF_A_TASK
        case Action.FILE | Action.CONTENT:
            return _OF_A_FILM
        case _:
            return _ANYWHERE


def refusals(dialects: Sequence[Dialect], action: Action, *, is_stream: bool) -> dict[int, list[str]]:
    """HTTP status → the words for it in any of these dialects; where errors come in a good answer, the numbers."""
    codes: dict[int, dict[str, None]] = defaultdict(dict)
    for dialect in dialects:
        for error in _samples(errors_of(action, is_stream=is_stream)):
            status, body = dialect.render_error(error, action)
            codes[status][_code(body)] = None
    return {status: list(codes[status]) for status in sorted(codes)}


def error_shape(dialect: Dialect, action: Action) -> Schema:
    """The body of every error of an operation."""
    return shape_of([dialect.render_error(error, action)[1] for error in _samples(errors_of(action))])


def plain_error() -> Schema:
    """The body of every error of the admin paths, which speak no dialect."""
    problem: Schema = {
        "type": "object",
        "properties": {
            "param": {"type": "string", "description": GLOSSARY["param"]},
            "message": {"type": "string"},
            "allowed": {"type": "array", "items": {"type": "string"}, "description": GLOSSARY["allowed"]},
        },
        "required": ["param", "message", "allowed"],
    }
    error: Schema = {
        "type": "object",
        "properties": {
            "code": {"type": "string"},
            "message": {"type": "string", "description": GLOSSARY["message"]},
            "param": {"type": ["string", "null"], "description": GLOSSARY["param"]},
            "problems": {"type": "array", "items": problem, "description": GLOSSARY["problems"]},
        },
        "required": ["code", "message", "param"],
    }
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def _raised() -> Iterator[type[GatewayError]]:
    """Every class of the tree that is raised, without the mere branches."""
    branches = (GatewayError, errors.CallerError, errors.PolicyError, errors.UpstreamError, errors.Refused)
    for found in vars(errors).values():
        if isinstance(found, type) and issubclass(found, GatewayError) and found not in branches:
            yield found


def _samples(classes: Sequence[type[GatewayError]]) -> Iterator[GatewayError]:
    """Each of them with all that may stand in it, and with as little as may be."""
    for cls in classes:
        if issubclass(cls, UpstreamError):
            yield cls("the upstream refused it", row="H9")
            if cls is errors.BadCall:
                yield cls("the upstream refused it", row="H18", http_status=422)
            continue
        yield cls("no", retry_after=30)
        yield cls("no", param=_PROBLEM.param, problems=[_PROBLEM, Problem("model", "unknown")])


def _code(body: Mapping[str, Any]) -> str:
    if "base_resp" in body:
        return str(body["base_resp"]["status_code"])
    return str(body.get("error", body)["code"])
