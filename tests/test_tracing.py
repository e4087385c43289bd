"""Traces: what a collector is told of requests, and that nobody pays for one that is not there."""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway import sandbox, tracing
from tests.life.process import serve
from tests.world import ALICE, SLOW, UPSTREAM_KEY, World, bearer, id_of, world

TRACE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{ABOVE}-01"
TWO_KEYS = """
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${UPSTREAM}/evolink
    keys: [{id: one, value: sk-up-one}, {id: two, value: sk-up-two}]
"""


@dataclass
class Collector:
    """Takes spans over OTLP and HTTP, and remembers them."""

    endpoint: str = ""
    raw: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Span]:
        return [
            span
            for data in self.raw
            for resource in ExportTraceServiceRequest.FromString(data).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for data in self.raw
            for resource in ExportTraceServiceRequest.FromString(data).resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }

    def named(self, name: str) -> Span:
        (span,) = [span for span in self.spans() if span.name == name]
        return span

    def below(self, above: Span) -> list[Span]:
        """What was done inside a span, in the order in which it began."""
        inner = [span for span in self.spans() if span.parent_span_id == above.span_id]
        return sorted(inner, key=lambda span: span.start_time_unix_nano)


def facts(span: Span) -> dict[str, object]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value") or "") for item in span.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """One on loopback, named in the environment."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            kept.raw.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    kept.endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", kept.endpoint)
    # What is left at the end is sent then, however slow the machine is.
    monkeypatch.setattr(tracing, "FLUSH_S", 60.0)
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def traced(folder: Path, prompt: str, config: str = "", **headers: str) -> tuple[World, str]:
    """One create and one poll in a gateway that is closed again; what is left of it, and the task."""

    async def story() -> tuple[World, str]:
        async with world(folder, config, speed=SLOW) as here:
            body = {"model": "MiniMax-Hailuo-2.3", "prompt": prompt, "quality": "768p"}
            created = await here.http.post(
                "/evolink/v1/videos/generations", json=body, headers={**bearer(ALICE), **headers}
            )
            task_id = id_of(created) if created.status_code == 200 else ""
            await here.read(task_id or "video_0b2nwchr8qfnk")
        return here, task_id

    return asyncio.run(story())


