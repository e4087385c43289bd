"""FAILURES sections 2 and 3, one case per outcome of a paid submit, from the socket to storage.

Every case is played twice: alone, where the client is told what the outcome means, and in company, with a second key
and a second upstream standing by, where only a proof that nothing was bought may lead to either of them.
"""

import asyncio
import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from enum import Enum
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import paid_call
from gateway.keys import KeyState
from gateway.video import State
from gateway.wire import Call
from tests.failures.world import PRICE, Clock, Key, Place, World, open_world
from tests.fakes.upstream import (
    HTML,
    ID,
    PRIVATE,
    UNKNOWN_HOST,
    Behaviour,
    FakeUpstream,
    accept,
    accepted_body,
    answer,
    assert_nothing_bought_twice,
    bought,
    bytes_then,
    chunked,
    closed_port,
    compressed,
    drip,
    error_body,
    finish_unread,
    full_backlog,
    reset_unread,
    response,
    silent_from_the_start,
    slowly,
    tls_without_certificate,
)

NOW = Clock().now


class Way(Enum):
    """Where a request may go on from here."""

    NOWHERE = "nowhere"
    ANOTHER_KEY = "another key of the same upstream"
    ANOTHER_UPSTREAM = "another upstream"


class Spot(Enum):
    """What stands at the first upstream's address."""

    FAKE = "a fake that speaks HTTP"
    FAKE_BY_TLS = "a fake, called by https"
    CLOSED = "a closed port"
    FULL = "a port whose backlog is full"
    UNKNOWN = "a name that does not exist"


@dataclass(frozen=True)
class Case:
    """One outcome: what the upstream does, and everything that must follow from it."""

    row: str
    what: str
    does: Behaviour | None
    status: int
    state: State
    spot: Spot = Spot.FAKE
    buys: int = 0
    code: str | None = None
    kind: str | None = None
    param: str | None = None
    repeat: str | None = None
    """`x-should-retry`; None: the header is not there."""
    retry_after: tuple[int, int] | None = None
    """The least and the most that an error may say; None: it says nothing."""
    submission: str | None = None
    key: KeyState = KeyState.OK
    way: Way = Way.NOWHERE
    calls: int = 1
    """Connections that reach the fake when there is nowhere else to go."""
    alone_only: bool = False
    """Like the case before it but for a body or a wait: told alone, and not played in company."""
    asks: tuple[tuple[str, Any], ...] = ()
    """What the client's body says beside model and prompt."""
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """Of the gateway, where the case ends by one of them."""

    def __str__(self) -> str:
        return f"{self.row} {self.what}"


def doubt(row: str, what: str, does: Behaviour | None, **changes: Any) -> Case:
    """It may have been accepted: 200, unconfirmed, the money stays held, and nothing is sent again."""
    buys = 1 if does is not None and does.buys else 0
    case = Case(row, what, does, 200, State.UNCONFIRMED, buys=buys, repeat="false", submission="unconfirmed")
    return replace(case, **changes)


def taken(row: str, what: str, does: Behaviour, **changes: Any) -> Case:
    """Accepted: 200, running."""
    return replace(Case(row, what, does, 200, State.RUNNING, buys=1), **changes)


def refused(row: str, what: str, does: Behaviour | None, status: int, **changes: Any) -> Case:
    """Surely nothing bought: an error, the money released."""
    code, kind = _WORDS[status]
    case = Case(row, what, does, status, State.REFUSED, code=code, kind=kind, repeat="false")
    return replace(case, **changes)


_WORDS = {
    400: ("invalid_request", "invalid_request_error"),
    413: ("request_too_large", "invalid_request_error"),
    429: ("rate_limit_exceeded", "rate_limit_error"),
    502: ("upstream_error", "upstream_error"),
    503: ("service_unavailable", "service_unavailable_error"),
}


# --- section 2: transport -----------------------------------------------------------------------------------------

