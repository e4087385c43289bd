"""The door to upstreams: every socket to a provider is opened here.

A paid submit uses a fresh connection, because a stale one that dies is indistinguishable from "executed, then died";
no redirects, no environment proxies, no compression, a deadline over the whole exchange (httpx's own are per read)
and a cap on the reply. Foreign exceptions are translated once, by `_judge_transport`: only a connection that never
came about proves that nothing was sent (FAILURES section 2).
"""

import asyncio
import math
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import perf_counter
from typing import Any, TypeVar

import httpcore
import httpx

from gateway import errors
from gateway.catalog import Model, matches
from gateway.errors import Problem
from gateway.keys import Blocked, Cause, KeyPool, KeyState
from gateway.providers.protocol import Provider, Site
from gateway.video import Look, Offer, Receipt, Route, Task, VideoRequest
from gateway.wire import Call, CallRecord, Reply, Send

REPLY_BYTES_MAX = 1 << 20  # a task object has some hundred bytes; FAILURES section 1
UPSTREAMS_MAX = 3  # for one request: the first and at most two more, however many are configured
FILM_REDIRECTS_MAX = 3  # a storage front or two
# Of what is passed on, nothing has a limit in all; this is how long no byte may move in either direction. Long enough
# for a language model that thinks before its first word.
PAUSE_S = 300.0
_ONE_USE = httpx.Limits(max_connections=1, max_keepalive_connections=0)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1: they change nothing, so they buy nothing
_ANY_MODEL = ""  # what is passed on is not read, so no key is barred for it

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two reads, and for a whole exchange."""

    connect_s: float = 5.0
    read_s: float = 60.0
    total_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """One place we call. `secrets` gives the credential of a key by its id."""

    name: str
    provider: Provider
    site: Site
    pool: KeyPool
    secrets: Mapping[str, Callable[[], str]]
    priority: int = 0
    weight: int = 1
    models: tuple[str, ...] | None = None
    """Glob patterns; None: what the catalog says the provider sells."""
    timeouts: Timeouts = field(default_factory=Timeouts)

    def sells(self, model: Model) -> bool:
        if self.models is None:
            return self.provider.NAME in model.sold_by
        return matches(model.name, self.models)

    def owns(self, link: str | None) -> bool:
        """Whether a film's link lies below the upstream's own address, and so may need its key (FACTS 3.4)."""
        return link is not None and link.startswith(self.site.base_url + "/")


@dataclass(frozen=True, slots=True)
class Film:
    """A film on its way: status, headers with names in lower case, and its bytes as they come."""

    status: int
    headers: Mapping[bytes, bytes]
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A request to be passed on as it came, without its credential. `target` is path and query, byte for byte.

    `chunks` is None where there is no body; else it gives the body from its beginning each time it is called.
    `length` is the body's size, where the caller said it.
    """

    method: str
    target: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    chunks: Callable[[], AsyncIterator[bytes]] | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """The answer to a parcel on its way down: its headers as they came, its bytes as they come."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    """Names in lower case."""
    chunks: AsyncIterator[bytes]


class Upstreams:
    """All upstreams: who may carry a request, the submit itself, the looks, the films, and what is passed on."""

    def __init__(
        self,
        upstreams: Iterable[Upstream],
        *,
        clock: Callable[[], float],
        on_call: Callable[[CallRecord], None],
    ) -> None:
        self._by_name = {upstream.name: upstream for upstream in upstreams}
        self._clock = clock
        self._on_call = on_call
        self._turn = dict.fromkeys(self._by_name, 0)
        self._trust = ssl.create_default_context()
        # Transports, not clients: a client would carry cookies from one key's answers to another key's calls.
        self._free = httpx.AsyncHTTPTransport(verify=self._trust, trust_env=False)
        self._films = httpx.AsyncClient(
            verify=self._trust,
            trust_env=False,
            follow_redirects=True,
            max_redirects=FILM_REDIRECTS_MAX,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )

    async def close(self) -> None:
        await self._free.aclose()
        await self._films.aclose()

    def sellers(self, model: Model) -> list[Upstream]:
        return [upstream for upstream in self._by_name.values() if upstream.sells(model)]

    def unsayable(self, request: VideoRequest, model: Model) -> list[Problem]:
        """Empty when some seller of the model can say all of the request; else what the first of them cannot."""
        gaps = [upstream.provider.unsayable(request) for upstream in self.sellers(model)]
        return min(gaps, key=len, default=[])

    def choose(
        self, request: VideoRequest, model: Model, *, tried: Sequence[Route] = (), left: Collection[str] = ()
    ) -> Route:
        """The route a request takes next: by priority, then weight, among those that can say it and have a key.

        Takes a place on the key at once, so that creates which arrive together cannot all count on the same one.
        `tried` are the routes this request was refused on; `left` names the upstreams that refused it as a place,
        whatever the key. With `UPSTREAMS_MAX` of them tried, there is no other one.
        Raises TooFast when a key only rests for rate or is full, Unavailable for any other cause.
        """
        now = self._clock()
        known = {route.upstream for route in tried}
        able = [
            upstream
            for upstream in self.sellers(model)
            if (upstream.name in known or len(known) < UPSTREAMS_MAX) and not upstream.provider.unsayable(request)
        ]
        blocks: list[Blocked] = []
        for upstream in self._in_turn(able):
            if upstream.name in left:
                rest_s = upstream.pool.rest_s(now)
                blocks += [] if rest_s is None else [Blocked(Cause.REST, rest_s)]
                continue
            without = {route.key_id for route in tried if route.upstream == upstream.name}
            key = upstream.pool.choose(model.name, now, without=without)
            if isinstance(key, str):
                upstream.pool.take(key, now)
                return Route(upstream.name, key)
            blocks.append(key)
        raise _no_route(blocks)

    def reuse(self, route: Route, model: Model) -> bool:
        """Take a place for the same route once more, although its upstream rests; False when its key has none."""
        pool, now = self._by_name[route.upstream].pool, self._clock()
        if not pool.has_room(route.key_id, model.name, now):
            return False
        pool.take(route.key_id, now)
        return True

    def unused(self, route: Route) -> None:
        """A place that was taken and not used: nothing was sent."""
        self._by_name[route.upstream].pool.untake(route.key_id)

    def rest_s(self, name: str) -> int | None:
        """Seconds until an upstream that rests may be called again; None when it does not rest."""
        return self._by_name[name].pool.rest_s(self._clock())

    def call_for(self, request: VideoRequest, offer: Offer, route: Route) -> Call:
        """The canonical call of a request on a route, without its credential."""
        upstream = self._by_name[route.upstream]
        return upstream.provider.submission(request, offer, upstream.site)

    async def submit(self, request: VideoRequest, offer: Offer, route: Route) -> Receipt:
        """Order the video on this route, once. Raises Refused or InDoubt, after the keys have learnt from it."""
        upstream = self._by_name[route.upstream]
        send = partial(self._send_paid, upstream, route.key_id)
        try:
            receipt = await upstream.provider.submit(request, offer, upstream.site, send, self._clock())
        except errors.UpstreamError as error:
            upstream.pool.learn(route.key_id, error, offer.model, self._clock())
            if isinstance(error, errors.Unreachable | errors.Distrusted):
                upstream.pool.untake(route.key_id)  # nothing was sent, so it is none of the minute's submits
            elif error.spent is errors.Spent.NO:
                upstream.pool.give_back(route.key_id)
            raise
        upstream.pool.accepted(route.key_id)
        return receipt

    async def look(self, task: Task) -> Look:
        """One free look at a task, with the key that submitted it. Raises LookFailed when nothing was learnt."""
        upstream, upstream_id, send = self._holder(task)
        return await upstream.provider.poll(upstream_id, upstream.site, send)

    async def locate(self, task: Task) -> str | None:
        """A fresh link to a finished film; None when the upstream no longer keeps it. Raises LookFailed."""
        upstream, upstream_id, send = self._holder(task)
        return await upstream.provider.locate(upstream_id, upstream.site, send)

    def link_life_s(self, task: Task) -> int:
        """How long a caller can use the task's link; 0 when it needs our key, or its upstream is not configured."""
        upstream = self._by_name.get(task.upstream)
        return 0 if upstream is None or upstream.owns(task.link) else upstream.provider.LINK_LIFE_S

    def finished(self, task: Task) -> None:
        """A task came to its end: its key has room again."""
        upstream = self._by_name.get(task.upstream)
        if upstream is not None:
            upstream.pool.give_back(task.key_id)

    def adopt(self, live: Mapping[tuple[str, str], int]) -> None:
        """At start: the tasks in flight that storage knows of, per upstream and key."""
        for (name, key_id), count in live.items():
            upstream = self._by_name.get(name)
            if upstream is not None and key_id in upstream.secrets:
                upstream.pool.occupy(key_id, count)

    async def recheck_keys(self) -> None:
        """Ask, by a free call, for keys that were refused or empty; those that are good again come back."""
        for upstream in self._by_name.values():
            for key_id in upstream.pool.needing_check(self._clock()):
                try:
                    funds = await upstream.provider.balance(upstream.site, partial(self._send_free, upstream, key_id))
                except errors.LookFailed:
                    continue
                if funds is not None and not funds.is_empty:
                    upstream.pool.recover(key_id)

    @asynccontextmanager
    async def film(self, task: Task, *, byte_range: str | None = None) -> AsyncIterator[Film]:
        """The film behind a task's link, unbuffered. Raises LookFailed when it cannot be reached."""
        headers = {"accept-encoding": "identity"} | ({"range": byte_range} if byte_range else {})
        upstream = self._by_name.get(task.upstream)
        if upstream is not None and upstream.owns(task.link) and task.key_id in upstream.secrets:
            headers["authorization"] = f"Bearer {upstream.secrets[task.key_id]()}"
        timeout = httpx.Timeout(60.0, connect=5.0)
        try:
            request = self._films.build_request("GET", task.link or "", headers=headers, timeout=timeout)
            response = await self._films.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise errors.LookFailed("the film could not be fetched", row="P") from None
        try:
            headers_down = {name.lower(): value for name, value in response.headers.raw}
            yield Film(response.status_code, headers_down, response.aiter_raw())
        finally:
            await response.aclose()

    def choose_key(self, name: str, *, without: Collection[str] = ()) -> Route:
        """A key of this one upstream for a request that is passed on. Such a request takes no place of a video's.

        Raises TooFast, Resting or Unavailable, as `choose` does. `without` are keys that this request has tried.
        """
        pool, now = self._by_name[name].pool, self._clock()
        key = pool.choose(_ANY_MODEL, now, without=without)
        if not isinstance(key, str):
            raise _no_route([key])
        return Route(name, key)

    def learn(self, route: Route, refusal: errors.Refused) -> None:
        """A request that was passed on was refused for its key."""
        self._by_name[route.upstream].pool.learn(route.key_id, refusal, _ANY_MODEL, self._clock())

    @asynccontextmanager
    async def forward(self, route: Route, parcel: Parcel) -> AsyncIterator[Passed]:
        """Pass a request on with this key.

        Raises Refused when surely nothing was sent, InDoubt when it may have been carried out, and LookFailed where
        there was nothing to carry out. Whatever the upstream answers is an answer; the keys learn of it elsewhere.
        """
        upstream = self._by_name[route.upstream]
        started, outcome = perf_counter(), "doubt"
        crossing = _Crossing(upstream, route.key_id, parcel, self._trust)
        try:
            passed = await crossing.open()
            outcome = f"{passed.status // 100}xx"
            if passed.status < 400:
                upstream.pool.accepted(route.key_id)
            yield passed
        except errors.UpstreamError as error:
            outcome = error.code
            if isinstance(error, errors.Refused):
                upstream.pool.learn(route.key_id, error, _ANY_MODEL, self._clock())
                error.retry_after = upstream.pool.rest_s(self._clock())
            raise
        finally:
            await crossing.close()
            self._on_call(CallRecord(upstream.name, route.key_id, "passthrough", outcome, perf_counter() - started))

    def key_states(self) -> Iterable[tuple[str, str, KeyState]]:
        now = self._clock()
        for upstream in self._by_name.values():
            for key_id, state in upstream.pool.states(now):
                yield upstream.name, key_id, state

    def any_key_usable(self) -> bool:
        """Whether some key could take a create, now or after a short rest for rate."""
        return any(state in (KeyState.OK, KeyState.RESTING, KeyState.BARRED) for _, _, state in self.key_states())

    def _holder(self, task: Task) -> tuple[Upstream, str, Send]:
        """Who to ask about a task, with the key that submitted it."""
        upstream = self._by_name.get(task.upstream)
        if upstream is None or task.key_id not in upstream.secrets or task.upstream_id is None:
            raise errors.LookFailed("the upstream or key of this task is no longer configured", row="P")
        return upstream, task.upstream_id, partial(self._send_free, upstream, task.key_id)

    def _in_turn(self, upstreams: Collection[Upstream]) -> list[Upstream]:
        """Lower priority first; within one priority a smooth weighted rotation."""
        ordered: list[Upstream] = []
        for priority in sorted({upstream.priority for upstream in upstreams}):
            equals = [upstream for upstream in upstreams if upstream.priority == priority]
            for upstream in equals:
                self._turn[upstream.name] += upstream.weight
            equals.sort(key=lambda upstream: self._turn[upstream.name], reverse=True)
            self._turn[equals[0].name] -= sum(upstream.weight for upstream in equals)
            ordered += equals
        return ordered

    async def _send_paid(self, upstream: Upstream, key_id: str, call: Call) -> Reply:
        started = perf_counter()
        outcome = "doubt"
        try:
            # A pool of its own for each: the connection is surely fresh, and no pool has to be searched for one.
            async with httpx.AsyncHTTPTransport(verify=self._trust, trust_env=False, limits=_ONE_USE) as transport:
                reply = await _exchange(transport, upstream, key_id, call)
            outcome = f"{reply.status // 100}xx"
        except errors.UpstreamError as error:
            outcome = error.code
            raise
        finally:
            self._on_call(CallRecord(upstream.name, key_id, call.operation, outcome, perf_counter() - started))
        return reply

    async def _send_free(self, upstream: Upstream, key_id: str, call: Call) -> Reply:
        """As `_send_paid`, on kept connections; a failure teaches nothing."""
        started = perf_counter()
        outcome = "look_failed"
        try:
            reply = await _exchange(self._free, upstream, key_id, call)
            outcome = f"{reply.status // 100}xx"
        except errors.UpstreamError as error:
            raise errors.LookFailed(error.message, row="P") from None
        finally:
            self._on_call(CallRecord(upstream.name, key_id, call.operation, outcome, perf_counter() - started))
        return reply


