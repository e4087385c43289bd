"""One connection with a small application behind it: order, deadlines, and who may hold what."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from gateway import serving
from gateway.headers import GATHERS
from gateway.serving import Limits
from tests.serving.payloads import CHUNKED, HOST, chunk, get, length
from tests.serving.raw import Line, connected
from tests.world import PROMPT_S

MIB = 1 << 20
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


@asynccontextmanager
async def serves(app: Any, **limits: Any) -> AsyncIterator[str]:
    with serving.bind("127.0.0.1", 0) as listener:
        async with serving.running(app, listener, Limits(**limits)) as url:
            yield url


@asynccontextmanager
async def talks(app: Any, **limits: Any) -> AsyncIterator[Line]:
    async with serves(app, **limits) as url, connected(url) as line:
        yield line


async def say(send: Send, body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def path(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the path."""
    await say(send, scope["raw_path"])


async def read_all(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body, more = body + message["body"], message["more_body"]
    return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await say(send, await read_all(receive))


def ask(target: bytes, fields: bytes = HOST) -> bytes:
    return get(fields, line=b"GET " + target + b" HTTP/1.1\r\n")


def put(fields: bytes, body: bytes = b"") -> bytes:
    return b"PUT / HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


# --- order ------------------------------------------------------------------------------------------------------


def test_what_is_sent_ahead_is_answered_in_order_and_one_after_the_other() -> None:
    async def story() -> None:
        running: list[bytes] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            running.append(scope["raw_path"])
            assert len(running) == 1
            await asyncio.sleep(0.001 if scope["raw_path"].endswith(b"0") else 0)
            running.pop()
            await path(scope, receive, send)

        async with talks(app) as line:
            await line.send(b"".join(ask(b"/%d" % number) for number in range(500)))
            for number in range(500):
                answer = await line.answer()
                assert answer is not None
                assert answer.body == b"/%d" % number

    asyncio.run(story())


def test_a_client_that_sends_too_much_ahead_is_not_read_on() -> None:
    async def story() -> None:
        held, begun = asyncio.Event(), asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            begun.set()
            await held.wait()
            await path(scope, receive, send)

        async with talks(app) as line:
            flood = asyncio.create_task(line.send(ask(b"/") * (32 * MIB // len(ask(b"/")))))
            await begun.wait()
            await asyncio.sleep(0.2)
            assert not flood.done()
            held.set()
            assert (await line.answer()) is not None
            flood.cancel()
            line.abort()

    asyncio.run(story())


class AtOnce:
    """Answers GET /now at once, and everything else in a task."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.tasks: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.tasks.append(f"{scope['method']} {scope['path']}")
        await asyncio.sleep(0.01)
        await path(scope, receive, send)

    def at_once(self, scope: dict[str, Any]) -> tuple[int, bytes, bytes] | None:
        self.asked.append(f"{scope['method']} {scope['path']}")
        return (200, b"x-at-once: yes\r\n", b"now") if scope["path"] == "/now" else None


def test_what_needs_no_waiting_is_answered_without_a_task_and_in_its_turn() -> None:
    async def story() -> None:
        app = AtOnce()
        async with talks(app) as line:
            await line.send(ask(b"/now") + ask(b"/later") + ask(b"/now") * 40 + ask(b"/later"))
            bodies = []
            for _ in range(43):
                answer = await line.answer()
                assert answer is not None
                assert ("x-at-once" in answer.headers) == (answer.body == b"now")
                bodies.append(answer.body)
            assert bodies == [b"now", b"/later", *[b"now"] * 40, b"/later"]
            assert app.tasks == ["GET /later"] * 2
            await line.send(ask(b"/now", HOST + b"Connection: close\r\n") + ask(b"/now"))
            assert [answer.body for answer in await line.answers()] == [b"now"]

    asyncio.run(story())


class Reminded:
    """Answers /seen/* at once with how often that scope was asked, and everything else with what its own scope says."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await say(send, b"%d" % scope.get("seen", 0))

    def at_once(self, scope: dict[str, Any]) -> tuple[int, bytes, bytes] | None:
        scope["seen"] = scope.get("seen", 0) + 1
        return (200, b"", b"%d" % scope["seen"]) if scope["path"].startswith("/seen/") else None


def test_the_same_bytes_come_in_the_same_scope_and_others_in_another() -> None:
    async def story() -> None:
        async with serves(Reminded()) as url, connected(url) as line, connected(url) as other:
            key = HOST + b"Authorization: Bearer sk-1\r\n"
            large = HOST + b"X-Much: " + b"x" * 5_000 + b"\r\n"
            for target, fields, told in (
                (b"/seen/a", key, b"1"),
                (b"/seen/a", key, b"2"),
                (b"/seen/b", key, b"1"),  # another task of the same caller
                (b"/seen/b", HOST + b"Authorization: Bearer sk-2\r\n", b"1"),
                (b"/seen/b", key, b"1"),
                (b"/seen/b", key, b"2"),
                (b"/otherwise", key, b"0"),  # what is answered in a task has a scope of its own
                (b"/otherwise", key, b"0"),
                (b"/seen/b", large, b"1"),  # too large to be kept
                (b"/seen/b", large, b"1"),
                (b"/seen/b", key, b"1"),
            ):
                await line.send(ask(target, fields))
                answer = await line.answer()
                assert answer is not None
                assert answer.body == told, (target, fields[:60])
            await other.send(ask(b"/seen/b", key))
            answer = await other.answer()
            assert answer is not None
            assert answer.body == b"1", "another connection is somebody else"

    asyncio.run(story())


def test_only_a_request_that_is_all_there_and_changes_nothing_is_answered_at_once() -> None:
    async def story() -> None:
        app = AtOnce()
        async with talks(app) as line:
            for sent in (
                b"POST /now HTTP/1.1\r\n" + HOST + b"\r\n",
                ask(b"/now", HOST + length(1)) + b"x",
                ask(b"/now", HOST + CHUNKED) + b"0\r\n\r\n",
            ):
                await line.send(sent)
                answer = await line.answer()
                assert answer is not None
                assert answer.body == b"/now"
            assert app.asked == []
            await line.send(b"HEAD /now HTTP/1.1\r\n" + HOST + b"\r\n")
            answer = await line.answer(to_head=True)
            assert answer is not None
            assert (answer.headers["content-length"], app.asked) == ("3", ["HEAD /now"])
            await line.send(b"GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = await line.answer()
            assert answer is not None
            assert answer.headers["connection"] == "keep-alive"

    asyncio.run(story())


# --- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [length(5), CHUNKED], ids=["by length", "in chunks"])
def test_leave_to_send_is_given_when_the_body_is_wanted(fields: bytes) -> None:
    async def story() -> None:
        async with talks(echo) as line:
            await line.send(put(b"Expect: 100-continue\r\n" + fields))
            interim = await line.answer()
            assert interim is not None
            assert interim.status == 100
            await line.send(b"hello" if fields == length(5) else chunk(b"hello") + b"0\r\n\r\n")
            answer = await line.answer()
            assert answer is not None
            assert (answer.status, answer.body) == (200, b"hello")

    asyncio.run(story())


def test_who_never_gets_leave_is_not_waited_for() -> None:
    async def story() -> None:
        async with talks(path) as line:
            await line.send(put(b"Expect: 100-continue\r\n" + length(33)))
            (answer,) = await line.answers()
            assert (answer.status, answer.headers["connection"]) == (200, "close")

    asyncio.run(story())


def test_an_early_answer_reaches_a_client_that_is_still_sending() -> None:
    async def story() -> None:
        async with talks(path) as line:
            await line.send(put(length(64 * MIB)))
            for _ in range(40):
                await line.send(b"x" * 65_536)
            (answer,) = await line.answers()
            assert (answer.status, answer.headers["connection"]) == (200, "close")

    asyncio.run(story())


def test_a_body_that_nobody_takes_stays_with_the_client() -> None:
    async def story() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            taken.append(len((await receive())["body"]))
            await held.wait()
            body = await read_all(receive)
            await say(send, b"%d" % (len(body) + taken[0]))

        taken: list[int] = []
        held = asyncio.Event()
        async with talks(app) as line:
            upload = asyncio.create_task(line.send(put(length(16 * MIB), b"x" * (16 * MIB))))
            await asyncio.sleep(0.3)
            assert not upload.done()
            held.set()
            answer = await line.answer()
            assert answer is not None
            assert answer.body == b"%d" % (16 * MIB)

    asyncio.run(story())


@pytest.mark.parametrize("fields", [length(60_000), CHUNKED], ids=["length", "chunks"])
@pytest.mark.parametrize(("gathers", "pieces"), [(True, [16_384] * 3), (False, [1_024] * 58)], ids=["all", "each"])
def test_a_body_that_is_wanted_as_a_whole_comes_in_large_pieces(
    gathers: bool, pieces: list[int], fields: bytes
) -> None:
    """The last piece, which ends it, is as long as it may be."""

    async def story() -> None:
        taken: list[int] = []
        told = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if gathers:
                scope[GATHERS]()
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message["body"], message["more_body"]
                taken.append(len(message["body"]))
                told.set()
            await say(send, b"%d" % len(body))

        async with talks(app) as line:
            await line.send(put(fields))
            for number in range(58):
                await line.send(chunk(bytes(1_024)) if fields == CHUNKED else bytes(1_024))
                if not gathers or number % 16 == 15:
                    async with asyncio.timeout(PROMPT_S):
                        await told.wait()
                    told.clear()
                else:
                    await asyncio.sleep(0.001)
            await line.send(chunk(bytes(608)) + chunk(b"") if fields == CHUNKED else bytes(608))
            answer = await line.answer()
            assert answer is not None
            assert answer.body == b"60000"
        assert taken[:-1] == pieces
        assert sum(taken) == 60_000

    asyncio.run(story())


def test_a_client_that_leaves_in_its_body_is_told_of_as_gone() -> None:
    async def story() -> None:
        told: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            told.set_result([(await receive())["type"] for _ in range(3)])
            await say(send, b"nobody hears it")

        async with serves(app) as url:
            async with connected(url) as line:
                await line.send(put(length(10), b"half"))
            async with asyncio.timeout(PROMPT_S):
                assert await told == ["http.request", "http.disconnect", "http.disconnect"]

    asyncio.run(story())


# --- answers ----------------------------------------------------------------------------------------------------


def test_an_answer_without_a_length_comes_in_chunks_and_to_http_1_0_until_the_end() -> None:
    async def story() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for piece in (b"a", b"", b"b" * 100_000, b"c"):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        whole = b"a" + b"b" * 100_000 + b"c"
        async with talks(app) as line:
            await line.send(ask(b"/") + b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n")
            answer = await line.answer()
            assert answer is not None
            assert (answer.headers["transfer-encoding"], answer.body) == ("chunked", whole)
            empty = await line.answer(to_head=True)
            assert empty is not None
            await line.send(get(HOST + b"Connection: keep-alive\r\n", line=b"GET / HTTP/1.0\r\n"))
            (answer,) = await line.answers()
            assert (answer.headers["connection"], answer.body) == ("close", whole)
            assert "transfer-encoding" not in answer.headers

    asyncio.run(story())


def test_the_head_of_an_answer_does_not_wait_for_its_body() -> None:
    async def story() -> None:
        held = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await held.wait()
            await send({"type": "http.response.body", "body": b"late"})

        async with talks(app) as line:
            await line.send(ask(b"/"))
            head = await line.answer(to_head=True)
            assert head is not None
            held.set()

    asyncio.run(story())


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a bug")


async def says_two_lines(scope: Scope, receive: Receive, send: Send) -> None:
    await say(send, b"x", 200, (b"x-name", b"a\r\nset-cookie: b"))


async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    pass


@pytest.mark.parametrize("app", [fails, says_two_lines, says_nothing])
def test_an_application_that_fails_before_it_answers_is_answered_for(app: Handler) -> None:
    async def story() -> None:
        async with talks(app) as line:
            await line.send(ask(b"/") + ask(b"/hidden"))
            (answer,) = await line.answers()
            assert (answer.status, answer.headers["connection"]) == (500, "close")
            assert b"internal_error" in answer.body

    asyncio.run(story())


async def fails_later(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("a bug")


async def says_less(scope: Scope, receive: Receive, send: Send) -> None:
    await say(send, b"half", 200, (b"content-length", b"8"))


async def leaves_later(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


@pytest.mark.parametrize("app", [fails_later, says_less, leaves_later])
def test_an_answer_that_breaks_off_is_never_taken_for_whole(app: Handler) -> None:
    async def story() -> None:
        async with talks(app) as line:
            await line.send(ask(b"/"))
            try:
                answer = await line.answer()
            except (asyncio.IncompleteReadError, ConnectionError):
                answer = None
            assert answer is None

    asyncio.run(story())


# --- deadlines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"", []),
        (b"\r\n", []),
        (b"\r", [408]),
        (b"G", [408]),
        (get()[:-2], [408]),
        (ask(b"/") + get()[:-1], [200, 408]),
        (ask(b"/"), [200]),
        (ask(b"/") + b"\r\n", [200]),
        (put(length(10), b"half"), [200]),
        (put(CHUNKED, b"3\r\nabc"), [200]),
    ],
)
def test_nobody_holds_a_connection_for_longer_than_its_time(sent: bytes, statuses: list[int]) -> None:
    async def story() -> None:
        async with talks(path, header_s=0.2, idle_s=0.2) as line:
            await line.send(sent)
            assert [answer.status for answer in await line.answers()] == statuses

    asyncio.run(story())


def test_a_head_that_drips_has_no_longer_than_one_that_stops() -> None:
    async def story() -> None:
        async with talks(path, header_s=0.3) as line:

            async def drip() -> None:
                await line.send(b"GET / HTTP/1.1\r\n" + HOST)
                while True:
                    await line.send(b"X: y\r\n")
                    await asyncio.sleep(0.02)

            dripping = asyncio.create_task(drip())
            (answer,) = await line.answers()
            assert answer.status == 408
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)

    asyncio.run(story())


def test_an_answer_that_nobody_reads_is_dropped_in_time() -> None:
    async def story() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await say(send, b"x" * (64 * MIB))
            answered.set()

        answered = asyncio.Event()
        async with serves(app, idle_s=0.3) as url:
            host, _, port = url.removeprefix("http://").rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
            writer.write(ask(b"/"))
            await answered.wait()
            await asyncio.sleep(0.6)
            got = 0
            with suppress(ConnectionResetError):
                while data := await reader.read(MIB):
                    got += len(data)
            assert got < 64 * MIB
            writer.close()

    asyncio.run(story())


def test_a_request_that_is_being_answered_has_the_applications_time() -> None:
    async def story() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await asyncio.sleep(0.5)
            await path(scope, receive, send)

        async with talks(app, header_s=0.1, idle_s=0.1) as line:
            await line.send(ask(b"/"))
            (answer,) = await line.answers()
            assert answer.status == 200

    asyncio.run(story())
