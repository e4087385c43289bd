"""From a create to the caller's own door, through the whole gateway: what is told, when, and to whom never."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from gateway import ids
from gateway.video import Caller
from tests.callbacks.world import until
from tests.egress.recorder import RECORDER
from tests.passthrough.upstream import Upstream as Receiver
from tests.passthrough.upstream import Visit, agreeable
from tests.world import ALICE, World, bearer, id_of, world

OPENED = 'preflight: {allow_private_networks: ["127.0.0.0/8"]}\n'
PUBLIC, LOOPBACK = IPv4Address("93.184.215.14"), IPv4Address("127.0.0.1")
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Speech:
    """How a dialect wishes for a callback, and polls."""

    create: str
    body: Mapping[str, Any]
    where: tuple[str, ...]
    read: str


MODEL = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship at dawn"}
SPEECHES = {
    "evolink": Speech("/v1/videos/generations", MODEL, ("callback_url",), "/v1/tasks/{id}"),
    "toapis": Speech("/v1/videos/generations", MODEL, ("metadata", "callback_url"), "/v1/videos/generations/{id}"),
    "newapi": Speech("/v1/video/generations", MODEL, ("metadata", "callback_url"), "/v1/video/generations/{id}"),
    "minimax": Speech("/v1/video_generation", MODEL, ("callback_url",), "/v1/query/video_generation?task_id={number}"),
}
MINIMAX_WORDS = {"Success": "success", "Fail": "failed"}


async def order(it: World, url: str, dialect: str = "evolink", **fields: Any) -> str:
    """A film with a callback, wished for as the dialect does."""
    speech = SPEECHES[dialect]
    wish: Any = url
    for name in reversed(speech.where):
        wish = {name: wish}
    created = await it.http.post(
        f"/{dialect}{speech.create}", json={**speech.body, **wish, **fields}, headers=bearer(ALICE)
    )
    return id_of(created)


async def poll(it: World, task_id: str, dialect: str) -> Any:
    path = SPEECHES[dialect].read.format(id=task_id, number=ids.number_of(task_id))
    return (await it.http.get(f"/{dialect}{path}", headers=bearer(ALICE))).json()


@pytest.mark.parametrize("trouble", ["", " #sandbox:fail-generation"], ids=["completed", "failed"])
@pytest.mark.parametrize("dialect", SPEECHES)
def test_every_dialect_is_told_what_its_poll_would_answer(dialect: str, trouble: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, world(tmp_path, OPENED) as it:
            task_id = await order(it, f"{receiver.url}/hook?token=1", dialect, prompt=f"a ship{trouble}")
            visit = await receiver.visit()
            await until(lambda: visit.body)
            assert (visit.method, visit.target) == ("POST", "/hook?token=1")
            assert visit.header("content-type") == "application/json"
            assert visit.header("webhook-signature") is None
            polled = await poll(it, task_id, dialect)
            if dialect == "minimax":
                polled["status"] = MINIMAX_WORDS[polled["status"]]
            assert json.loads(visit.body) == polled
            await until(lambda: 'callbacks_total{outcome="delivered"} 1.0' in it.parts.metrics.exposition().decode())
            assert len(receiver.visits) == 1

    asyncio.run(scenario())


def test_the_money_is_settled_before_anybody_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[tuple[int, int]] = []

        async with Receiver() as receiver, world(tmp_path, OPENED) as it:

            async def look_at_the_books(visit: Visit) -> None:
                _, owner = await it.parts.registry.balances(Caller("alice"), it.parts.clock())
                seen.append((owner.held, owner.spent))
                await agreeable(visit)

            receiver.play = look_at_the_books
            await order(it, receiver.url)
            await until(lambda: seen)
            assert seen == [(0, 280_000)]

    asyncio.run(scenario())


def test_attempts_are_signed_and_the_same_to_the_byte(tmp_path: Path) -> None:
    config = f"{OPENED}callbacks: {{signing_secret: {WHSEC}}}\nresults: {{links: gateway}}\n"
    config += "server: {answer_within_s: 60, public_url: 'https://films.example'}"

    async def scenario() -> None:
        async with Receiver() as receiver, world(tmp_path, config) as it:

            async def good_the_second_time(visit: Visit) -> None:
                await visit.read()
                await visit.answer(204 if len(receiver.visits) > 1 else 500)

            receiver.play = good_the_second_time
            await order(it, receiver.url)
            second = await receiver.visit(1)
            await until(lambda: second.body)
            first = receiver.visits[0]
            assert first.body == second.body
            assert first.header("webhook-id") == second.header("webhook-id")
            for visit in (first, second):
                said = Webhook(WHSEC).verify(visit.body, dict(visit.headers))
                assert said["results"][0].startswith("https://films.example/v1/videos/")

    asyncio.run(scenario())


def test_a_redirect_is_a_failure_and_leads_nobody_anywhere(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, Receiver() as elsewhere, world(tmp_path, OPENED) as it:

            async def lead_away(visit: Visit) -> None:
                await visit.read()
                await visit.answer(307, headers=[("location", elsewhere.url)])

            receiver.play = lead_away
            await order(it, receiver.url)
            await receiver.visit(1)  # it was tried again
            assert elsewhere.visits == []

    asyncio.run(scenario())


def test_a_host_that_has_moved_inside_since_the_create_is_never_connected_to(tmp_path: Path) -> None:
    """DNS rebinding: its name was public when it was looked at."""

    async def scenario() -> None:
        answers: list[IPv4Address] = [PUBLIC]

        async def resolve(name: str) -> tuple[IPv4Address, ...]:
            return (answers[-1],)

        async with world(tmp_path, resolve=resolve, speed=30) as it:
            _, port = it.sandbox_url.removeprefix("http://").split(":")
            with RECORDER.only(("127.0.0.1", int(port))) as recorder:
                task_id = await order(it, "https://moving.example/hook")
                answers.append(LOOPBACK)
                await it.finish(task_id)
                await until(lambda: 'callbacks_total{outcome="failed"}' in it.parts.metrics.exposition().decode())
                assert recorder.forbidden == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "url", ["http://93.184.215.14/", "https://10.0.0.1/", "https://localhost/", "https://a:b@x.example/"]
)
def test_an_address_that_may_not_be_called_is_refused_before_anything_is_bought(url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for dialect, speech in SPEECHES.items():
                wish: Any = url
                for name in reversed(speech.where):
                    wish = {name: wish}
                answer = await it.http.post(
                    f"/{dialect}{speech.create}", json={**speech.body, **wish}, headers=bearer(ALICE)
                )
                assert ".".join(speech.where) in answer.text
                assert "x-reelgate-task-id" not in answer.headers
            assert it.videos() == []

    asyncio.run(scenario())
