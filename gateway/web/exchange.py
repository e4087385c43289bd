"""One request and its answer, as the rest of the surface sees them."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from time import perf_counter
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from gateway.flows.poll import Waiting
from gateway.structs import Struct, field
from gateway.video import Caller, Task

_REQUEST_ID_CHARACTERS_MAX = 128

HeaderList = list[tuple[bytes, bytes]]


class Answer(Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes
    headers: HeaderList = field(default_factory=list)
    content_type: bytes = b"application/json"


class Stream(Struct, frozen=True):
    """An answer whose body comes in chunks; `headers` say all there is to say of it, `close` ends its source."""

    status: int
    headers: HeaderList
    chunks: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]
    stall_s: float | None = None
    """How long a client may take nothing of it before it counts as gone; None: as long as it likes."""


class Exchange:
    """What is known of one request while it is being answered."""

    __slots__ = ("caller", "dialect", "headers", "receive", "request_id", "scope", "started", "task", "waiting")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.started = perf_counter()
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.request_id = _request_id(self.headers.get(b"x-request-id"))
        self.dialect: str | None = None
        self.caller: Caller | None = None
        self.task: Task | None = None
        self.waiting = Waiting()

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def all_headers(self, name: bytes) -> list[str]:
        """Every value of a header that may stand more than once."""
        return [value.decode("latin-1") for key, value in self.scope["headers"] if key == name]

    def path_param(self, name: str) -> str:
        return str(self.scope["path_params"][name])

    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    def base_url(self) -> str:
        """The address the caller used."""
        server = self.scope.get("server") or ("127.0.0.1", 0)
        host = self.header(b"host") or f"{server[0]}:{server[1]}"
        return f"{self.scope['scheme']}://{host}"


Handler = Callable[[Exchange], Awaitable["Answer | Stream"]]
ReadyHandler = Callable[[Exchange], "Answer | None"]
"""Answers at once what needs nothing but memory, and else says None: then a Handler answers it."""


def _request_id(given: bytes | None) -> str:
    """The caller's own, where it is printable and short; else a new one."""
    if given is not None and 0 < len(given) <= _REQUEST_ID_CHARACTERS_MAX and given.isascii():
        text = given.decode()
        if text.isprintable() and " " not in text:
            return text
    return f"{random.getrandbits(96):024x}"  # tells requests apart, guards nothing