CREATED = accepted_body()
WHOLE = response(200, CREATED)
HEADERS = WHOLE[: WHOLE.index(b"\r\n\r\n") + 4]
JSON = error_body()
_UNREACHED: dict[str, Any] = {
    "status": 503, "repeat": "true", "retry_after": (5, 30), "key": KeyState.RESTING, "way": Way.ANOTHER_UPSTREAM,
}  # fmt: skip
_DISTRUSTED: dict[str, Any] = {"status": 502, "way": Way.ANOTHER_UPSTREAM}
# Where a time-out is all that can happen, the case may be short. Where something has to arrive before it, there is
# time for a machine that stands still meanwhile.
_UNCONNECTED: dict[str, Any] = {"timeouts": {"connect_s": 0.3}}
_SILENT: dict[str, Any] = {"timeouts": {"read_s": 0.5}}
_SILENT_LATER: dict[str, Any] = {"timeouts": {"read_s": 2}}
_IN_DROPS: dict[str, Any] = {"timeouts": {"total_s": 2}}


def _pieces(body: bytes) -> tuple[bytes, bytes]:
    """An answer that breaks off before its id is whole, and one that breaks off after it."""
    whole = response(200, body)
    at = whole.index(ID)
    return whole[: at + 1], whole[: at + len(ID) + 20]


_BEFORE_ID, _AFTER_ID = _pieces(CREATED)
_BIG_EARLY = accepted_body(padding="x" * (2 << 20))
_BIG_LATE = json.dumps({"padding": "x" * (2 << 20), "id": ID.decode()}).encode()
_HUGE_HEADERS = response(200, CREATED, [(f"X-Filler-{number}", "x" * 1000) for number in range(200)])
_TWO_LENGTHS = response(200, CREATED, [("Content-Length", "7")])

TRANSPORT = [
    refused("T1", "the name does not exist", None, **_UNREACHED, spot=Spot.UNKNOWN, calls=0),
    refused("T2", "connection refused", None, **_UNREACHED, spot=Spot.CLOSED, calls=0),
    refused("T3", "connecting takes too long", None, **_UNREACHED, **_UNCONNECTED, spot=Spot.FULL, calls=0),
    refused(
        "T3", "the TLS handshake takes too long", silent_from_the_start(), **_UNREACHED, **_UNCONNECTED,
        spot=Spot.FAKE_BY_TLS, calls=2,
    ),
    refused("T2", "RST in the TLS handshake", reset_unread(), **_UNREACHED, spot=Spot.FAKE_BY_TLS, calls=2),
    refused("T2", "FIN in the TLS handshake", finish_unread(), **_UNREACHED, spot=Spot.FAKE_BY_TLS, calls=2),
    refused("T4", "TLS to a plain port", None, **_DISTRUSTED, spot=Spot.FAKE_BY_TLS),
    refused("T4", "TLS ended by an alert", tls_without_certificate(), **_DISTRUSTED, spot=Spot.FAKE_BY_TLS),
    doubt("T7", "RST before anything was read", reset_unread()),
    doubt("T7", "FIN before anything was read", finish_unread()),
    doubt("T7", "RST after the whole body", bytes_then(b"", "reset", buys=True)),
    doubt("T7", "FIN after the whole body", bytes_then(b"", "finish", buys=True)),
    doubt("T7", "FIN after the whole body, and nothing bought", bytes_then(b"", "finish", buys=False)),
    doubt("T9", "no answer at all", bytes_then(b"", "hang", buys=True), **_SILENT),
    doubt(
        "T9", "no answer at all, and nothing bought", bytes_then(b"", "hang", buys=False), **_SILENT, alone_only=True
    ),
    doubt(
        "T9", "the headers come in drops", drip(HEADERS[:20], HEADERS[20:], 0.1, buys=True), **_IN_DROPS,
        alone_only=True,
    ),
    taken(
        "T9", "the body comes in drops, the id early", drip(_AFTER_ID, b"x" * 50, 0.1, buys=True), **_IN_DROPS,
        alone_only=True,
    ),
    doubt("T9", "the body comes in drops, the id late", drip(_BEFORE_ID, b"x" * 50, 0.1, buys=True), **_IN_DROPS),
    doubt("T10", "the status line, then FIN", bytes_then(b"HTTP/1.1 200 OK\r\n", "finish", buys=True)),
    doubt("T10", "the status line, then RST", bytes_then(b"HTTP/1.1 200 OK\r\n", "reset", buys=True)),
    doubt("T10", "the headers, then FIN", bytes_then(HEADERS, "finish", buys=True)),
    doubt("T10", "the headers, then RST", bytes_then(HEADERS, "reset", buys=True)),
    doubt("T10", "the headers, then silence", bytes_then(HEADERS, "hang", buys=True), **_SILENT, alone_only=True),
    taken("T10", "RST after the id", bytes_then(_AFTER_ID, "reset", buys=True)),
    taken("T10", "FIN after the id", bytes_then(_AFTER_ID, "finish", buys=True)),
    taken("T10", "silence after the id", bytes_then(_AFTER_ID, "hang", buys=True), **_SILENT_LATER, alone_only=True),
    doubt("T10", "RST inside the id", bytes_then(_BEFORE_ID, "reset", buys=True)),
    doubt("T10", "FIN inside the id", bytes_then(_BEFORE_ID, "finish", buys=True)),
    taken("T10", "chunks that break off after the id", chunked(CREATED[:200], buys=True, is_ended=False)),
    doubt("T10", "chunks that break off inside the id", chunked(CREATED[:30], buys=True, is_ended=False)),
    doubt("T11", "junk instead of HTTP", bytes_then(b"\x00\x01\x02 this is no HTTP\r\n\r\n", "finish", buys=True)),
    doubt("T11", "two different lengths", bytes_then(_TWO_LENGTHS, "finish", buys=True)),
    doubt("T11", "status 099", bytes_then(response(99, CREATED), "finish", buys=True)),
    doubt("T11", "status 101", bytes_then(response(101, b"", [("Upgrade", "h2c")]), "finish", buys=True)),
    doubt("T12", "200 KB of headers", bytes_then(_HUGE_HEADERS, "finish", buys=True)),
    taken("T12", "2 MiB of body, the id early", answer(200, _BIG_EARLY, buys=True)),
    doubt("T12", "2 MiB of body, the id late", answer(200, _BIG_LATE, buys=True)),
    taken("T12", "gzip that nobody asked for", compressed(200, CREATED, buys=True)),
    taken("T12", "gzip that breaks off after the id", compressed(200, CREATED, buys=True, keep=0.8)),
    taken("T12", "encoding identity", answer(200, CREATED, [("Content-Encoding", "identity")], buys=True)),
    taken("T12", "2 MiB of body in 2 KiB of gzip, the id early", compressed(200, _BIG_EARLY, buys=True, level=9)),
    doubt("T12", "gzip that is none", answer(200, CREATED, [("Content-Encoding", "gzip")], buys=True)),
    doubt("T12", "an encoding that nobody knows", answer(200, CREATED, [("Content-Encoding", "zz")], buys=True)),
    doubt("T13", "only 103, then FIN", bytes_then(b"HTTP/1.1 103 Early Hints\r\n\r\n", "finish", buys=True)),
    doubt("T13", "only 100, then RST", bytes_then(b"HTTP/1.1 100 Continue\r\n\r\n", "reset", buys=True)),
]  # fmt: skip


