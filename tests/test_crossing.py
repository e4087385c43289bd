"""What is passed on, on raw sockets: up and down at once, and every way in which a line ends.

Through the whole gateway it is tested in `tests/passthrough`.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from gateway import crossing, errors, line
from gateway.crossing import Crossing, Parcel, Passed
from tests.egress.world import CERTIFICATE
from tests.lines import LOOPS, NO_ANSWERS, Meet, Play, run, takes_nothing, upstream

SECRET = "sk-secret"
MIB = 1 << 20
PIECE = b"x" * MIB
WITHIN_S = 30.0
READ_BYTES_MAX = 256 << 10  # of an event loop, at once
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(params=list(LOOPS))
def play(request: pytest.FixtureRequest) -> Play:
    """Runs a story on each kind of event loop."""
    return partial(run, LOOPS[request.param])


@asynccontextmanager
async def crossed(base_url: str, parcel: Parcel) -> AsyncIterator[Passed]:
    """The answer, while the line stands; nothing is left of it afterwards."""
    one = Crossing(base_url, SECRET, parcel, connect_s=WITHIN_S)
    try:
        async with asyncio.timeout(WITHIN_S):
            passed = await one.open()
        yield passed
    finally:
        await one.close()
        assert one._line is None or one._line._transport.is_closing()
        assert one._upload is None or one._upload.done()


async def read(passed: Passed, got: list[bytes] | None = None) -> bytes:
    """All of the body; what of it came before an error is in `got`."""
    got = [] if got is None else got
    async with asyncio.timeout(WITHIN_S):
        async for piece in passed.chunks:
            got.append(piece)
    return b"".join(got)


def get(target: bytes = b"/v1/things") -> Parcel:
    return Parcel("GET", target)


def post(chunks: Callable[[], AsyncIterator[bytes]], length: int | None = None) -> Parcel:
    return Parcel("POST", b"/v1/things", chunks=chunks, length=length)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield PIECE


async def stuck() -> AsyncIterator[bytes]:
    yield b"the first"
    await asyncio.Event().wait()


def answering(*said: bytes, seen: list[bytes] | None = None, rest: bool = False) -> Meet:
    """Reads a head, says this piece by piece, and then closes or rests."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        for piece in said:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
        if rest:
            await reader.read()
        writer.close()

    return meet


