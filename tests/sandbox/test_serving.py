"""Over a real socket: the server itself, and the script words that are about the connection."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.sandbox import create_app, running, serving

PROMPT_S = 60.0  # for what comes at once: a limit against hanging, and no measure of any machine
KEY = "sk-evo-a-key-of-alice"
CREATE = "/evolink/v1/videos/generations"


def over_a_socket(story: Callable[[httpx.AsyncClient], Awaitable[None]], **settings: Any) -> None:
    """Tell a story with a client of a sandbox that really listens."""

    async def tell() -> None:
        headers = {"authorization": f"Bearer {KEY}"}
        async with (
            running(**settings) as base_url,
            httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False, timeout=PROMPT_S) as client,
        ):
            await story(client)

    asyncio.run(tell())


def body(prompt: str) -> dict[str, Any]:
    return {"model": "MiniMax-Hailuo-2.3", "prompt": prompt}


async def bought(client: httpx.AsyncClient) -> int:
    return len((await client.get("/_sandbox/videos")).json())


async def until_bought(client: httpx.AsyncClient, count: int = 1) -> None:
    deadline = time.monotonic() + PROMPT_S
    while await bought(client) < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def statuses(client: httpx.AsyncClient) -> list[int | None]:
    return [entry["status"] for entry in (await client.get("/_sandbox/requests")).json()]


def test_a_video_is_made_and_fetched_over_a_socket() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        task_id = (await client.post(CREATE, json=body("a ship"))).json()["id"]
        deadline = time.monotonic() + PROMPT_S
        while (task := (await client.get(f"/evolink/v1/tasks/{task_id}")).json())["status"] != "completed":
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        (url,) = task["results"]
        assert url.startswith(str(client.base_url))
        film = await client.get(url)
        assert film.content[4:8] == b"ftyp"
        assert (await client.get(url, headers={"range": "bytes=0-9"})).content == film.content[:10]

    over_a_socket(story, speed=500)


def test_drop_closes_without_a_byte_and_sells_nothing() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await client.post(CREATE, json=body("#sandbox:drop"))
        assert await bought(client) == 0
        assert await statuses(client) == [None]

    over_a_socket(story)


def test_drop_after_accept_closes_without_a_byte_and_was_billed() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await client.post(CREATE, json=body("#sandbox:drop-after-accept"))
        assert await bought(client) == 1
        assert await statuses(client) == [None]

    over_a_socket(story)


@pytest.mark.parametrize(
    "path",
    ["/toapis/v1/videos/generations", "/newapi/v1/video/generations", "/minimax/v1/video_generation"],
)
def test_every_protocol_can_be_cut_and_broken_off(path: str) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await client.post(path, json=body("#sandbox:drop"))
        assert await bought(client) == 0
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await client.post(path, json=body("#sandbox:drop-after-accept"))
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            await client.post(path, json=body("#sandbox:half-answer"))
        assert await bought(client) == 2

    over_a_socket(story)


def test_half_an_answer_of_minimax_holds_the_whole_id() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        request = client.build_request("POST", "/minimax/v1/video_generation", json=body("#sandbox:half-answer"))
        raw = await exchange(client, request)
        (video,) = (await client.get("/_sandbox/videos")).json()
        assert f'{{"task_id": "{video["id"]}"'.encode() in raw
        assert not raw.endswith(b"}}")

    over_a_socket(story)


@pytest.mark.parametrize(
    ("word", "end"), [("half-answer", b'"object"'), ("half-answer=12", b'{"created": '), ("half-answer=0", b"\r\n\r\n")]
)
def test_half_answer_breaks_off_within_the_body_and_was_billed(word: str, end: bytes) -> None:
    async def story(client: httpx.AsyncClient) -> None:
        request = client.build_request("POST", CREATE, json=body(f"#sandbox:{word}"))
        raw = await exchange(client, request)
        head, _, rest = raw.partition(b"\r\n\r\n")
        (size,) = re.findall(rb"content-length: (\d+)", head)
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert len(rest) < int(size)
        assert end in raw
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            await client.post(CREATE, json=body(f"#sandbox:{word}"))
        assert await bought(client) == 2

    over_a_socket(story)


async def exchange(client: httpx.AsyncClient, request: httpx.Request) -> bytes:
    """Send a request and read whatever comes until the other side closes."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    writer.write(f"{request.method} {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + request.content)
    raw = await asyncio.wait_for(reader.read(), PROMPT_S)
    writer.close()
    await writer.wait_closed()
    return raw


def test_hang_accepts_and_waits_until_the_client_leaves() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        waiting = asyncio.create_task(client.post(CREATE, json=body("#sandbox:hang")))
        await until_bought(client)
        await asyncio.wait((waiting,), timeout=0.2)
        assert not waiting.done()
        assert waiting.cancel()
        await asyncio.wait((waiting,))
        assert await bought(client) == 1
        assert await statuses(client) == [None]

    over_a_socket(story)


