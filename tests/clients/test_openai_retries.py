"""OpenAI's own clients when something breaks: they repeat the order by themselves, and one video is bought at most."""

import asyncio
from pathlib import Path

import pytest

from tests.clients.driving import Process
from tests.clients.shop import MODEL, shop
from tests.fakes.upstream import (
    FakeUpstream,
    accept,
    accepted_body,
    answer,
    assert_nothing_bought_twice,
    bytes_then,
    error_body,
    gated,
    response,
)
from tests.world import PROMPT_S, World

UPSTREAM = "{name: u, provider: evolink, base_url: '${UPSTREAM}', keys: [{id: main, value: sk-up-main-key}]"
PATIENT = f"upstreams: [{UPSTREAM}}}]"
HASTY = f"upstreams: [{UPSTREAM}, timeouts: {{connect_s: 60, read_s: 0.3, total_s: 60}}}}]"
# What an upstream may do after it has accepted and billed (FAILURES section 3), as far as nothing of an id is seen.
DOUBTS = {
    "reset": bytes_then(b"", "reset", buys=True),
    "closed": bytes_then(b"", "finish", buys=True),
    "silent": bytes_then(b"", "hang", buys=True),
    "half an answer": bytes_then(response(200, accepted_body())[:40], "finish", buys=True),
    "no JSON": answer(200, b"<html>well</html>", buys=True),
    "500": answer(500, error_body(), buys=True),
    "502": answer(502, error_body(), buys=True),
    "504": answer(504, b"<html>too long</html>", buys=True),
}


@pytest.mark.parametrize("settings", [{}, {"max_retries": 5}], ids=["defaults", "stubborn"])
def test_an_order_that_was_billed_and_never_answered_is_a_success_and_bought_once(
    openai: Process, settings: dict[str, int], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai, **settings) as (it, client):
            video = await client.do("create", model=MODEL, prompt="a ship #sandbox:drop-after-accept")
            assert (video["object"], video["status"], video["submission"]) == ("video", "queued", "unconfirmed")
            assert (await client.do("retrieve", id=video["id"]))["status"] == "queued"
            assert len(it.videos()) == 1
            assert len(it.requests("POST")) == 1

    asyncio.run(scenario())


def test_whatever_leaves_an_order_in_doubt_it_is_never_sent_again(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            FakeUpstream(DOUBTS.values()) as fake,
            shop(tmp_path, openai, HASTY, upstream=fake.url) as (_, client),
        ):
            for number, doubt in enumerate(DOUBTS, 1):
                video = await client.do("create", model=MODEL, prompt=doubt)
                assert (video["status"], video["submission"]) == ("queued", "unconfirmed"), doubt
                assert (fake.accepted, len(fake.posts)) == (number, number), doubt
            assert_nothing_bought_twice(fake)

    asyncio.run(scenario())


def test_a_client_that_loses_patience_and_repeats_its_order_gets_the_same_film(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        # A client that is slow itself loses patience more than once, and may.
        async with shop(tmp_path, openai, timeout=1, max_retries=9) as (it, client):
            video = await client.do("create", model=MODEL, prompt="a ship #sandbox:slow=1.3")
            assert (await client.do("page"))["ids"] == [video["id"]]
            assert len(it.videos()) == 1
            assert await requests_of(it, "/v1/videos", "POST") > 1  # or this has shown nothing

    asyncio.run(scenario())


def test_a_key_for_idempotency_makes_one_film_of_two_orders(openai: Process, tmp_path: Path) -> None:
    headers = {"Idempotency-Key": "a-ship-at-dawn"}

    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            first = await client.do("create", model=MODEL, prompt="a ship at dawn", headers=headers)
            again = await client.do("create", model=MODEL, prompt="a ship at dawn", seconds="6", headers=headers)
            assert again["id"] == first["id"]
            other = await client.fails("create", model=MODEL, prompt="a ship at dusk", headers=headers)
            assert (other.kind, other.code) == ("UnprocessableEntityError", "idempotency_key_reused")
            assert len(it.videos()) == 1

    asyncio.run(scenario())


def test_an_upstream_that_takes_its_time_is_waited_for_by_the_gateway_alone(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()
        async with (
            FakeUpstream([gated(gate, accept())]) as fake,
            shop(tmp_path, openai, PATIENT + "\nserver: {answer_within_s: 0.1}", upstream=fake.url) as (it, client),
        ):
            video = await client.do("create", model=MODEL, prompt="a ship at dawn")
            assert (video["status"], video["submission"]) == ("queued", "sending")
            gate.set()
            assert await it.parts.stories.drain(PROMPT_S) == 0
            assert "submission" not in await client.do("retrieve", id=video["id"])
            assert (fake.accepted, len(fake.posts)) == (1, 1)

    asyncio.run(scenario())


def test_too_many_requests_are_a_rate_limit_error_and_nothing_is_bought(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai, max_retries=0) as (it, client):
            error = await client.fails("create", model=MODEL, prompt="a ship #sandbox:429")
            assert (error.kind, error.status) == ("RateLimitError", 429)
            assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")
            assert it.videos() == []
            assert len(it.requests("POST")) == 1

    asyncio.run(scenario())


def test_a_client_with_its_own_retries_gets_its_one_film_after_a_rate_limit(openai: Process, tmp_path: Path) -> None:
    too_fast = answer(429, error_body(), [("Retry-After", "1")])

    async def scenario() -> None:
        async with (
            FakeUpstream([too_fast, accept()]) as fake,
            shop(tmp_path, openai, PATIENT, upstream=fake.url) as (_, client),
        ):
            video = await client.do("create", model=MODEL, prompt="a ship at dawn")
            assert video["status"] == "queued"
            assert (fake.accepted, len(fake.posts)) == (1, 2)  # the refused one and the sold one

    asyncio.run(scenario())


@pytest.mark.parametrize("word", ["503", "401", "402"])
def test_an_upstream_that_takes_nobody_is_a_server_error_and_nothing_is_bought(
    openai: Process, word: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai, max_retries=0) as (it, client):
            error = await client.fails("create", model=MODEL, prompt=f"a ship #sandbox:{word}")
            assert (error.kind, error.status) == ("InternalServerError", 503)
            assert (error.code, error.type) == ("service_unavailable", "api_error")
            assert it.videos() == []

    asyncio.run(scenario())


@pytest.mark.parametrize("word", ["401", "402"])
def test_what_no_repeat_can_help_is_not_repeated(openai: Process, word: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            assert (await client.fails("create", model=MODEL, prompt=f"a ship #sandbox:{word}")).status == 503
            assert await requests_of(it, "/v1/videos", "POST") == 1

    asyncio.run(scenario())


async def requests_of(it: World, route: str, method: str) -> float:
    """How many requests the gateway has answered, by its own count."""
    wanted = (f'route="{route}"', f'method="{method}"')
    lines = (await it.http.get("/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith("reelgate_requests_total{")]
    return sum(float(line.split()[-1]) for line in found if all(label in line for label in wanted))
