"""The surface where requests are traced (`tracing.py`). Where they are not, no request passes through here."""

from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from gateway import tracing
from gateway.errors import GatewayError
from gateway.measures import METHODS
from gateway.web.exchange import Exchange
from gateway.web.surface import Surface, Whole

_OTHER = "_OTHER"  # what OpenTelemetry's conventions call a method that nobody knows


class TracedSurface(Surface):
    """A `Surface` whose every request is a span, in whichever way it is answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._traced(scope["method"], scope["headers"]):
            await super().__call__(scope, receive, send)

    def at_once(self, scope: Scope) -> Whole | None:
        with self._traced(scope["method"], scope["headers"]) as request:
            answer = super().at_once(scope)
            if answer is None:
                request.drop()
            return answer

    def refuse(self, exchange: Exchange, error: GatewayError) -> Whole:
        with self._traced(exchange.method, exchange.headers.items()):
            return super().refuse(exchange, error)

    def _traced(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> tracing.Part:
        given = dict(headers)

        def parent(name: str) -> str | None:
            value = given.get(name.encode())
            return None if value is None else value.decode("latin-1")

        return tracing.request(method if method in METHODS else _OTHER, self._template, parent)

    def _record(self, exchange: Exchange, status: int) -> None:
        task = exchange.task
        facts: dict[str, tracing.Fact | None] = {
            "request_id": exchange.request_id,
            "dialect": exchange.dialect,
            "caller": None if exchange.caller is None else exchange.caller.key_id,
        }
        if task is not None:
            facts |= {"task": str(task.id), "upstream": task.upstream or None, "key": task.key_id or None}
            facts |= {"attempts": task.attempts, "state": task.state.value}
        tracing.answered(status, facts)
        super()._record(exchange, status)
