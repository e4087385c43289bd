"""Requests written by hand, each with what must come of it on the gateway alone.

Most carry `HIDDEN`, a whole second request, where a reader of another mind about the first one would find it.
"""

from dataclasses import dataclass
from enum import Enum

from tests.world import ALICE

CREATE = b"/v1/video/generations"
ORDER = b'{"model":"MiniMax-Hailuo-2.3","prompt":"a ship"}'
SIZE = len(ORDER)
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: g\r\n\r\n"
AUTH = b"Authorization: Bearer " + ALICE.encode() + b"\r\nContent-Type: application/json\r\n"
HOST = b"Host: g\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


class End(Enum):
    """How the connection is left."""

    OPEN = "the next request is answered"
    CLOSED = "closed by the gateway"
    WAITS = "more is waited for"


Seen = tuple[str, str, int]
"""Method, path, and how long a body the application was given."""


@dataclass(frozen=True)
class Payload:
    """`statuses` of all answers in their order; `seen` is what reached the application."""

    sent: bytes
    statuses: tuple[int, ...]
    seen: tuple[Seen, ...] = ()
    end: End = End.CLOSED


def post(fields: bytes, body: bytes = b"", *, line: bytes = b"POST " + CREATE + b" HTTP/1.1\r\n") -> bytes:
    return line + HOST + AUTH + fields + b"\r\n" + body


def get(fields: bytes = HOST, *, line: bytes = b"GET /healthz HTTP/1.1\r\n") -> bytes:
    return line + fields + b"\r\n"


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


def length(number: bytes | int) -> bytes:
    return b"Content-Length: " + (number if isinstance(number, bytes) else b"%d" % number) + b"\r\n"


def refused(sent: bytes, status: int = 400) -> Payload:
    """Nothing of it reaches the application, and nothing after it."""
    return Payload(sent + HIDDEN, (status,))


def broken(body: bytes) -> Payload:
    """The head is good and the chunks are not: the application is given no whole body."""
    return Payload(post(CHUNKED, body + HIDDEN), (400,), (("POST", CREATE.decode(), -1),))


def taken(sent: bytes, *bodies: int) -> Payload:
    """Good creates, each with a body of its length."""
    creates = tuple(("POST", CREATE.decode(), body) for body in bodies)
    return Payload(sent, (200,) * len(bodies), creates, End.OPEN)


