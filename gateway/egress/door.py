"""The door itself: the exchanges that go through it.

An exchange has a connection of its own, one deadline over everything in it (the wait for a place, the look-up, every
redirect, every byte), and ends with its `async with`.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager

import httpcore

from gateway import wire
from gateway.egress.lines import Line
from gateway.egress.listeners import Listener, is_ours
from gateway.egress.networks import Network, is_public, is_within
from gateway.egress.policies import POLICIES, Kind, Policy
from gateway.egress.refusals import EgressRefused, Reason, Refusal
from gateway.egress.resolving import LookupsFull, Resolve, Resolver
from gateway.egress.urls import IPAddress, Url, follow, judge_url
from gateway.structs import Struct, field, replace

log = logging.getLogger("reelgate.egress")


RESOLVE_S = 3.0  # a name server's second try comes after five; no probe can wait for that
DETAIL_CHARACTERS_MAX = 200  # of the words of a library in a line of the log
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = frozenset({"authorization", "cookie"})
_LENGTH = re.compile(rb"[0-9]{1,18}")
_RANGE = re.compile(rb"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_ALARMING = frozenset({Reason.ADDRESS, Reason.OWN, Reason.PEER})  # somebody tried to get inside


class Answer(Struct, frozen=True):
    """What an address answered: status, headers with names in lower case, and its bytes as they come."""

    status: int
    headers: Mapping[bytes, bytes]
    chunks: AsyncIterator[bytes]
    """Raises EgressRefused where the answer is compressed, breaks off, takes too long or is too much."""

    @property
    def content_length(self) -> int | None:
        """The bytes of this answer, as it says."""
        told = self.headers.get(b"content-length", b"")
        return int(told) if _LENGTH.fullmatch(told) else None

    @property
    def content_range(self) -> tuple[int, int, int | None] | None:
        """First and last byte of this answer, counted from 0, and the size of the whole, as it says."""
        told = _RANGE.fullmatch(self.headers.get(b"content-range", b""))
        if told is None:
            return None
        first, last, whole = told.groups()
        return int(first), int(last), None if whole == b"*" else int(whole)

    @property
    def etag(self) -> bytes | None:
        return self.headers.get(b"etag")

    @property
    def last_modified(self) -> bytes | None:
        return self.headers.get(b"last-modified")


class _Request(Struct, frozen=True):
    """What is asked of an address. `own` is a base address whose place need not be public."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    own: str | None = None


