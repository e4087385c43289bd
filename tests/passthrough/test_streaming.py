"""Both ways at once, a chunk at a time, for as long as both sides want it and no longer."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from gateway import crossing
from gateway.web import passthrough
from tests.passthrough.upstream import Upstream, Visit, config
from tests.world import ALICE, PROMPT_S, bearer, world

CHAT = "/v1/chat/completions"
EVENTS = [("Content-Type", "text/event-stream")]
MIB = 1 << 20
AT_ONCE_S = 20.0  # less than any time-out of the gateway, and more than any machine needs
PIECE = bytes(range(256)) * 4096  # 1 MiB


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


def test_the_first_event_arrives_while_the_upstream_still_holds_the_rest(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def play(visit: Visit) -> None:
            await visit.read()
            await visit.start(headers=EVENTS)
            await visit.chunk(b"data: one\n\n")
            await gate.wait()
            await visit.chunk(b"data: two\n\n")
            await visit.chunk(b"")

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
            it.http.stream("POST", CHAT, json={"stream": True}, headers=bearer(ALICE)) as answer,
        ):
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            chunks = answer.aiter_raw()
            assert await anext(chunks) == b"data: one\n\n"
            gate.set()
            assert await anext(chunks) == b"data: two\n\n"
            assert [chunk async for chunk in chunks] == []

    asyncio.run(scenario())


def test_the_head_of_an_answer_arrives_before_any_of_its_body(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def play(visit: Visit) -> None:
            await visit.start(headers=EVENTS)
            await gate.wait()
            await visit.chunk(b"")

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
            it.http.stream("GET", "/v1/realtime", headers=bearer(ALICE)) as answer,
        ):
            assert answer.status_code == 200
            gate.set()
            assert await answer.aread() == b""

    asyncio.run(scenario())


def test_the_first_of_a_body_reaches_the_upstream_while_the_caller_still_holds_the_rest(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate, seen = asyncio.Event(), asyncio.Event()

        async def play(visit: Visit) -> None:
            async for piece in visit.pieces():
                visit.body += piece
                seen.set()
            await visit.answer()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"one,"
            async with asyncio.timeout(PROMPT_S):
                await seen.wait()
            gate.set()
            yield b"two"

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
        ):
            answer = await it.http.post(CHAT, content=slowly(), headers=bearer(ALICE))
            assert (answer.status_code, gate.is_set()) == (200, True)
            assert upstream.visits[0].body == b"one,two"

    asyncio.run(scenario())


@pytest.mark.parametrize("is_framed", [True, False])
def test_an_upstream_that_answers_while_it_reads_does_not_stand_still(is_framed: bool, tmp_path: Path) -> None:
    """An echo of more than all the buffers on the way can hold."""

    async def scenario() -> None:
        async def echo(visit: Visit) -> None:
            await visit.start()
            async for piece in visit.pieces():
                await visit.chunk(piece)
            await visit.chunk(b"")

        async with (
            Upstream(echo) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
        ):
            count = 40
            length = {"content-length": str(count * MIB)} if is_framed else {"transfer-encoding": "chunked"}
            host, port = it.http.base_url.host, it.http.base_url.port
            reader, writer = await asyncio.open_connection(host, port, limit=4 * MIB)
            fields = {"host": "g", "connection": "close", **bearer(ALICE), **length}
            writer.write(f"POST {CHAT} HTTP/1.1\r\n".encode())
            writer.write("".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n")

            async def send() -> None:
                async for piece in pieces(count):
                    writer.write(piece if is_framed else b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
                writer.write(b"" if is_framed else b"0\r\n\r\n")

            sending = asyncio.create_task(send())
            async with asyncio.timeout(PROMPT_S):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
                received = bytearray()
                while size := int(await reader.readline(), 16):
                    received += await reader.readexactly(size)
                    await reader.readexactly(2)
            await sending
            writer.close()
            await writer.wait_closed()
            assert received == PIECE * count

    asyncio.run(scenario())


def test_a_refusal_that_comes_in_the_middle_of_an_upload_is_heard(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def refuse(visit: Visit) -> None:
            async for _ in visit.pieces():
                break
            await visit.answer(413, b'{"error": "that is too much"}')
            await visit.is_left()

        async with (
            Upstream(refuse) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
        ):
            answer = await it.http.post("/v1/files", content=pieces(64), headers=bearer(ALICE))
            assert (answer.status_code, answer.json()) == (413, {"error": "that is too much"})

    asyncio.run(scenario())


# --- callers who leave


@pytest.mark.parametrize("moment", ["before the answer", "in the answer", "in the body"])
def test_a_caller_who_leaves_closes_the_upstream_at_once(moment: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        begun = asyncio.Event()

        async def play(visit: Visit) -> None:
            if moment == "in the body":
                async for _ in visit.pieces():
                    begun.set()
                    break
            else:
                await visit.read()
            if moment == "in the answer":
                await visit.start(headers=EVENTS)
                await visit.chunk(b"data: one\n\n")
            begun.set()
            await visit.is_left()

        async def endless() -> AsyncIterator[bytes]:
            yield b"the first of many"
            await asyncio.Event().wait()

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
        ):
            content = endless() if moment == "in the body" else b"{}"

            async def ask() -> None:
                async with it.http.stream("POST", CHAT, content=content, headers=bearer(ALICE)) as answer:
                    async for _ in answer.aiter_raw():
                        pass

            asking = asyncio.create_task(ask())
            await asyncio.wait_for(begun.wait(), PROMPT_S)
            await asyncio.sleep(0.05)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await asyncio.wait_for(upstream.visits[0].left.wait(), AT_ONCE_S)
            assert len(upstream.visits) == 1
            pool = it.parts.upstreams._by_name["other"].pool
            for _ in range(2_000):
                if pool.live_tasks() == 0:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("its key still has a task in flight")

    asyncio.run(scenario())


def test_a_caller_who_does_not_take_the_answer_holds_the_upstream_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        said = 0

        async def pour(visit: Visit) -> None:
            nonlocal said
            await visit.start()
            for _ in range(200):
                await visit.chunk(PIECE)
                said += len(PIECE)
            await visit.chunk(b"")

        async with (
            Upstream(pour) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
            it.http.stream("GET", "/v1/files/1/content", headers=bearer(ALICE)) as answer,
        ):
            before = -1
            while before < said:  # until nothing moves any more
                before = said
                await asyncio.sleep(0.3)
            assert said < 100 * MIB, "the kernel's buffers hold less than that"
            taken = 0
            async for chunk in answer.aiter_raw():
                taken += len(chunk)
            assert taken == 200 * MIB

    asyncio.run(scenario())


def test_a_caller_who_takes_nothing_for_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passthrough, "STALL_S", 0.3)

    async def scenario() -> None:
        async def pour(visit: Visit) -> None:
            await visit.start()
            try:
                while True:
                    await visit.chunk(PIECE)
            except ConnectionError:
                visit.left.set()

        async with (
            Upstream(pour) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
            it.http.stream("GET", "/v1/files/1/content", headers=bearer(ALICE)),
        ):
            await asyncio.wait_for((await upstream.visit()).left.wait(), PROMPT_S)

    asyncio.run(scenario())


def test_a_caller_whose_body_stops_arriving_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passthrough, "BODY_PAUSE_S", 0.2)

    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            await visit.is_left()

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
        ):
            reader, writer = await asyncio.open_connection(it.http.base_url.host, it.http.base_url.port)
            writer.write(
                f"POST {CHAT} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {ALICE}\r\n"
                "Content-Length: 100\r\n\r\nthe first of".encode()
            )
            async with asyncio.timeout(PROMPT_S):
                assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
            await asyncio.wait_for((await upstream.visit()).left.wait(), PROMPT_S)
            writer.close()
            await writer.wait_closed()

    asyncio.run(scenario())


# --- upstreams that stop


@pytest.mark.parametrize("is_framed", [True, False])
def test_an_answer_that_breaks_off_is_not_taken_for_whole(is_framed: bool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            if is_framed:
                await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe first of")
            else:
                await visit.start()
                await visit.chunk(b"the first of")

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
        ):
            with pytest.raises(httpx.RemoteProtocolError):
                await it.http.get("/v1/files/1/content", headers=bearer(ALICE))
            counted = it.parts.metrics.exposition().decode()
            assert 'reelgate_errors_total{fault="upstream",reason="upstream_error"} 1.0' in counted
            assert (await it.http.get("/healthz")).status_code == 200

    asyncio.run(scenario())


class LoopTime:
    """The event loop's own time, which time-outs go by; a test can walk it forward."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._walked_s = 0.0
        loop.time = self  # type: ignore[method-assign]

    def __call__(self) -> float:
        return self._real() + self._walked_s

    async def walk(self, seconds: float) -> None:
        """What is on its way arrives first, or it would be late."""
        for _ in range(50):
            await asyncio.sleep(0.001)
        self._walked_s += seconds
        await asyncio.sleep(0)