class _Crossing(httpx.AsyncByteStream):
    """One request on its way up while its answer comes down, on a connection of its own.

    httpx hears an answer only after the whole body is sent, and so loses one that comes early (a refusal of a large
    upload) and stands still before an upstream that answers while it reads. Therefore the body is written beside it:
    to httpcore a body that breaks off with WriteError means "read the answer now".
    """

    def __init__(self, upstream: Upstream, key_id: str, parcel: Parcel, trust: ssl.SSLContext) -> None:
        self._secret = upstream.secrets[key_id]().encode()
        self._parcel = parcel
        self._timeouts = upstream.timeouts
        self._base = httpx.URL(upstream.site.base_url)
        self._transport = httpx.AsyncHTTPTransport(verify=trust, trust_env=False, limits=_ONE_USE)
        self._line: httpcore.AsyncNetworkStream | None = None
        self._upload: asyncio.Task[None] | None = None
        self._response: httpx.Response | None = None
        self._limit: asyncio.Timeout | None = None
        self._fault: BaseException | None = None

    async def open(self) -> Passed:
        """Send the request, or as much of it as the upstream wants to hear, and give its answer."""
        try:
            self._response = response = await self._while_moving(self._transport.handle_async_request(self._request()))
            if not 200 <= response.status_code < 600:
                raise httpx.RemoteProtocolError("a status that is none")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            verdict = _judge_transport(error)
            if verdict.spent is errors.Spent.MAYBE and self._parcel.method in _SAFE_METHODS:
                raise errors.LookFailed(verdict.message, row=verdict.row) from None
            raise verdict from None
        headers = [(name.lower(), value) for name, value in response.headers.raw if self._secret not in value]
        chunks = self._chunks(response)
        if response.is_error:  # where an upstream quotes our key
            chunks = _masked(chunks, self._secret)
        return Passed(response.status_code, headers, chunks)

    async def close(self) -> None:
        if self._upload is not None:
            self._upload.cancel()
            await asyncio.gather(self._upload, return_exceptions=True)
        if self._response is not None:
            await self._response.aclose()
        await self._transport.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Where httpcore asks for the body."""
        if self._parcel.chunks is None:
            raise StopAsyncIteration
        if self._line is None:
            raise RuntimeError("httpcore did not tell of its connection")
        self._upload = asyncio.create_task(self._send(self._parcel.chunks(), self._line))
        self._upload.add_done_callback(self._sent)
        raise httpcore.WriteError("the body is sent beside the reading of the answer")

    def _request(self) -> httpx.Request:
        headers = [
            (b"host", self._base.netloc),
            *self._parcel.headers,
            (b"authorization", b"Bearer " + self._secret),
            (b"accept-encoding", b"identity"),
        ]
        if self._is_chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        elif self._parcel.chunks is not None:
            headers.append((b"content-length", b"%d" % (self._parcel.length or 0)))
        elif self._parcel.method in ("POST", "PUT", "PATCH"):
            headers.append((b"content-length", b"0"))
        extensions = {
            "timeout": httpx.Timeout(None, connect=self._timeouts.connect_s).as_dict(),
            "target": self._base.raw_path.rstrip(b"/") + self._parcel.target,
            "trace": self._note_line,
        }
        return httpx.Request(self._parcel.method, self._base, headers=headers, stream=self, extensions=extensions)

    @property
    def _is_chunked(self) -> bool:
        return self._parcel.chunks is not None and self._parcel.length is None

    async def _note_line(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._line = info["return_value"]

    async def _send(self, chunks: AsyncIterator[bytes], line: httpcore.AsyncNetworkStream) -> None:
        async for chunk in chunks:
            if chunk:
                await line.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._is_chunked else chunk)
                self._let_wait(PAUSE_S)
        if self._is_chunked:
            await line.write(b"0\r\n\r\n")

    def _sent(self, upload: asyncio.Task[None]) -> None:
        """An upstream that stops reading may still have something to say; a caller who stops sending has not."""
        error = None if upload.cancelled() else upload.exception()
        if error is not None and not isinstance(error, httpcore.NetworkError):
            self._fault = error
            self._let_wait(0)

    def _let_wait(self, seconds: float) -> None:
        """From now on; the step that waits may have had its time already."""
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _while_moving(self, step: Awaitable[Result]) -> Result:
        """A step of the answer, for which there is time while bytes move, up or down."""
        try:
            async with asyncio.timeout(PAUSE_S if self._fault is None else 0) as self._limit:
                return await step
        except TimeoutError:
            raise self._fault or httpx.ReadTimeout("nothing moved") from None
        finally:
            self._limit = None

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        pieces = response.aiter_raw()
        try:
            while (piece := await self._while_moving(anext(pieces, None))) is not None:
                yield piece
        except (httpx.HTTPError, OSError):
            raise errors.LookFailed("the upstream's answer broke off", row="T10") from None


async def _masked(chunks: AsyncIterator[bytes], secret: bytes) -> AsyncIterator[bytes]:
    """The same number of bytes, with stars for a secret. What may be the beginning of one waits for its end."""
    held = b""
    async for chunk in chunks:
        text = (held + chunk).replace(secret, b"*" * len(secret))
        cut = len(text) - _overlap(text, secret)
        held = text[cut:]
        if cut:
            yield text[:cut]
    if held:
        yield held


def _overlap(text: bytes, secret: bytes) -> int:
    """How many of the last bytes of a text are the first ones of a secret."""
    longest = min(len(text), len(secret) - 1)
    return next((length for length in range(longest, 0, -1) if secret.startswith(text[-length:])), 0)


async def _exchange(transport: httpx.AsyncBaseTransport, upstream: Upstream, key_id: str, call: Call) -> Reply:
    """One call, one reply, within the upstream's time-outs. A body that broke off is kept, and says so."""
    limits = upstream.timeouts
    headers = {
        "authorization": f"Bearer {upstream.secrets[key_id]()}",
        "accept": "application/json",
        "accept-encoding": "identity",
        **({"content-type": "application/json"} if call.body is not None else {}),
        **call.headers,
    }
    timeout = httpx.Timeout(limits.read_s, connect=limits.connect_s).as_dict()
    request = httpx.Request(call.method, call.url, content=call.body, headers=headers, extensions={"timeout": timeout})
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.total_s
    try:
        async with asyncio.timeout_at(deadline):
            response = await transport.handle_async_request(request)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # OSError: time-outs, and TLS that breaks in between
        raise _judge_transport(error) from None
    body, is_whole = bytearray(), True
    try:
        async with asyncio.timeout_at(deadline):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > REPLY_BYTES_MAX:
                    is_whole = False
                    break
    except (httpx.HTTPError, OSError):
        is_whole = False
    finally:
        await response.aclose()
    text, is_plain = _plain(bytes(body[:REPLY_BYTES_MAX]), response.headers.get("content-encoding", ""))
    # An upstream that quotes our key in an error must not show it to a caller, a log or the database.
    text = text.replace(upstream.secrets[key_id]().encode(), b"***")
    return Reply(response.status_code, response.headers, text, is_whole and is_plain)