class Door:
    """The way to addresses that others name. Everything it says no to is an EgressRefused.

    `opened` are the networks that need not be public, where any port and plain http may be used; `listeners` our own
    sockets. `resolve` and `network` are the machine's unless they are given. `at_once` says of a kind how many may be
    in the door at the same time, where that is not the policy's own number.
    """

    def __init__(
        self,
        *,
        opened: Sequence[Network] = (),
        listeners: Sequence[Listener] = (),
        resolve: Resolve | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        trust: ssl.SSLContext | None = None,
        at_once: Mapping[Kind, int] | None = None,
    ) -> None:
        self._opened = tuple(opened)
        self._listeners = tuple(listeners)
        # For each kind its own, so that names which nobody answers for hold up only what is named in the same way.
        self._resolve = {kind: resolve or Resolver().resolve for kind in Kind}
        self._network = network or httpcore.AnyIOBackend()
        self._trust = trust
        most = {kind: policy.at_once_max for kind, policy in POLICIES.items()} | dict(at_once or {})
        self._places = {kind: asyncio.Semaphore(count) for kind, count in most.items()}

    async def vet(self, url: str, kind: Kind) -> None:
        """Judge an address and look its name up, within `RESOLVE_S` and without connecting to it."""
        attempt = _Attempt(kind)
        with _told(attempt):
            attempt.url = read = judge_url(url, characters_max=attempt.policy.characters_max)
            await self._judge(read, kind)

    @asynccontextmanager
    async def probe(
        self, url: str, *, bytes_max: int, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Answer]:
        """The first bytes of an image, at most so many; its reader may stop earlier.

        The range is asked for, and kept to whether or not the server knows ranges.
        """
        most = min(bytes_max, POLICIES[Kind.IMAGE].bytes_max)
        request = _Request(url, headers={**(headers or {}), "range": f"bytes=0-{most - 1}"})
        async with self._exchange(Kind.IMAGE, request, bytes_max=most) as answer:
            yield answer

    @asynccontextmanager
    async def film(
        self, url: str, *, headers: Mapping[str, str] | None = None, own: str | None = None
    ) -> AsyncIterator[Answer]:
        """A film, unbuffered. What its host has to be told, a range above all, is in `headers`.

        `own` is the base address of the upstream that named it: the operator configured that place, so a film there
        need not be public. Credentials in `headers` never follow a redirect to another place.
        """
        async with self._exchange(Kind.FILM, _Request(url, headers=headers or {}, own=own)) as answer:
            yield answer

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Deliver a callback; the status of its answer, whose body nobody reads. A redirect is an answer."""
        async with self._exchange(Kind.CALLBACK, _Request(url, "POST", headers, body)) as answer:
            return answer.status

    @asynccontextmanager
    async def _exchange(self, kind: Kind, request: _Request, *, bytes_max: int | None = None) -> AsyncIterator[Answer]:
        async with AsyncExitStack() as stack:
            attempt = _Attempt(kind)
            with _told(attempt):
                await self._take_place(attempt, stack)
                async with attempt.step():
                    response = await self._follow(attempt, request, stack)
            headers: dict[bytes, bytes] = {}
            for name, value in response.headers:
                headers.setdefault(name.lower(), value)
            chunks = _chunks(response, attempt, attempt.policy.bytes_max if bytes_max is None else bytes_max)
            await stack.enter_async_context(aclosing(chunks))
            yield Answer(response.status, headers, chunks)

    async def _take_place(self, attempt: "_Attempt", stack: AsyncExitStack) -> None:
        place = self._places[attempt.kind]
        try:
            async with attempt.step():
                await stack.enter_async_context(place)
        except TimeoutError:
            raise Refusal(Reason.BUSY) from None

    async def _follow(self, attempt: "_Attempt", request: _Request, stack: AsyncExitStack) -> httpcore.Response:
        """The first answer that is no redirect; the stack closes its connection. Raises Refusal, or httpcore's."""
        policy, own_origin, text = attempt.policy, _origin(request.own), request.url
        for _ in range(policy.redirects_max + 1):
            before = attempt.url
            attempt.url = url = judge_url(text, characters_max=policy.characters_max)
            if before is not None and url.origin != before.origin:
                request = replace(request, headers=_without_credentials(request.headers))
            addresses = await self._judge(url, attempt.kind, is_own=url.origin == own_origin)
            async with AsyncExitStack() as hop:
                response = await self._send(url, addresses, request, hop)
                location = _location(response) if policy.redirects_max else None
                if location is None:
                    stack.push_async_exit(hop.pop_all())
                    return response
            text = follow(url, location)
        raise Refusal(Reason.REDIRECT, f"more than {policy.redirects_max}")

    async def _judge(self, url: Url, kind: Kind, *, is_own: bool = False) -> tuple[IPAddress, ...]:
        """The addresses of a host, every one of which may be connected to. Raises Refusal."""
        need = None if is_own else _need(url, POLICIES[kind])
        if need is not None and not self._opened:
            raise Refusal(need)  # no answer could help, so the name server is not asked
        addresses = (url.address,) if url.address is not None else await self._look_up(url.host, kind)
        for address in addresses:
            if is_ours(address, url.port, self._listeners):
                raise Refusal(Reason.OWN, str(address))
            if is_own or is_within(address, self._opened):
                continue
            if need is not None:
                raise Refusal(need, f"{address} is in no opened network")
            if not is_public(address):
                raise Refusal(Reason.ADDRESS, str(address))
        return addresses

    async def _look_up(self, name: str, kind: Kind) -> tuple[IPAddress, ...]:
        try:
            async with asyncio.timeout(RESOLVE_S):
                addresses = await self._resolve[kind](name)
        except LookupsFull:
            raise Refusal(Reason.BUSY, "too many look-ups") from None
        except OSError as error:  # also when time is over
            raise Refusal(Reason.UNRESOLVED, str(error)) from None
        if not addresses:
            raise Refusal(Reason.UNRESOLVED)
        return addresses

    async def _send(
        self, url: Url, addresses: Sequence[IPAddress], request: _Request, stack: AsyncExitStack
    ) -> httpcore.Response:
        """One request on a fresh connection, which the stack closes. Raises Refusal, or httpcore's errors."""
        line = Line(self._network, addresses)
        stack.push_async_callback(line.close)
        place = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        connection = httpcore.AsyncHTTPConnection(
            place.origin, ssl_context=self._trust or wire.trust(), network_backend=line
        )
        headers = {
            "user-agent": "reelgate",
            "accept": "*/*",
            **{name.lower(): value for name, value in request.headers.items()},
            "host": url.authority,
            "accept-encoding": "identity",
            "connection": "close",
            **({} if request.body is None else {"content-length": str(len(request.body))}),
        }
        response = await connection.handle_async_request(
            httpcore.Request(request.method, place, headers=list(headers.items()), content=request.body)
        )
        stack.push_async_callback(response.aclose)
        if not 200 <= response.status < 600:
            raise Refusal(Reason.BROKEN, f"status {response.status}")
        return response


