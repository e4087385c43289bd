"""Heads and bodies, judged without any socket: the same verdict however the bytes are cut."""

import re
from collections.abc import Iterator

import pytest

from gateway.errors import GatewayError, HeadTooLarge, InvalidRequest
from gateway.serving import framing
from gateway.serving.bodies import Chunked, Measured
from gateway.serving.framing import END, judge, judge_begun, line_of
from gateway.serving.limits import Limits
from tests.serving.payloads import CHUNKED, HOST, ORDER, PAYLOADS, SIZE, WHOLE, chunk, get, length, post

LIMITS = Limits()
AFTER = b"GET /after HTTP/1.1\r\n"
GOOD_HEADS = {name: it.sent.split(END)[0] + END for name, it in PAYLOADS.items() if 200 in it.statuses[:1]}
GOOD_HEADS.pop("an empty line before")  # whose head is what follows the line
BAD_HEADS = {
    name: it.sent for name, it in PAYLOADS.items() if it.statuses[:1] != (200,) and not it.seen and it.statuses
}
GOOD_BODIES = {
    "one chunk": WHOLE,
    "many chunks": b"".join(chunk(b"%c" % byte) for byte in ORDER) + b"0\r\n\r\n",
    "extensions": chunk(ORDER, b';a=b;c="d"') + b"0;e\r\n\r\n",
    "trailers": chunk(ORDER) + b"0\r\nX: y\r\nZ: a\r\n\r\n",
    "zeros": b"000" + WHOLE.replace(b"\r\n0\r\n", b"\r\n0000\r\n"),
}
BAD_BODIES = {
    name: it.sent.split(END, 1)[1].partition(b"GET /hidden")[0]
    for name, it in PAYLOADS.items()
    if it.statuses == (400,) and it.seen
}


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes whole, in two parts cut anywhere, and one by one."""
    yield [data]
    yield from ([data[:at], data[at:]] for at in range(1, len(data)))
    yield [b"%c" % byte for byte in data]


def read_chunks(parts: list[bytes]) -> tuple[bytes, bytes, bool]:
    """The body, what comes after it, and whether it came to its end."""
    chunked, body, rest = Chunked(LIMITS), b"", b""
    for part in parts:
        if chunked.is_whole:
            rest += part
        else:
            piece, rest = chunked.take(part)
            body += piece
    return body, rest, chunked.is_whole


@pytest.mark.parametrize("head", GOOD_HEADS.values(), ids=GOOD_HEADS)
def test_no_beginning_of_a_good_head_is_refused(head: bytes) -> None:
    assert judge(head, LIMITS.header_fields).text == head
    for end in range(1, len(head), max(1, len(head) // 500)):
        judge_begun(head[:end], 0, LIMITS.header_bytes)
        judge_begun(head[:end], max(0, end - 4), LIMITS.header_bytes)


@pytest.mark.parametrize("sent", BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_bad_head_is_refused_before_or_at_its_end(sent: bytes) -> None:
    end = sent.find(END) + len(END)
    is_whole = len(END) <= end <= LIMITS.header_bytes
    with pytest.raises(GatewayError):
        judge(sent[:end], LIMITS.header_fields) if is_whole else judge_begun(sent, 0, LIMITS.header_bytes)


def test_a_head_is_told_in_parts() -> None:
    head = judge(
        get(HOST + b"X-Y:  a b \t\r\n", line=b"GET /a%20b/%21?x=%20#".replace(b"#", b"") + b" HTTP/1.1\r\n"), 100
    )
    assert (head.method, head.path, head.raw_path, head.query) == ("GET", "/a b/!", b"/a%20b/%21", b"x=%20")
    assert head.fields.headers == [(b"host", b"g"), (b"x-y", b"a b")]
    assert (head.version, head.keeps_open, head.has_body) == ("1.1", True, False)


@pytest.mark.parametrize(
    ("line", "options", "keeps_open"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"close", False),
        (b"1.1", b"x , CLOSE", False),
        (b"1.1", b"keep-alive, close", False),
        (b"1.0", b"", False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_whether_a_connection_is_kept(line: bytes, options: bytes, keeps_open: bool) -> None:
    field = b"Connection: " + options + b"\r\n" if options else b""
    assert judge(get(HOST + field, line=b"GET / HTTP/" + line + b"\r\n"), 100).keeps_open is keeps_open


def test_what_was_judged_is_judged_again_where_a_byte_differs() -> None:
    first = judge(get(), 100)
    assert judge(get(), 100, first) is first
    other = judge(get(line=b"GET /other HTTP/1.1\r\n"), 100, first)
    assert (other.path, other.fields) == ("/other", first.fields)
    for bad in (get(HOST + HOST), get(b""), get(line=b"GET /other HTTP/1.1 \r\n")):
        with pytest.raises(InvalidRequest):
            judge(bad, 100, first)
    with pytest.raises(InvalidRequest):  # the same fields say more in one version than in the other
        judge(post(CHUNKED, line=b"POST / HTTP/1.0\r\n"), 100, judge(post(CHUNKED), 100))


def test_the_limits_are_met_exactly() -> None:
    assert judge(get(HOST + b"X: y\r\n" * 99), 100).fields.headers[-1] == (b"x", b"y")
    with pytest.raises(HeadTooLarge):
        judge(get(HOST + b"X: y\r\n" * 100), 100)
    judge_begun(b"G" * 31, 0, 32)
    with pytest.raises(HeadTooLarge):
        judge_begun(b"G" * 32, 0, 32)


def test_a_head_of_blanks_costs_one_pass() -> None:
    head = get(HOST + b"X: " + b" \t" * 30_000 + b"y\r\n")
    assert judge(head, 100).fields.headers[-1] == (b"x", b"y")
    with pytest.raises(InvalidRequest):
        judge(head[:-4] + b"\x00" + END, 100)


@pytest.mark.parametrize("body", GOOD_BODIES.values(), ids=GOOD_BODIES)
def test_a_good_body_ends_where_it_ends_however_it_is_cut(body: bytes) -> None:
    for parts in cuts(body + AFTER):
        assert read_chunks(parts) == (ORDER, AFTER, True)
    for parts in cuts(body[:-1]):
        assert read_chunks(parts) == (ORDER, b"", False)


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_body_is_refused_however_it_is_cut(body: bytes) -> None:
    for parts in cuts(body):
        with pytest.raises(GatewayError):
            read_chunks(parts)


def test_a_body_by_length_leaves_the_rest() -> None:
    for parts in cuts(ORDER + AFTER):
        measured, body, rest = Measured(SIZE), b"", b""
        for part in parts:
            if measured.is_whole:
                rest += part
            else:
                piece, rest = measured.take(part)
                body += piece
        assert (body, rest) == (ORDER, AFTER)


def test_chunks_may_not_be_all_framing() -> None:
    with pytest.raises(InvalidRequest, match="too small"):
        read_chunks([chunk(b"x") * 20_000])
    with pytest.raises(InvalidRequest, match="too small"):
        read_chunks([chunk(b"x" * 100, b";" + b"y" * 200) * 1_000])
    assert read_chunks([chunk(b"x" * 40) * 20_000 + b"0\r\n\r\n"]) == (b"x" * 800_000, b"", True)


def test_trailers_have_the_budget_of_a_head() -> None:
    for trailers in (b"X: y\r\n" * 101, b"X: " + b"y" * 70_000 + b"\r\n"):
        with pytest.raises(HeadTooLarge):
            read_chunks([b"0\r\n" + trailers + b"\r\n"])
    with pytest.raises(HeadTooLarge):
        read_chunks([b"0\r\n", b"X: " + b"y" * 40_000, b"y" * 40_000])


class Counting:
    """A pattern that counts how much it was given to look at."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self.looked_bytes = self.looks = 0

    def search(self, text: bytes, at: int = 0) -> re.Match[bytes] | None:
        self.looked_bytes += len(text) - at
        return self._pattern.search(text, at)

    def fullmatch(self, text: bytes, at: int, end: int) -> re.Match[bytes] | None:
        self.looks += 1
        return self._pattern.fullmatch(text, at, end)


