"""One request and its answer, as the rest of the surface sees them."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from time import perf_counter
from typing import Self
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from gateway.flows.poll import Waiting
from gateway.headers import BEGAN, GATHERS, HeaderList, lines
from gateway.structs import Struct, field
from gateway.video import Caller, Task

_REQUEST_ID_CHARACTERS_MAX = 128

_SAID = "reelgate.said"  # in a scope


class Answer(Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes
    headers: HeaderList = field(default_factory=list)
    content_type: bytes = b"application/json"


class Ready(Struct, frozen=True):
    """A whole answer that may be given again, with its headers as they are sent."""

    answer: Answer
    lines: bytes

    @classmethod
    def of(cls, answer: Answer) -> Self:
        return cls(answer, lines([*answer.headers, (b"content-type", answer.content_type)]))


class Stream(Struct, frozen=True):
    """An answer whose body comes in chunks; `headers` say all there is to say of it, `close` ends its source."""

    status: int
    headers: HeaderList
    chunks: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]
    stall_s: float | None = None
    """How long a client may take nothing of it before it counts as gone; None: as long as it likes."""


class Said:
    """What the head of a request says. It stays with the scope, which is the same one for the next request of the same
    bytes where the server knows them again: who asks the same thing every few seconds is understood once."""

    __slots__ = ("credential", "headers", "request_id")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.headers: Mapping[bytes, bytes] = dict(headers)
        self.request_id = _given_id(self.headers.get(b"x-request-id"))
        self.credential: str | None = None
        """The digest of the key, once somebody looked for it."""


class Exchange:
    """What is known of one request while it is being answered."""

    __slots__ = ("caller", "dialect", "headers", "receive", "request_id", "said", "scope", "started", "task", "waiting")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.started: float = scope.get(BEGAN) or perf_counter()
        said: Said | None = scope.get(_SAID)
        if said is None:
            said = scope[_SAID] = Said(scope["headers"])
        self.said = said
        self.headers = said.headers
        self.request_id = said.request_id or f"{random.getrandbits(96):024x}"  # tells requests apart, guards nothing
        self.dialect: str | None = None
        self.caller: Caller | None = None
        self.task: Task | None = None
        self.waiting = Waiting()

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def pinned(self) -> str | None:
        """The dialect that the key of the caller is set to, once he is admitted."""
        return None if self.caller is None else self.caller.dialect

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

    def gather(self) -> None:
        """Have the body come in large pieces: it is wanted as a whole."""
        ask: Callable[[], None] | None = self.scope.get(GATHERS)
        if ask is not None:
            ask()

    def base_url(self) -> str:
        """The address the caller used."""
        server = self.scope.get("server") or ("127.0.0.1", 0)
        host = self.header(b"host") or f"{server[0]}:{server[1]}"
        return f"{self.scope['scheme']}://{host}"


Handler = Callable[[Exchange], Awaitable["Answer | Stream"]]
ReadyHandler = Callable[[Exchange], "Ready | None"]
"""Answers at once what needs nothing but memory, and else says None: then a Handler answers it."""


def _given_id(given: bytes | None) -> str | None:
    """The caller's own, where it is printable and short."""
    if given is not None and 0 < len(given) <= _REQUEST_ID_CHARACTERS_MAX and given.isascii():
        text = given.decode()
        if text.isprintable() and " " not in text:
            return text
    return None
