"""Whose key carries a request: refusals for the key rest it and go to the next one, and nothing else is said twice."""

import asyncio
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.passthrough.upstream import Play, Upstream, Visit, config
from tests.world import ALICE, World, bearer, world

CHAT = "/v1/chat/completions"
ERROR = b'{"error": {"message": "we do not like this key", "code": "k"}}'


def refusing(status: int, *keys: str, headers: list[tuple[str, str]] | None = None, body: bytes = ERROR) -> Play:
    """An upstream that refuses these keys, all of them when none is named."""

    async def play(visit: Visit) -> None:
        await visit.read()
        if not keys or visit.key.removeprefix("sk-up-") in keys:
            await visit.answer(status, body, headers or [])
        else:
            await visit.answer(200, visit.body)

    return play


def states(it: World) -> dict[str, str]:
    return {key: state.value for _, key, state in it.parts.upstreams.key_states()}


def live(it: World) -> list[int]:
    pool = it.parts.upstreams._by_name["other"].pool
    return [sight.live_tasks for sight in pool.sights(it.parts.clock())]


async def post(it: World, content: Any = b'{"model": "m"}') -> Any:
    return await it.http.post(CHAT, content=content, headers=bearer(ALICE))


@pytest.mark.parametrize(("status", "state"), [(401, "retired"), (402, "exhausted"), (429, "resting"), (403, "ok")])
def test_a_key_that_is_refused_rests_and_the_next_one_carries_the_same_bytes(
    status: int, state: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with (
            Upstream(refusing(status, "one")) as upstream,
            world(tmp_path, config("one", "two"), upstream=upstream.url) as it,
        ):
            answer = await post(it)
            assert (answer.status_code, answer.content) == (200, b'{"model": "m"}')
            assert upstream.keys_used == ["sk-up-one", "sk-up-two"]
            assert upstream.visits[0].body == upstream.visits[1].body
            assert states(it) == {"one": state, "two": "ok"}
            assert live(it) == [0, 0]
            counted = it.parts.metrics.exposition().decode()
            assert 'reelgate_key_rotations_total{reason="' in counted
            assert 'operation="passthrough",outcome="2xx",upstream="other"} 1.0' in counted
            assert 'operation="passthrough",outcome="4xx",upstream="other"} 1.0' in counted

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refusal_of_every_key_is_the_operators_trouble(status: int, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Upstream(refusing(status)) as upstream,
            world(tmp_path, config("one", "two"), upstream=upstream.url) as it,
        ):
            answer = await post(it)
            assert answer.status_code == 503
            assert answer.json()["error"] == {
                "message": "no usable upstream credential",
                "type": "api_error",
                "param": None,
                "code": "service_unavailable",
            }
            assert answer.headers["x-should-retry"] == "false"
            assert "retry-after" not in answer.headers
            assert len(upstream.visits) == 2
            assert live(it) == [0, 0]

    asyncio.run(scenario())


def test_a_limit_on_every_key_is_told_with_the_soonest_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            await visit.read()
            await visit.answer(429, ERROR, [("Retry-After", {"sk-up-one": "40", "sk-up-two": "7"}[visit.key])])

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config("one", "two"), upstream=upstream.url) as it,
        ):
            answer = await post(it)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
            assert answer.headers["x-should-retry"] == "true"
            assert 6 <= int(answer.headers["retry-after"]) <= 7
            again = await post(it)
            assert again.status_code == 429
            assert len(upstream.visits) == 2, "while they rest, nobody is asked"

    asyncio.run(scenario())


def test_a_refusal_that_says_forbidden_takes_no_key_away_from_anybody(tmp_path: Path) -> None:
    """It may be about what the caller asked for: a model that is not in the plan, a word that a firewall dislikes."""
    bodies = [ERROR, b'{"error": {"message": "no access to this model"}}', b"<html>blocked</html>"]

    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url) as it:
            for body in bodies * 2:
                upstream.play = refusing(403, body=body)
                assert (await post(it)).status_code == 503
            assert states(it) == {"main": "ok"}
            upstream.play = refusing(403, "nobody")
            assert (await post(it)).status_code == 200

    asyncio.run(scenario())


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024):
        yield bytes(1024)