async def said(base_url: str, asked: bytes) -> bytes:
    """What a gateway says to these bytes until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base_url.rsplit(":", 1)[1]))
    writer.write(asked)
    answered = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answered


def test_a_request_is_a_tree_of_preflight_storage_and_every_attempt(tmp_path: Path, collector: Collector) -> None:
    here, _ = traced(tmp_path, "a ship #sandbox:429=1", TWO_KEYS, traceparent=TRACEPARENT)
    request = collector.named("POST /evolink/v1/videos/generations")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, ABOVE)
    assert request.kind == Span.SPAN_KIND_SERVER
    inner = collector.below(request)
    assert [span.name for span in inner] == [
        "preflight",
        "storage open",
        "upstream attempt",
        "storage turn",
        "upstream attempt",
        "storage start",
    ]
    assert {span.trace_id.hex() for span in inner} == {TRACE}
    refused, accepted = (span for span in inner if span.name == "upstream attempt")
    assert {facts(refused)["reelgate.key"], facts(accepted)["reelgate.key"]} == {"one", "two"}
    assert refused.status.code == Status.STATUS_CODE_ERROR
    assert facts(refused)["reelgate.outcome"] == facts(refused)["error.type"]
    assert accepted.status.code == Status.STATUS_CODE_UNSET
    for attempt, outcome in ((refused, "4xx"), (accepted, "2xx")):
        (call,) = collector.below(attempt)
        assert (call.name, call.kind) == ("upstream submit", Span.SPAN_KIND_CLIENT)
        assert facts(call)["reelgate.outcome"] == outcome
        assert call.start_time_unix_nano < call.end_time_unix_nano
    told = facts(request)
    assert (told["http.request.method"], told["http.response.status_code"]) == ("POST", 200)
    assert told["http.route"] == "/evolink/v1/videos/generations"
    assert (told["reelgate.dialect"], told["reelgate.caller"], told["reelgate.attempts"]) == ("evolink", "alice", 2)
    assert (told["reelgate.upstream"], told["reelgate.state"]) == ("sandbox", "running")
    assert told["reelgate.task"] == facts(accepted)["reelgate.task"]
    assert len(here.videos()) == 1


def test_every_request_is_a_span_and_one_without_a_parent_begins_a_trace(tmp_path: Path, collector: Collector) -> None:
    traced(tmp_path, "a ship")
    created, polled = (
        collector.named("POST /evolink/v1/videos/generations"),
        collector.named("GET /evolink/v1/tasks/{id}"),
    )
    assert (created.parent_span_id, polled.parent_span_id) == (b"", b"")
    assert created.trace_id != polled.trace_id
    assert facts(created)["reelgate.task"] == facts(polled)["reelgate.task"]
    assert collector.services() == {"reelgate"}


def test_what_is_answered_at_once_is_a_span_like_any_other(tmp_path: Path, collector: Collector) -> None:
    async def story() -> None:
        async with world(
            tmp_path, "polling: {min_interval_s: 3600, max_interval_s: 7200}", speed=SLOW, on_socket=True
        ) as here:
            task_id = id_of(await here.create())
            for _ in range(3):
                assert (await here.read(task_id, traceparent=TRACEPARENT)).status_code == 200
            assert (await said(here.base_url, b"GET /healthz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400")  # no Host

    asyncio.run(story())
    polls = [span for span in collector.spans() if span.name == "GET /evolink/v1/tasks/{id}"]
    assert [(span.trace_id.hex(), span.parent_span_id.hex()) for span in polls] == [(TRACE, ABOVE)] * 3
    assert {facts(span)["http.response.status_code"] for span in polls} == {200}
    refused = [span for span in collector.spans() if facts(span).get("http.response.status_code") == 400]
    assert len(refused) == 1
    assert len(collector.spans()) == len({span.span_id for span in collector.spans()})


def test_a_refusal_of_ours_is_told_and_is_no_error_of_the_gateway(tmp_path: Path, collector: Collector) -> None:
    traced(tmp_path, "", OTEL="1")
    request = collector.named("POST /evolink/v1/videos/generations")
    (preflight,) = collector.below(request)
    assert facts(preflight)["reelgate.outcome"] == "invalid_request"
    assert facts(request)["http.response.status_code"] == 400
    assert {request.status.code, preflight.status.code} == {Status.STATUS_CODE_UNSET}
    assert facts(collector.named("GET /evolink/v1/tasks/{id}"))["http.response.status_code"] == 404


def test_the_service_is_called_as_the_environment_says(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "studio")
    traced(tmp_path, "a ship")
    assert collector.services() == {"studio"}


def test_no_prompt_no_key_and_no_word_of_the_trace_gets_out(tmp_path: Path, collector: Collector) -> None:
    here, task_id = traced(tmp_path, "a canary in a mine", traceparent=TRACEPARENT, tracestate="studio=canary")
    sent = b"".join(collector.raw)
    assert str(here.requests("POST")[0]).count("canary in a mine") > 0
    for secret in (b"canary in a mine", ALICE.encode(), UPSTREAM_KEY.encode(), task_id.encode()):
        assert secret not in sent
    for entry in here.requests():
        assert TRACE not in str(entry)
        assert "studio=canary" not in str(entry)


def test_without_a_collector_nothing_is_imported_and_nothing_wrapped(tmp_path: Path) -> None:
    def on_call(record: object) -> None:
        raise AssertionError

    assert not tracing.is_on()
    assert tracing.calls(on_call) is on_call
    assert tracing.span("one", key="x") is tracing.span("two")

    async def story() -> None:
        async with world(tmp_path) as here:
            assert "open" not in vars(here.parts.registry)

    asyncio.run(story())
    code = (
        "import gateway.app, gateway.cli.serve, sys; print([name for name in sys.modules if 'opentelemetry' in name])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_the_usual_switches_turn_it_off(
    name: str, value: str, tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    traced(tmp_path, "a ship")
    assert collector.raw == []


def test_a_missing_extra_is_one_line_and_the_gateway_runs(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with caplog.at_level(logging.WARNING, "reelgate.tracing"):
        here, _ = traced(tmp_path, "a ship")
    (record,) = [record for record in caplog.records if record.name == "reelgate.tracing"]
    assert "requirements-otel.txt" in record.getMessage()
    assert len(here.videos()) == 1
    assert collector.raw == []


@pytest.mark.parametrize("kind", ["gone", "silent"])
def test_a_collector_that_takes_nothing_holds_nobody_up(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setattr(tracing, "FLUSH_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        if kind == "gone":
            silent.close()
        started = perf_counter()
        here, task_id = traced(tmp_path, "a ship")
        assert task_id
        assert len(here.videos()) == 1
    assert perf_counter() - started < 60  # against hanging: the exporter itself would go on trying for longer


def test_a_process_that_is_stopped_sends_what_is_left(tmp_path: Path, collector: Collector) -> None:
    async def story() -> None:
        async with sandbox.running(speed=SLOW) as upstream, serve(tmp_path, upstream) as gateway:
            asked = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            assert (await said(gateway.base_url, asked)).startswith(b"HTTP/1.1 200")
            gateway.signal(signal.SIGTERM)
            assert await gateway.ended() == 0

    asyncio.run(story())
    assert facts(collector.named("GET /healthz"))["http.response.status_code"] == 200
