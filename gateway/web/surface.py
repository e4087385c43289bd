"""What every request passes on its way in and out: timing, the one place that renders errors, metrics, the log line."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from time import perf_counter, time
from typing import Any, TypeVar

from starlette.types import Message, Receive, Scope, Send

from gateway import jsontext, logs
from gateway.deadline import Deadline
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Action
from gateway.errors import GatewayError, Internal, UnknownKey, UnmetRange, WrongMethod
from gateway.headers import HeaderList
from gateway.metrics import Metrics
from gateway.structs import Struct, replace
from gateway.web.exchange import Answer, Exchange, Handler, Ready, ReadyHandler, Stream
from gateway.web.tasks import headers_of

log = logging.getLogger("reelgate.web")

Result = TypeVar("Result")

Whole = tuple[int, bytes, bytes]
"""Status, header lines and body of an answer, for a server that says itself how long it is."""

_BODILESS = frozenset({204, 304})  # say nothing of a body either


class ClientGone(Exception):
    """The client left before its request was read: there is nobody to answer."""


class Way(Struct, frozen=True):
    """What one method of a path leads to. `speakers` are the dialects that claim it, none where all may."""

    handler: Handler
    action: Action = Action.OTHER
    speakers: tuple[str, ...] = ()
    refuse: Callable[[GatewayError], Answer] | None = None
    """How its errors are answered where no dialect is spoken."""
    at_once: ReadyHandler | None = None
    """What is asked first, where the server knows how."""
    says_retry: bool = False
    """Its errors say in `x-should-retry` whether a repeat can help, because a repeat may cost money."""


class Surface:
    """An ASGI application for one path: a way per method, and what surrounds them."""

    def __init__(
        self,
        template: str,
        ways: Mapping[str, Way],
        *,
        metrics: Metrics,
        default_dialect: str,
        look_again: Callable[[], Awaitable[None]],
    ) -> None:
        """`look_again` asks storage for a key that this process does not know."""
        self._template = template
        self._ways = ways
        self._metrics = metrics
        self._default_dialect = default_dialect
        self._look_again = look_again

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive)
        status = 500
        try:
            answer = await self._answer(exchange)
            status = answer.status
            await _deliver(answer, exchange, send)
        except ClientGone:
            status = 499  # the usual word in logs for a client that left
        except GatewayError as error:  # in the middle of an answer: left unfinished, so that nobody takes it for whole
            self._metrics.error(error)
            log.warning("request %s: the answer broke off: %s", exchange.request_id, error.message)
        finally:
            self._record(exchange, status)

    def at_once(self, scope: Scope) -> Whole | None:
        """The answer to a request without a body, where memory alone has it; else None, and nothing has happened."""
        way = self._ways.get(scope["method"])
        if way is None or way.at_once is None:
            return None
        exchange = Exchange(scope, nothing_more)
        try:
            ready = way.at_once(exchange)
        except Exception:  # told where everything is told, by the way that answers all else
            return None
        if ready is None:
            return None
        self._record(exchange, ready.answer.status)
        return _whole(ready, exchange)

    def refuse(self, exchange: Exchange, error: GatewayError) -> Whole:
        """An answer to a request that the server refused before it was one. The status is the error's own, whatever the
        dialect's habit: proxies go by it."""
        answer = replace(self._refuse(exchange, error), status=error.status)
        self._record(exchange, answer.status)
        return _whole(Ready.of(answer), exchange)

    async def _answer(self, exchange: Exchange) -> Answer | Stream:
        try:
            handler = self._way(exchange.method).handler
            try:
                return await handler(exchange)
            except UnknownKey:  # handlers ask for the key before they do anything
                await self._look_again()
                return await handler(exchange)
        except GatewayError as error:
            return self._refuse(exchange, error)
        except ClientGone:
            raise
        except Exception:  # nothing else stands between a bug and the client
            log.exception("request %s ended with a bug", exchange.request_id)
            return self._refuse(exchange, Internal("internal error; the request id finds it in the gateway's log"))

    def _way(self, method: str) -> Way:
        way = self._ways.get(method)
        if way is None:
            raise WrongMethod(f"this path answers {', '.join(self._ways)} only")
        return way

    def _refuse(self, exchange: Exchange, error: GatewayError) -> Answer:
        self._metrics.error(error)
        way = self._ways.get(exchange.method) or next(iter(self._ways.values()))
        answer = way.refuse(error) if way.refuse is not None else self._refuse_in_dialect(exchange, way, error)
        headers: HeaderList = [*answer.headers]
        if exchange.task is not None:  # known to the exchange only once its caller may see it
            headers += headers_of(exchange.task, is_for_caller=exchange.caller is not None)
        if way.says_retry or way.action is Action.CREATE:
            headers.append((b"x-should-retry", b"true" if error.repeat else b"false"))
        if error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % error.retry_after))
        if isinstance(error, WrongMethod):
            headers.append((b"allow", ", ".join(self._ways).encode()))
        if isinstance(error, UnmetRange):
            answer = replace(answer, status=error.status)
            if error.whole_bytes is not None:
                headers.append((b"content-range", b"bytes */%d" % error.whole_bytes))
        return replace(answer, headers=headers)

    def _refuse_in_dialect(self, exchange: Exchange, way: Way, error: GatewayError) -> Answer:
        exchange.dialect = exchange.dialect or self._likely_dialect(exchange, way.speakers)
        status, body = DIALECTS[exchange.dialect].render_error(error, way.action)
        return Answer(status, jsontext.write(body))

    def _likely_dialect(self, exchange: Exchange, speakers: Sequence[str]) -> str:
        """What an error speaks before the dialect of its request is known."""
        if len(speakers) == 1:
            return speakers[0]
        likely = speakers or tuple(DIALECTS)
        told = exchange.header(b"x-reelgate-dialect")
        if told is not None and told in likely:
            return told
        if exchange.pinned is not None and exchange.pinned in likely:
            return exchange.pinned
        return self._default_dialect if self._default_dialect in likely else likely[0]

    def _record(self, exchange: Exchange, status: int) -> None:
        duration_s = perf_counter() - exchange.started
        overhead_s = max(0.0, duration_s - exchange.waiting.total_s)
        dialect = exchange.dialect or "none"
        self._metrics.request(
            self._template, exchange.method, status, dialect, duration_s=duration_s, overhead_s=overhead_s
        )
        line = {
            "time": round(time(), 3),
            "level": "info",
            "logger": "reelgate.access",
            "request_id": exchange.request_id,
            "dialect": dialect,
            "method": exchange.method,
            "route": self._template,
            "status": status,
            "duration_ms": round(duration_s * 1000, 3),
            "overhead_ms": round(overhead_s * 1000, 3),
        }
        if exchange.caller is not None:
            line["caller"] = exchange.caller.key_id
        task = exchange.task
        if task is not None:
            line["task"], line["upstream"], line["key"] = str(task.id), task.upstream, task.key_id
            line["attempts"], line["state"] = task.attempts, task.state.value
        logs.access(line)