def test_an_answer_may_take_as_long_as_it_likes_while_it_moves(tmp_path: Path) -> None:
    most_s = min(crossing.PAUSE_S, passthrough.BODY_PAUSE_S)
    times = 1 + round(crossing.PAUSE_S / most_s * 2)

    async def scenario() -> None:
        time = LoopTime()
        seen, taken = asyncio.Semaphore(0), asyncio.Semaphore(0)

        async def play(visit: Visit) -> None:
            async for piece in visit.pieces():
                visit.body += piece
                seen.release()
            await visit.start()
            for _ in range(times):
                await visit.chunk(b"still here")
                await asyncio.wait_for(taken.acquire(), PROMPT_S)
                await time.walk(0.8 * most_s)
            await visit.chunk(b"")

        async def slowly() -> AsyncIterator[bytes]:
            for _ in range(times):
                yield b"still here"
                await asyncio.wait_for(seen.acquire(), PROMPT_S)
                await time.walk(0.8 * most_s)

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
            it.http.stream("POST", CHAT, content=slowly(), headers=bearer(ALICE), timeout=None) as answer,
        ):
            received = b""
            async for piece in answer.aiter_raw():
                received += piece
                taken.release()
            assert received == upstream.visits[0].body == b"still here" * times

    asyncio.run(scenario())


def test_an_upstream_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        time = LoopTime()

        async def silent(visit: Visit) -> None:
            await visit.read()
            if visit.target == "/v1/late":
                await visit.start()
            await time.walk(crossing.PAUSE_S + 1)
            await visit.is_left()

        async with (
            Upstream(silent) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
        ):
            ask = partial(it.http.request, headers=bearer(ALICE), timeout=None)
            assert (await ask("GET", "/v1/early")).status_code == 502
            posted = await ask("POST", CHAT, json={})
            assert posted.status_code == 500  # 502 would be repeated, and this may have been paid for
            assert posted.headers["x-should-retry"] == "false"
            with pytest.raises(httpx.RemoteProtocolError):
                await ask("GET", "/v1/late")
            for visit in upstream.visits:
                await asyncio.wait_for(visit.left.wait(), PROMPT_S)
            assert len(upstream.visits) == 3

    asyncio.run(scenario())
