"""What every request passes on its way in and out: timing, the one place that renders errors, metrics, the log line."""

import logging
from collections.abc import Callable, Mapping
from time import perf_counter, time

from starlette.types import Receive, Scope, Send

from gateway import jsontext, logs
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Action
from gateway.errors import GatewayError, Internal, WrongMethod
from gateway.metrics import Metrics
from gateway.web.exchange import Answer, Exchange, Handler, HeaderList, Stream

log = logging.getLogger("reelgate.web")


class ClientGone(Exception):
    """The client left before its request was read: there is nobody to answer."""


class Surface:
    """An ASGI application for one path: a handler per method, and what surrounds them."""

    def __init__(
        self,
        template: str,
        handlers: Mapping[str, Handler],
        *,
        action: Action,
        dialect: Callable[[Exchange], str],
        metrics: Metrics,
    ) -> None:
        self._template = template
        self._handlers = handlers
        self._action = action
        self._dialect = dialect
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive)
        status = 499  # the usual word in logs for a client that left
        try:
            answer = await self._answer(exchange)
            status = answer.status
            await _deliver(answer, exchange, send)
        except ClientGone:
            pass
        finally:
            self._record(exchange, status)

    async def _answer(self, exchange: Exchange) -> Answer | Stream:
        try:
            return await self._handler(exchange.method)(exchange)
        except GatewayError as error:
            return self._refuse(exchange, error)
        except ClientGone:
            raise
        except Exception:  # nothing else stands between a bug and the client
            log.exception("request %s ended with a bug", exchange.request_id)
            return self._refuse(exchange, Internal("internal error; the request id finds it in the gateway's log"))

    def _handler(self, method: str) -> Handler:
        handler = self._handlers.get(method)
        if handler is None:
            raise WrongMethod(f"this path answers {', '.join(self._handlers)} only")
        return handler

    def _refuse(self, exchange: Exchange, error: GatewayError) -> Answer:
        self._metrics.error(error)
        exchange.dialect = exchange.dialect or self._dialect(exchange)
        status, body = DIALECTS[exchange.dialect].render_error(error, self._action)
        headers: HeaderList = []
        if self._action is Action.CREATE:
            headers.append((b"x-should-retry", b"true" if error.repeat else b"false"))
        if error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % error.retry_after))
        if isinstance(error, WrongMethod):
            headers.append((b"allow", ", ".join(self._handlers).encode()))
        return Answer(status, jsontext.write(body), headers)

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


async def _deliver(answer: Answer | Stream, exchange: Exchange, send: Send) -> None:
    headers = [*answer.headers, (b"x-request-id", exchange.request_id.encode())]
    if isinstance(answer, Answer):
        headers.append((b"content-type", answer.content_type))
        headers.append((b"content-length", b"%d" % len(answer.body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if exchange.method == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})
        return
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if exchange.method != "HEAD":
            started = perf_counter()
            async for chunk in answer.chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            exchange.waiting.total_s += perf_counter() - started
        await send({"type": "http.response.body", "body": b""})
    finally:
        await answer.close()
