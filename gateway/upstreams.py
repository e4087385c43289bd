"""The upstreams: who may carry a request, the submit itself, the looks and the films.

A paid submit uses a fresh connection, because a stale one that dies is indistinguishable from "executed, then died";
free calls keep theirs. Keys are chosen, and taught by every answer, here; sockets are `transport.py`'s.
"""

import math
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import perf_counter

import httpx

from gateway import errors
from gateway.catalog import Model, matches
from gateway.crossing import Crossing, Parcel, Passed
from gateway.errors import Problem
from gateway.keys import Blocked, Cause, KeyPool, KeySight, KeyState
from gateway.providers.protocol import Provider, Site
from gateway.transport import Timeouts, exchange, fresh
from gateway.video import Look, Offer, Receipt, Route, Task, VideoRequest
from gateway.wire import Call, CallRecord, Reply, Send

UPSTREAMS_MAX = 3  # for one request: the first and at most two more, however many are configured
FILM_REDIRECTS_MAX = 3  # a storage front or two
_ANY_MODEL = ""  # what is passed on is not read, so no key is barred for it


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
    charges_failures: bool = False
    """A generation that failed is paid for all the same."""
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

    def has_room(self, model: Model) -> bool:
        """Whether some key that sells the model could take a submit now."""
        now = self._clock()
        return any(upstream.pool.is_open(model.name, now) for upstream in self.sellers(model))

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

    def why(self, request: VideoRequest, model: Model, route: Route) -> str:
        """Why a request takes this route, for the person who asks."""
        sellers = self.sellers(model)
        able = [upstream for upstream in sellers if not upstream.provider.unsayable(request)]
        chosen = self._by_name[route.upstream]
        return (
            f"{len(sellers)} of the configured upstreams sell {model.name}, {len(able)} of them can say all of this "
            f"request; {chosen.name} has priority {chosen.priority}, weight {chosen.weight}, "
            f"{chosen.pool.live_tasks()} tasks in flight and a usable key"
        )

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

    def charges_failures(self, name: str) -> bool:
        """Whether this upstream is paid for a generation that failed."""
        upstream = self._by_name.get(name)
        return upstream is not None and upstream.charges_failures

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
        crossing = Crossing(
            upstream.site.base_url,
            upstream.secrets[route.key_id](),
            parcel,
            connect_s=upstream.timeouts.connect_s,
            trust=self._trust,
        )
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

    def sights(self) -> Iterable[tuple[Upstream, list[KeySight]]]:
        """Every upstream and its keys, as they stand."""
        now = self._clock()
        return [(upstream, list(upstream.pool.sights(now))) for upstream in self._by_name.values()]

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
        """Lower priority first; within one priority whoever has the fewest tasks in flight for its weight, and among
        those a smooth weighted rotation."""
        ordered: list[Upstream] = []
        for priority in sorted({upstream.priority for upstream in upstreams}):
            equals = [upstream for upstream in upstreams if upstream.priority == priority]
            for upstream in equals:
                self._turn[upstream.name] += upstream.weight
            equals.sort(key=lambda upstream: self._turn[upstream.name], reverse=True)
            equals.sort(key=lambda upstream: upstream.pool.live_tasks() / upstream.weight)
            self._turn[equals[0].name] -= sum(upstream.weight for upstream in equals)
            ordered += equals
        return ordered

    async def _send_paid(self, upstream: Upstream, key_id: str, call: Call) -> Reply:
        started = perf_counter()
        outcome = "doubt"
        try:
            async with fresh(self._trust) as transport:
                reply = await exchange(transport, call, upstream.secrets[key_id](), upstream.timeouts)
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
            reply = await exchange(self._free, call, upstream.secrets[key_id](), upstream.timeouts)
            outcome = f"{reply.status // 100}xx"
        except errors.UpstreamError as error:
            raise errors.LookFailed(error.message, row="P") from None
        finally:
            self._on_call(CallRecord(upstream.name, key_id, call.operation, outcome, perf_counter() - started))
        return reply


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
