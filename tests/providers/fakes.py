"""A `send` that answers from a list and remembers what was sent, and the smallest helpers to make its answers."""

import asyncio
import json
from typing import Any

from gateway.errors import UpstreamError
from gateway.providers import PROVIDERS
from gateway.providers.protocol import Site
from gateway.video import Look, Mode, Offer, Receipt, VideoRequest
from gateway.wire import Call, Reply

NOW = 1_757_169_743.0
SITE = Site("https://up.example", "https://files.example")
FIRST, LAST, SUBJECT = "https://example.com/1.jpg", "https://example.com/2.jpg", "https://example.com/3.jpg"
DATA = "data:image/png;base64,iVBORw0KGgo="
LINK = "https://cdn.example/film.mp4"

# The smallest documented answer to a create (FACTS 1.3, 2.1, 3.4, 4.1).
CREATED: dict[str, dict[str, Any]] = {
    "evolink": {"id": "task-1", "object": "video.generation.task", "status": "pending"},
    "toapis": {"id": "task-1", "object": "generation.task", "status": "queued"},
    "newapi": {"task_id": "task-1", "status": "queued"},
    "minimax": {"task_id": "task-1", "base_resp": {"status_code": 0, "status_msg": "success"}},
}


class Upstream:
    """Gives its answers in order; an error among them is raised, as the door to upstreams would."""

    def __init__(self, *answers: Reply | UpstreamError) -> None:
        self._answers = list(answers)
        self.calls: list[Call] = []

    async def send(self, call: Call) -> Reply:
        self.calls.append(call)
        answer = self._answers.pop(0)
        if isinstance(answer, UpstreamError):
            raise answer
        return answer

    @property
    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]

    def body(self, number: int = -1) -> Any:
        """The JSON of a call, the last one unless told."""
        body = self.calls[number].body
        assert body is not None
        return json.loads(body)


def answer(body: Any, status: int = 200, *, is_whole: bool = True, **headers: str) -> Reply:
    """A reply: bytes and text as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, is_whole)


def ask(model: str = "MiniMax-Hailuo-2.3", prompt: str | None = "a ship", **fields: Any) -> VideoRequest:
    return VideoRequest(model=model, prompt=prompt, **fields)


def offer(
    model: str = "MiniMax-Hailuo-2.3",
    resolution: str | None = "768P",
    duration_s: int | None = 6,
    *,
    mode: Mode = Mode.TEXT,
    unsaid: frozenset[str] = frozenset(),
) -> Offer:
    return Offer(model, mode, resolution, duration_s, None, unsaid)


def submit(
    provider: str, *answers: Reply | UpstreamError, request: VideoRequest | None = None, site: Site = SITE
) -> tuple[Receipt | UpstreamError, Upstream]:
    """What a submit came to, and the upstream that remembers it."""
    upstream = Upstream(*answers)
    story = PROVIDERS[provider].submit(request or ask(), offer(), site, upstream.send, NOW)
    try:
        return asyncio.run(_result(story)), upstream
    except UpstreamError as error:
        return error, upstream


def poll(
    provider: str, *answers: Reply | UpstreamError, upstream_id: str = "task-1"
) -> tuple[Look | UpstreamError, Upstream]:
    """What a look came to, and the upstream that remembers it."""
    upstream = Upstream(*answers)
    try:
        return asyncio.run(_result(PROVIDERS[provider].poll(upstream_id, SITE, upstream.send))), upstream
    except UpstreamError as error:
        return error, upstream


async def _result(story: Any) -> Any:
    return await story