def _plain(body: bytes, encoding: str) -> tuple[bytes, bool]:
    """A body without the compression that nobody asked for, within the cap, and whether all of it could be read."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body, True
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return b"", False
    inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, as its header says
    try:
        return inflater.decompress(body, REPLY_BYTES_MAX), inflater.eof
    except zlib.error:
        return b"", False


def _judge_transport(error: Exception) -> errors.UpstreamError:
    """T1–T13 by exception: what is not listed as proof is doubt."""
    for kind, row in NOTHING_SENT:
        if isinstance(error, kind):
            if _caused_by(error, ssl.SSLError, but_not=_TLS_UNFINISHED):
                return errors.Distrusted("no trusted connection to the upstream came about", row="T4")
            row = "T1" if _caused_by(error, socket.gaierror) else row
            return errors.Unreachable("no connection to the upstream came about", row=row)
    for kind, row in MAYBE_SENT:
        if isinstance(error, kind):
            return errors.InDoubt("the connection to the upstream broke before an answer", row=row)
    return errors.InDoubt("the call to the upstream ended without an answer", row="T9")


NOTHING_SENT: Sequence[tuple[type[Exception], str]] = (
    (httpx.ConnectTimeout, "T3"),
    (httpx.ConnectError, "T2"),
    (httpx.PoolTimeout, "T5"),
)
MAYBE_SENT: Sequence[tuple[type[Exception], str]] = (
    (httpx.WriteError, "T6"),
    (httpx.WriteTimeout, "T6"),
    (httpx.ReadTimeout, "T9"),
    (httpx.ReadError, "T7"),
    (httpx.RemoteProtocolError, "T7"),
)


# How a handshake waits, and how it ends when the other side just leaves: that says nothing about trust.
_TLS_UNFINISHED = (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError)


def _caused_by(
    error: BaseException | None, kind: type[BaseException], *, but_not: tuple[type[BaseException], ...] = ()
) -> bool:
    while error is not None:
        if isinstance(error, kind) and not isinstance(error, but_not):
            return True
        error = error.__cause__ or error.__context__
    return False


def _no_route(blocks: Sequence[Blocked]) -> errors.GatewayError:
    """Rate before rest before keys: the mildest cause is the one that time mends (CONTRACT section 7)."""
    for cause, error, words in _BLOCKED:
        rests = [block.retry_after_s or 0.0 for block in blocks if block.cause is cause]
        if rests:
            return error(words, retry_after=math.ceil(min(rests)) or 1)
    return errors.Unavailable("no usable upstream credential")


_BLOCKED: Sequence[tuple[Cause, type[errors.GatewayError], str]] = (
    (Cause.RATE, errors.TooFast, "every upstream key rests for rate or is full"),
    (Cause.REST, errors.Resting, "the upstream rests after it failed"),
)
