"""Traces of requests, for whoever collects them: the only door to OpenTelemetry.

Without OTEL_EXPORTER_OTLP_ENDPOINT in the environment none of its packages is imported, nothing is wrapped, and `span`
gives out one context that does nothing. With it, spans are handed to a thread of the SDK's, which drops them where the
collector is slow or gone: no request ever waits for it. Everything else is set as OpenTelemetry's own documents say
(OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, …).

Spans carry words of closed sets, names from the configuration, ids and numbers; never a prompt, an address that a
client named, or a key. A caller's `traceparent` is honoured; nothing of a trace is said to an upstream.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any

from gateway import __version__
from gateway.errors import Fault, GatewayError
from gateway.wire import CallRecord

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

log = logging.getLogger("reelgate.tracing")

Fact = str | int | float | bool

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SERVICE = "reelgate"
FLUSH_S = 1.5  # after the 27 s of the drain, within the 30 s that the end may take (CONTRACT section 5)
_PARENT = ("traceparent", "tracestate")  # W3C Trace Context
_OUR_FAULTS = (Fault.UPSTREAM, Fault.GATEWAY)  # those that make a span an error; what a caller got wrong is none


class Part(AbstractContextManager["Part"]):
    """A span, for as long as what is done inside takes. This one is none: it stands where nothing is traced."""

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        return None

    def drop(self) -> None:
        """Nothing has happened inside, and nobody is told."""


_NOTHING = Part()


@asynccontextmanager
async def exporting() -> AsyncIterator[None]:
    """Trace what happens inside, if the environment names a collector; what is left is sent at the end, briefly."""
    global _traces
    if _traces is not None or not _is_wanted():
        yield
        return
    try:
        _traces = _Traces()
    except ImportError:
        log.warning("a collector of traces is named, but OpenTelemetry is not here: install requirements-otel.txt")
        yield
        return
    traces = _traces
    try:
        yield
    finally:
        _traces = None
        await traces.close()


def is_on() -> bool:
    """Whether anything is traced."""
    return _traces is not None


def span(name: str, **facts: Fact) -> Part:
    """A part of what is being done. An exception that leaves it is told by its code, and by nothing else."""
    return _NOTHING if _traces is None else _traces.span(name, facts)


def request(method: str, route: str, parent: Callable[[str], str | None]) -> Part:
    """One request, from its head to the last byte of its answer; `parent` gives a header of its caller's."""
    return _NOTHING if _traces is None else _traces.request(method, route, parent)


def answered(status: int, facts: Mapping[str, Fact | None]) -> None:
    """How the request was answered, and what it was about."""
    if _traces is not None:
        _traces.answered(status, facts)


def calls(on_call: Callable[[CallRecord], None]) -> Callable[[CallRecord], None]:
    """What is told of every call to an upstream, told to the trace as well; itself, where there is none."""
    traces = _traces
    if traces is None:
        return on_call

    def told(record: CallRecord) -> None:
        on_call(record)
        traces.call(record)

    return told


def watch(part: object, prefix: str, methods: Iterable[str]) -> None:
    """From now on these methods of this part are spans of the requests that call them; nothing, where none are kept."""
    if _traces is not None:
        for name in methods:
            setattr(part, name, _traces.watched(f"{prefix} {name}", getattr(part, name)))


def _is_wanted() -> bool:
    is_named = any(os.environ.get(name, "").strip() for name in ENDPOINTS)
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return is_named and not is_off and os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "none"


class _Traces:
    """The SDK, as this process uses it; no other part of the process sees it."""

    def __init__(self) -> None:
        from opentelemetry import context, trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.context, self.trace, self._propagator = context, trace, TraceContextTextMapPropagator()
        ours = Resource.create({"service.name": SERVICE, "service.version": __version__})
        said = OTELResourceDetector().detect()  # OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
        self._provider = TracerProvider(resource=ours.merge(said), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(SERVICE, __version__)
        # A collector that is away is one line for every batch that is lost, and none for every try.
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)

    def span(self, name: str, facts: Mapping[str, Fact]) -> Part:
        return _Under(self, self._tracer.start_span(name, attributes=_ours(facts)))

    def request(self, method: str, route: str, parent: Callable[[str], str | None]) -> Part:
        carrier = {name: value for name in _PARENT if (value := parent(name)) is not None}
        above = self._propagator.extract(carrier)
        started = self._tracer.start_span(
            f"{method} {route}",
            context=above,
            kind=self.trace.SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
        )
        return _Under(self, started, above)

    def answered(self, status: int, facts: Mapping[str, Fact | None]) -> None:
        current = self.trace.get_current_span()
        current.set_attributes({"http.response.status_code": status, **_ours(facts)})
        if status >= 500:
            current.set_attribute("error.type", str(status))
            current.set_status(self.trace.StatusCode.ERROR)

    def call(self, record: CallRecord) -> None:
        """A call that has just ended, in the request or the attempt that made it. What goes on without one is no part
        of any trace: a gateway looks after its tasks all day."""
        if not self.trace.get_current_span().is_recording():
            return
        ended = time.time_ns()
        facts = {"upstream": record.upstream, "key": record.key_id, "outcome": record.outcome}
        made = self._tracer.start_span(
            f"upstream {record.operation}",
            kind=self.trace.SpanKind.CLIENT,
            start_time=ended - round(record.duration_s * 1e9),
            attributes=_ours(facts),
        )
        if record.outcome != "2xx":
            made.set_attribute("error.type", record.outcome)
            made.set_status(self.trace.StatusCode.ERROR)
        made.end(ended)

    def watched(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(method)
        async def told(*args: Any, **kwargs: Any) -> Any:
            if not self.trace.get_current_span().is_recording():
                return await method(*args, **kwargs)
            with self.span(name, {}):
                return await method(*args, **kwargs)

        return told

    async def close(self) -> None:
        """Send what is left, for so long and no longer: the thread that does is let go with the process."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop is over, and nobody waits any more
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=shut_down, name="reelgate-traces", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await done.wait()


class _Under(Part):
    """What is done inside is done under this span, which ends with it."""

    def __init__(self, traces: _Traces, span: "Span", above: "Context | None" = None) -> None:
        self._traces, self._span, self._above = traces, span, above
        self._is_dropped = False

    def __enter__(self) -> Part:
        self._token = self._traces.context.attach(self._traces.trace.set_span_in_context(self._span, self._above))
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._traces.context.detach(self._token)
        if error is not None:
            self._failed(error)
        if not self._is_dropped:
            self._span.end()

    def drop(self) -> None:
        self._is_dropped = True  # a span that never ends is sent to nobody

    def _failed(self, error: BaseException) -> None:
        """Not the exception itself: its words may be an upstream's, and its traceback holds whatever was at hand."""
        code = error.code if isinstance(error, GatewayError) else type(error).__name__
        self._span.set_attribute("reelgate.outcome", code)
        if not isinstance(error, GatewayError) or error.fault in _OUR_FAULTS:
            self._span.set_attribute("error.type", code)
            self._span.set_status(self._traces.trace.StatusCode.ERROR)


def _ours(facts: Mapping[str, Fact | None]) -> dict[str, Fact]:
    return {f"reelgate.{name}": value for name, value in facts.items() if value is not None}


_traces: _Traces | None = None