async def nothing_more() -> Message:
    """What is left to receive of a request that is answered from its head."""
    return {"type": "http.disconnect"}


def _told_of(answer: Answer | Stream, exchange: Exchange) -> HeaderList:
    return [*answer.headers, (b"x-request-id", exchange.request_id.encode())]


def _whole(ready: Ready, exchange: Exchange) -> Whole:
    answer = ready.answer
    return answer.status, b"%bx-request-id: %b\r\n" % (ready.lines, exchange.request_id.encode()), answer.body


async def _deliver(answer: Answer | Stream, exchange: Exchange, send: Send) -> None:
    if isinstance(answer, Answer):
        is_bodiless = answer.status in _BODILESS
        headers = _told_of(answer, exchange)
        if not is_bodiless:
            headers += [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if is_bodiless or exchange.method == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})
        return
    headers = _told_of(answer, exchange)
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if exchange.method != "HEAD":
            started = perf_counter()
            try:
                await unless_left(_pass_on(answer, send), exchange)
            finally:
                exchange.waiting.total_s += perf_counter() - started
        await send({"type": "http.response.body", "body": b""})
    finally:
        await answer.close()


async def _pass_on(answer: Stream, send: Send) -> None:
    """As it comes. A client that takes nothing for too long is given up; for a piece that it takes at once, no timer is
    touched."""
    stall_s = math.inf if answer.stall_s is None else answer.stall_s
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as limit:
            stall = Deadline(loop, lambda: limit.reschedule(loop.time()))
            try:
                async for chunk in answer.chunks:
                    stall.set(stall_s)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    stall.lift()
            finally:
                stall.cancel()
    except TimeoutError:
        if not limit.expired():
            raise
        raise ClientGone from None


async def unless_left(doing: Coroutine[Any, Any, Result], exchange: Exchange) -> Result:
    """Do it until it is done, or raise ClientGone: the server swallows what is sent to a client that left, so a whole
    film would be fetched for nobody."""
    work, leaving = asyncio.ensure_future(doing), asyncio.ensure_future(_left(exchange))
    try:
        await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGone
        return work.result()
    finally:
        for task in (work, leaving):
            task.cancel()
        await asyncio.gather(work, leaving, return_exceptions=True)


async def has_left(exchange: Exchange) -> bool:
    """Whether the client has left already, once its request was read to the end. Waits for nothing."""
    leaving = asyncio.ensure_future(_left(exchange))
    try:
        await asyncio.wait((leaving,), timeout=0)
        return leaving.done()
    finally:
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)


async def _left(exchange: Exchange) -> None:
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
