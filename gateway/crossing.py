"""A request that is passed on as it came, and its answer as it comes: both streamed, on a connection of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import httpcore
import httpx

from gateway import errors
from gateway.transport import fresh, judge_transport

# Of what is passed on, nothing has a limit in all; this is how long no byte may move in either direction. Long enough
# for a language model that thinks before its first word.
PAUSE_S = 300.0
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, 9.2.1: they change nothing, so they buy nothing

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A request to be passed on as it came, without its credential. `target` is path and query, byte for byte.

    `chunks` is None where there is no body; else it gives the body from its beginning each time it is called.
    `length` is the body's size, where the caller said it.
    """

    method: str
    target: bytes
    headers: Sequence[tuple[bytes, bytes]] = ()
    chunks: Callable[[], AsyncIterator[bytes]] | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """The answer to a parcel on its way down: its headers as they came, its bytes as they come."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    """Names in lower case."""
    chunks: AsyncIterator[bytes]


class Crossing(httpx.AsyncByteStream):
    """One request on its way up while its answer comes down, on a connection of its own.

    httpx hears an answer only after the whole body is sent, and so loses one that comes early (a refusal of a large
    upload) and stands still before an upstream that answers while it reads. Therefore the body is written beside it:
    to httpcore a body that breaks off with WriteError means "read the answer now".
    """

    def __init__(self, base_url: str, secret: str, parcel: Parcel, *, connect_s: float) -> None:
        self._secret = secret.encode()
        self._parcel = parcel
        self._connect_s = connect_s
        self._base = httpx.URL(base_url)
        self._transport = fresh()
        self._line: httpcore.AsyncNetworkStream | None = None
        self._upload: asyncio.Task[None] | None = None
        self._response: httpx.Response | None = None
        self._limit: asyncio.Timeout | None = None
        self._fault: BaseException | None = None

    async def open(self) -> Passed:
        """Send the request, or as much of it as the upstream wants to hear, and give its answer."""
        try:
            self._response = response = await self._while_moving(self._transport.handle_async_request(self._request()))
            if not 200 <= response.status_code < 600:
                raise httpx.RemoteProtocolError("a status that is none")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            verdict = judge_transport(error)
            if verdict.spent is errors.Spent.MAYBE and self._parcel.method in _SAFE_METHODS:
                raise errors.LookFailed(verdict.message, row=verdict.row) from None
            raise verdict from None
        headers = [(name.lower(), value) for name, value in response.headers.raw if self._secret not in value]
        chunks = self._chunks(response)
        if response.is_error:  # where an upstream quotes our key
            chunks = _masked(chunks, self._secret)
        return Passed(response.status_code, headers, chunks)

    async def close(self) -> None:
        if self._upload is not None:
            self._upload.cancel()
            await asyncio.gather(self._upload, return_exceptions=True)
        if self._response is not None:
            await self._response.aclose()
        await self._transport.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Where httpcore asks for the body."""
        if self._parcel.chunks is None:
            raise StopAsyncIteration
        if self._line is None:
            raise RuntimeError("httpcore did not tell of its connection")
        self._upload = asyncio.create_task(self._send(self._parcel.chunks(), self._line))
        self._upload.add_done_callback(self._sent)
        raise httpcore.WriteError("the body is sent beside the reading of the answer")

    def _request(self) -> httpx.Request:
        headers = [
            (b"host", self._base.netloc),
            *self._parcel.headers,
            (b"authorization", b"Bearer " + self._secret),
            (b"accept-encoding", b"identity"),
        ]
        if self._is_chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        elif self._parcel.chunks is not None:
            headers.append((b"content-length", b"%d" % (self._parcel.length or 0)))
        elif self._parcel.method in ("POST", "PUT", "PATCH"):
            headers.append((b"content-length", b"0"))
        extensions = {
            "timeout": httpx.Timeout(None, connect=self._connect_s).as_dict(),
            "target": self._base.raw_path.rstrip(b"/") + self._parcel.target,
            "trace": self._note_line,
        }
        return httpx.Request(self._parcel.method, self._base, headers=headers, stream=self, extensions=extensions)

    @property
    def _is_chunked(self) -> bool:
        return self._parcel.chunks is not None and self._parcel.length is None

    async def _note_line(self, event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._line = info["return_value"]

    async def _send(self, chunks: AsyncIterator[bytes], line: httpcore.AsyncNetworkStream) -> None:
        async for chunk in chunks:
            if chunk:
                await line.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._is_chunked else chunk)
                self._let_wait(PAUSE_S)
        if self._is_chunked:
            await line.write(b"0\r\n\r\n")

    def _sent(self, upload: asyncio.Task[None]) -> None:
        """An upstream that stops reading may still have something to say; a caller who stops sending has not."""
        error = None if upload.cancelled() else upload.exception()
        if error is not None and not isinstance(error, httpcore.NetworkError):
            self._fault = error
            self._let_wait(0)

    def _let_wait(self, seconds: float) -> None:
        """From now on; the step that waits may have had its time already."""
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time() + seconds)

    async def _while_moving(self, step: Awaitable[Result]) -> Result:
        """A step of the answer, for which there is time while bytes move, up or down."""
        try:
            async with asyncio.timeout(PAUSE_S if self._fault is None else 0) as self._limit:
                return await step
        except TimeoutError:
            raise self._fault or httpx.ReadTimeout("nothing moved") from None
        finally:
            self._limit = None

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        pieces = response.aiter_raw()
        try:
            while (piece := await self._while_moving(anext(pieces, None))) is not None:
                yield piece
        except (httpx.HTTPError, OSError):
            raise errors.LookFailed("the upstream's answer broke off", row="T10") from None


async def _masked(chunks: AsyncIterator[bytes], secret: bytes) -> AsyncIterator[bytes]:
    """The same number of bytes, with stars for a secret. What may be the beginning of one waits for its end."""
    held = b""
    async for chunk in chunks:
        text = (held + chunk).replace(secret, b"*" * len(secret))
        cut = len(text) - _overlap(text, secret)
        held = text[cut:]
        if cut:
            yield text[:cut]
    if held:
        yield held


def _overlap(text: bytes, secret: bytes) -> int:
    """How many of the last bytes of a text are the first ones of a secret."""
    longest = min(len(text), len(secret) - 1)
    return next((length for length in range(longest, 0, -1) if secret.startswith(text[-length:])), 0)
