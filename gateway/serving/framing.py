"""Judges the head of a request by RFC 9112: bytes in, a `Head` or an error out.

What two readers could read in two ways is refused, also where the standard would let a lenient reader guess: whoever
stands before or behind this gateway must find the same requests in the same bytes. After an error nothing that follows
on the connection is a request.

Every pattern is possessive (`++`, `*+`): no head costs more than one pass.
"""

import re
import string
from typing import NamedTuple
from urllib.parse import unquote

from gateway.errors import GatewayError, HeadTooLarge, InvalidRequest, UnknownExpectation, UnknownVersion

# A fragment is for the client alone (RFC 9110, 7.1): with one, readers differ about where the path ends.
_LINE = re.compile(rb"([A-Z][A-Z_-]{0,31}+) ([\x21\x22\x24-\x7e]++) HTTP/([0-9])\.([0-9])\r\n")
_FIELDS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n")
_FIELD = re.compile(rb"([^:\r\n]++):([^\r\n]*+)\r\n")
_HOST = re.compile(rb"(?:[A-Za-z0-9._~%-]*+|\[[0-9A-Fa-f:.]++\])(?::[0-9]{0,5}+)?")
_ABSOLUTE = re.compile(rb"https?://([^/?]++)(.*+)", re.IGNORECASE)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
# Whoever stands before us and goes by paths (`/metrics` for the operator alone) may read these as they stand, and we do
# not. No client has a reason to escape them: a slash would be none, and the others need it nowhere (RFC 3986, 2.3).
_NEVER_ESCAPED = frozenset((string.ascii_letters + string.digits + "-._~/\\").encode()) | {*range(0x20), 0x7F}
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
# What no head can become good after: control characters, a bare LF, a bare CR.
_ILL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r[^\n]")
_WATCHED = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"})

END = b"\r\n\r\n"


class Fields(NamedTuple):
    """The fields of a head, names in lower case, and what they say of its framing."""

    block: bytes
    headers: list[tuple[bytes, bytes]]
    hosts: list[bytes]
    length: int | None
    is_chunked: bool
    closes: bool
    keeps: bool
    expects: bool


class Head(NamedTuple):
    """A request up to its body."""

    text: bytes
    method: str
    path: str
    raw_path: bytes
    query: bytes
    version: str
    fields: Fields
    keeps_open: bool
    """Whether the connection may serve another request after this one."""
    has_body: bool


def judge(head: bytes, fields_max: int, known: Head | None = None) -> Head:
    """The request that a whole head says, its empty line included. `known` is an earlier one: a client says nearly the
    same with each request, and the same bytes need no second judgement. Raises GatewayError."""
    if known is not None and known.text == head:
        return known
    cut = head.find(b"\r\n") + 2
    line = _LINE.fullmatch(head, 0, cut)
    if line is None:
        raise _line_refused(head[:cut])
    method, target, major, minor = line.groups()
    if major != b"1" or minor > b"1":
        raise UnknownVersion("this server speaks HTTP/1.1 and HTTP/1.0")
    block = head[cut:]
    fields = known.fields if known is not None and known.fields.block == block else read_fields(block, fields_max)
    is_newest = minor == b"1"
    if is_newest and not fields.hosts:
        raise InvalidRequest("the request has no Host")
    if fields.is_chunked and not is_newest:
        raise InvalidRequest("HTTP/1.0 knows no Transfer-Encoding")
    raw_path, _, query = _origin_form(target, fields.hosts).partition(b"?")
    path = raw_path.decode("ascii")
    if "%" in path:
        if any(int(escape, 16) in _NEVER_ESCAPED for escape in _ESCAPE.findall(raw_path)):
            raise InvalidRequest("the path has an escaped slash, control character, letter, digit, dot or dash")
        path = unquote(path)
    return Head(
        text=head,
        method=method.decode("ascii"),
        path=path,
        raw_path=raw_path,
        query=query,
        version="1.1" if is_newest else "1.0",
        fields=fields,
        keeps_open=not fields.closes and (is_newest or fields.keeps),
        has_body=fields.is_chunked or bool(fields.length),
    )


