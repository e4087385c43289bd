"""What comes in and what goes out: a call, an answer, a refusal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from html import escape
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read to its end. `path` is without the protocol's prefix, header names are in lower case.

    `protocol` is empty where it was made in none.
    """

    protocol: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    path_words: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str | None:
        """The bearer token, or None where there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    @property
    def whole_path(self) -> str:
        """As it was asked for."""
        return f"/{self.protocol}{self.path}" if self.protocol else self.path

    def json_object(self) -> dict[str, Any]:
        """The body's fields; anything but a JSON object is refused."""
        try:
            value = json.loads(self.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise Refusal(400, f"the body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise Refusal(400, "the body must be a JSON object")
        return value


class Manner(StrEnum):
    """How an answer leaves."""

    WELL = "well"
    DROP = "drop"  # the connection closes without a byte
    HALF = "half"  # status line, headers and the first `number` bytes (below 1: that share), then it closes
    HANG = "hang"  # nothing, until the client leaves or `number` seconds on the sandbox's clock are over
    SLOW = "slow"  # after `number` real seconds
    DRIP = "drip"  # byte by byte, `number` real seconds apart


@dataclass(frozen=True, slots=True)
class Answer:
    """What the protocol says, and how it is to be delivered."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    manner: Manner = Manner.WELL
    number: float = 0


class Refusal(Exception):
    """A request is refused, in the words of no protocol yet: each has envelopes of its own.

    `code` is one of the protocol's own, where the status alone would not lead to it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: int | None = None,
        code: str | int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.code = code

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}


def json_answer(status: int, content: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Plain JSON. Escaped to ASCII, so that even half a surrogate pair in a prompt can be quoted back."""
    return Answer(status, json.dumps(content).encode(), {"content-type": "application/json", **(headers or {})})


def html_answer(status: int, title: str, headers: Mapping[str, str] | None = None) -> Answer:
    """What an edge in front of a provider says when it speaks for itself."""
    words = escape(title)
    page = f"<!DOCTYPE html><html><head><title>{words}</title></head><body><h1>{words}</h1></body></html>\n"
    return Answer(status, page.encode(), {"content-type": "text/html; charset=utf-8", **(headers or {})})


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")
