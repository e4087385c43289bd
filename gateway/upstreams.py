"""The upstreams: who may carry a request, the submit itself, and the looks.

A paid submit uses a fresh connection, because a stale one that dies is indistinguishable from "executed, then died";
free calls keep theirs. Keys are chosen, and taught by every answer, here; sockets are `transport.py`'s.

A place on a key goes from hand to hand: it is taken by `choose`, is the task's once that is `opened`, and free again
when the task is `refused` or `finished`; or it is `unused`. What other processes do with the keys is `heard`.
"""

import asyncio
import hashlib
import hmac
import math
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from time import perf_counter
from typing import Any

import httpx

from gateway import errors, paid_call
from gateway.camera import Literals, render
from gateway.catalog import Model, matches
from gateway.crossing import Crossing, Parcel, Passed
from gateway.errors import Problem
from gateway.keys import PENDING_S, Blocked, Cause, KeyPool, KeySight, KeyState, Limit, Rest, Standing
from gateway.providers.protocol import Provider, Site
from gateway.structs import Struct, field, replace
from gateway.transport import FOREIGN, Timeouts, exchange, headers_of, judge_transport, read_reply
from gateway.video import Look, Offer, Receipt, Route, Task, VideoRequest
from gateway.wire import Call, CallRecord, Reply, Send, trust

UPSTREAMS_MAX = 3  # for one request: the first and at most two more, however many are configured
_ANY_MODEL = ""  # what is passed on is not read, so no key is barred for it


class Upstream(Struct, frozen=True):
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
    camera_commands: Literals = "as-is"
    """The literals in which it is given the camera commands of a prompt."""
    timeouts: Timeouts = field(default_factory=Timeouts)

    def sells(self, model: Model) -> bool:
        if self.models is None:
            return self.provider.NAME in model.sold_by
        return matches(model.name, self.models)

    def owns(self, link: str | None) -> bool:
        """Whether a film's link lies below the upstream's own address, and so may need its key (FACTS 3.4)."""
        return link is not None and link.startswith(self.site.base_url + "/")

    def in_its_words(self, request: VideoRequest) -> VideoRequest:
        """The request with its camera commands in the literals that this upstream gets."""
        if self.camera_commands == "as-is" or request.prompt is None:
            return request
        return replace(request, prompt=render(request.prompt, self.camera_commands))

    def unsayable(self, request: VideoRequest, model: Model) -> list[Problem]:
        """What of a request it cannot be told, under canonical names."""
        problems = self.provider.unsayable(request)
        length = len(self.in_its_words(request).prompt or "")
        if length > model.prompt_characters_max:
            rule = (
                f"with its camera commands spelt out as they are sent, the prompt has {length} characters; "
                f"{model.name} takes at most {model.prompt_characters_max}"
            )
            problems = [*problems, Problem("prompt", rule)]
        return problems