HEALTH: Seen = ("GET", "/healthz", 0)
UNFINISHED: Seen = ("POST", CREATE.decode(), -1)
CL, WHOLE = length(SIZE), chunk(ORDER) + b"0\r\n\r\n"
WRONG_HOSTS = (b"a b", b"a/b", b"a@b", b"a,b", b"a?b", b"a#b", b"[::1", b"g:80:80", b"g:x", b"\xe4", b"g\x00", b"<g>")
WRONG_LENGTHS = (b"", b"+48", b"-1", b"48, 48", b"0x30", b"048", b"4 8", b"48.0", b"4_8", b"48;", b"9" * 30, b"\xb2")
WRONG_CODINGS = (
    b"gzip",
    b"identity",
    b"chunked, chunked",
    b"gzip, chunked",
    b"chunked, identity",
    b"xchunked",
    b"chunkedx",
    *(
        b'"chunked"',
        b"chunked;q=1",
        b"chunked,",
        b",chunked",
        b"chun ked",
        b"",
        b"\x0bchunked",
        b"chunked\x00",
        b"\xa0chunked",
    ),
)
WRONG_SIZES = (
    *(
        b"",
        b"0x30",
        b"+30",
        b"-30",
        b" 30",
        b"30 ",
        b"3g",
        b"\t30",
        b"1" * 9,
        b"0" * 9,
        b"30;\x00",
        b"30;a\nb",
        b"30\r",
    ),
    b"30,30",
    b"\xef\xbc\x93",
    b"30;" + b"x" * 300,
)
WRONG_LINES = (
    b"GET /healthz HTTP/1.1 \r\n",
    b"GET  /healthz HTTP/1.1\r\n",
    b" GET /healthz HTTP/1.1\r\n",
    b"GET /healthz\r\n",
    *(
        b"GET\t/healthz\tHTTP/1.1\r\n",
        b"get /healthz HTTP/1.1\r\n",
        b"G@T /healthz HTTP/1.1\r\n",
        b"GET /heal thz HTTP/1.1\r\n",
    ),
    *(
        b"GET /healthz HTTP/1.1x\r\n",
        b"GET /healthz http/1.1\r\n",
        b"GET /healthz HTTP/1,1\r\n",
        b"GET /healthz HTTP/11\r\n",
    ),
    *(
        b"GET /h\x00 HTTP/1.1\r\n",
        b"GET /h\x7f HTTP/1.1\r\n",
        b"GET /h\xc3\xa4 HTTP/1.1\r\n",
        b"GET /healthz#x HTTP/1.1\r\n",
    ),
    *(
        b"GET /%68ealthz HTTP/1.1\r\n",
        b"GET /a%2Fhealthz HTTP/1.1\r\n",
        b"GET /a%5Chealthz HTTP/1.1\r\n",
        b"GET /a/%2e%2E/healthz HTTP/1.1\r\n",
        b"GET /healthz%00 HTTP/1.1\r\n",
        b"GET /a%7e HTTP/1.1\r\n",
    ),
    b"GET healthz HTTP/1.1\r\n",
    b"GET * HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"CONNECT g:80 HTTP/1.1\r\n",
    *(
        b"GET http://other/healthz HTTP/1.1\r\n",
        b"GET http://g@other/healthz HTTP/1.1\r\n",
        b"GET ftp://g/ HTTP/1.1\r\n",
    ),
    *(
        b"GET http:///healthz HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\n",
        b"GET /healthz HTTP/1.1\r",
        b"\x16\x03\x01\x02\x00\r\n",
    ),
    b"G" * 40 + b" /healthz HTTP/1.1\r\n",
)
WRONG_FIELDS = (
    *(
        b"X : y\r\n",
        b" X: y\r\n",
        b"X\r\n",
        b": y\r\n",
        b"X: y\r\n z\r\n",
        b"X: y\r\n\tz\r\n",
        b"X: a\x00b\r\n",
        b"X: a\rb\r\n",
    ),
    *(
        b"X: a\nb: c\r\n",
        b"X: a\n\r\n",
        b"X\x00: y\r\n",
        b"X(y): z\r\n",
        b"X: \x01\r\n",
        b"X: \x7f\r\n",
        b"X\xe4: y\r\n",
        b"\x0bX: y\r\n",
    ),
    b"X y: z\r\n",
    b"X: y\r\r\n",
)

