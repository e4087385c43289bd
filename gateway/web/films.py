"""The routes of the finished film: its bytes, and where they are."""

import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from time import perf_counter

from gateway import ids, jsontext, links
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import FileDialect
from gateway.egress import Answer as Film
from gateway.errors import InvalidRequest, NotReady, Problem, ResultExpired, Unauthenticated, UnknownTask, UnmetRange
from gateway.flows import content, poll
from gateway.headers import HeaderList
from gateway.parts import Parts
from gateway.video import Status, Task
from gateway.web.choice import told_dialect
from gateway.web.exchange import Answer, Exchange, Handler, Stream
from gateway.web.tasks import Tasks, headers_of

_PASSED_ON = (b"content-length", b"content-range", b"etag", b"last-modified")
_VIDEO = "video"  # of OpenAI's three variants (FACTS 5.2)
# Who takes nothing of a film for this long is gone, or holds a place on purpose.
STALL_S = 60.0
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-[0-9]{1,18})")
# A strong tag, or a date as HTTP writes it today.
_VALIDATOR = re.compile(r'"[!#-~]{1,256}"|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}(?::[0-9]{2}){2} GMT')
_WHOLE = re.compile(rb"bytes \*/([1-9][0-9]{0,17})")
_FILM_TYPE = re.compile(rb"video/[a-z0-9.+-]{1,40}")


class Films:
    """Handlers of the routes that serve films."""

    def __init__(self, parts: Parts, tasks: Tasks) -> None:
        self._parts = parts
        self._tasks = tasks

    def film(self, speakers: Sequence[str], query_id: str | None = None) -> Handler:
        """The finished film, to its owner or to whoever holds a signed link. `speakers` is whose path it is, if any."""

        async def handle(exchange: Exchange) -> Stream:
            exchange.dialect = told_dialect(exchange, speakers)
            task = await poll.newest(await self._find(exchange, query_id), self._parts)
            exchange.task = task
            exchange.dialect = exchange.dialect or exchange.pinned or task.dialect
            if exchange.query().get("variant", _VIDEO) != _VIDEO:
                raise InvalidRequest.at("variant", "not offered: there is nothing of a film but the video", _VIDEO)
            return await streamed(task, exchange, self._parts)

        return handle

    def file(self, speaker: str, query_id: str | None) -> Handler:
        """Where the finished film is, in the words of a dialect that keeps films as files."""
        dialect = DIALECTS[speaker]
        if not isinstance(dialect, FileDialect):
            raise TypeError(f"{speaker} claims the endpoint of a file and cannot render one")

        async def handle(exchange: Exchange) -> Answer:
            exchange.dialect = speaker
            found = await self._tasks.find(exchange, self._tasks.admit(exchange), query_id)
            exchange.task = task = await poll.newest(found, self._parts)
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
        task = await poll.recall(number, self._parts)
        if task.hidden:
            raise UnknownTask("there is no such task")
        exchange.task = task
        return task


async def streamed(task: Task, exchange: Exchange, parts: Parts, *, is_download: bool = False) -> Stream:
    """The finished film, or the range of it that is asked for: to be played, or to be saved as a file.

    Whoever asks has the right to it. Raises NotReady, ResultExpired, UnmetRange, LookFailed, or Crowded.
    """
    holder = task.caller if exchange.caller is None else exchange.caller.key_id
    started = perf_counter()
    async with AsyncExitStack() as stack:
        stack.enter_context(parts.bounds.films.take(holder))
        found = await stack.enter_async_context(content.film(task, _portion(exchange), parts))
        if found.status == 416:
            raise _unmet_range(found)
        opened = stack.pop_all()
    exchange.waiting.total_s += perf_counter() - started
    headers = [
        *_headers(task, found, is_download=is_download),
        *headers_of(task, is_for_caller=exchange.caller is not None),
    ]
    return Stream(found.status, headers, found.chunks, opened.aclose, stall_s=STALL_S)


def _portion(exchange: Exchange) -> content.Portion:
    """The asked range, where it is one and well formed; anything else is ignored, as the standard allows. So is a range
    under a condition that never holds: a weak tag's, two of them, or one that is none (RFC 9110, 13.1.5)."""
    asked = _RANGE.fullmatch(exchange.header(b"range") or "")
    if asked is None:
        return content.WHOLE
    first, last = asked.groups()
    if first and last and int(last) < int(first):
        return content.WHOLE
    conditions = exchange.all_headers(b"if-range")
    if not conditions:
        return content.Portion(asked.group())
    if len(conditions) > 1 or _VALIDATOR.fullmatch(conditions[0]) is None:
        return content.WHOLE
    return content.Portion(asked.group(), conditions[0])


def _unmet_range(found: Film) -> UnmetRange:
    whole = _WHOLE.fullmatch(found.headers.get(b"content-range", b""))
    size = None if whole is None else int(whole[1])
    known = "" if size is None else f": it has the bytes 0-{size - 1}"
    message = f"the film has no such part{known}"
    error = UnmetRange(message, param="range", problems=[Problem("range", message)])
    error.whole_bytes = size
    return error


def _headers(task: Task, found: Film, *, is_download: bool) -> HeaderList:
    """What is told of a film. Its host's word for what it is counts only as a kind of video: anything else would run
    as a page of this gateway's own origin."""
    given = found.headers
    kind = given.get(b"content-type", b"").partition(b";")[0].strip().lower()
    is_film = _FILM_TYPE.fullmatch(kind) is not None
    name = f'filename="{ids.word(task.id)}.mp4"'
    way = "inline" if is_film and not is_download else "attachment"
    return [
        *((key, given[key]) for key in _PASSED_ON if key in given),
        (b"content-type", kind if is_film else b"application/octet-stream"),
        (b"content-disposition", f"{way}; {name}".encode()),
        (b"accept-ranges", b"bytes"),
        (b"x-content-type-options", b"nosniff"),
    ]
