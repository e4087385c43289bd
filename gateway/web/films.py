"""The routes of the finished film: its bytes, and where they are."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from time import perf_counter

from gateway import ids, jsontext, links
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import FileDialect
from gateway.errors import InvalidRequest, NotReady, ResultExpired, Unauthenticated
from gateway.flows import content, poll
from gateway.parts import Parts
from gateway.video import Status, Task
from gateway.web.choice import told_dialect
from gateway.web.exchange import Answer, Exchange, Handler, HeaderList, Stream
from gateway.web.tasks import Tasks

_PASSED_ON = ("content-length", "content-range", "content-type", "etag", "last-modified")
_VIDEO = "video"  # of OpenAI's three variants (FACTS 5.2)


class Films:
    """Handlers of the routes that serve films."""

    def __init__(self, parts: Parts, tasks: Tasks) -> None:
        self._parts = parts
        self._tasks = tasks

    def film(self, speakers: Sequence[str], query_id: str | None = None) -> Handler:
        """The finished film, to its owner or to whoever holds a signed link. `speakers` is whose path it is, if any."""

        async def handle(exchange: Exchange) -> Stream:
            exchange.dialect = told_dialect(exchange, speakers)
            task = await self._find(exchange, query_id)
            exchange.dialect = exchange.dialect or task.dialect
            if exchange.query().get("variant", _VIDEO) != _VIDEO:
                raise InvalidRequest.at("variant", "not offered: there is nothing of a film but the video", _VIDEO)
            stack = AsyncExitStack()
            started = perf_counter()
            found = await stack.enter_async_context(content.film(task, exchange.header(b"range"), self._parts))
            exchange.waiting.total_s += perf_counter() - started
            headers: HeaderList = [
                (name.encode(), found.headers[name].encode("latin-1")) for name in _PASSED_ON if name in found.headers
            ]
            headers += [
                (b"accept-ranges", b"bytes"),
                (b"content-disposition", f'inline; filename="{ids.word(task.id)}.mp4"'.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"x-reelgate-task-id", ids.word(task.id).encode()),
            ]
            return Stream(found.status, headers, found.chunks, stack.aclose)

        return handle

    def file(self, speaker: str, query_id: str | None) -> Handler:
        """Where the finished film is, in the words of a dialect that keeps films as files."""
        dialect = DIALECTS[speaker]
        if not isinstance(dialect, FileDialect):
            raise TypeError(f"{speaker} claims the endpoint of a file and cannot render one")

        async def handle(exchange: Exchange) -> Answer:
            exchange.dialect = speaker
            task = await self._tasks.find(exchange, self._tasks.admit(exchange), query_id)
            if task.status is not Status.COMPLETED:
                raise NotReady(f"there is no file: the task is {task.status.value}", param=query_id)
            view = self._tasks.view(task, exchange)
            if view.link is None:
                raise ResultExpired("the film is no longer kept", param=query_id)
            return Answer(200, jsontext.write(dialect.render_file(task, view)), self._tasks.headers(task))

        return handle

    async def _find(self, exchange: Exchange, query_id: str | None) -> Task:
        """By signature where the link carries one, else by key."""
        query = exchange.query()
        if query_id is not None or "signature" not in query:
            return await self._tasks.find(exchange, self._tasks.admit(exchange), query_id)
        number = ids.number_of(exchange.path_param("id"))
        secret, now = self._parts.settings.link_secret, self._parts.clock()
        if number is None or not links.opens(number, query.get("expires", ""), query["signature"], secret, now):
            raise Unauthenticated("this link is not valid, or no longer; ask for the task again")
        exchange.task = task = await poll.recall(number, self._parts)
        return task