def _broken(status: int, body: bytes = JSON, headers: tuple[tuple[str, str], ...] = ()) -> Behaviour:
    """The headers and half of the body arrive."""
    whole = response(status, body, headers)
    return bytes_then(whole[: len(whole) - len(body) // 2], "reset", buys=False)


BROKEN_OFF = [
    refused("T10", "400, body lost", _broken(400), 400),
    refused("T10", "401, body lost", _broken(401), 503, way=Way.ANOTHER_KEY),
    refused("T10", "402, body lost", _broken(402), 503, key=KeyState.EXHAUSTED, way=Way.ANOTHER_KEY),
    refused("T10", "422, body lost", _broken(422), 400),
    refused(
        "T10", "429, body lost", _broken(429, headers=(("Retry-After", "9"),)), 429,
        repeat="true", retry_after=(9, 9), key=KeyState.RESTING, way=Way.ANOTHER_KEY,
    ),
    *(doubt("T10", f"{status}, body lost", _broken(status)) for status in (302, 403, 404, 413, 500, 503, 521)),
    doubt("T10", "503 with Retry-After, body lost", _broken(503, headers=(("Retry-After", "9"),))),
]  # fmt: skip


# --- section 3: answers -------------------------------------------------------------------------------------------

BODIES = {"JSON": JSON, "HTML": HTML, "nothing": b""}


def _all_bodies(
    row: str, answered: int, meaning: Callable[..., Case], *, only: Sequence[str] = tuple(BODIES), **said: Any
) -> list[Case]:
    """A status that means the same whatever its body says."""
    return [
        meaning(row, f"{answered} with {name}", answer(answered, BODIES[name]), alone_only=name != only[0], **said)
        for name in only
    ]


def _no_id(**fields: Any) -> Behaviour:
    body = json.loads(CREATED)
    del body["id"]
    return answer(200, json.dumps({**body, **fields}).encode(), buys=True)


_NO_IDS: tuple[object, ...] = (None, 7, True, ["a"], {}, "", "  ")


def _ok(body: bytes) -> Behaviour:
    return answer(200, body, buys=True)


READABLE = [
    taken("H1", "200", accept()),
    taken("H1", "200 after 102 and 103", bytes_then(
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + WHOLE, "finish", buys=True
    )),
    taken("H1", "200 in chunks", chunked(CREATED, buys=True)),
    taken("H1", "200 until FIN", bytes_then(response(200, CREATED, is_framed=False), "finish", buys=True)),
    taken("H1", "200 in HTTP/1.0", bytes_then(WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"), "finish", buys=True)),
    taken("H1", "200 without a content type", answer(200, CREATED, buys=True)),
    taken("H1", "201", answer(201, CREATED, buys=True)),
    taken("H1", "202", answer(202, CREATED, buys=True)),
    taken("H1", "an id of 256 characters", accept(id="x" * 256)),
    taken("H1", "error: null beside the id", accept(error=None)),
    taken("H1", "usage that nobody documents", accept(usage="a lot")),
    taken("H1", "slow, but in time", slowly(0.3, accept())),
    doubt("H4", "200, malformed before the id", _ok(b'{"created": , "id": "' + ID + b'", "status": "pending"}')),
    taken("H4", "200, malformed after the id", _ok(b'{"id": "' + ID + b'", "status": pending}')),
    doubt("H4", "200, truncated before the id", _ok(CREATED[:20])),
    taken("H4", "200, truncated after the id", _ok(CREATED[:120])),
    doubt("H4", "200, not UTF-8", _ok(b'{"id": "\xff\xfe", "status": "pending"}')),
    doubt("H4", "200, empty", _ok(b"")),
    doubt("H4", "200, HTML", _ok(HTML)),
    doubt("H4", "200, a list", _ok(b"[" + CREATED + b"]")),
    doubt("H4", "200, an empty object", _ok(b"{}")),
    doubt("H4", "200, no id", _no_id()),
    doubt("H4", "200, the id somewhere else", _no_id(data={"id": "task-elsewhere"}, task_id="task-elsewhere")),
    *(doubt("H4", f"200, the id is {value!r}", accept(id=value)) for value in _NO_IDS),
    doubt("H4", "200, the id holds a line break", accept(id="task\n1")),
    doubt("H4", "200, the id holds half a character", _ok(b'{"id": "\\ud800", "status": "pending", "x": ')),
    doubt("H4", "200, an id of 257 characters", accept(id="x" * 257)),
    doubt("H4", "200, an error beside the id", accept(error={"code": "x", "message": "not so fast"})),
    doubt("H4", "200, an error as text beside the id", accept(error="not so fast")),
    doubt("H4", "201 without id", answer(201, b"{}", buys=True)),
    doubt("H4", "206 without id", answer(206, b"{}", buys=True)),
    doubt("H6", "204", answer(204, buys=True)),
    *(
        taken("H29", f"{status} with a good id", answer(status, CREATED, buys=True))
        for status in (302, 303, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 521, 524)
    ),
    refused("H29", "400 with an id and an error beside it", answer(400, accepted_body(error={"message": "no"})), 400),
    doubt("H29", "500 with an id and an error beside it", answer(500, accepted_body(error={"code": 1}), buys=True)),
]  # fmt: skip

_ELSEWHERE: dict[str, Any] = {"status": 502, "way": Way.ANOTHER_UPSTREAM}
_RETIRED: dict[str, Any] = {"status": 503, "key": KeyState.RETIRED, "way": Way.ANOTHER_KEY}
_VAGUE: dict[str, Any] = {"status": 503, "way": Way.ANOTHER_KEY}
_EMPTY: dict[str, Any] = {"status": 503, "key": KeyState.EXHAUSTED, "way": Way.ANOTHER_KEY}
_BARRED: dict[str, Any] = {"status": 503, "key": KeyState.BARRED, "way": Way.ANOTHER_KEY}
_WALLED: dict[str, Any] = {"status": 502, "key": KeyState.RESTING, "way": Way.ANOTHER_UPSTREAM}
_ONCE_MORE: dict[str, Any] = {"status": 503, "repeat": "true", "way": Way.ANOTHER_UPSTREAM, "calls": 2}
_EDGE_DOWN: dict[str, Any] = {**_ONCE_MORE, "retry_after": (5, 30), "key": KeyState.RESTING}
_BUSY: dict[str, Any] = {"status": 429, "repeat": "true", "key": KeyState.RESTING, "way": Way.ANOTHER_KEY}
_LOADED: dict[str, Any] = {"status": 503, "repeat": "true", "key": KeyState.RESTING, "way": Way.ANOTHER_UPSTREAM}
_MOVED = (("Location", "/v1/videos/generations"),)
_UNREACHED_ORIGIN = (521, 523, 525, 526, 530)
_IN_7_S = (("Retry-After", "7"),)
_POLICY = error_body("Your prompt violates our content policy", "content_policy_violation")
_IMAGE = (("image_urls", ["https://example.com/frame.png"]),)

STATUSES = [
    *(
        refused("H7", f"{status} with Location", answer(status, b"", _MOVED), **_ELSEWHERE)
        for status in (301, 302, 307, 308)
    ),
    *_all_bodies("H7", 302, refused, **_ELSEWHERE),
    doubt("H8", "303 with Location", answer(303, b"", _MOVED, buys=True)),
    *_all_bodies("H8", 303, doubt),
    *_all_bodies("H9", 400, refused, status=400),
    refused(
        "H9", "400 naming a field that the caller knows by another name",
        answer(400, error_body("quality is wrong", param="quality")), 400, param="quality", asks=(("quality", "768p"),),
    ),
    refused("H9", "400 naming a field left out", answer(400, error_body(param="quality")), 400, param="quality"),
    refused("H9", "400 naming a field of nobody", answer(400, error_body(param="secret_switch")), 400),
    refused(
        "H9", "400 whose code says that the model is not offered here",
        answer(400, error_body("no such model", "model_not_found")), 400, param="model", way=Way.ANOTHER_UPSTREAM,
    ),
    refused(
        "H9", "400 whose param says that the model is not offered here",
        answer(400, error_body("no such model", param="model")), 400, param="model", way=Way.ANOTHER_UPSTREAM,
    ),
    refused("H9", "400 whose message alone speaks of the model", answer(400, error_body("no such model")), 400),
    refused("H9", "400 about the content", answer(400, _POLICY), 400, code="content_policy_violation"),
    refused("H10", "401 with JSON", answer(401, JSON), **_RETIRED),
    *_all_bodies("H10", 401, refused, only=("HTML", "nothing"), **_VAGUE),
    *_all_bodies("H11", 402, refused, **_EMPTY),
    refused("H12", "403 naming the model", answer(403, error_body("no access to this model")), **_BARRED),
    refused("H12", "403 naming a permission", answer(403, error_body("permission denied")), **_BARRED),
    refused("H12", "403 naming the model in its code", answer(403, error_body("不", "model_access_denied")), **_BARRED),
    refused("H12", "403 naming neither", answer(403, error_body("go away")), **_VAGUE),
    *_all_bodies("H13", 403, refused, only=("HTML", "nothing"), **_WALLED),
    *(case for status in (404, 405, 415, 501) for case in _all_bodies("H14", status, refused, **_ELSEWHERE)),
    *_all_bodies("H15", 408, doubt),
    *_all_bodies("H16", 409, doubt),
    *_all_bodies("H17", 413, refused, status=413),
    refused(
        "H17", "413 naming the image", answer(413, error_body(param="image_urls")), 413,
        param="image_urls[0]", asks=_IMAGE,
    ),
    *_all_bodies("H18", 422, refused, status=400),
    refused("H18", "422 about the content", answer(422, _POLICY), 400, code="content_policy_violation"),
    *(case for status in (421, 425) for case in _all_bodies("H19", status, refused, **_ONCE_MORE)),
    *(
        refused("H20", f"429 with Retry-After and {name}", answer(429, body, _IN_7_S), **_BUSY, retry_after=(7, 7))
        for name, body in BODIES.items()
    ),
    *_all_bodies("H21", 429, refused, **_BUSY, retry_after=(4, 6)),
    *_all_bodies("H22", 500, doubt),
    doubt("H22", "500 that bought", answer(500, JSON, buys=True)),
    *_all_bodies("H23", 502, doubt),
    refused("H24", "503 with JSON", answer(503, JSON), **_LOADED, retry_after=(15, 15)),
    *(
        refused("H24", f"503 with Retry-After and {name}", answer(503, body, _IN_7_S), **_LOADED, retry_after=(7, 7))
        for name, body in BODIES.items()
    ),
    *_all_bodies("H25", 503, doubt, only=("HTML", "nothing")),
    *(case for status in (504, 524) for case in _all_bodies("H26", status, doubt)),
    *(refused("H27", f"{status} with HTML", answer(status, HTML), **_EDGE_DOWN) for status in _UNREACHED_ORIGIN),
    *_all_bodies("H27", 521, refused, only=("JSON", "nothing"), **_EDGE_DOWN),
    *(case for status in (520, 522, 505, 527, 529, 599) for case in _all_bodies("H28", status, doubt, only=("HTML",))),
    *_all_bodies("H28", 520, doubt, only=("JSON", "nothing")),
    *(doubt("no row", f"{status}", answer(status, JSON)) for status in (300, 304, 406, 410, 418, 423, 426, 451, 499)),
]  # fmt: skip

_SAID_AND_TOLD = {
    "0": (1, 1), "1.5": (1, 2), "300": (300, 300), "301": (300, 300), "999999999": (300, 300), "9" * 400: (30, 300),
    "": (30, 30), "-5": (30, 30), "soon": (30, 30), "1e9": (30, 30), "5, 10": (30, 30),
    formatdate(NOW + 20, usegmt=True): (20, 20), formatdate(NOW - 20, usegmt=True): (1, 1),
    formatdate(NOW + 9999, usegmt=True): (300, 300), formatdate(NOW + 20, localtime=False): (20, 20),
}  # fmt: skip
TIMES = [
    *(
        refused(
            "H20", f"429, Retry-After: {said[:30]}", answer(429, JSON, [("Retry-After", said)]),
            **_BUSY, retry_after=told,
        )
        for said, told in _SAID_AND_TOLD.items()
    ),
    *(
        refused(
            "H24", f"503, Retry-After: {said[:30]}", answer(503, b"", [("Retry-After", said)]),
            **_LOADED, retry_after=told,
        )
        for said, told in _SAID_AND_TOLD.items()
    ),
]  # fmt: skip

ROWS = [*TRANSPORT, *BROKEN_OFF, *READABLE, *STATUSES]
ALONE = [*ROWS, *TIMES]
IN_COMPANY = [case for case in ROWS if not case.alone_only]


@contextmanager
def first_address(case: Case, fake: FakeUpstream) -> Iterator[str]:
    """The address that the gateway is told for the first upstream."""
    if case.spot is Spot.CLOSED:
        with closed_port() as url:
            yield url
    elif case.spot is Spot.FULL:
        with full_backlog() as url:
            yield url
    elif case.spot is Spot.UNKNOWN:
        yield UNKNOWN_HOST
    elif case.spot is Spot.FAKE_BY_TLS:
        yield fake.url.replace("http:", "https:")
    else:
        yield fake.url


def assert_told(case: Case, reply: httpx.Response) -> None:
    """The client hears what the case says, in the evolink dialect, and nothing that is not its business."""
    body = reply.json()
    assert reply.status_code == case.status, reply.text
    assert reply.headers.get("x-should-retry") == case.repeat
    assert body.get("submission") == case.submission
    if case.code is None:
        assert body["status"] == "pending"
        assert "error" not in body
        assert reply.headers["x-reelgate-task-id"] == body["id"]
    else:
        error = body["error"]
        assert (error["code"], error["type"], error.get("param")) == (case.code, case.kind, case.param)
        assert_retry_after(case, reply)
    for private in (PRIVATE, "sk-first", "sk-second", "html", "127.0.0.1", "task-unified"):
        assert private not in reply.text


def assert_retry_after(case: Case, reply: httpx.Response) -> None:
    said = reply.headers.get("retry-after")
    if case.retry_after is None:
        assert said is None
    else:
        least, most = case.retry_after
        assert said is not None
        assert least <= int(said) <= most


async def assert_kept(case: Case, world: World) -> None:
    """Storage holds the task as the case says, with its money; a doubt can be polled, and costs no look."""
    task = await world.task()
    assert task.state is case.state
    assert (task.upstream_id is not None) == (case.state is State.RUNNING)
    assert await world.held() == (0 if case.state is State.REFUSED else PRICE)
    if case.state is State.UNCONFIRMED:
        assert world.attempts() == [("first", "main", "doubt")]


@pytest.mark.parametrize("case", ALONE, ids=str)
def test_alone_the_client_is_told_what_the_outcome_means(case: Case, tmp_path: Path) -> None:
    async def play() -> None:
        script = [] if case.does is None else [case.does] * case.calls
        async with FakeUpstream(script) as fake:
            with first_address(case, fake) as url:
                async with open_world(tmp_path, Place(url), clock=Clock(), timeouts=case.timeouts) as world:
                    reply = await world.create(**dict(case.asks))
                    assert_told(case, reply)
                    await assert_kept(case, world)
                    assert world.key_states() == {"first/main": case.key}
                    if case.state is State.UNCONFIRMED:
                        polled = await world.poll(reply.json()["id"])
                        assert (polled["status"], polled["submission"]) == ("pending", "unconfirmed")
            assert fake.connections == case.calls
            assert bought(fake) == case.buys
            assert not fake.script
            assert_nothing_bought_twice(fake)

    asyncio.run(play())


@pytest.mark.parametrize("case", IN_COMPANY, ids=str)
def test_in_company_only_a_proof_that_nothing_was_bought_moves_on(case: Case, tmp_path: Path) -> None:
    async def play() -> None:
        script = [] if case.does is None else [case.does]
        async with FakeUpstream(script) as first, FakeUpstream() as second:
            with first_address(case, first) as url:
                places = Place(url, keys=(Key("main"), Key("spare"))), Place(second.url, "second", priority=1)
                async with open_world(tmp_path, *places, clock=Clock(), timeouts=case.timeouts) as world:
                    reply = await world.create(**dict(case.asks))
                    outcomes = world.attempts()
                    if case.way is Way.NOWHERE:
                        assert_told(case, reply)
                        await assert_kept(case, world)
                    else:
                        assert reply.status_code == 200, reply.text
                        assert await world.states() == [State.RUNNING]
                        assert outcomes[0] == ("first", "main", "refused")
            assert [attempt[:2] for attempt in outcomes] == _ROUTES[case.way]
            assert second.connections == (1 if case.way is Way.ANOTHER_UPSTREAM else 0)
            if case.spot is Spot.FAKE:
                assert first.connections == (2 if case.way is Way.ANOTHER_KEY else 1)
            assert bought(first, second) == (case.buys if case.way is Way.NOWHERE else 1)
            assert_nothing_bought_twice(first, second)

    asyncio.run(play())


_ROUTES = {
    Way.NOWHERE: [("first", "main")],
    Way.ANOTHER_KEY: [("first", "main"), ("first", "spare")],
    Way.ANOTHER_UPSTREAM: [("first", "main"), ("second", "main")],
}


BROKEN_IN_THE_CLIENT = [
    refused("T5", "no place in our own pool", None, 503, repeat="true"),
    doubt("T6", "write error", None),
    doubt("T6", "write time-out", None),
    doubt("T7", "TLS breaks in the middle", None),
    doubt("T9", "the operating system gives up", None),
]
_RAISED = [
    httpx.PoolTimeout("no place"),
    httpx.WriteError("broken pipe"),
    httpx.WriteTimeout("too slow"),
    ssl.SSLError(1, "bad record mac"),
    OSError(110, "Connection timed out"),
]


@pytest.mark.parametrize(("case", "raised"), list(zip(BROKEN_IN_THE_CLIENT, _RAISED, strict=True)), ids=str)
def test_what_a_loopback_socket_cannot_show_is_judged_by_its_exception(
    case: Case, raised: Exception, tmp_path: Path
) -> None:
    calls = []

    async def send_once(call: Call, *ignored: Any) -> paid_call.Answer:
        calls.append(call)
        raise raised

    async def play() -> None:
        async with open_world(tmp_path, Place("http://127.0.0.1:9"), clock=Clock()) as world:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(paid_call, "send_once", send_once)
                reply = await world.create()
            assert_told(case, reply)
            await assert_kept(case, world)
            assert world.key_states() == {"first/main": KeyState.OK}

    asyncio.run(play())
    assert len(calls) == (2 if case.row == "T5" else 1)
