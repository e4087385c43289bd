"""The surface where requests are traced (`tracing.py`). Where they are not, no request passes through here."""

from starlette.types import Receive, Scope, Send

from gateway import tracing
from gateway.metrics import METHODS
from gateway.web.exchange import Exchange
from gateway.web.surface import Surface

_OTHER = "_OTHER"  # what OpenTelemetry's conventions call a method that nobody knows


class TracedSurface(Surface):
    """A `Surface` whose every request is a span."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])

        def parent(name: str) -> str | None:
            value: bytes | None = headers.get(name.encode())
            return None if value is None else value.decode("latin-1")

        method = scope["method"] if scope["method"] in METHODS else _OTHER
        with tracing.request(method, self._template, parent):
            await super().__call__(scope, receive, send)

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
