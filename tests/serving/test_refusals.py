"""What a refused client is told: in the words of whose path it asked, with all that says whether to come again."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway import serving
from tests.serving.payloads import AUTH, CHUNKED, CREATE, HIDDEN, HOST, ORDER, chunk, get, length, post
from tests.serving.raw import Answer, Recorder, connected
from tests.world import World, world

MANY = b"".join(b"X-%d: y\r\n" % number for number in range(200))


def create(path: bytes, fields: bytes = b"") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + AUTH + fields + b"\r\n"


async def told(it: World, sent: bytes) -> Answer:
    """The only answer there is, after which the connection is closed."""
    async with connected(it.base_url) as line:
        await line.send(sent)
        (answer,) = await line.answers()
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return answer


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (b"/v1/video_generation", ("base_resp", "status_code")),
        (b"/minimax/v1/video_generation", ("base_resp", "status_code")),
        (b"/v1/videos", ("error", "code")),
        (b"/v1/video/generations", ("code",)),
        (b"/toapis/v1/videos/generations", ("error", "code")),
    ],
)
def test_a_create_that_is_refused_by_its_head_is_told_so_in_its_dialect(
    path: bytes, place: tuple[str, ...], tmp_path: Path
) -> None:
    async def story() -> None:
        async with world(tmp_path, on_socket=True) as it:
            for sent, status in (
                (create(path, MANY), 431),
                (create(path, b"X: " + b"y" * 70_000 + b"\r\n"), 431),
                (create(path, HOST), 400),
                (create(path, length(5) + CHUNKED), 400),
                (create(path, b"Expect: magic\r\n" + length(5)), 417),
            ):
                answer = await told(it, sent)
                assert answer.status == status
                assert answer.headers["x-should-retry"] == "false"
                found = json.loads(answer.body)
                for name in place:
                    found = found[name]
            assert it.requests() == []

    asyncio.run(story())


def test_what_cannot_be_read_is_refused_in_the_house_dialect(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "server: {default_dialect: minimax}", on_socket=True) as it:
            for sent, status in ((b"\x16\x03\x01", 400), (b"GET /\r\n", 400), (b"PRI * HTTP/2.0\r\n\r\n", 505)):
                answer = await told(it, sent)
                assert answer.status == status
                assert "base_resp" in json.loads(answer.body)
                assert "x-should-retry" not in answer.headers

    asyncio.run(story())


def test_a_head_that_stops_on_a_create_may_be_sent_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "server: {limits: {header_s: 0.2}}", on_socket=True) as it:
            answer = await told(it, create(CREATE)[:-2])
            assert (answer.status, answer.headers["x-should-retry"]) == (408, "true")

    asyncio.run(story())


def test_broken_chunks_are_refused_in_the_dialect_of_the_request(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, on_socket=True) as it:
            sent = create(b"/v1/video_generation", CHUNKED + b"x-request-id: mine\r\n")
            answer = await told(it, sent + chunk(ORDER)[:-2] + b"x" + HIDDEN)
            assert (answer.status, answer.headers["x-request-id"]) == (400, "mine")
            assert json.loads(answer.body)["base_resp"]["status_code"] == 2013
            assert it.requests() == []

    asyncio.run(story())


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "server: {limits: {body_bytes: 100}}", on_socket=True) as it:
            for expectation in (b"", b"Expect: 100-continue\r\n"):
                answer = await told(it, create(CREATE, expectation + length(10**17)))
                assert (answer.status, answer.headers["x-should-retry"]) == (413, "false")

    asyncio.run(story())


def test_a_body_that_drips_is_cut_off_in_its_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "server: {limits: {body_s: 0.3}}", on_socket=True) as it:
            async with connected(it.base_url) as line:

                async def drip() -> None:
                    await line.send(post(length(10**6)))
                    while True:
                        await line.send(b" ")
                        await asyncio.sleep(0.02)

                dripping = asyncio.create_task(drip())
                (answer,) = await line.answers()
                assert answer.status == 400
                dripping.cancel()
                await asyncio.gather(dripping, return_exceptions=True)
            assert it.requests() == []

    asyncio.run(story())


def test_trailers_open_no_door_and_are_no_header(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            recorder = Recorder(it.app)
            with serving.bind("127.0.0.1", 0) as listener:
                async with serving.running(recorder, listener) as url, connected(url) as line:
                    nameless = b"POST " + CREATE + b" HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
                    trailers = AUTH + b"Content-Length: 3\r\nHost: other\r\nx-reelgate-dry-run: true\r\n"
                    await line.send(nameless + CHUNKED + b"\r\n" + chunk(ORDER) + b"0\r\n" + trailers + b"\r\n" + get())
                    statuses = [answer.status for answer in (await line.answer(), await line.answer()) if answer]
            assert statuses == [401, 200]
            assert all(name != b"authorization" for arrival in recorder.arrivals for name, _ in arrival.headers)
            assert it.requests() == []

    asyncio.run(story())


def test_refusals_are_counted_and_say_whose_path_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, on_socket=True) as it:
            await told(it, create(CREATE, MANY))
            said = (await it.http.get("/metrics")).text
            assert 'reelgate_errors_total{fault="caller",reason="header_too_large"} 1.0' in said
            labels = f'dialect="newapi",method="POST",route="{CREATE.decode()}",status="431"'
            assert f"reelgate_requests_total{{{labels}}} 1.0" in said

    asyncio.run(story())