@pytest.mark.parametrize("size", [64 << 10, (64 << 10) + 1024])
def test_a_body_is_said_again_while_it_is_short(size: int, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            Upstream(refusing(401, "one")) as upstream,
            world(tmp_path, config("one", "two"), upstream=upstream.url) as it,
        ):
            answer = await post(it, chunks(size))
            if size <= 64 << 10:
                assert (answer.status_code, len(answer.content)) == (200, size)
                return
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.headers["x-should-retry"] == "true"
            assert upstream.keys_used == ["sk-up-one"]
            assert live(it) == [0, 0]
            repeated = await post(it, chunks(size))
            assert (repeated.status_code, len(repeated.content)) == (200, size)

    asyncio.run(scenario())


def test_a_body_that_is_refused_while_it_still_arrives_goes_on_with_the_next_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        refused = asyncio.Event()

        async def play(visit: Visit) -> None:
            if visit.key == "sk-up-one":
                async for _ in visit.pieces():
                    break
                await visit.answer(401, ERROR)
                refused.set()
                await visit.is_left()
            else:
                await visit.answer(200, await visit.read())

        async def slowly() -> AsyncIterator[bytes]:
            yield b"one,"
            await refused.wait()
            await asyncio.sleep(0.05)
            for number in range(2, 50):
                yield b"%d," % number
                await asyncio.sleep(0.001)

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config("one", "two"), upstream=upstream.url) as it,
        ):
            answer = await post(it, slowly())
            assert answer.content == b"one," + b"".join(b"%d," % number for number in range(2, 50))

    asyncio.run(scenario())


def test_what_is_not_about_the_key_is_asked_once(tmp_path: Path) -> None:
    statuses = (400, 404, 408, 409, 422, 500, 502, 503, 504)

    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config("one", "two"), upstream=upstream.url) as it:
            for status in statuses:
                upstream.play = refusing(status)
                # Clients repeat on these, and this may have been bought.
                assert (await post(it)).status_code == (500 if status in (408, 502, 503) else status)
                assert states(it) == {"one": "ok", "two": "ok"}
            assert len(upstream.visits) == len(statuses)

    asyncio.run(scenario())


def test_a_connection_that_breaks_before_the_answer_is_not_asked_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def drop(visit: Visit) -> None:
            await visit.read()

        async with (
            Upstream(drop) as upstream,
            world(tmp_path, config("one", "two"), upstream=upstream.url) as it,
        ):
            for asked, method in enumerate(("POST", "PUT", "PATCH", "DELETE", "GET"), start=1):
                answer = await it.http.request(method, "/v1/things", headers=bearer(ALICE))
                assert answer.headers["x-should-retry"] == "false"
                # Clients repeat on 502 whatever it says: only a question, which buys nothing, may be answered with it.
                assert answer.status_code == (502 if method == "GET" else 500)
                assert len(upstream.visits) == asked
                assert live(it) == [0, 0]

    asyncio.run(scenario())


def test_where_nobody_listens_nothing_was_sent_and_the_upstream_rests(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
            async with world(tmp_path, config("one", "two"), upstream=nobody) as it:
                for code in ("service_unavailable", "service_unavailable"):
                    answer = await post(it)
                    assert (answer.status_code, answer.json()["error"]["code"]) == (503, code)
                    assert answer.headers["x-should-retry"] == "true"
                    assert int(answer.headers["retry-after"]) >= 1
                assert live(it) == [0, 0]

    asyncio.run(scenario())


def test_what_is_passed_on_takes_no_place_of_a_video(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()

        async def play(visit: Visit) -> None:
            await visit.start()
            await gate.wait()
            await visit.chunk(b"")

        narrow = config("main", more=", max_tasks: 1, rpm: 1")
        async with Upstream(play) as upstream, world(tmp_path, narrow, upstream=upstream.url, on_socket=True) as it:
            ask = partial(it.http.stream, "POST", CHAT, json={}, headers=bearer(ALICE))
            async with ask() as first, ask() as second:
                assert (first.status_code, second.status_code, live(it)) == (200, 200, [0])
                gate.set()

    asyncio.run(scenario())