def test_hang_closes_after_two_minutes_on_the_sandboxs_clock() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        started = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):  # and no time-out
            await client.post(CREATE, json=body("#sandbox:hang"))
        assert time.monotonic() - started >= 0.19

    over_a_socket(story, speed=600)


def test_slow_answers_well_in_the_end() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        started = time.monotonic()
        answer = await client.post(CREATE, json=body("#sandbox:slow=0.3"))
        assert answer.status_code == 200
        assert time.monotonic() - started >= 0.29
        assert await bought(client) == 1

    over_a_socket(story, speed=1000)


def test_who_leaves_a_slow_answer_has_bought_all_the_same() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        waiting = asyncio.create_task(client.post(CREATE, json=body("#sandbox:slow=90")))
        await until_bought(client)
        assert waiting.cancel()
        await asyncio.wait((waiting,))
        assert await bought(client) == 1

    over_a_socket(story)


def test_slow_drip_sends_one_byte_at_a_time() -> None:
    sent: list[bytes] = []

    async def story(client: httpx.AsyncClient) -> None:
        answer = await client.post(CREATE, json=body("#sandbox:slow-drip=0.001"))
        # What is sent apart may arrive together, where the machine was busy.
        assert {len(piece) for piece in sent} == {0, 1}
        assert sent.count(b"") == 1
        assert answer.content == b"".join(sent)
        assert b"task-unified-" in answer.content
        assert await bought(client) == 1

    over_a_socket(story, app=Overheard(create_app(), sent))


class Overheard:
    """An application, and the bodies that it sends when it answers a POST."""

    def __init__(self, app: ASGIApp, sent: list[bytes]) -> None:
        self._app = app
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def overhear(message: Message) -> None:
            if scope["method"] == "POST" and message["type"] == "http.response.body":
                self._sent.append(message["body"])
            await send(message)

        await self._app(scope, receive, overhear)


def test_a_cut_connection_harms_no_other() -> None:
    async def story(client: httpx.AsyncClient) -> None:
        prompts = ["a ship", "#sandbox:drop-after-accept", "#sandbox:slow=0.1", "#sandbox:half-answer"] * 5
        posts = (client.post(CREATE, json=body(f"{prompt} {n}")) for n, prompt in enumerate(prompts))
        answers = await asyncio.gather(*posts, return_exceptions=True)
        assert sum(isinstance(answer, httpx.Response) for answer in answers) == 10
        assert sum(isinstance(answer, httpx.RemoteProtocolError) for answer in answers) == 10
        assert await bought(client) == 20

    over_a_socket(story)


def test_it_stops_at_once_although_somebody_is_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    # What does not end by itself is ended after so many rounds, here some minutes.
    monkeypatch.setattr(serving, "_STOP_ROUNDS", 20_000)

    async def tell() -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=PROMPT_S) as client:
            async with running() as base_url:
                client.base_url = httpx.URL(base_url)
                headers = {"authorization": f"Bearer {KEY}"}
                waiting = asyncio.create_task(client.post(CREATE, json=body("#sandbox:hang"), headers=headers))
                await until_bought(client)
            with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
                await waiting
            with pytest.raises(httpx.ConnectError):
                await client.get("/_sandbox/videos")
        assert len(asyncio.all_tasks()) == 1

    started = time.monotonic()
    asyncio.run(tell())
    assert time.monotonic() - started < PROMPT_S


def test_who_makes_the_application_keeps_its_memory() -> None:
    app = create_app(seed=1)

    async def story(client: httpx.AsyncClient) -> None:
        await client.post(CREATE, json=body("a ship"))
        assert [video["state"] for video in app.state.sandbox.videos()] == ["pending"]

    over_a_socket(story, app=app)


def test_a_taken_port_is_said() -> None:
    async def tell(port: int) -> None:
        async with running(port=port):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        asyncio.run(tell(taken.getsockname()[1]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_one_line_and_ends_on_a_signal(number: signal.Signals) -> None:
    code = "from gateway.sandbox import serve; serve(port=0, speed=60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    addresses = r"(http://127\.0\.0\.1:\d+)/evolink  \1/toapis  \1/newapi  \1/minimax"
    match = re.fullmatch(rf"Sandbox: {addresses}  log: (\S+)\n", line)
    assert match is not None, line
    headers = {"authorization": f"Bearer {KEY}"}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(match[1] + CREATE, json=body("#sandbox:drop"), headers=headers, trust_env=False, timeout=PROMPT_S)
    assert len(httpx.get(match[2], trust_env=False, timeout=PROMPT_S).json()) == 1
    process.send_signal(number)
    rest, _ = process.communicate(timeout=PROMPT_S)
    assert rest == ""
    assert process.returncode == 0


def test_a_speed_that_is_no_speed_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        create_app(speed=0)
