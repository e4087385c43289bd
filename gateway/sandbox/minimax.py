"""The MiniMax protocol, version 1 (FACTS section 4). It says no inside HTTP 200: `base_resp.status_code` is the answer.

Only what an edge in front of it would say has an HTTP status of its own: no such path, 502, 503, 504, a redirect.
"""

import re
from collections.abc import Mapping
from random import Random
from typing import Any
from urllib.parse import parse_qs

from gateway.sandbox.accounts import Account
from gateway.sandbox.calls import Answer, Call, Refusal, html_answer, json_answer
from gateway.sandbox.downloads import film_path, film_size, link_url
from gateway.sandbox.front import Protocol, Route
from gateway.sandbox.minimax_request import NAME, read_order
from gateway.sandbox.purchase import look, purchase, status_word
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.tasks import Status, Task

_NO_KEY = 1004
_CONTENT_REFUSED_AFTERWARDS, _UNKNOWN_ERROR = 1027, 1000
_SUCCESS = {"status_code": 0, "status_msg": "success"}

# FACTS 4.5.
_CODES: Mapping[int, int] = {
    400: 2013,
    401: 2049,
    402: 1008,
    403: 2061,
    413: 2013,
    422: 1026,
    429: 1002,
    500: _UNKNOWN_ERROR,
}
_CODE_WORDS: Mapping[int, str] = {
    _UNKNOWN_ERROR: "unknown error",
    1002: "rate limit",
    _NO_KEY: "not authorized",
    1008: "insufficient balance",
    1026: "input new_sensitive",
    _CONTENT_REFUSED_AFTERWARDS: "output new_sensitive",
    2013: "invalid params",
    2049: "invalid api key",
    2061: "your plan does not support this model",
}
# What an edge says, in the envelope that the vendor has for true HTTP errors (FACTS 4.8).
_EDGE_TYPES: Mapping[int, str] = {502: "api_error", 503: "overloaded_error"}

_STATUS_WORDS: Mapping[Status, str] = {
    Status.PENDING: "Preparing",
    Status.PROCESSING: "Processing",
    Status.COMPLETED: "Success",
    Status.FAILED: "Fail",
}
_FAILURE_CODES: Mapping[str, int] = {
    "fail-content": _CONTENT_REFUSED_AFTERWARDS,
    "fail-generation": _UNKNOWN_ERROR,
}

_ID_MIN, _ID_MAX = 10**14, 9 * 10**14  # fifteen digits, and so is the file's number
# A file has a number of its own, so that one cannot be taken for the other; it follows from the task's.
_FILE_NUMBER_OFFSET = 166_051_840


def create(sandbox: Sandbox, call: Call) -> Answer:
    """`POST /v1/video_generation` (FACTS 4.1, 4.2)."""
    account = _open_account(sandbox, call)
    order = read_order(call.json_object(), sandbox.sales, make_id)
    return purchase(sandbox, account, call, order, lambda task: _answer({"task_id": task.id}))


def query(sandbox: Sandbox, call: Call) -> Answer:
    """`GET /v1/query/video_generation?task_id=` (FACTS 4.1)."""
    account = _open_account(sandbox, call)
    task = look(sandbox, account, NAME, _read_parameter(call, "task_id"))
    now = sandbox.now()
    answer: dict[str, Any] = {"task_id": task.id, "status": _status_word(task, now)}
    if _has_file(task, now):
        width, height = film_size(task.order.offer)
        answer |= {"file_id": str(_file_number(task)), "video_width": width, "video_height": height}
    if task.status(now) is Status.FAILED:
        return json_answer(200, {**answer, "base_resp": _base_resp(_FAILURE_CODES[task.outcome or ""])})
    return _answer(answer)


def retrieve(sandbox: Sandbox, call: Call) -> Answer:
    """`GET /v1/files/retrieve?file_id=` (FACTS 4.1): the file's number is an integer here, and the link a new one."""
    task = _find_file(sandbox, call)
    file = {
        "file_id": _file_number(task),
        "bytes": film_path(task.order.offer).stat().st_size,
        "created_at": int(task.ends_at),
        "filename": "output_aigc.mp4",
        "purpose": "video_generation",
        "download_url": link_url(call.base_url, sandbox.links.make(task, sandbox.now()).word),
    }
    return _answer({"file": file})