def reset(writer: asyncio.StreamWriter) -> None:
    """As a process ends a connection that dies."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# --- the request


async def two() -> AsyncIterator[bytes]:
    yield b"one,"
    yield b""
    yield b"two"


REQUESTS = [
    (get(), b"GET", b"", b""),
    (Parcel("POST", b"/v1/things"), b"POST", b"content-length: 0\r\n", b""),
    (Parcel("DELETE", b"/v1/things"), b"DELETE", b"", b""),
    (post(two, 7), b"POST", b"content-length: 7\r\n", b"one,two"),
    (post(two), b"POST", b"transfer-encoding: chunked\r\n", b"4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n"),
]


@pytest.mark.parametrize(("parcel", "method", "framing", "body"), REQUESTS)
def test_a_request_says_its_framing_and_our_key(
    parcel: Parcel, method: bytes, framing: bytes, body: bytes, play: Play
) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        seen.append(await reader.readexactly(len(body)))
        writer.write(OK)
        await writer.drain()
        seen.append(await reader.read())
        writer.close()

    seen: list[bytes] = []

    async def story() -> None:
        parcel_with = Parcel(
            parcel.method, parcel.target, [(b"x-a", b"1"), (b"x-a", b"2")], parcel.chunks, parcel.length
        )
        async with upstream(meet) as url:
            async with crossed(f"{url}/api", parcel_with) as passed:
                assert await read(passed) == b"ok"
            for _ in range(1_000):
                if len(seen) == 3:
                    break
                await asyncio.sleep(0.01)
            name = url.removeprefix("http://").encode()
        head = b"%b /api/v1/things HTTP/1.1\r\nhost: %b\r\nx-a: 1\r\nx-a: 2\r\n" % (method, name)
        head += b"authorization: Bearer sk-secret\r\naccept-encoding: identity\r\n" + framing + b"\r\n"
        assert seen == [head, body, b""]

    play(story)


# --- the answer


_HINTS = b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = [
    ((OK,), b"ok"),
    (tuple(OK[at : at + 1] for at in range(len(OK))), b"ok"),
    ((_CHUNKED + b"1\r\no\r\n", b"1;x=y\r\nk\r\n0\r\nretry-after: 9\r\n\r\n"), b"ok"),
    ((_CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-length: 9\r\n\r\n") + b"2\r\nok\r\n0\r\n\r\n",), b"ok"),
    ((OK.replace(b"\r\n", b"\n"),), b"ok"),
    ((OK + b"HTTP/1.1 500 More\r\n\r\n",), b"ok"),
    ((b"HTTP/1.1 200 OK\r\n\r\nuntil ", b"the end"), b"until the end"),
    ((b"HTTP/1.0 200 OK\r\n\r\n",), b""),
    ((_HINTS, OK), b"ok"),
    ((b"HTTP/1.1 204 No Content\r\ncontent-length: 9\r\n\r\n",), b""),
]  # fmt: skip


@pytest.mark.parametrize(("said", "body"), WHOLE)
def test_an_answer_ends_where_it_says(said: tuple[bytes, ...], body: bytes, play: Play) -> None:
    async def story() -> None:
        async with upstream(answering(*said)) as url, crossed(url, get()) as passed:
            assert await read(passed) == body
            assert not {b"link", b"retry-after"} & {name for name, _ in passed.headers}

    play(story)


BROKEN_OFF = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
    _CHUNKED + b"2\r\nok\r\n",
    _CHUNKED + b"2\r\nok\r\nzz\r\n",
    _CHUNKED + b"2\r\nok\r\n0\r\nx: y\r\n",
    _CHUNKED + b"2\r\nok\r\n0\r\nx: " + b"y" * 500_000,
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
]


@pytest.mark.parametrize("said", BROKEN_OFF)
def test_an_answer_that_breaks_off_gives_what_there_is_and_says_so(said: bytes, play: Play) -> None:
    async def story() -> None:
        async with upstream(answering(said)) as url, crossed(url, get()) as passed:
            got: list[bytes] = []
            with pytest.raises(errors.LookFailed) as failed:
                await read(passed, got)
            assert (b"".join(got), failed.value.row) == (b"ok", "T10")

    play(story)


@pytest.mark.parametrize("said", NO_ANSWERS)
def test_what_is_no_answer_is_doubt_and_for_a_question_nothing_learnt(said: bytes, play: Play) -> None:
    async def story() -> None:
        async with upstream(answering(said)) as url:
            for parcel, kind in ((get(), errors.LookFailed), (Parcel("POST", b"/v1/things"), errors.InDoubt)):
                with pytest.raises(kind) as failed:
                    async with crossed(url, parcel):
                        pass
                assert failed.value.row == "T7"

    play(story)


def test_headers_come_down_as_they_came_but_for_our_key(play: Play) -> None:
    said = b"HTTP/1.1 200 OK\r\nX-One:  a \r\nx-one: b\r\nX-None:\r\nX-Key: sk-secret\r\n"
    said += b'X-Json: {"key": "sk\\u002Dsecret"}\r\ncontent-length: 0\r\n\r\n'

    async def story() -> None:
        async with upstream(answering(said)) as url, crossed(url, get()) as passed:
            assert passed.headers == [
                (b"x-one", b"a"), (b"x-one", b"b"), (b"x-none", b""), (b"content-length", b"0"),
            ]  # fmt: skip

    play(story)


def test_the_answer_to_head_has_no_body_whatever_it_says(play: Play) -> None:
    async def story() -> None:
        said = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"
        async with (
            upstream(answering(said, rest=True)) as url,
            crossed(url, Parcel("HEAD", b"/v1/things")) as passed,
        ):
            assert await read(passed) == b""
            assert passed.headers == [(b"content-length", b"100")]

    play(story)


def test_our_key_is_masked_in_an_error_wherever_it_is_cut(play: Play) -> None:
    async def story() -> None:
        head = b"HTTP/1.1 404 Not Found\r\n\r\n"
        async with upstream(answering(head, b"no sk-se", b"cret, sk-", b"s")) as url, crossed(url, get()) as passed:
            assert await read(passed) == b"no *********, sk-s"

    play(story)


def test_our_key_is_masked_in_an_error_as_json_may_spell_it(play: Play) -> None:
    async def story() -> None:
        head = b"HTTP/1.1 404 Not Found\r\n\r\n"
        async with (
            upstream(answering(head, b'{"k": "sk\\u0', b'02dsecret"}')) as url,
            crossed(url, get()) as passed,
        ):
            assert await read(passed) == b'{"k": "**************"}'

    play(story)


TEXTS = (
    *(b"text/event-stream", b"Application/JSON; charset=utf-8", b"application/problem+json", b"application/x-ndjson"),
    *(b"text/plain", b"application/xml", b"application/json-seq", b""),
)
BYTES = (b"video/mp4", b"application/octet-stream", b"image/png", b"application/zip", b"audio/mpeg")


@pytest.mark.parametrize("status", [b"200", b"206", b"299"])
@pytest.mark.parametrize("kind", TEXTS)
def test_our_key_is_masked_in_a_good_answer_that_is_text(kind: bytes, status: bytes, play: Play) -> None:
    head = b'HTTP/1.1 %b OK\r\netag: "1"\r\ncontent-length: 25\r\n' % status
    head += b"content-type: %b\r\n\r\n" % kind if kind else b"\r\n"

    async def story() -> None:
        parts = (b'{"k": "sk-se', b'cret", "b":1}')
        async with upstream(answering(head, *parts)) as url, crossed(url, get()) as passed:
            assert {(b"etag", b'"1"'), (b"content-length", b"25")} <= set(passed.headers)
            assert await read(passed) == b'{"k": "*********", "b":1}'

    play(story)


@pytest.mark.parametrize("about", [*(b"content-type: " + kind for kind in BYTES), b"content-encoding: gzip"])
def test_a_good_answer_that_is_no_plain_text_is_passed_on_byte_for_byte(about: bytes, play: Play) -> None:
    async def story() -> None:
        head = b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % about
        async with upstream(answering(head, b"film sk-se", b"cret film")) as url, crossed(url, get()) as passed:
            assert await read(passed) == b"film sk-secret film"

    play(story)


def test_an_event_is_passed_on_before_the_next_one_comes(play: Play) -> None:
    async def story() -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        async with (
            upstream(answering(head, b"data: this is sk\n\n", rest=True)) as url,
            crossed(url, get()) as passed,
            asyncio.timeout(WITHIN_S),
        ):
            assert await anext(aiter(passed.chunks)) == b"data: this is sk\n\n"

    play(story)


# --- both ways at once


@pytest.mark.parametrize("length", [None, 1 << 30])
def test_an_answer_is_heard_while_the_upload_is_under_way(length: int | None, play: Play) -> None:
    """Also where the upstream reads nothing more: then the body stands still, and is left."""
    left = asyncio.Event()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(MIB)
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nmuch")
        await writer.drain()
        await asyncio.sleep(0.1)
        try:
            while await reader.read(MIB):
                pass
        except ConnectionError:
            pass
        finally:
            left.set()
            writer.close()

    async def story() -> None:
        async with upstream(meet) as url:
            async with crossed(url, post(endless, length)) as passed:
                assert (passed.status, await read(passed)) == (413, b"much")
            async with asyncio.timeout(WITHIN_S):
                await left.wait()

    play(story)


def test_an_upstream_that_refuses_and_goes_while_more_is_sent_is_heard(play: Play) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(9)
        writer.write(b"HTTP/1.1 413 Too Large\r\n\r\nmuch")
        await writer.drain()
        writer.close()

    async def story() -> None:
        async with upstream(meet) as url, crossed(url, post(stuck, 1 << 30)) as passed:
            assert (passed.status, await read(passed)) == (413, b"much")

    play(story)


def test_an_answer_that_ends_with_the_connection_ends_although_the_upload_stands_still(play: Play) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.1)  # until the kernel holds all it can of the body
        writer.write(b"HTTP/1.1 413 Too Large\r\n\r\nmuch")
        writer.write_eof()
        await done.wait()
        writer.close()

    done = asyncio.Event()

    async def story() -> None:
        async with upstream(meet) as url:
            async with crossed(url, post(endless)) as passed:
                assert (passed.status, await read(passed)) == (413, b"much")
            done.set()

    play(story)


@pytest.mark.parametrize("length", [None, 64 * MIB])
def test_an_echo_of_more_than_all_buffers_hold_does_not_stand_still(length: int | None, play: Play) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        if length is None:
            while size := int(await reader.readline(), 16):
                writer.write(await reader.readexactly(size))
                await reader.readexactly(2)
                await writer.drain()
        else:
            for _ in range(length // MIB):
                writer.write(await reader.readexactly(MIB))
                await writer.drain()
        writer.close()

    async def some() -> AsyncIterator[bytes]:
        for number in range(64):
            yield bytes([number]) * MIB

    async def story() -> None:
        async with upstream(meet) as url, crossed(url, post(some, length)) as passed:
            got = await read(passed)
        assert got == b"".join([bytes([number]) * MIB for number in range(64)])

    play(story)


def test_a_slow_reader_holds_the_upstream_back_and_little_is_held(play: Play) -> None:
    size, said = 128 * MIB, 0

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(size // MIB):
            writer.write(PIECE)
            await writer.drain()
            said += MIB
        writer.close()

    async def story() -> None:
        async with upstream(meet) as url:
            one = Crossing(url, SECRET, get(), connect_s=WITHIN_S)
            passed = await one.open()
            before = -1
            while before < said:  # until nothing moves any more
                before = said
                await asyncio.sleep(0.3)
            assert said < size // 2, "the kernel's buffers hold less than that"
            assert one._line is not None
            most = 0
            got = 0
            async for piece in passed.chunks:
                got += len(piece)
                most = max(most, len(piece), one._line._held_bytes)
                await asyncio.sleep(0)
            assert got == size
            assert most <= crossing.HELD_BYTES_MAX + READ_BYTES_MAX
            await one.close()

    play(story)


def test_a_slow_upstream_is_given_no_more_of_the_body_than_it_takes(play: Play) -> None:
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(64):
            taken += MIB
            yield PIECE

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before < taken:
            before = taken
            await asyncio.sleep(0.3)
        stood_at.append(taken)
        await reader.readexactly(64 * MIB)
        writer.write(OK)
        await writer.drain()
        writer.close()

    stood_at: list[int] = []

    async def story() -> None:
        async with upstream(meet) as url, crossed(url, post(counted, 64 * MIB)) as passed:
            assert await read(passed) == b"ok"
        assert stood_at[0] < 32 * MIB, "the kernel's buffers hold less than that"

    play(story)


# --- how it ends


def test_silence_ends_it_in_the_head_and_in_the_body(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing, "PAUSE_S", 0.3)

    async def story() -> None:
        async with upstream(answering(rest=True)) as url:
            with pytest.raises(errors.LookFailed) as failed:
                async with crossed(url, get()):
                    pass
            assert failed.value.row == "T9"
        for parcel in (get(), post(stuck)):
            async with upstream(answering(OK[:-1], rest=True)) as url, crossed(url, parcel) as passed:
                with pytest.raises(errors.LookFailed) as failed:
                    await read(passed)
                assert failed.value.row == "T10"

    play(story)


def test_an_upload_that_nobody_takes_is_given_up(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing, "PAUSE_S", 0.3)

    async def story() -> None:
        async with upstream(takes_nothing) as url:
            with pytest.raises(errors.InDoubt):
                async with crossed(url, post(endless)):
                    pass

    play(story)


def test_whatever_moves_up_or_down_is_given_its_time(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossing, "PAUSE_S", 1.0)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(8):  # one large piece, taken a little at a time
            await reader.readexactly(2 * MIB)
            await asyncio.sleep(0.25)
        await reader.readexactly(48 * MIB)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(8):
            writer.write(b".")
            await asyncio.sleep(0.25)
        writer.close()

    async def large() -> AsyncIterator[bytes]:
        yield PIECE * 64

    async def story() -> None:
        async with upstream(meet) as url, crossed(url, post(large, 64 * MIB)) as passed:
            assert await read(passed) == b"." * 8

    play(story)


def test_while_nobody_takes_the_answer_the_silence_is_not_the_upstreams(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossing, "PAUSE_S", 0.2)

    async def story() -> None:
        async with upstream(answering(OK, rest=True)) as url, crossed(url, get()) as passed:
            await asyncio.sleep(0.6)
            assert await read(passed) == b"ok"

    play(story)


def test_a_connection_that_dies_under_the_body_is_doubt(play: Play) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(MIB)
        reset(writer)

    async def story() -> None:
        async with upstream(meet) as url:
            with pytest.raises(errors.InDoubt) as failed:
                async with crossed(url, post(endless)):
                    pass
            assert failed.value.row in ("T6", "T7")  # by which side of it is noticed first

    play(story)


def test_a_connection_that_is_reset_in_the_answer_breaks_it_off(play: Play) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the")
        await asyncio.wait_for(heard.wait(), WITHIN_S)
        reset(writer)

    heard = asyncio.Event()

    async def story() -> None:
        async with upstream(meet) as url, crossed(url, get()) as passed:
            assert await anext(passed.chunks) == b"until the"
            heard.set()
            with pytest.raises(errors.LookFailed):
                await anext(passed.chunks)

    play(story)


@pytest.mark.parametrize("said", [b"", OK[:-1]])
def test_a_caller_whose_body_fails_ends_it_with_its_own_error(said: bytes, play: Play) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"the first"
        await asyncio.wait_for(begun.wait(), WITHIN_S)
        raise errors.InvalidRequest("the rest never came")

    begun = asyncio.Event()

    async def ask(url: str) -> None:
        async with crossed(url, post(failing)) as passed:
            begun.set()
            await read(passed)

    async def story() -> None:
        async with upstream(answering(said, rest=True)) as url:
            if not said:
                begun.set()
            with pytest.raises(errors.InvalidRequest):
                await ask(url)

    play(story)


def test_whoever_is_cancelled_leaves_nothing_behind(play: Play) -> None:
    gone, left = asyncio.Event(), asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        try:
            yield b"the first"
            await asyncio.Event().wait()
        finally:
            left.set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            gone.set()
            writer.close()

    async def story() -> None:
        async with upstream(meet) as url:
            one = Crossing(url, SECRET, post(held), connect_s=WITHIN_S)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await one.open()
            await one.close()
            async with asyncio.timeout(WITHIN_S):
                await gone.wait()
                await left.wait()
            assert one._upload is not None
            assert one._upload.cancelled()

    play(story)


# --- who is on the other side


@pytest.fixture
def secured(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server that is images.example, whom this machine trusts."""
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(CERTIFICATE)
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted.load_verify_locations(CERTIFICATE)
    monkeypatch.setattr(line, "trust", lambda: trusted)

    async def look_up(to: line.Place) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", to.port))]

    monkeypatch.setattr(line, "_look_up", look_up)
    return served


def test_over_tls_it_is_the_same(secured: ssl.SSLContext, play: Play) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (16 * MIB))
        for _ in range(16):
            writer.write(await reader.readexactly(MIB))
            await writer.drain()
        await reader.read()
        writer.close()

    async def some() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield PIECE

    async def story() -> None:
        async with upstream(meet, secured=secured) as url:
            at = url.replace("http://127.0.0.1", "https://images.example")
            async with crossed(at, post(some, 16 * MIB)) as passed:
                assert await read(passed) == PIECE * 16

    play(story)


def test_a_server_that_nobody_trusts_is_told_nothing(secured: ssl.SSLContext, play: Play) -> None:
    async def story() -> None:
        async with upstream(answering(OK), secured=secured) as url:
            with pytest.raises(errors.Distrusted):
                async with crossed(url.replace("http://127.0.0.1", "https://other.example"), get()):
                    pass

    play(story)


def test_where_nobody_listens_nothing_was_sent(play: Play) -> None:
    async def story() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with pytest.raises(errors.Unreachable):
                async with crossed(f"http://127.0.0.1:{taken.getsockname()[1]}", post(stuck)):
                    pass

    play(story)