PAYLOADS: dict[str, Payload] = {
    # --- good ones, of which none may be refused or cut ---------------------------------------------------------
    "a plain request": Payload(get(), (200,), (HEALTH,), End.OPEN),
    "three at once": Payload(get() * 3, (200,) * 3, (HEALTH,) * 3, End.OPEN),
    "an empty line before": Payload(b"\r\n" + get(), (200,), (HEALTH,), End.OPEN),
    "a body by length": taken(post(CL, ORDER), SIZE),
    "a body in one chunk": taken(post(CHUNKED, WHOLE), SIZE),
    "two bodies in a row": taken(post(CL, ORDER) + post(CHUNKED, WHOLE), SIZE, SIZE),
    "a body in small chunks": taken(
        post(CHUNKED, b"".join(chunk(b"%c" % byte) for byte in ORDER) + b"0\r\n\r\n"), SIZE
    ),
    "a size in capitals and with zeros": taken(post(CHUNKED, b"000" + WHOLE.upper()[:2] + WHOLE[2:]), SIZE),
    "chunk extensions": taken(post(CHUNKED, chunk(ORDER, b';a=b;c="d"') + b"0;e\r\n\r\n"), SIZE),
    "trailers": taken(post(CHUNKED, chunk(ORDER) + b"0\r\nX: y\r\nZ: a\r\n\r\n"), SIZE),
    "the coding in capitals": taken(post(b"Transfer-Encoding: CHUNKED\r\n", WHOLE), SIZE),
    "tabs around a value": taken(post(b"Content-Length:\t%d \t\r\n" % SIZE, ORDER), SIZE),
    "an address that names the host": Payload(
        get(line=b"GET http://g/healthz HTTP/1.1\r\n"), (200,), (HEALTH,), End.OPEN
    ),
    "an upgrade to HTTP/2": Payload(
        get(HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        (200,),
        (HEALTH,),
        End.OPEN,
    ),
    "an upgrade to a WebSocket": Payload(
        get(HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n"),
        (200,),
        (HEALTH,),
        End.OPEN,
    ),
    "100 fields": Payload(get(HOST + b"".join(b"X-%d: y\r\n" % n for n in range(99))), (200,), (HEALTH,), End.OPEN),
    "60,000 bytes of head": Payload(get(HOST + b"X: " + b"y" * 60_000 + b"\r\n"), (200,), (HEALTH,), End.OPEN),
    "HTTP/1.0 without Host": Payload(get(b"", line=b"GET /healthz HTTP/1.0\r\n"), (200,), (HEALTH,)),
    "HTTP/1.0 that keeps the connection": Payload(
        get(b"Connection: keep-alive\r\n", line=b"GET /healthz HTTP/1.0\r\n"), (200,), (HEALTH,), End.OPEN
    ),
    "a body that nobody wants": Payload(
        b"POST /nowhere HTTP/1.1\r\n" + HOST + length(len(HIDDEN)) + b"\r\n" + HIDDEN,
        (404,),
        (("POST", "/nowhere", -1),),
        End.OPEN,
    ),
    "a body of a GET": Payload(get(HOST + length(len(HIDDEN))) + HIDDEN, (200,), (("GET", "/healthz", -1),), End.OPEN),
    "leave to send a body that is there": taken(post(b"Expect: 100-continue\r\n" + CL, ORDER), SIZE),
    # --- what ends the connection by itself ---------------------------------------------------------------------
    "nothing after a close": Payload(get(HOST + b"Connection: close\r\n") + HIDDEN, (200,), (HEALTH,)),
    "nothing after a close among others": Payload(get(HOST + b"Connection: x, Close\r\n") + HIDDEN, (200,), (HEALTH,)),
    "nothing after HTTP/1.0": Payload(get(line=b"GET /healthz HTTP/1.0\r\n") + HIDDEN, (200,), (HEALTH,)),
    # --- bodies that are not all there --------------------------------------------------------------------------
    "a body that is shorter than its length": Payload(post(length(SIZE + 1), ORDER), (), (UNFINISHED,), End.WAITS),
    "a body without its last chunk": Payload(post(CHUNKED, chunk(ORDER)), (), (UNFINISHED,), End.WAITS),
    "a last chunk without its empty line": Payload(
        post(CHUNKED, chunk(ORDER) + b"0\r\n"), (), (UNFINISHED,), End.WAITS
    ),
    "a head without its end": Payload(get()[:-2], (), (), End.WAITS),
    "half an empty line": Payload(b"\r", (), (), End.WAITS),
    # --- length and coding that disagree ------------------------------------------------------------------------
    "length before coding": refused(post(CL + CHUNKED, b"0\r\n\r\n")),
    "coding before length": refused(post(CHUNKED + CL, b"0\r\n\r\n")),
    "a length of nothing beside a coding": refused(post(length(0) + CHUNKED, WHOLE)),
    "two lengths": refused(post(length(0) + CL, ORDER)),
    "the same length twice": refused(post(CL + CL, ORDER)),
    "two codings": refused(post(CHUNKED + b"Transfer-Encoding: identity\r\n", WHOLE)),
    "the same coding twice": refused(post(CHUNKED + CHUNKED, WHOLE)),
    "a coding in HTTP/1.0": refused(post(CHUNKED, WHOLE, line=b"POST " + CREATE + b" HTTP/1.0\r\n")),
    "a space before the colon of a coding": refused(post(b"Transfer-Encoding : chunked\r\n" + CL, ORDER)),
    "a coding on a folded line": refused(post(b"Transfer-Encoding:\r\n chunked\r\n", WHOLE)),
    "a coding behind a bare LF": refused(post(b"X: y\nTransfer-Encoding: chunked\r\n" + CL, ORDER)),
    "a coding behind a bare CR": refused(post(b"X: y\rTransfer-Encoding: chunked\r\n" + CL, ORDER)),
    "a length on a folded line": refused(post(b"X: y\r\n Content-Length: 5\r\n" + CL, ORDER)),
    # --- hosts --------------------------------------------------------------------------------------------------
    "no host": refused(get(b"X: y\r\n")),
    "two hosts": refused(get(HOST + b"Host: other\r\n")),
    "the same host twice": refused(get(HOST + HOST)),
    "two hosts in HTTP/1.0": refused(get(HOST + HOST, line=b"GET /healthz HTTP/1.0\r\n")),
    # --- too much, or another protocol --------------------------------------------------------------------------
    "101 fields": refused(get(HOST + b"".join(b"X-%d: y\r\n" % n for n in range(100))), 431),
    "70,000 bytes of head": refused(get(HOST + b"X: " + b"y" * 70_000 + b"\r\n"), 431),
    "a line of 70,000 bytes": refused(get(line=b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\n"), 431),
    "20,000 short fields": refused(get(HOST + b"a:\r\n" * 20_000), 431),
    "HTTP/2": Payload(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9, (505,)),
    "HTTP/3.0": refused(get(line=b"GET /healthz HTTP/3.0\r\n"), 505),
    "HTTP/1.2": refused(get(line=b"GET /healthz HTTP/1.2\r\n"), 505),
    "two empty lines before": refused(b"\r\n\r\n" + get()),
    "a bare LF before": refused(b"\n" + get()),
    "bare LF everywhere": refused(get().replace(b"\r\n", b"\n")),
    "an expectation nobody knows": refused(post(b"Expect: 200-ok\r\n" + CL, ORDER), 417),
    "two expectations": refused(post(b"Expect: 100-continue, x\r\n" + CL, ORDER), 417),
    # --- chunks -------------------------------------------------------------------------------------------------
    "a chunk that is longer than its size": broken(b"3\r\n" + ORDER + b"\r\n0\r\n\r\n"),
    "a chunk that is shorter than its size": broken(b"31\r\n" + ORDER + b"\r\n0\r\n\r\n"),
    "a bare LF after a size": broken(WHOLE.replace(b"30\r\n", b"30\n")),
    "a bare LF after a chunk": broken(b"30\r\n" + ORDER + b"\n0\r\n\r\n"),
    "a bare CR after a chunk": broken(b"30\r\n" + ORDER + b"\r0\r\n\r\n"),
    "an empty line before a size": broken(b"\r\n" + WHOLE),
    "a bare LF after the last chunk": broken(chunk(ORDER) + b"0\n\n"),
    "a trailer with a bare LF": broken(chunk(ORDER) + b"0\r\nX: y\n\r\n"),
    "a trailer on a folded line": broken(chunk(ORDER) + b"0\r\nX: y\r\n z\r\n\r\n"),
    "a trailer with a space before its colon": broken(chunk(ORDER) + b"0\r\nX : y\r\n\r\n"),
    "a last chunk that is not empty": broken(chunk(ORDER) + b"0\r\nX\r\n\r\n"),
    # --- every wrong word in the same place ---------------------------------------------------------------------
    **{f"host {host!r}": refused(get(b"Host: " + host + b"\r\n")) for host in WRONG_HOSTS},
    **{f"length {word!r}": refused(post(length(word), ORDER)) for word in WRONG_LENGTHS},
    **{f"coding {word!r}": refused(post(b"Transfer-Encoding: " + word + b"\r\n", WHOLE)) for word in WRONG_CODINGS},
    **{f"size {word[:20]!r}": broken(word + b"\r\n" + ORDER + b"\r\n0\r\n\r\n") for word in WRONG_SIZES},
    **{f"line {line[:30]!r}": refused(get(line=line)) for line in WRONG_LINES},
    **{f"field {field!r}": refused(get(HOST + field)) for field in WRONG_FIELDS},
}
