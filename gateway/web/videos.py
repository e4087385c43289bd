"""The client routes: create, read, credits, the film, the models."""

import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from gateway import ids, jsontext, links
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Balance
from gateway.errors import Unauthenticated, UnknownTask
from gateway.flows import content, poll
from gateway.flows.submit import submit
from gateway.money import render_micros
from gateway.parts import Parts
from gateway.video import Caller, State, Task
from gateway.web.auth import Doorkeeper
from gateway.web.body import read_json_object
from gateway.web.choice import choose_dialect, told_dialect
from gateway.web.exchange import Answer, Exchange, Handler, HeaderList, Stream

# `openai-poll-after-ms` must parse as an integer, and is read once for a whole wait (FACTS 5.3).
_POLL_AFTER_MIN_MS, _POLL_AFTER_MAX_MS = 1_000, 10_000
_FILM_HEADERS = ("content-length", "content-range", "content-type", "etag", "last-modified")


@dataclass(frozen=True, slots=True)
class SurfaceSettings:
    """What the surface goes by, beside the flows' own settings."""

    default_dialect: str = "evolink"
    public_url: str | None = None
    answer_within_s: float = 8.0
    body_bytes_max: int = 32 << 20
    body_within_s: float = 30.0


class Videos:
    """Handlers of the client routes, each for the dialects that a path can be spoken in."""

    def __init__(self, parts: Parts, doorkeeper: Doorkeeper, settings: SurfaceSettings) -> None:
        self._parts = parts
        self._doorkeeper = doorkeeper
        self._settings = settings
        self._poll_headers = _poll_headers(parts.settings.min_interval_s)

    def create(self, speakers: Sequence[str]) -> Handler:
        """Order a video. `speakers` are the dialects that claim the path."""
        settings = self._settings

        async def handle(exchange: Exchange) -> Answer:
            caller = self._doorkeeper.admit(exchange)
            choose = partial(
                choose_dialect, exchange, speakers, pinned=caller.dialect, default=settings.default_dialect
            )
            exchange.dialect = choose(body={})  # what is wrong with the body itself is said in this one
            body = await read_json_object(exchange, bytes_max=settings.body_bytes_max, within_s=settings.body_within_s)
            exchange.dialect = choose(body=body)
            dialect = DIALECTS[exchange.dialect]
            submission = submit(dialect.parse(body), caller, self._parts)
            try:
                task = await submission.answer(settings.answer_within_s)
            finally:
                exchange.waiting.total_s += submission.waited_s()
            exchange.task = task
            headers = [*self._task_headers(task)]
            if submission.warnings:
                headers.append((b"x-reelgate-warnings", jsontext.write_ascii(submission.warnings)))
            if task.state in (State.UNCONFIRMED, State.OPENED):
                headers.append((b"x-should-retry", b"false"))
            return Answer(200, jsontext.write(dialect.render_created(task)), headers)

        return handle

    def read(self, speaker: str) -> Handler:
        """What became of a task."""

        async def handle(exchange: Exchange) -> Answer:
            exchange.dialect = speaker
            task = await self._find(exchange, self._doorkeeper.admit(exchange))
            return self._rendered(task, speaker, exchange)

        return handle

    def credits(self, speaker: str) -> Handler:
        """The caller's own money."""

        async def handle(exchange: Exchange) -> Answer:
            exchange.dialect = speaker
            held, spent = await self._parts.registry.money(self._doorkeeper.admit(exchange))
            balance = Balance(limit=None, held=held, spent=spent)
            return Answer(200, jsontext.write(DIALECTS[speaker].render_balance(balance, balance)))

        return handle

    def film(self, speakers: Sequence[str]) -> Handler:
        """The finished film, to its owner or to whoever holds a signed link. `speakers` is the prefix, if any."""

        async def handle(exchange: Exchange) -> Stream:
            task = await self._find_for_film(exchange, speakers)
            stack = AsyncExitStack()
            started = perf_counter()
            found = await stack.enter_async_context(content.film(task, exchange.header(b"range"), self._parts))
            exchange.waiting.total_s += perf_counter() - started
            headers: HeaderList = [
                (name.encode(), found.headers[name].encode("latin-1"))
                for name in _FILM_HEADERS
                if name in found.headers
            ]
            headers += [
                (b"accept-ranges", b"bytes"),
                (b"content-disposition", f'inline; filename="{ids.word(task.id)}.mp4"'.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"x-reelgate-task-id", ids.word(task.id).encode()),
            ]
            return Stream(found.status, headers, found.chunks, stack.aclose)

        return handle

    async def models(self, exchange: Exchange) -> Answer:
        """The catalog's models that some upstream here serves, in OpenAI's list shape."""
        self._doorkeeper.admit(exchange)
        data = [
            {"id": model.name, "object": "model", "created": 0, "owned_by": "minimax"}
            for model in self._parts.catalog.models
            if self._parts.upstreams.sellers(model)
        ]
        return Answer(200, jsontext.write({"object": "list", "data": data}))

    async def _find(self, exchange: Exchange, caller: Caller) -> Task:
        number = ids.number_of(exchange.path_param("id"))
        if number is None:
            raise UnknownTask("there is no such task", param="task_id")
        exchange.task = task = await poll.read(number, caller, self._parts, exchange.waiting)
        return task

    async def _find_for_film(self, exchange: Exchange, speakers: Sequence[str]) -> Task:
        """By signature where the link carries one, else by key. Errors speak the task's dialect unless one is told."""
        exchange.dialect = told_dialect(exchange, speakers)
        query = exchange.query()
        if "signature" not in query:
            task = await self._find(exchange, self._doorkeeper.admit(exchange))
        else:
            number = ids.number_of(exchange.path_param("id"))
            expires, signature = query.get("expires", ""), query["signature"]
            secret, now = self._parts.settings.link_secret, self._parts.clock()
            if number is None or not links.opens(number, expires, signature, secret, now):
                raise Unauthenticated("this link is not valid, or no longer; ask for the task again")
            task = await poll.recall(number, self._parts)
        exchange.dialect = exchange.dialect or task.dialect
        return task

    def _rendered(self, task: Task, speaker: str, exchange: Exchange) -> Answer:
        """The poll answer, from memory while the task has not changed. A gateway link is signed anew for each."""
        if content.has_gateway_link(self._parts):
            return self._render(task, speaker, exchange)
        key = (task.id, speaker)
        entry = self._parts.memory.rendered.get(key)
        if entry is not None and entry[0] is task:
            kept: Answer = entry[1]
            return kept
        answer = self._render(task, speaker, exchange)
        self._parts.memory.rendered[key] = (task, answer)
        return answer

    def _render(self, task: Task, speaker: str, exchange: Exchange) -> Answer:
        view = content.view(task, self._settings.public_url or exchange.base_url(), self._parts)
        return Answer(200, jsontext.write(DIALECTS[speaker].render_task(task, view)), self._task_headers(task))

    def _task_headers(self, task: Task) -> HeaderList:
        headers: HeaderList = [
            (b"x-reelgate-task-id", ids.word(task.id).encode()),
            (b"x-reelgate-upstream", task.upstream.encode()),
            (b"x-reelgate-attempts", b"%d" % task.attempts),
        ]
        if task.price is not None:
            headers.append((b"x-reelgate-price", f"{render_micros(task.price)} {task.currency}".encode()))
        return headers if task.is_final else headers + self._poll_headers


def _poll_headers(interval_s: float) -> HeaderList:
    """When asking again is worth it: not before the next look."""
    after_ms = min(_POLL_AFTER_MAX_MS, max(_POLL_AFTER_MIN_MS, math.ceil(interval_s * 1000)))
    return [(b"openai-poll-after-ms", b"%d" % after_ms), (b"retry-after", b"%d" % max(1, math.ceil(interval_s)))]