class _Attempt:
    """One address on its way through the door: how far it has come, and how long it may still take."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.policy = POLICIES[kind]
        self.url: Url | None = None
        self._ends_at = asyncio.get_running_loop().time() + self.policy.total_s

    def step(self) -> asyncio.Timeout:
        """The time that a next step has."""
        return asyncio.timeout_at(min(self._ends_at, asyncio.get_running_loop().time() + self.policy.pause_s))


async def _chunks(response: httpcore.Response, attempt: _Attempt, bytes_max: int) -> AsyncGenerator[bytes, None]:
    beyond = attempt.policy.beyond
    pieces, left = response.aiter_stream(), bytes_max
    while left > 0 or beyond is not None:
        with _told(attempt):
            if _is_encoded(response):
                raise Refusal(Reason.ENCODED)
            async with attempt.step():
                piece = await anext(pieces, None)
            if piece is not None and len(piece) > left and beyond is not None:
                raise Refusal(beyond, f"more than {bytes_max} bytes")
        if piece is None:
            return
        yield piece[:left]
        left -= len(piece)


def _need(url: Url, policy: Policy) -> Reason | None:
    """Why an address could only be used in a network that the operator opened, if there is a reason."""
    if url.scheme not in policy.schemes:
        return Reason.SCHEME
    if not url.has_usual_port:
        return Reason.PORT
    return Reason.NAME if url.has_inside_name else None


def _origin(own: str | None) -> tuple[str, str, int] | None:
    """Of the upstream's base address; None where it is none that a film's address could be compared with."""
    try:
        return None if own is None else judge_url(own, characters_max=POLICIES[Kind.FILM].characters_max).origin
    except Refusal:
        return None


def _without_credentials(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _CREDENTIALS}


def _location(response: httpcore.Response) -> str | None:
    """Where a redirect leads; None when the answer is none."""
    if response.status not in _REDIRECTS:
        return None
    told = (value for name, value in response.headers if name.lower() == b"location")
    found = next(told, None)
    return None if found is None else found.decode("latin-1")  # what is not ASCII is refused by its reader


def _is_encoded(response: httpcore.Response) -> bool:
    told = (value for name, value in response.headers if name.lower() == b"content-encoding")
    return any(value.strip().lower() not in (b"", b"identity") for value in told)


@contextmanager
def _told(attempt: _Attempt) -> Iterator[None]:
    """Whatever goes wrong inside is written to the log, and becomes the one error that a caller may see."""
    try:
        yield
    except Refusal as refusal:
        reason, detail = refusal.reason, str(refusal)
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.RemoteProtocolError, OSError) as error:
        reason, detail = _read_failure(error)
    else:
        return
    place = "an unreadable address" if attempt.url is None else attempt.url.place
    level = logging.WARNING if reason in _ALARMING else logging.INFO
    log.log(level, "%s: %s was not used: %s", attempt.kind.value, place, detail[:DETAIL_CHARACTERS_MAX])
    raise EgressRefused(attempt.policy.sentence, reason) from None


def _read_failure(error: Exception) -> tuple[Reason, str]:
    if isinstance(error, httpcore.ConnectError) and isinstance(error.__cause__, ssl.SSLError):
        return Reason.TLS, f"{Reason.TLS.value}: {error}"
    reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), Reason.BROKEN)
    if reason is Reason.BROKEN:
        # Not its words: they may quote the answer, which may quote the request.
        return reason, f"{reason.value}: {type(error).__name__}"
    return reason, f"{reason.value}: {error}"


_REASONS: Sequence[tuple[type[Exception], Reason]] = (
    (httpcore.ConnectError, Reason.UNREACHABLE),
    (httpcore.ConnectTimeout, Reason.UNREACHABLE),
    (httpcore.TimeoutException, Reason.TIMEOUT),
    (TimeoutError, Reason.TIMEOUT),
)