def test_trailers_that_come_byte_by_byte_are_looked_at_twice_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    ill = Counting(framing._ILL)
    monkeypatch.setattr(framing, "_ILL", ill)
    trailers = b"X: " + b"y" * 5_000 + b"\r\nZ: a\r\n\r\n"
    body = chunk(ORDER) + b"0\r\n" + trailers
    assert read_chunks([b"%c" % byte for byte in body + AFTER]) == (ORDER, AFTER, True)
    assert len(trailers) - 1 <= ill.looked_bytes <= 2 * len(trailers)


@pytest.mark.parametrize("ill", [b"X: y\nZ: a", b"X: y\rZ: a", b"X: \x00", b"X: y\r\n\nZ"])
def test_what_no_trailer_can_become_good_after_is_refused_at_once_however_it_is_cut(ill: bytes) -> None:
    for parts in cuts(ill):
        with pytest.raises(InvalidRequest, match="bare line break or a control character"):
            read_chunks([b"0\r\n", *parts])


def test_a_request_line_is_judged_when_it_is_whole_and_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Counting(framing._LINE)
    monkeypatch.setattr(framing, "_LINE", line)
    head = get(HOST + b"X: " + b"y" * 1_000 + b"\r\n")
    for end in range(1, len(head)):
        judge_begun(head[:end], max(0, end - 4), LIMITS.header_bytes)  # as a connection says what it has seen
    assert 1 <= line.looks <= len(END), "it is looked at again as long as the end of the head could begin in it"
    with pytest.raises(InvalidRequest, match="request line"):
        judge_begun(b"GET  / HTTP/1.1\r\n", 13, LIMITS.header_bytes)


def test_who_is_refused_is_known_by_the_first_line() -> None:
    assert line_of(get(length(b"x"))) == ("GET", "/healthz")
    assert line_of(post(b"", line=b"POST /a%20b?c=d HTTP/1.1\r\n")) == ("POST", "/a b")
    for nothing in (b"", b"GET /", b"GET * HTTP/1.1\r\n", b"get / HTTP/1.1\r\n", b"\x16\x03\r\n"):
        assert line_of(nothing) is None