class Upstreams:
    """All upstreams: who may carry a request, the submit itself, the looks, and what is passed on."""

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
        self._credentials: Mapping[Route, str] = {}
        self._refused: dict[int, float] = {}
        """Task → since when its place is free although storage may still count it."""
        self._counts: dict[int, dict[int, Route | None]] = {}
        """Under way: task → where it went since storage was asked."""
        self._news = asyncio.Event()
        # Transports, not clients: a client would carry cookies from one key's answers to another key's calls.
        # Each upstream has its own, so that one which answers late keeps no connection from another's calls.
        self._free: dict[str, httpx.AsyncHTTPTransport] = {}

    async def close(self) -> None:
        for transport in self._free.values():
            await transport.aclose()

    def sellers(self, model: Model) -> list[Upstream]:
        return [upstream for upstream in self._by_name.values() if upstream.sells(model)]

    def on_sale(self, models: Iterable[Model], patterns: Collection[str] = ("*",)) -> list[Model]:
        """Those of them that somebody here sells and whose names fit one of the patterns."""
        return [model for model in models if self.sellers(model) and matches(model.name, patterns)]

    def unsayable(self, request: VideoRequest, model: Model) -> list[Problem]:
        """Empty when some seller of the model can say all of the request; else what the first of them cannot."""
        gaps = [upstream.unsayable(request, model) for upstream in self.sellers(model)]
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
            if (upstream.name in known or len(known) < UPSTREAMS_MAX) and not upstream.unsayable(request, model)
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

    def foresee(self, request: VideoRequest, model: Model) -> tuple[str, errors.TooFast | None]:
        """The upstream that `choose` would choose now, and nothing changes. Where all keys are busy, the one that would
        be chosen when there is room, and the refusal.

        Raises Unavailable where time alone does not help.
        """
        now, turn = self._clock(), dict(self._turn)
        able = self._in_turn([upstream for upstream in self.sellers(model) if not upstream.unsayable(request, model)])
        self._turn = turn
        for upstream in able:
            if upstream.pool.is_open(model.name, now):
                return upstream.name, None
        blocks = [(upstream, upstream.pool.choose(model.name, now)) for upstream in able]  # a key would be a turn
        refusal = _no_route([block for _, block in blocks if isinstance(block, Blocked)])
        if not isinstance(refusal, errors.TooFast):
            raise refusal
        busy = (up.name for up, block in blocks if isinstance(block, Blocked) and block.cause is Cause.RATE)
        return next(busy), refusal

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
        """A place that was taken and not used: nothing was written down."""
        self._by_name[route.upstream].pool.untake(route.key_id)

    def opened(self, task: Task) -> None:
        """The place that was taken for this task is its own now that the intention is durable."""
        self.finished(task)  # on the route before this one, if there was any
        self._note(task.id, Route(task.upstream, task.key_id))
        self._by_name[task.upstream].pool.opened(task.key_id, task.id)

    def refused(self, task: Task) -> None:
        """Surely not accepted: its place is free at once, although storage learns of that with the next step only."""
        self._refused[task.id] = self._clock()
        self._leave(task.id)

    def rest_s(self, name: str) -> int | None:
        """Seconds until an upstream that rests may be called again; None when it does not rest."""
        return self._by_name[name].pool.rest_s(self._clock())

    def why(self, request: VideoRequest, model: Model, name: str) -> str:
        """Why a request goes to this upstream, for the person who asks."""
        sellers = self.sellers(model)
        able = [upstream for upstream in sellers if not upstream.unsayable(request, model)]
        chosen = self._by_name[name]
        key = "a usable key" if chosen.pool.is_open(model.name, self._clock()) else "no key with room just now"
        return (
            f"{len(sellers)} of the configured upstreams sell {model.name}, {len(able)} of them can say all of this "
            f"request; {chosen.name} has priority {chosen.priority}, weight {chosen.weight}, "
            f"{chosen.pool.live_tasks()} tasks in flight and {key}"
        )

    def call_for(self, request: VideoRequest, offer: Offer, name: str) -> Call:
        """The canonical call of a request to an upstream, without its credential."""
        upstream = self._by_name[name]
        return upstream.provider.submission(upstream.in_its_words(request), offer, upstream.site)

    async def submit(self, request: VideoRequest, offer: Offer, route: Route) -> Receipt:
        """Order the video on this route, once. Raises Refused or InDoubt, after the keys have learnt from it."""
        upstream = self._by_name[route.upstream]
        send = partial(self._send_paid, upstream, route.key_id)
        try:
            told = upstream.in_its_words(request)
            receipt = await upstream.provider.submit(told, offer, upstream.site, send, self._clock())
        except errors.UpstreamError as error:
            self._learn(upstream, route.key_id, error, offer.model)
            if isinstance(error, errors.Unreachable | errors.Distrusted):
                upstream.pool.unsent(route.key_id)  # it is none of the minute's submits
            raise
        self._accepted(upstream, route.key_id)
        return receipt

    async def look(self, task: Task) -> Look:
        """One free look at a task, with the key that submitted it. Raises LookFailed when nothing was learnt."""
        upstream, upstream_id, send = self._holder(task)
        return await upstream.provider.poll(upstream_id, upstream.site, send)

    def id_in_callback(self, task: Task, body: Mapping[str, Any]) -> str | None:
        """What the task's upstream calls it in a callback, where it can be asked about it by that name."""
        upstream = self._by_name.get(task.upstream)
        return None if upstream is None else upstream.provider.id_in_callback(body)

    async def locate(self, task: Task) -> str | None:
        """A fresh link to a finished film; None when the upstream no longer keeps it. Raises LookFailed."""
        upstream, upstream_id, send = self._holder(task)
        return await upstream.provider.locate(upstream_id, upstream.site, send)

    def link_life_s(self, task: Task) -> int:
        """How long a caller can use the task's link; 0 when it needs our key, or its upstream is not configured."""
        upstream = self._by_name.get(task.upstream)
        return 0 if upstream is None or upstream.owns(task.link) else upstream.provider.LINK_LIFE_S

    def reports_progress(self, name: str) -> bool:
        """Whether this upstream's answers say how far a task is."""
        upstream = self._by_name.get(name)
        return upstream is not None and upstream.provider.REPORTS_PROGRESS

    def charges_failures(self, name: str) -> bool:
        """Whether this upstream is paid for a generation that failed."""
        upstream = self._by_name.get(name)
        return upstream is not None and upstream.charges_failures

    def finished(self, task: Task) -> None:
        """A task came to its end, or back into the queue: its key has room again."""
        self._refused.pop(task.id, None)
        self._leave(task.id)

    def adopt(self, task: Task) -> None:
        """A task that was given up is in flight again."""
        self._note(task.id, Route(task.upstream, task.key_id))
        upstream = self._by_name.get(task.upstream)
        if upstream is not None and task.key_id in upstream.secrets:
            upstream.pool.occupy(task.key_id, task.id)

    async def recheck_keys(self) -> None:
        """Ask, by a free call, for keys that were refused or empty; those that are good again come back."""
        for upstream in self._by_name.values():
            for key_id in upstream.pool.needing_check(self._clock()):
                try:
                    funds = await upstream.provider.balance(upstream.site, partial(self._send_free, upstream, key_id))
                except errors.LookFailed:
                    continue
                if funds is not None and not funds.is_empty:
                    upstream.pool.recover(key_id, self._clock())
                    self._tell(upstream)

    # --- the other processes ------------------------------------------------------------------------------------------

    def mark_credentials(self, salt: bytes) -> None:
        """From now on what is learnt of a key itself is learnt of its secret: with another one it is a new key."""
        self._credentials = {
            Route(upstream.name, key_id): hmac.new(salt, secret().encode(), hashlib.sha256).hexdigest()
            for upstream in self._by_name.values()
            for key_id, secret in upstream.secrets.items()
        }

    async def news(self, within_s: float) -> None:
        """Until something is learnt that the others should know, or for this long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()
        self._news.clear()

    def untold(self) -> list[tuple[str, Rest]]:
        """What was learnt here, by upstream, and the other processes do not know yet."""
        return [
            (upstream.name, replace(rest, credential=self._credential(upstream.name, rest)))
            for upstream in self._by_name.values()
            for rest in upstream.pool.untold()
        ]

    def told(self, rests: Iterable[tuple[str, Rest]]) -> None:
        """The others know this now."""
        for name, rest in rests:
            self._by_name[name].pool.told([rest])

    def limit(self, route: Route) -> Limit | None:
        """What the key may have at once, all processes together; None: as much as it likes."""
        return self._by_name[route.upstream].pool.limit(route.upstream, route.key_id)

    def limited(self) -> list[Route]:
        """The keys whose submits of a minute count."""
        return [
            Route(upstream.name, key_id) for upstream in self._by_name.values() for key_id in upstream.pool.limited()
        ]

    @contextmanager
    def hearing(self) -> Iterator[Callable[[Standing], None]]:
        """Ask storage inside, and hand over how it says that things stand.

        What happens to tasks here meanwhile may or may not be in the answer, and is newer than it.
        """
        moved: dict[int, Route | None] = {}
        self._counts[id(moved)] = moved
        try:
            yield partial(self._hear, moved)
        finally:
            del self._counts[id(moved)]

    def has_key(self, route: Route) -> bool:
        """Whether a task on this route can be asked about."""
        upstream = self._by_name.get(route.upstream)
        return upstream is not None and route.key_id in upstream.secrets

    def account_of(self, route: Route) -> str | None:
        """The account of a key; None where there is no such key."""
        return self._by_name[route.upstream].pool.account_of(route.key_id) if self.has_key(route) else None

    def film_access(self, task: Task) -> tuple[Mapping[str, str], str | None]:
        """What opens a task's link: the headers with our key, where it needs one; and the address of the upstream that
        gave it, None where that is no longer configured."""
        upstream = self._by_name.get(task.upstream)
        if upstream is None:
            return {}, None
        if not upstream.owns(task.link) or task.key_id not in upstream.secrets:
            return {}, upstream.site.base_url
        return {"authorization": f"Bearer {upstream.secrets[task.key_id]()}"}, upstream.site.base_url

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
        self._learn(self._by_name[route.upstream], route.key_id, refusal, _ANY_MODEL)

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
        )
        try:
            passed = await crossing.open()
            outcome = f"{passed.status // 100}xx"
            if passed.status < 400:
                self._accepted(upstream, route.key_id)
            yield passed
        except errors.UpstreamError as error:
            outcome = error.code
            if isinstance(error, errors.Refused):
                self._learn(upstream, route.key_id, error, _ANY_MODEL)
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

    def takes_creates(self, models: Collection[Model]) -> bool:
        """Whether some key is usable for one of these models, and at most busy. Where none is, every create of them is
        answered 503."""
        now = self._clock()
        return any(
            upstream.pool.is_usable(name, now)
            for upstream in self._by_name.values()
            for name in [model.name for model in models if upstream.sells(model)] or [_ANY_MODEL]
        )

    def _holder(self, task: Task) -> tuple[Upstream, str, Send]:
        """Who to ask about a task, with the key that submitted it."""
        upstream = self._by_name.get(task.upstream)
        if upstream is None or task.key_id not in upstream.secrets or task.upstream_id is None:
            raise errors.LookFailed("the upstream or key of this task is no longer configured", row="P")
        return upstream, task.upstream_id, partial(self._send_free, upstream, task.key_id)

    def _hear(self, moved: Mapping[int, Route | None], standing: Standing) -> None:
        now = self._clock()
        # Where storage never heard of a refusal, the task is in doubt there, and has its place back after a while.
        self._refused = {task_id: at for task_id, at in self._refused.items() if now - at < PENDING_S}
        in_flight: dict[str, dict[int, str]] = {name: {} for name in self._by_name}
        for task_id, route in {**standing.in_flight, **moved}.items():
            if route is not None and route.upstream in in_flight and task_id not in self._refused:
                in_flight[route.upstream][task_id] = route.key_id
        for name, upstream in self._by_name.items():
            submits = {route.key_id: at for route, at in standing.submits.items() if route.upstream == name}
            upstream.pool.count(in_flight[name], submits, now)
            rests = [rest for of, rest in standing.rests if of == name]
            # With another secret than somebody learnt it with, the key is another one.
            upstream.pool.hear(rest for rest in rests if rest.credential == self._credential(name, rest))

    def _credential(self, name: str, rest: Rest) -> str:
        return self._credentials.get(Route(name, rest.of), "") if rest.is_of_key else ""

    def _note(self, task_id: int, route: Route | None) -> None:
        for moved in self._counts.values():
            moved[task_id] = route

    def _leave(self, task_id: int) -> None:
        self._note(task_id, None)
        for upstream in self._by_name.values():
            upstream.pool.leave(task_id)

    def _learn(self, upstream: Upstream, key_id: str, error: errors.UpstreamError, model: str) -> None:
        upstream.pool.learn(key_id, error, model, self._clock())
        self._tell(upstream)

    def _accepted(self, upstream: Upstream, key_id: str) -> None:
        upstream.pool.accepted(key_id, self._clock())
        self._tell(upstream)

    def _tell(self, upstream: Upstream) -> None:
        if upstream.pool.has_news:
            self._news.set()

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
            reply = await self._pay(call, upstream.secrets[key_id](), upstream.timeouts)
            outcome = f"{reply.status // 100}xx"
        except errors.UpstreamError as error:
            outcome = error.code
            raise
        finally:
            self._on_call(CallRecord(upstream.name, key_id, call.operation, outcome, perf_counter() - started))
        return reply

    async def _pay(self, call: Call, secret: str, limits: Timeouts) -> Reply:
        try:
            answer = await paid_call.send_once(call, headers_of(call, secret), limits)
        except FOREIGN as error:
            raise judge_transport(error) from None
        return read_reply(answer.status, answer.headers, answer.body, answer.is_whole, secret)

    def _kept(self, name: str) -> httpx.AsyncHTTPTransport:
        """The connections of free calls to this upstream."""
        transport = self._free.get(name)
        if transport is None:
            transport = self._free[name] = httpx.AsyncHTTPTransport(verify=trust(), trust_env=False)
        return transport

    async def _send_free(self, upstream: Upstream, key_id: str, call: Call) -> Reply:
        """As `_send_paid`, on kept connections; a failure teaches nothing."""
        started = perf_counter()
        outcome = "look_failed"
        try:
            reply = await exchange(self._kept(upstream.name), call, upstream.secrets[key_id](), upstream.timeouts)
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
