"""Server-sent events: a reader is told of a task as soon as there is news, until it is over.

Each event `status` carries the dialect's own poll answer, in the words of the path's dialect, else of the header's,
else of the task's. Its id is a word for what it says, the same in every process, so that a reader who comes back (with
`Last-Event-ID`) is not told again what it knows; one who knows the end is told by 204 to come no more.

Whoever may no longer read the task, because its key was revoked or the task deleted, is told nothing more.

Nothing is stored up for a reader: who reads slowly is told the newest when it is ready, and who reads nothing at all is
left after a while.
"""

import time
from collections.abc import AsyncIterator, Sequence

from gateway.errors import GatewayError
from gateway.flows import wait
from gateway.parts import Parts
from gateway.video import Task
from gateway.web.choice import told_dialect
from gateway.web.exchange import Answer, Exchange, Handler, Stream
from gateway.web.tasks import Tasks, headers_of
from gateway.web.videos import Videos
from gateway.web.waiting import tag_of

PING_S = 15.0
STREAM_MAX_S = 3_600.0  # a reader comes back by itself; keys and rights are looked at anew then
STALL_S = 60.0
COME_BACK_MS = 3_000
COME_BACK_SOON_MS = 1_000  # when this process ends: another one is there, or will be in a moment
PROGRESS_EVERY_S = 5.0  # estimates grow by themselves; nobody has to be told of every percent

_PING = b": ping\n\n"
# JSON is written in one line; but some readers, those in Python among them, also end a line at these.
_LINE_ENDS = tuple((character.encode(), b"\\u%04x" % ord(character)) for character in "\x85\u2028\u2029")


class Events:
    """The handler of the stream of a task."""

    def __init__(self, parts: Parts, tasks: Tasks, videos: Videos) -> None:
        self._parts = parts
        self._tasks = tasks
        self._videos = videos

    def events(self, speakers: Sequence[str]) -> Handler:
        """What becomes of a task, as it becomes. `speakers` is whose path it is, if any."""

        async def handle(exchange: Exchange) -> Answer | Stream:
            exchange.dialect = told = told_dialect(exchange, speakers)
            caller = self._tasks.admit(exchange)
            task = await self._tasks.find(exchange, caller, None)
            speaker = told or task.dialect
            known = exchange.header(b"last-event-id")
            if task.is_final and known == self._id(task, speaker, exchange):
                exchange.dialect = speaker
                return Answer(204, b"", headers_of(task))
            exchange.dialect = told or caller.dialect or speaker  # an error still speaks the key's own dialect
            place = self._parts.bounds.streams.take(caller.key_id)
            exchange.dialect = speaker
            headers = [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache, no-transform"),
                (b"x-accel-buffering", b"no"),  # a proxy that collects what it passes on would keep the news to itself
                *headers_of(task),
            ]
            return Stream(200, headers, self._told(task, speaker, known, exchange), place.aclose, stall_s=STALL_S)

        return handle

    async def _told(self, task: Task, speaker: str, known: str | None, exchange: Exchange) -> AsyncIterator[bytes]:
        parts, started = self._parts, time.monotonic()
        yield b"retry: %d\n\n" % COME_BACK_MS
        told_at = started
        while True:
            if not self._is_still_welcome(task, exchange):
                return  # without a word: the last one may be a link
            event_id = self._id(task, speaker, exchange)
            if event_id != known:
                yield _event(event_id, self._videos.rendered(task, speaker, exchange).body)
                known, told_at = event_id, time.monotonic()
            if task.is_final:
                return
            if parts.stories.is_leaving or time.monotonic() - started > STREAM_MAX_S:
                yield b": come back\nretry: %d\n\n" % COME_BACK_SOON_MS
                return
            if time.monotonic() - told_at >= PING_S:
                yield _PING
                told_at = time.monotonic()
            left_s = told_at + PING_S - time.monotonic()
            task = await wait.for_news(task, max(0.0, min(PROGRESS_EVERY_S, left_s)), parts)

    def _id(self, task: Task, speaker: str, exchange: Exchange) -> str:
        return tag_of(self._videos.state(task, speaker, exchange))

    def _is_still_welcome(self, task: Task, exchange: Exchange) -> bool:
        """Asks memory only, so it is asked before every word."""
        try:
            self._tasks.judge_again(task, exchange)
        except GatewayError:
            return False
        return True


def _event(event_id: str, data: bytes) -> bytes:
    for character, escaped in _LINE_ENDS:
        data = data.replace(character, escaped)
    return b"event: status\nid: %s\ndata: %s\n\n" % (event_id.encode(), data)
