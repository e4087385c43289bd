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
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import httpx

from gateway import errors
from gateway.catalog import Model, matches
from gateway.errors import Problem
from gateway.keys import Blocked, Cause, KeyPool, KeyState
from gateway.providers.protocol import Provider, Site
from gateway.video import Look, Offer, Receipt, Route, Task, VideoRequest
from gateway.wire import Call, CallRecord, Reply

REPLY_BYTES_MAX = 1 << 20  # a task object has some hundred bytes; FAILURES section 1
FILM_REDIRECTS_MAX = 3  # a storage front or two


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


@dataclass(frozen=True, slots=True)
class Film:
    """A film on its way: status, the headers that matter, and its bytes as they come."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Upstreams:
    """All upstreams: who may carry a request, the submit itself, the looks, and the films."""

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
        trust = ssl.create_default_context()
        # No keep-alive: see the module's policy. The pool itself is unbounded, because the callers of `submit` are.
        fresh = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self._paid = httpx.AsyncClient(verify=trust, trust_env=False, limits=fresh, follow_redirects=False)
        self._free = httpx.AsyncClient(verify=trust, trust_env=False, follow_redirects=False)
        self._films = httpx.AsyncClient(
            verify=trust, trust_env=False, follow_redirects=True, max_redirects=FILM_REDIRECTS_MAX
        )

    async def close(self) -> None:
        for client in (self._paid, self._free, self._films):
            await client.aclose()

    def sellers(self, model: Model) -> list[Upstream]:
        return [upstream for upstream in self._by_name.values() if upstream.sells(model)]

    def unsayable(self, request: VideoRequest, model: Model) -> list[Problem]:
        """Empty when some seller of the model can say all of the request; else what the first of them cannot."""
        gaps = [upstream.provider.unsayable(request) for upstream in self.sellers(model)]
        return min(gaps, key=len, default=[])

    def choose(
        self, request: VideoRequest, model: Model, *, tried: Sequence[Route] = (), elsewhere: bool = False
    ) -> Route:
        """The route a request takes next: by priority, then weight, among those that can say it and have a key.

        Takes a place on the key at once, so that creates which arrive together cannot all count on the same one.
        `tried` are the routes this request was refused on; `elsewhere` leaves out their upstreams altogether.
        Raises TooFast when a key only rests for rate or is full, Unavailable for any other cause.
        """
        now = self._clock()
        left_out = {route.upstream for route in tried} if elsewhere else set()
        able = [
            upstream
            for upstream in self.sellers(model)
            if upstream.name not in left_out and not upstream.provider.unsayable(request)
        ]
        blocks: list[Blocked] = []
        for upstream in self._in_turn(able):
            without = {route.key_id for route in tried if route.upstream == upstream.name}
            key = upstream.pool.choose(model.name, now, without=without)
            if isinstance(key, str):
                upstream.pool.take(key, now)
                return Route(upstream.name, key)
            blocks.append(key)
        raise _no_route(blocks)

    def reuse(self, route: Route) -> None:
        """Take a place for the same route once more."""
        self._by_name[route.upstream].pool.take(route.key_id, self._clock())

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
            if error.spent is errors.Spent.NO:
                upstream.pool.give_back(route.key_id)
            raise
        upstream.pool.accepted(route.key_id)
        return receipt

    async def look(self, task: Task) -> Look:
        """One free look at a task, with the key that submitted it. Raises LookFailed when nothing was learnt."""
        upstream = self._by_name.get(task.upstream)
        if upstream is None or task.key_id not in upstream.secrets or task.upstream_id is None:
            raise errors.LookFailed("the upstream or key of this task is no longer configured", row="P")
        return await upstream.provider.poll(
            task.upstream_id, upstream.site, partial(self._send_free, upstream, task.key_id)
        )

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
    async def film(self, link: str, *, byte_range: str | None = None) -> AsyncIterator[Film]:
        """The film behind an upstream's link, unbuffered. Raises LookFailed when it cannot be reached."""
        headers = {"accept-encoding": "identity"} | ({"range": byte_range} if byte_range else {})
        timeout = httpx.Timeout(60.0, connect=5.0)
        request = self._films.build_request("GET", link, headers=headers, timeout=timeout)
        try:
            response = await self._films.send(request, stream=True)
        except httpx.HTTPError:
            raise errors.LookFailed("the film could not be fetched", row="P") from None
        try:
            yield Film(response.status_code, response.headers, response.aiter_raw())
        finally:
            await response.aclose()

    def key_states(self) -> Iterable[tuple[str, str, KeyState]]:
        now = self._clock()
        for upstream in self._by_name.values():
            for key_id, state in upstream.pool.states(now):
                yield upstream.name, key_id, state

    def any_key_usable(self) -> bool:
        """Whether some key could take a create, now or after a short rest for rate."""
        return any(state in (KeyState.OK, KeyState.RESTING, KeyState.BARRED) for _, _, state in self.key_states())

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
            reply = await _exchange(self._paid, upstream, key_id, call)
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


async def _exchange(client: httpx.AsyncClient, upstream: Upstream, key_id: str, call: Call) -> Reply:
    """One call, one reply, within the upstream's time-outs. A body that broke off is kept, and says so."""
    limits = upstream.timeouts
    headers = {
        "authorization": f"Bearer {upstream.secrets[key_id]()}",
        "accept": "application/json",
        "accept-encoding": "identity",
        **({"content-type": "application/json"} if call.body is not None else {}),
        **call.headers,
    }
    timeout = httpx.Timeout(limits.read_s, connect=limits.connect_s)
    request = client.build_request(call.method, call.url, content=call.body, headers=headers, timeout=timeout)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.total_s
    try:
        async with asyncio.timeout_at(deadline):
            response = await client.send(request, stream=True)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise _judge_transport(error) from None
    body, is_whole = bytearray(), "content-encoding" not in response.headers
    try:
        async with asyncio.timeout_at(deadline):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > REPLY_BYTES_MAX:
                    is_whole = False
                    break
    except (httpx.HTTPError, TimeoutError):
        is_whole = False
    finally:
        await response.aclose()
    return Reply(response.status_code, response.headers, bytes(body[:REPLY_BYTES_MAX]), is_whole)


def _judge_transport(error: Exception) -> errors.UpstreamError:
    """T1–T13 by exception: what is not listed as proof is doubt."""
    for kind, row in _NOTHING_SENT:
        if isinstance(error, kind):
            if _caused_by(error, ssl.SSLError):
                return errors.Distrusted("no trusted connection to the upstream came about", row="T4")
            row = "T1" if _caused_by(error, socket.gaierror) else row
            return errors.Unreachable("no connection to the upstream came about", row=row)
    for kind, row in _MAYBE_SENT:
        if isinstance(error, kind):
            return errors.InDoubt("the connection to the upstream broke before an answer", row=row)
    return errors.InDoubt("the call to the upstream ended without an answer", row="T9")


_NOTHING_SENT: Sequence[tuple[type[Exception], str]] = (
    (httpx.ConnectTimeout, "T3"),
    (httpx.ConnectError, "T2"),
    (httpx.PoolTimeout, "T5"),
)
_MAYBE_SENT: Sequence[tuple[type[Exception], str]] = (
    (httpx.WriteError, "T6"),
    (httpx.WriteTimeout, "T6"),
    (httpx.ReadTimeout, "T9"),
    (httpx.ReadError, "T7"),
    (httpx.RemoteProtocolError, "T7"),
)


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
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
