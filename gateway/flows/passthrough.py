"""Every other /v1 route: a request is passed on as it came, with a key of ours in place of the caller's.

Nothing of it is read, so nothing of it is counted. It is streamed both ways; what does not describe the request or the
answer itself (credentials, cookies, the connection, the limits of our keys) stays on its own side. A refusal for the
key is the operator's trouble: the key learns of it and the next one is tried, as long as the body can be said again.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from gateway import jsontext
from gateway.crossing import SAFE_METHODS, Parcel, Passed
from gateway.errors import Draining, Frozen, InvalidRequest, LookFailed, ModelNotAllowed, Refused, Resting, UnknownRoute
from gateway.parts import Parts
from gateway.providers.verdicts import judge
from gateway.structs import replace
from gateway.video import Caller
from gateway.wire import Reply

Headers = Sequence[tuple[bytes, bytes]]

# A body is kept to be said again to another key while it is not longer than this: a chat with its history. Longer ones
# are mostly files, which are not kept because there may be many at once.
REPEATABLE_BYTES_MAX = 64 << 10
REFUSAL_BYTES_MAX = 64 << 10
REFUSAL_WITHIN_S = 5.0  # the status alone says enough; a body that does not come is not waited for
LIST_BYTES_MAX = 4 << 20  # the longest lists there are have some hundred models, of 2 KiB each

# The gateway's own below /v1 (CONTRACT section 4), in whatever way an upstream may be lenient in reading it.
NEVER_PASSED = frozenset({"videos", "video", "tasks", "query", "video_generation", "credits", "balance"})
_PATH = re.compile(rb"/v1(?:/(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})*)+")
_QUERY = re.compile(rb"[\x21-\x7e]*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
# What an escape may stand for: no letter beyond ASCII, no control character, and nothing that divides a path, now or
# after being read twice.
_ESCAPABLE = frozenset(range(0x20, 0x7F)) - frozenset(rb"/\%.;?#")

HEADERS_UP = frozenset(
    b"accept accept-language content-type content-encoding content-language user-agent range if-range if-match "
    b"if-none-match if-modified-since if-unmodified-since openai-beta anthropic-version "
    b"anthropic-beta traceparent tracestate".split()
)
# RFC 9110, 7.6.1: about one connection, not about the message.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding "
    b"upgrade".split()
)
# About the upstream's host and our account there; `x-request-id` is the gateway's own.
_NOT_DOWN = frozenset(
    b"set-cookie set-cookie2 server date alt-svc strict-transport-security x-request-id openai-organization "
    b"openai-project".split()
)
_NOT_DOWN_PREFIXES = (b"x-ratelimit-", b"anthropic-ratelimit-", b"x-reelgate-")
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_WITHOUT_BODY = frozenset({204, 304})

# Clients repeat on these whatever `x-should-retry` says, so they are only ever sent when surely nothing was bought; of
# a 409 they believe it (FAILURES H15, H16).
_REPEATED_ON = frozenset({408, 502, 503})
_CONFLICT = 409
_SAYS_REPEAT = frozenset({b"x-should-retry", b"retry-after", b"retry-after-ms"})

# Of the key itself; the keys learn from these. A 403 may be about anything that the caller asked for (a model, a word
# that a firewall dislikes), so it must not take a key away from everybody.
_TEACHES = frozenset({401, 402, 429})
_REFUSED_FOR_THE_KEY = _TEACHES | {403}


class Body:
    """A body on its way up, which can be said again from its beginning as long as it is short."""

    def __init__(self, source: AsyncIterator[bytes], length: int | None) -> None:
        """`source` must survive that a wait for its next chunk is cancelled. `length` is what the caller said."""
        self.length = length
        self.can_be_said_again = True
        self._source = source
        self._kept: list[bytes] = []
        self._kept_bytes = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """From the beginning, then as it arrives."""
        if not self.can_be_said_again:
            raise RuntimeError("the beginning of this body was not kept")
        for chunk in tuple(self._kept):
            yield chunk
        async for chunk in self._source:
            self._keep(chunk)
            yield chunk

    def _keep(self, chunk: bytes) -> None:
        self._kept_bytes += len(chunk)
        if self._kept_bytes > REPEATABLE_BYTES_MAX:
            self.can_be_said_again = False
            self._kept.clear()
        else:
            self._kept.append(chunk)


def target_of(raw_path: bytes, query: bytes) -> bytes:
    """What is asked of the upstream, byte for byte. Raises InvalidRequest for what two readers may read differently,
    and for all that is the gateway's own."""
    if _PATH.fullmatch(raw_path) is None or _QUERY.fullmatch(query) is None:
        raise _bad_path("the path or query has characters that do not belong there")
    if any(int(escape, 16) not in _ESCAPABLE for escape in _ESCAPE.findall(raw_path)):
        raise _bad_path("the path has an encoded slash, dot, control character or letter beyond ASCII")
    path = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), raw_path).decode("ascii")
    segments = path.split("/")[2:]
    if any(segment in ("", ".", "..") for segment in segments[:-1]) or segments[-1] in (".", ".."):
        raise _bad_path("the path has an empty or a dot segment")
    if segments[0].strip(" .").casefold() in NEVER_PASSED:
        raise InvalidRequest("not offered: there is no such operation on videos here")
    return raw_path + (b"?" + query if query else b"")


