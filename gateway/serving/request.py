"""One request while the application answers it: ASGI's `receive` and `send` over the bytes of a connection."""

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

from starlette.types import Message

from gateway.errors import Internal
from gateway.headers import lines
from gateway.serving import answers
from gateway.serving.framing import Head

if TYPE_CHECKING:
    from gateway.serving.connection import Connection

log = logging.getLogger("reelgate.serving")

BODY_HELD_BYTES_MAX = 65_536  # of a body that the application has not taken yet; the rest stays with the client
_JOINED_BYTES_MAX = 16_384  # so small a piece is copied behind another rather than kept or written beside it
_GATHERED_BYTES = 16_384  # of a body that is wanted as a whole, until whoever reads it is told of them
_BODILESS = frozenset({204, 304})


class Request:
    """What has come of the request, and what has gone of its answer."""

    __slots__ = (
        "_connection",
        "_headers",
        "_is_begun",
        "_is_body_given",
        "_is_body_whole",
        "_is_chunked",
        "_is_without_body",
        "_least_bytes",
        "_left",
        "_news",
        "_pieces",
        "_status",
        "_wants_word",
        "began_at",
        "head",
        "held_bytes",
        "is_answered",
        "is_gone",
        "keeps_open",
    )

    def __init__(self, connection: "Connection", head: Head, *, keeps_open: bool) -> None:
        self._connection = connection
        self.head = head
        self.keeps_open = keeps_open
        self.began_at = perf_counter()
        self.is_answered = False
        self.held_bytes = 0
        self._pieces: list[bytes] = []
        self._is_body_whole = not head.has_body
        self._is_body_given = False
        self._least_bytes = 1  # of a body that goes on, before anybody is told of them
        self._wants_word = head.fields.expects and head.has_body and head.version == "1.1"
        self.is_gone = False
        self._news: asyncio.Event | None = None
        self._status = 0  # 0: nothing is said yet
        self._headers: list[tuple[bytes, bytes]] = []
        self._is_begun = False  # its head is written
        self._is_chunked = False
        self._is_without_body = False
        self._left: int | None = None  # bytes of the answer, where it said how many

    # --- what the connection tells ------------------------------------------------------------------------------

    @property
    def is_begun(self) -> bool:
        """Whether anything of the answer was written."""
        return self._is_begun

    @property
    def waits_for_word(self) -> bool:
        """Whether the client may still be waiting for leave to send its body; it may also never send it."""
        return self._wants_word

    def feed(self, piece: bytes, *, is_whole: bool) -> None:
        """More of the body."""
        self._wants_word = False
        if piece:
            if self._pieces and len(self._pieces[-1]) + len(piece) <= _JOINED_BYTES_MAX:
                self._pieces[-1] += piece  # a list of single bytes would take many times as much memory
            else:
                self._pieces.append(piece)
            self.held_bytes += len(piece)
        self._is_body_whole = is_whole
        if self._has_news:
            self._wake()

    def leave(self) -> None:
        """The client is gone, or what it sends can no longer be understood."""
        self.is_gone = True
        self._pieces.clear()
        self._wake()

    def ended(self, task: "asyncio.Task[None]") -> None:
        """The application is through, well or not."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("the application failed while it answered", exc_info=error)
        if self.is_answered or self.is_gone:
            return
        if self._is_begun or task.cancelled():
            self._connection.abort()  # left unfinished, so that nobody takes it for whole
        else:
            self._connection.refuse(Internal("internal error"), self.head)

    # --- what the application calls -----------------------------------------------------------------------------

    def gather(self) -> None:
        """Give the body in large pieces from now on, and what is left of it at its end."""
        self._least_bytes = _GATHERED_BYTES

    async def receive(self) -> Message:
        """The next piece of the body; that the client left, once there is no more of it."""
        while not (self.is_gone or self.is_answered):
            if self._has_news:
                body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
                self._pieces.clear()
                self.held_bytes = 0
                self._is_body_given = self._is_body_whole
                self._connection.regulate()
                return {"type": "http.request", "body": body, "more_body": not self._is_body_whole}
            if self._wants_word:
                self._wants_word = False
                self._connection.write(answers.CONTINUE)
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """A piece of the answer. What is sent to a client that left is dropped."""
        if self.is_gone:
            return
        if message["type"] == "http.response.start":
            self._start(message)
        elif message["type"] == "http.response.body" and self._status and not self.is_answered:
            has_more = message.get("more_body", False)
            self._write(message.get("body", b""), has_more=has_more)
            if has_more:
                await self._connection.drained()
        else:
            raise RuntimeError(f"{message['type']} has no place here")

    def _start(self, message: Message) -> None:
        if self._status:
            raise RuntimeError("the answer was started already")
        self._status, self._headers = message["status"], list(message.get("headers", ()))
        # Nearly every body follows at once and is written with the head; one that does not must not keep it back.
        self._connection.call_soon(self._begin_late)

    def _begin_late(self) -> None:
        if not (self._is_begun or self.is_gone):
            self._connection.write(self._begin(None))

    def _begin(self, body_bytes: int | None) -> bytes:
        """The head of the answer; `body_bytes` where all of the body is known."""
        said: dict[bytes, Any] = dict(self._headers)
        more = [] if b"date" in said else [self._connection.date()]
        self._is_without_body = self.head.method == "HEAD" or self._status in _BODILESS
        if b"content-length" in said:
            self._left = int(said[b"content-length"])
        elif self._is_without_body:
            pass
        elif body_bytes is not None:
            self._left = body_bytes
            more.append(answers.length(body_bytes))
        elif self.head.version == "1.1":
            self._is_chunked = True
            more.append(answers.CHUNKED)
        else:
            self.keeps_open = False  # HTTP/1.0: the body ends where the connection does
        if said.get(b"connection", b"").lower() == b"close":
            self.keeps_open = False
        else:
            self.keeps_open = self.keeps_open and self._connection.can_go_on(self)
            more.append(answers.option(self.head.version, keeps_open=self.keeps_open))
        text = answers.head(self._status, lines(self._headers), *more)
        self._is_begun = True
        return text

    def _write(self, body: bytes, *, has_more: bool) -> None:
        head = b"" if self._is_begun else self._begin(None if has_more else len(body))
        if self._is_without_body:
            body = b""
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not has_more):
                raise RuntimeError("the answer is not as long as it said")
        if self._is_chunked:
            self._write_chunk(head, body, has_more=has_more)
        elif len(body) <= _JOINED_BYTES_MAX or not head:
            if head or body:
                self._connection.write(head + body if head else body)
        else:
            self._connection.write_all((head, body))
        if not has_more:
            self.is_answered = True
            self._wake()
            self._connection.finished(self)

    def _write_chunk(self, head: bytes, body: bytes, *, has_more: bool) -> None:
        end = b"" if has_more else answers.LAST_CHUNK
        if not body:
            if head or end:
                self._connection.write(head + end)
        elif len(body) <= _JOINED_BYTES_MAX:
            self._connection.write(b"%b%x\r\n%b\r\n%b" % (head, len(body), body, end))
        else:
            self._connection.write_all((b"%b%x\r\n" % (head, len(body)), body, b"\r\n" + end))

    @property
    def _has_news(self) -> bool:
        if self._is_body_whole:
            return not self._is_body_given
        return self.held_bytes >= self._least_bytes

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