def retrieve_content(sandbox: Sandbox, call: Call) -> Answer:
    """`GET /v1/files/retrieve_content?file_id=` (FACTS 4.1): the film itself, which needs the key."""
    task = _find_file(sandbox, call)
    return Answer(200, film_path(task.order.offer).read_bytes(), {"content-type": "video/mp4"})


def make_id(random: Random, _now: float) -> str:
    return str(random.randrange(_ID_MIN, _ID_MAX))


def refuse(refusal: Refusal) -> Answer:
    return _refuse(refusal, {})


def refuse_create(refusal: Refusal) -> Answer:
    """As any other; the id that is not there is said to be empty."""
    return refuse_path(refusal) if refusal.status == 404 else _refuse(refusal, {"task_id": ""})


def refuse_path(refusal: Refusal) -> Answer:
    """What is not there at all gets an edge's answer."""
    return html_answer(refusal.status, refusal.message)


def _open_account(sandbox: Sandbox, call: Call) -> Account:
    if call.key is None:
        raise Refusal(401, "no key: send `Authorization: Bearer <key>`", code=_NO_KEY)
    return sandbox.accounts.open(call.key)


def _find_file(sandbox: Sandbox, call: Call) -> Task:
    """The finished task of this account behind a file's number."""
    account = _open_account(sandbox, call)
    number = _read_parameter(call, "file_id")
    now = sandbox.now()
    task = None
    if re.fullmatch("[0-9]{15}", number):
        task = sandbox.tasks.find(str(int(number) - _FILE_NUMBER_OFFSET))
    if task is None or task.account is not account or not _has_file(task, now):
        raise Refusal(400, "file_id: there is no such file", param="file_id")
    return task


def _read_parameter(call: Call, name: str) -> str:
    values = parse_qs(call.query).get(name, [])
    if len(values) != 1:
        raise Refusal(400, f"{name}: is required", param=name)
    return values[0]


def _status_word(task: Task, now: float) -> str:
    """Waiting has two words: the second half of it is said to be in the queue."""
    if task.status(now) is Status.PENDING and 2 * now >= task.created_at + task.processing_at:
        return "Queueing"
    return status_word(task, now, _STATUS_WORDS)


def _has_file(task: Task, now: float) -> bool:
    return task.status(now) is Status.COMPLETED and task.outcome != "no-result"


def _file_number(task: Task) -> int:
    return int(task.id) + _FILE_NUMBER_OFFSET


def _answer(content: dict[str, Any]) -> Answer:
    return json_answer(200, {**content, "base_resp": _SUCCESS})


def _refuse(refusal: Refusal, content: dict[str, Any]) -> Answer:
    if refusal.status in _EDGE_TYPES:
        return _refuse_at_edge(refusal)
    # A task that cannot be found is a bad parameter.
    code = _CODES.get(refusal.status, _CODES[400]) if refusal.code is None else int(refusal.code)
    return json_answer(200, {**content, "base_resp": _base_resp(code, refusal.message)})


def _refuse_at_edge(refusal: Refusal) -> Answer:
    error = {
        "type": _EDGE_TYPES[refusal.status],
        "message": refusal.message,
        "http_code": str(refusal.status),
    }
    return json_answer(refusal.status, {"type": "error", "error": error, "request_id": "sandbox"}, refusal.headers)


def _base_resp(code: int, message: str | None = None) -> dict[str, Any]:
    words = [_CODE_WORDS.get(code), message]
    return {"status_code": code, "status_msg": ", ".join(word for word in words if word)}


PROTOCOL = Protocol(
    NAME,
    (
        Route.at("POST", "/v1/video_generation", create, refuse_create),
        Route.at("GET", "/v1/query/video_generation", query, refuse),
        Route.at("GET", "/v1/files/retrieve", retrieve, refuse),
        Route.at("GET", "/v1/files/retrieve_content", retrieve_content, refuse),
    ),
    refuse_path,
)
