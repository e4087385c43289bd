"""A client of any running gateway: how `reelgate generate` and `fetch` speak to it.

A video is ordered in OpenAI's words, which can say everything that the options can, and read in EvoLink's, which tell
an estimate; a task can be read through every dialect, whichever one made it (CONTRACT section 4).
A create is sent once. What has proved that nothing was sent is told apart from what leaves that open.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import typer

from gateway.structs import Struct
from gateway.transport import NOTHING_SENT

BASE_URL = "http://127.0.0.1:8080"
NO_KEY = "none"  # a gateway without virtual keys lets any token in, and asks for one all the same
CREATE, READ, CONTENT = "/openai/v1/videos", "/evolink/v1/tasks/{id}", "/openai/v1/videos/{id}/content"
# A create is answered within `server.answer_within_s`, or after the body of 32 MiB that may have to get there first.
_TIMEOUT = httpx.Timeout(120, connect=10)
RETRY_AFTER_MAX_S = 60.0
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WORDS_MAX = 300  # of a stranger's answer

BaseUrlOption = Annotated[
    str, typer.Option("--base-url", envvar="REELGATE_BASE_URL", metavar="URL", help="The gateway's address.")
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option("--api-key", envvar="REELGATE_API_KEY", metavar="KEY", help="Your virtual key.", show_default=False),
]


class NoAnswer(Exception):
    """No gateway answered. `was_sent` is False only where that is proved."""

    def __init__(self, message: str, *, was_sent: bool) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class Problem(Struct, frozen=True):
    """One thing that a gateway finds wrong with a request; `param` is its own word for the place."""

    param: str
    message: str
    allowed: tuple[str, ...] = ()


class Declined(Exception):
    """The gateway's own refusal, in its own words."""

    def __init__(self, status: int, error: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(str(error.get("message") or f"refused with status {status}"))
        self.status = status
        self.code = str(error.get("code") or status)
        self.problems = tuple(_problems(error))
        self.may_repeat = headers.get("x-should-retry") == "true"
        self.retry_after_s = _retry_after_s(headers)


class Told(Struct, frozen=True):
    """An answer of the gateway."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]

    def retry_after_s(self) -> float | None:
        """When to ask again, within reason; None where that is not said."""
        return _retry_after_s(self.headers)


class Gateway:
    """A running gateway, and a caller's key for it."""

    def __init__(self, base_url: str, api_key: str | None) -> None:
        """Raises ValueError for an address or a key that cannot be one."""
        self.base_url, host = address(base_url, "--base-url")
        token = (api_key or "").strip() or NO_KEY
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("--api-key: a key has no blanks and only ASCII characters")
        self._http = httpx.Client(
            base_url=self.base_url,
            headers={"authorization": f"Bearer {token}", "accept-encoding": "identity"},
            timeout=_TIMEOUT,
            trust_env=not _is_this_machine(host),  # no proxy of the environment leads to this machine
        )

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def create(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Told:
        """Order a video, or with the header for it only ask. Raises Declined or NoAnswer."""
        with _translated(self.base_url):
            response = self._http.post(CREATE, json=dict(body), headers=dict(headers))
        return self._told(response)

    def read(self, task_id: str, wait_s: int) -> Told:
        """What became of a task; answered when its status changes, or after this long. Raises Declined or NoAnswer."""
        with _translated(self.base_url):
            response = self._http.get(READ.format(id=task_id), headers={"prefer": f"wait={wait_s}"})
        return self._told(response)

    @contextmanager
    def film(self, task_id: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The finished film, or a part of it. Raises Declined or NoAnswer; inside, when the line breaks, too."""
        with (
            _translated(self.base_url),
            self._http.stream("GET", CONTENT.format(id=task_id), headers=headers) as response,
        ):
            if response.status_code not in (200, 206, 416):
                response.read()
                self._told(response)
            yield response

    def _told(self, response: httpx.Response) -> Told:
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.is_success and isinstance(body, dict):
            return Told(response.headers, body)
        error = body.get("error") if isinstance(body, dict) else None
        if isinstance(error, dict) and "message" in error:
            raise Declined(response.status_code, error, response.headers)
        answered = f"{self.base_url} answered {response.status_code} in no words of a gateway: {_glimpse(response)}"
        # Whoever says 4xx in other words has passed nothing on.
        raise NoAnswer(answered, was_sent=not response.is_client_error)


@contextmanager
def _translated(base_url: str) -> Iterator[None]:
    try:
        yield
    except httpx.InvalidURL as error:
        raise NoAnswer(f"{base_url} is no address: {error}", was_sent=False) from None
    except httpx.HTTPError as error:
        nothing_sent = isinstance(error, (*(kind for kind, _ in NOTHING_SENT), httpx.UnsupportedProtocol))
        what = "does not answer" if nothing_sent else "broke the connection off"
        raise NoAnswer(f"{base_url} {what} ({error or type(error).__name__})", was_sent=not nothing_sent) from None


def address(base_url: str, option: str) -> tuple[str, str]:
    """A gateway's address without the `/v1` that some clients are given, and its host. Raises ValueError, in words
    about the `option` that says it, for what is none."""
    text = base_url.strip().rstrip("/").removesuffix("/v1")
    host = _host_of(text)
    if not host:
        raise ValueError(f"{option}: {base_url!r} is no address; it must be like {BASE_URL}")
    if "?" in text or "#" in text:  # every path is put behind it
        raise ValueError(f"{option}: {base_url!r} holds a query or a fragment; end it before `?` or `#`")
    return text, host


def is_task_id(word: str) -> bool:
    """Whether a word can be a task's id: it stands in paths, and in the names of files."""
    return _TASK_ID.fullmatch(word) is not None


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "")
    return min(RETRY_AFTER_MAX_S, float(text)) if text.isascii() and text.isdigit() else None


def _problems(error: Mapping[str, Any]) -> Iterator[Problem]:
    listed = error.get("problems")
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, dict):
            yield Problem(str(item.get("param")), str(item.get("message")), tuple(map(str, item.get("allowed") or ())))
    if not listed and error.get("param"):
        yield Problem(str(error["param"]), str(error.get("message")))


def _glimpse(response: httpx.Response) -> str:
    return " ".join(response.text[:_WORDS_MAX].split()) or "nothing"


def _host_of(text: str) -> str | None:
    """None for what is no address."""
    with suppress(ValueError):  # a port above 65535, which a socket would take for another, or half a bracket
        parts = urlsplit(text)
        if parts.scheme in ("http", "https") and parts.port != 0 and not any(map(str.isspace, text)):
            return parts.hostname
    return None


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
