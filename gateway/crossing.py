"""A request that is passed on as it came, and its answer as it comes: both streamed, on a connection of their own."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import httpx

from gateway import errors
from gateway.deadline import Deadline
from gateway.line import Line, Place, connect, place
from gateway.masking import mask_of
from gateway.structs import Struct
from gateway.transport import judge_transport

# Of what is passed on, nothing has a limit in all; this is how long no byte may move in either direction. Long enough
# for a language model that thinks before its first word.
PAUSE_S = 300.0
HELD_BYTES_MAX = 64 << 10  # of an answer that its reader has not taken yet
_SECRET_BYTES_MIN = 8  # a shorter word, which some local servers take as a key, stands in many a good answer
_TEXTS = re.compile(rb"text/|application/([\w.-]*[.+-])?(json|jsonl|ndjson|xml|yaml|javascript|x-www-form-urlencoded)")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1: they change nothing, so they buy nothing


class Parcel(Struct, frozen=True):
    """A request to be passed on as it came, without its credential. `target` is path and query, byte for byte.

    `chunks` is None where there is no body; else it gives the body from its beginning each time it is called.
    `length` is the body's size, where the caller said it.
    """

    method: str
    target: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    chunks: Callable[[], AsyncIterator[bytes]] | None = None
    length: int | None = None


class Passed(Struct, frozen=True):
    """The answer to a parcel on its way down: its headers as they came, its bytes as they come."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    """Names in lower case."""
    chunks: AsyncIterator[bytes]


class Crossing:
    """One request on its way up while its answer comes down, on a line of its own.

    The body is written beside the reading of the answer: an upstream may answer early (refuse a large upload), or while
    it reads. No more of the answer is held than `HELD_BYTES_MAX` and one read; the rest waits with the upstream.
    """

    def __init__(self, base_url: str, secret: str, parcel: Parcel, *, connect_s: float) -> None:
        self._base_url = base_url
        self._secret = secret.encode()
        self._mask = mask_of(secret)
        self._parcel = parcel
        self._connect_s = connect_s
        self._line: _Crossed | None = None
        self._upload: asyncio.Task[None] | None = None

    async def open(self) -> Passed:
        """Send the request, or as much of it as the upstream wants to hear, and give its answer."""
        loop = asyncio.get_running_loop()
        try:
            to = place(self._base_url)
            make = partial(_Crossed, loop, is_bodiless=self._parcel.method == "HEAD")
            self._line = line = await connect(to, make, loop.time() + self._connect_s)
            line.write((_head(self._parcel, to, self._secret),))
            if self._parcel.chunks is not None:
                self._upload = loop.create_task(_send(self._parcel.chunks(), self._parcel.length, line))
                self._upload.add_done_callback(partial(_sent, line))
            status, headers = await line.answer()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            verdict = judge_transport(error)
            if verdict.spent is errors.Spent.MAYBE and self._parcel.method in SAFE_METHODS:
                raise errors.LookFailed(verdict.message, row=verdict.row) from None
            raise verdict from None
        chunks = _chunks(line)
        is_telling = len(self._secret) >= _SECRET_BYTES_MIN
        # Where our key is quoted: a page about a redirect says where to, too.
        if status >= 300 or (is_telling and _is_text(headers)):
            chunks = self._mask.cover_each(chunks)
        return Passed(status, [field for field in headers if not self._mask.is_needed(field[1])], chunks)

    async def close(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._upload is not None:
            self._upload.cancel()
            await asyncio.gather(self._upload, return_exceptions=True)


def _is_text(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a good answer may quote what it was asked with, as an echo does: plain text, or what has no type. A film,
    an archive and what came compressed are handed down byte for byte."""
    about = dict(headers)
    kind = about.get(b"content-type", b"text/").partition(b";")[0].strip().lower()
    is_plain = about.get(b"content-encoding", b"identity").strip().lower() in (b"", b"identity")
    return is_plain and _TEXTS.match(kind) is not None


def _head(parcel: Parcel, to: Place, secret: bytes) -> bytes:
    fields = [
        (b"host", to.name.encode()),
        *parcel.headers,
        (b"authorization", b"Bearer " + secret),
        (b"accept-encoding", b"identity"),
    ]
    if parcel.chunks is None:
        if parcel.method in ("POST", "PUT", "PATCH"):
            fields.append((b"content-length", b"0"))
    elif parcel.length is None:
        fields.append((b"transfer-encoding", b"chunked"))
    else:
        fields.append((b"content-length", b"%d" % parcel.length))
    target = to.path.encode().rstrip(b"/") + parcel.target
    lines = [b"%b %b HTTP/1.1" % (parcel.method.encode(), target), *(b"%b: %b" % field for field in fields)]
    return b"\r\n".join((*lines, b"", b""))


