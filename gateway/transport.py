"""One exchange with an upstream on a socket, and what each way in which it can fail proves (FAILURES section 2).

Only a connection that never came about proves that nothing was sent; whatever is not listed as proof is doubt. No
redirects, no environment proxies, no compression, a deadline over the whole exchange (httpx's own are per read) and a
cap on the reply. Transports are used, not clients: a client would carry cookies from one key's answers to another's.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import Mapping, Sequence

import httpx

from gateway import errors
from gateway.line import NoHttp
from gateway.masking import mask_of
from gateway.structs import Struct
from gateway.wire import Call, Reply

REPLY_BYTES_MAX = 1 << 20  # a task object has some hundred bytes; FAILURES section 1


class Timeouts(Struct, frozen=True):
    """Seconds: to connect, between two reads, and for a whole exchange."""

    connect_s: float = 5.0
    read_s: float = 60.0
    total_s: float = 120.0


async def exchange(transport: httpx.AsyncBaseTransport, call: Call, secret: str, limits: Timeouts) -> Reply:
    """One call, one reply, within the limits. A body that broke off is kept, and says so. Raises Refused or InDoubt."""
    headers = headers_of(call, secret)
    timeout = httpx.Timeout(limits.read_s, connect=limits.connect_s).as_dict()
    request = httpx.Request(call.method, call.url, content=call.body, headers=headers, extensions={"timeout": timeout})
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.total_s
    try:
        async with asyncio.timeout_at(deadline):
            response = await transport.handle_async_request(request)
    except FOREIGN as error:
        raise judge_transport(error) from None
    body, is_whole = bytearray(), True
    try:
        async with asyncio.timeout_at(deadline):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > REPLY_BYTES_MAX:
                    is_whole = False
                    break
    except (httpx.HTTPError, OSError):
        is_whole = False
    finally:
        await response.aclose()
    return read_reply(response.status_code, response.headers, bytes(body[:REPLY_BYTES_MAX]), is_whole, secret)


def headers_of(call: Call, secret: str) -> dict[str, str]:
    """What every call says of itself, beside what is its own."""
    headers = {"authorization": f"Bearer {secret}", "accept": "application/json", "accept-encoding": "identity"}
    if call.body is not None:
        headers["content-type"] = "application/json"
    headers.update(call.headers)
    return headers


def read_reply(status: int, headers: Mapping[str, str], body: bytes, is_whole: bool, secret: str) -> Reply:
    """What came back, for the providers to read."""
    text, is_plain = _plain(body, headers.get("content-encoding", ""))
    # An upstream that quotes our key in an error must not show it to a caller, a log or the database.
    return Reply(status, headers, mask_of(secret).cover(text), is_whole and is_plain)


def _plain(body: bytes, encoding: str) -> tuple[bytes, bool]:
    """A body without the compression that nobody asked for, within the cap, and whether all of it could be read."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body, True
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return b"", False
    inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, as its header says
    try:
        return inflater.decompress(body, REPLY_BYTES_MAX), inflater.eof
    except zlib.error:
        return b"", False


def judge_transport(error: Exception) -> errors.UpstreamError:
    """T1–T13 by exception: what is not listed as proof is doubt."""
    for kind, row in NOTHING_SENT:
        if isinstance(error, kind):
            if _caused_by(error, ssl.SSLError, but_not=_TLS_UNFINISHED):
                return errors.Distrusted("no trusted connection to the upstream came about", row="T4")
            row = "T1" if _caused_by(error, socket.gaierror) else row
            return errors.Unreachable("no connection to the upstream came about", row=row)
    for kind, row in MAYBE_SENT:
        if isinstance(error, kind):
            doubt = errors.NoApi if isinstance(error, NoHttp) else errors.InDoubt
            return doubt("the connection to the upstream broke before an answer", row=row)
    return errors.InDoubt("the call to the upstream ended without an answer", row="T9")


NOTHING_SENT: Sequence[tuple[type[Exception], str]] = (
    (httpx.ConnectTimeout, "T3"),
    (httpx.ConnectError, "T2"),
    (httpx.PoolTimeout, "T5"),
)
MAYBE_SENT: Sequence[tuple[type[Exception], str]] = (
    (httpx.WriteError, "T6"),
    (httpx.WriteTimeout, "T6"),
    (httpx.ReadTimeout, "T9"),
    (httpx.ReadError, "T7"),
    (httpx.RemoteProtocolError, "T7"),
)


# How a handshake waits, and how it ends when the other side just leaves: that says nothing about trust.
_TLS_UNFINISHED = (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError)


def _caused_by(
    error: BaseException | None, kind: type[BaseException], *, but_not: tuple[type[BaseException], ...] = ()
) -> bool:
    while error is not None:
        if isinstance(error, kind) and not isinstance(error, but_not):
            return True
        error = error.__cause__ or error.__context__
    return False


# OSError: time-outs, and TLS that breaks in between.
FOREIGN = (httpx.HTTPError, httpx.InvalidURL, OSError)