def judge_begun(text: bytes, seen: int, bytes_max: int) -> None:
    """Whether a head that is not whole can still become good; of its first `seen` bytes that was asked before."""
    if len(text) >= bytes_max:
        raise HeadTooLarge(f"the head of the request is larger than {bytes_max} bytes")
    if _ILL.search(text, max(0, seen - 1)) is not None:
        raise InvalidRequest("the head of the request has a bare line break or a control character")
    cut = text.find(b"\r\n") + 2
    if cut > max(1, seen) and _LINE.fullmatch(text, 0, cut) is None:  # a line that was whole then was judged then
        raise _line_refused(text[:cut])


def read_fields(block: bytes, fields_max: int) -> Fields:
    """The fields between a request line and a body, with the empty line that ends them. Raises GatewayError."""
    if _FIELDS.fullmatch(block) is None:
        raise InvalidRequest("a header field is malformed: `name: value`, without line folds or control characters")
    headers = [(name.lower(), value.strip(b" \t")) for name, value in _FIELD.findall(block)]
    if len(headers) > fields_max:
        raise HeadTooLarge(f"the request has more than {fields_max} header fields")
    said: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _WATCHED:
            said.setdefault(name, []).append(value)
    hosts = said.get(b"host", [])
    if len(hosts) > 1 or any(_HOST.fullmatch(host) is None for host in hosts):
        raise InvalidRequest("the request must have one Host, of a name or an address")
    lengths, codings = said.get(b"content-length", []), said.get(b"transfer-encoding", [])
    if lengths and codings:
        raise InvalidRequest("Content-Length and Transfer-Encoding exclude each other")
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise InvalidRequest("the only Transfer-Encoding here is chunked, said once")
    if lengths and (len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None):
        raise InvalidRequest("Content-Length must be one whole number")
    options = [option.strip(b" \t").lower() for value in said.get(b"connection", []) for option in value.split(b",")]
    expectations = [value.lower() for value in said.get(b"expect", [])]
    if any(value != b"100-continue" for value in expectations):
        raise UnknownExpectation("the only expectation met here is 100-continue")
    return Fields(
        block=block,
        headers=headers,
        hosts=hosts,
        length=int(lengths[0]) if lengths else None,
        is_chunked=bool(codings),
        closes=b"close" in options,
        keeps=b"keep-alive" in options,
        expects=bool(expectations),
    )


def judge_trailers(block: bytes, fields_max: int) -> None:
    """Trailers need only be well-formed and few: they have no effect. Raises GatewayError."""
    if _FIELDS.fullmatch(block) is None:
        raise InvalidRequest("a trailer field is malformed")
    if block.count(b"\n") - 1 > fields_max:
        raise HeadTooLarge(f"the request has more than {fields_max} trailer fields")


def judge_trailers_begun(text: bytes, seen: int, bytes_max: int) -> None:
    """Whether trailers that are not whole can still become good; of their first `seen` bytes that was asked before."""
    if len(text) >= bytes_max:
        raise HeadTooLarge(f"the trailers of the request are larger than {bytes_max} bytes")
    if _ILL.search(text, max(0, seen - 1)) is not None:
        raise InvalidRequest("the trailers of the request have a bare line break or a control character")


def line_of(text: bytes) -> tuple[str, str] | None:
    """Method and path of a request that is refused, where its first line can be read: an error is told in the words of
    whose path it is."""
    line = _LINE.match(text)
    if line is None or line[2][:1] != b"/":
        return None
    return line[1].decode("ascii"), unquote(line[2].partition(b"?")[0].decode("ascii"))


def _line_refused(line: bytes) -> GatewayError:
    return InvalidRequest(
        "the request line must be METHOD, path and HTTP/1.1, one space between them"
        if line.isascii()
        else "the request line must be ASCII"
    )


def _origin_form(target: bytes, hosts: list[bytes]) -> bytes:
    """Path and query of a target. A whole address is taken, as RFC 9112 section 3.2.2 demands, where it names the same
    host as `Host`."""
    if target.startswith(b"/"):
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise InvalidRequest("the target of the request must be a path")
    authority, rest = absolute.groups()
    if authority.lower() not in [host.lower() for host in hosts]:
        raise InvalidRequest("the target of the request and its Host name different hosts")
    return rest if rest.startswith(b"/") else b"/" + rest