async def _send(chunks: AsyncIterator[bytes], length: int | None, line: "_Crossed") -> None:
    async for chunk in chunks:
        if chunk:
            framed = (chunk,) if length is not None else (b"%x\r\n" % len(chunk), chunk, b"\r\n")
            if not await line.send(framed):
                return
    if length is None:
        await line.send((b"0\r\n\r\n",))


def _sent(line: "_Crossed", upload: asyncio.Task[None]) -> None:
    """A caller who stops sending has no use for the answer to the rest."""
    error = None if upload.cancelled() else upload.exception()
    if error is not None:
        line.end(error)


async def _chunks(line: "_Crossed") -> AsyncIterator[bytes]:
    try:
        while piece := await line.piece():
            yield piece
    except (httpx.HTTPError, OSError):
        raise errors.LookFailed("the upstream's answer broke off", row="T10") from None


class _Crossed(Line):
    """A line whose answer is taken as it comes, while the request is still written.

    Only a wait for the answer ends when nothing moves: while nobody waits, the silence is not the upstream's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, is_bodiless: bool) -> None:
        super().__init__(loop)
        # A length beside chunks is not believed, and a line may end without CR (RFC 9112, 6.3 and 2.2).
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True, lenient_optional_cr_before_lf=True)
        self._is_bodiless = is_bodiless
        self._error: BaseException | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._is_held_back = False
        self._news: asyncio.Future[None] | None = None  # somebody waits for more of the answer
        self._room: asyncio.Future[None] | None = None  # somebody waits to send more
        self._pause = Deadline(loop, self._judge_pause)

    def write(self, pieces: Sequence[bytes]) -> None:
        self._transport.writelines(pieces)
        if self._is_writing:
            self._unsent = self._transport.get_write_buffer_size()
        self.moved()

    async def send(self, pieces: Sequence[bytes]) -> bool:
        """Whether all of it became the kernel's. Once the answer is over, or the line, nothing is sent any more."""
        if self._is_over or self._transport.is_closing():  # it closes in the loop's next round only
            return False
        self.write(pieces)
        while self._is_writing and not self._is_over:
            self._room = self._loop.create_future()
            try:
                await self._room
            finally:
                self._room = None
        return not self._is_over

    async def answer(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers, once they are there; names in lower case. Raises what ended the line before."""
        while not self._status:
            if self._error is not None:
                raise self._error
            await self._more()
        return self._status, [(name.lower(), value.strip(b" \t")) for name, value in self._headers]

    async def piece(self) -> bytes:
        """What there is more of the body; nothing at its end. Raises what ended it before."""
        while not self._held:
            if self._error is not None:
                raise self._error
            if self._is_over:
                return b""
            await self._more()
        piece = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        if self._is_held_back:
            self._hold_back(False)
        return piece

    async def _more(self) -> None:
        self._news = self._loop.create_future()
        self._pause.set(PAUSE_S)
        try:
            await self._news
        finally:
            self._news = None
            self._pause.lift()

    def _hold_back(self, is_held_back: bool) -> None:
        if not self._transport.is_closing():
            self._is_held_back = is_held_back
            (self._transport.pause_reading if is_held_back else self._transport.resume_reading)()

    def close(self) -> None:
        self._pause.cancel()
        super().close()

    def moved(self) -> None:
        if self._news is not None:
            self._pause.set(PAUSE_S)

    def _judge_pause(self) -> None:
        if self.has_sent_more():
            self.moved()
        else:
            self.end(httpx.ReadTimeout("nothing moved"))

    def begun(self) -> None:
        _wake(self._news)
        if self._is_bodiless:
            self.end(None)

    def take(self, piece: bytes) -> None:
        self._held.append(piece)
        self._held_bytes += len(piece)
        _wake(self._news)
        if self._held_bytes >= HELD_BYTES_MAX and not self._is_held_back:
            self._hold_back(True)

    def ended(self, error: BaseException | None) -> None:
        self._error = error
        _wake(self._news)
        _wake(self._room)

    def resume_writing(self) -> None:
        super().resume_writing()
        _wake(self._room)

    def eof_received(self) -> None:
        """At once, not when all is written that nobody reads any more."""
        self.end_with_the_line()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