def headers_up(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Of a caller's headers (names in lower case), those that say something of the request itself."""
    hops = _named_in_connection(headers)
    return [
        (name, value)
        for name, value in headers
        if name in HEADERS_UP and name not in hops and _HEADER_VALUE.fullmatch(value)
    ]


def handed_down(method: str, passed: Passed) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Status and headers of an upstream's answer as the caller gets them.

    An upstream that fails over what may buy something may have done it: nothing invites to send that again.
    """
    headers = headers_down(passed)
    is_doubtful = passed.status >= 500 or passed.status in _REPEATED_ON or passed.status == _CONFLICT
    if method in SAFE_METHODS or not is_doubtful:
        return passed.status, headers
    kept = [(name, value) for name, value in headers if name not in _SAYS_REPEAT]
    status = 500 if passed.status in _REPEATED_ON else passed.status
    return status, [*kept, (b"x-should-retry", b"false")]


def headers_down(passed: Passed) -> list[tuple[bytes, bytes]]:
    """Of an upstream's headers, those that say something of the answer itself."""
    dropped = _HOP_BY_HOP | _NOT_DOWN | _named_in_connection(passed.headers)
    is_chunked = any(name == b"transfer-encoding" for name, _ in passed.headers)
    if is_chunked or passed.status in _WITHOUT_BODY:  # a length beside it is not this body's
        dropped |= {b"content-length"}
    return [
        (name, value)
        for name, value in passed.headers
        if name not in dropped
        and not name.startswith(_NOT_DOWN_PREFIXES)
        and _HEADER_NAME.fullmatch(name)
        and _HEADER_VALUE.fullmatch(value)
    ]


def allow(caller: Caller) -> None:
    """Raises ModelNotAllowed for a caller whose budget could not count what is spent this way."""
    if not caller.may_pass_through:
        raise ModelNotAllowed("this key has a budget, and this route spends what no budget counts; it may not use it")


def upstream_of(parts: Parts) -> str:
    """The upstream that requests are passed on to. Raises UnknownRoute where there is none."""
    if parts.settings.passthrough is None:
        raise UnknownRoute("there is no such path here")
    return parts.settings.passthrough


@asynccontextmanager
async def pass_on(
    method: str, target: bytes, headers: Headers, body: Body | None, parts: Parts
) -> AsyncIterator[Passed]:
    """The upstream's answer to a request that is passed on, with the first key that it does not refuse.

    Raises Draining, TooFast, Resting or Unavailable when no key can carry it, Refused when no connection came about,
    InDoubt when it may have been carried out, LookFailed for a question that found no answer.
    """
    name = upstream_of(parts)
    if parts.stories.is_draining:
        raise Draining("the gateway is shutting down", retry_after=5)
    if parts.admission.is_frozen and method not in ("GET", "HEAD"):
        raise Frozen("whatever may cost money is frozen by whoever runs this gateway")
    parcel = Parcel(method, target, headers)
    if body is not None:
        parcel = replace(parcel, chunks=body.chunks, length=body.length)
    tried: list[str] = []
    while True:
        route = parts.upstreams.choose_key(name, without=tried)
        if body is not None and not body.can_be_said_again:
            raise Resting("an upstream key was refused after a long body was sent; send it again", retry_after=1)
        async with parts.upstreams.forward(route, parcel) as passed:
            refusal = await _refusal(passed, parts.clock())
            if refusal is None:
                yield passed
                return
        if passed.status in _TEACHES:
            parts.upstreams.learn(route, refusal)
        parts.metrics.rotation(route.upstream, refusal)
        tried.append(route.key_id)


async def list_models(caller: Caller, parts: Parts) -> list[dict[str, Any]]:
    """The models that the passthrough upstream lists; none without one. Raises as `pass_on`, and ModelNotAllowed."""
    if parts.settings.passthrough is None:
        return []
    allow(caller)
    async with pass_on("GET", b"/v1/models", [(b"accept", b"application/json")], None, parts) as passed:
        body = await _read(passed, LIST_BYTES_MAX) if passed.status == 200 else b""
    data = jsontext.read_object(body).get("data")
    if not isinstance(data, list):
        raise LookFailed("the upstream's list of models could not be read", row="P", http_status=passed.status)
    return [model for model in data if isinstance(model, dict) and isinstance(model.get("id"), str)]


async def _refusal(passed: Passed, now: float) -> Refused | None:
    """What an answer says against the key; None when it is one for the caller."""
    if passed.status not in _REFUSED_FOR_THE_KEY:
        return None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in passed.headers}
    verdict = judge(Reply(passed.status, headers, await _read_refusal(passed)), now)
    if not isinstance(verdict, Refused):
        raise TypeError(f"a {passed.status} is judged as {type(verdict).__name__}")
    return verdict


async def _read_refusal(passed: Passed) -> bytes:
    try:
        async with asyncio.timeout(REFUSAL_WITHIN_S):
            return await _read(passed, REFUSAL_BYTES_MAX)
    except (TimeoutError, LookFailed):
        return b""


async def _read(passed: Passed, bytes_max: int) -> bytes:
    """A body, of which what is longer than the limit is not read."""
    body = bytearray()
    async for chunk in passed.chunks:
        body += chunk
        if len(body) > bytes_max:
            break
    return bytes(body)


def _named_in_connection(headers: Headers) -> frozenset[bytes]:
    """What a message itself calls a matter of its connection."""
    return frozenset(_tokens(value for name, value in headers if name == b"connection"))


def _tokens(values: Iterable[bytes]) -> list[bytes]:
    return [token.strip().lower() for value in values for token in value.split(b",")]


def _bad_path(message: str) -> InvalidRequest:
    return InvalidRequest.at("path", message)
