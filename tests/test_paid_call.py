"""What a connection that is used once says of its end, on raw sockets. The rows as a whole are `tests/failures`."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest

from gateway import line, paid_call
from gateway.transport import REPLY_BYTES_MAX, Timeouts
from gateway.wire import Call
from tests import lines
from tests.lines import LOOPS, NO_ANSWERS, Meet, Play, run, takes_nothing

PATIENT = Timeouts(30, 30, 30)
LARGE = b"x" * (64 << 20)  # more than the buffers of any loopback connection hold
HEADERS = {"authorization": "Bearer secret", "x-name": "value"}


@asynccontextmanager
async def upstream(meet: Meet) -> AsyncIterator[str]:
    async with lines.upstream(meet) as base_url:
        yield f"{base_url}/v1/things?a=b c"


def call(
    url: str, body: bytes = b"{}", limits: Timeouts = PATIENT, method: str = "POST"
) -> Awaitable[paid_call.Answer]:
    return paid_call.send_once(Call("submit", method, url, body), HEADERS, limits)


@pytest.fixture(params=list(LOOPS))
def play(request: pytest.FixtureRequest) -> Play:
    """Runs a story on each kind of event loop."""
    return partial(run, LOOPS[request.param])


def answering(said: bytes, *, seen: list[bytes] | None = None, rest: bool = False) -> Meet:
    """Reads a head and a body of two bytes, says this, and then closes or rests."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2)
        if seen is not None:
            seen.append(heard)
        writer.write(said)
        await writer.drain()
        if rest:
            await reader.read()
        writer.close()

    return meet


def test_the_request_is_one_message_with_its_length_that_asks_for_the_end(play: Play) -> None:
    seen: list[bytes] = []

    async def story() -> None:
        async with upstream(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", seen=seen)) as url:
            await call(url)
            port = httpx.URL(url).port
        assert seen == [
            f"POST /v1/things?a=b%20c HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer secret\r\n"
            f"x-name: value\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}".encode()
        ]

    play(story)


_HINTS = b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"
WHOLE = [
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", True, b"ok"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True, b"ok"),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", True, b"until the end"),
    (b"HTTP/1.0 200 OK\r\n\r\n", True, b""),
    (_HINTS + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True, b""),
    (b"HTTP/1.1 204 No Content\r\n\r\n", True, b""),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok", False, b"ok"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", False, b"ok"),
    (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n", False, b"ok"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "is_whole", "body"), WHOLE)
def test_a_body_says_whether_it_is_all(said: bytes, is_whole: bool, body: bytes, play: Play) -> None:
    async def story() -> None:
        async with upstream(answering(said)) as url:
            answer = await call(url)
        assert (answer.is_whole, answer.body) == (is_whole, body)
        assert "link" not in answer.headers

    play(story)


# The last one is a body without its chunks: a crossing would pass on what there is of it.
BROKEN = [*NO_ANSWERS, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n"]


@pytest.mark.parametrize("said", BROKEN)
def test_what_is_no_answer_is_doubt(said: bytes, play: Play) -> None:
    async def story() -> None:
        async with upstream(answering(said)) as url:
            with pytest.raises(httpx.RemoteProtocolError):
                await call(url)

    play(story)


def test_headers_of_one_name_are_joined_and_trailers_say_nothing(play: Play) -> None:
    said = (
        b"HTTP/1.1 200 OK\r\nX-One: a\r\nx-one: b\r\ntransfer-encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\nretry-after: 9\r\n\r\n"
    )

    async def story() -> None:
        async with upstream(answering(said)) as url:
            answer = await call(url)
        assert answer.headers == {"x-one": "a, b", "transfer-encoding": "chunked"}

    play(story)


def test_a_body_is_read_up_to_the_cap(play: Play) -> None:
    size = REPLY_BYTES_MAX + 1

    async def story() -> None:
        said = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
        async with upstream(answering(said)) as url:
            answer = await call(url)
        assert (answer.is_whole, len(answer.body)) == (False, REPLY_BYTES_MAX)

    play(story)


def test_an_answer_that_comes_before_the_body_was_sent_is_heard(play: Play) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async def story() -> None:
        async with upstream(meet) as url:
            assert (await call(url, LARGE)).status == 413

    play(story)


def test_a_request_that_nobody_takes_is_a_write_time_out(play: Play) -> None:
    """T6: the body did not get out, and the connection still stands."""

    async def story() -> None:
        async with upstream(takes_nothing) as url:
            with pytest.raises(httpx.WriteTimeout):
                await call(url, LARGE, Timeouts(30, 0.3, 30))

    play(story)


def test_a_request_that_is_taken_slowly_is_given_its_time(play: Play) -> None:
    """The limit between two reads is for standing still: a large image on a thin line moves."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(8):
            await reader.readexactly(2 << 20)
            await asyncio.sleep(0.1)
        await reader.readexactly(len(LARGE) - (16 << 20))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def story() -> None:
        async with upstream(meet) as url:
            assert (await call(url, LARGE, Timeouts(30, 0.6, 60))).status == 200

    play(story)


def test_a_connection_that_dies_under_the_body_is_a_write_error(play: Play) -> None:
    """T6 again: a reset while bytes are waiting to be sent."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        await reader.readexactly(1 << 20)
        writer.transport.abort()

    async def story() -> None:
        async with upstream(meet) as url:
            with pytest.raises(httpx.WriteError):
                await call(url, LARGE)

    play(story)


def test_the_deadline_is_over_everything(play: Play) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"x-drop: 1\r\n")
            await asyncio.sleep(0.05)

    async def story() -> None:
        async with upstream(meet) as url:
            with pytest.raises(httpx.ReadTimeout):
                await call(url, limits=Timeouts(30, 30, 0.5))

    play(story)


def test_whoever_is_cancelled_leaves_no_connection_behind(play: Play) -> None:
    gone = asyncio.Event()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            gone.set()
            writer.close()

    async def story() -> None:
        async with upstream(meet) as url:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await call(url)
            async with asyncio.timeout(30):
                await gone.wait()

    play(story)


def test_a_host_with_a_dead_address_is_reached_at_its_next_one(
    play: Play, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    async def look_up(place: object) -> list[line.Address]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, ("127.0.0.1", unused_port)), (*kind, ("127.0.0.1", ports[-1]))]

    ports: list[int] = []
    monkeypatch.setattr(line, "_look_up", look_up)

    async def story() -> None:
        async with upstream(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as url:
            ports.append(httpx.URL(url).port or 0)
            assert (await call(url.replace("127.0.0.1", "some.host"))).status == 200

    play(story)


@pytest.fixture
def unused_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
