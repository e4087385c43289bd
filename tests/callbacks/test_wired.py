"""What hangs on the story of a create: where its upstream is told to call, what a late refusal tells, whose links."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.video import State
from tests.callbacks.test_callbacks import OPENED, order
from tests.callbacks.world import until
from tests.passthrough.upstream import Upstream as Receiver
from tests.passthrough.upstream import Visit
from tests.world import ALICE, SLOW, SPEECHES, World, bearer, id_of, world

OUTSIDE = "server: {answer_within_s: 60, public_url: 'https://films.example/gate'}\n"
SELLERS = {
    "evolink": ("MiniMax-Hailuo-02", ("callback_url",)),
    "newapi": ("MiniMax-Hailuo-2.3", ("metadata", "callback_url")),
    "minimax": ("MiniMax-Hailuo-2.3", ("callback_url",)),
}


def upstreams(provider: str, more: str = "") -> str:
    keys = "{id: main, value: sk-up-main-key}" + more
    return (
        f"upstreams: [{{name: sandbox, provider: {provider}, base_url: '${{UPSTREAM}}/{provider}', keys: [{keys}]}}]\n"
    )


def told(it: World, provider: str) -> list[Any]:
    """Where each create told the upstream to call."""
    found = []
    for entry in it.requests("POST"):
        said = entry["json"]
        for name in SELLERS[provider][1]:
            said = said[name]
        found.append(said)
    return found


@pytest.mark.parametrize("provider", SELLERS)
def test_an_upstream_is_told_of_a_path_on_which_it_is_heard(provider: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OPENED + OUTSIDE + upstreams(provider), speed=SLOW) as it:
            model, _ = SELLERS[provider]
            created = await it.create(model=model, callback_url="https://caller.example/hook")
            assert id_of(created)
            (url,) = told(it, provider)
            path = url.removeprefix("https://films.example/gate")
            assert path.startswith("/v1/callbacks/")
            answer = await it.http.post(path, json={"challenge": "once"})
            assert answer.json() == {"challenge": "once"}
            before = len(it.requests("GET"))
            assert (await it.http.post(path, json={"status": "processing"})).status_code == 200
            await until(lambda: len(it.requests("GET")) > before)
            assert "caller.example" not in json.dumps(it.requests())

    asyncio.run(scenario())


@pytest.mark.parametrize("provider", SELLERS)
def test_without_an_address_outside_no_upstream_is_told_of_any(provider: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, upstreams(provider), speed=SLOW) as it:
            model, _ = SELLERS[provider]
            assert id_of(await it.create(model=model, callback_url="https://caller.example/hook"))
            assert "callback" not in json.dumps([entry["json"] for entry in it.requests("POST")])

    asyncio.run(scenario())


def test_every_attempt_has_a_path_of_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        more = ", {id: second, value: sk-up-second-key}"
        async with world(tmp_path, OUTSIDE + upstreams("minimax", more), speed=SLOW) as it:
            created = await it.create(prompt="a ship #sandbox:429=1")
            assert created.headers["x-reelgate-attempts"] == "2"
            first, second = told(it, "minimax")
            assert first != second
            assert [url.split(".")[-2] for url in (first, second)] == ["1", "2"]

    asyncio.run(scenario())


def test_a_refusal_that_comes_after_the_answer_is_told_by_callback(tmp_path: Path) -> None:
    early = "server: {answer_within_s: 0.05}\n"

    async def scenario() -> None:
        is_answered = asyncio.Event()

        async def refuse_late(visit: Visit) -> None:
            await visit.read()
            await is_answered.wait()
            await visit.answer(
                422, b'{"error":{"code":"invalid_request","message":"no","type":"invalid_request_error"}}'
            )

        config = OPENED + early + upstreams("evolink")
        async with (
            Receiver() as receiver,
            Receiver(refuse_late) as late,
            world(tmp_path, config, upstream=late.url) as it,
        ):
            task_id = await order(it, receiver.url)
            is_answered.set()
            visit = await receiver.visit()
            await until(lambda: visit.body)
            said = json.loads(visit.body)
            assert (said["id"], said["status"]) == (task_id, "failed")

    asyncio.run(scenario())


def refusing_late(is_asked: asyncio.Event, may_refuse: asyncio.Event) -> Callable[[Visit], Awaitable[None]]:
    """An upstream that says when it is asked, and refuses when it may."""

    async def play(visit: Visit) -> None:
        await visit.read()
        is_asked.set()
        await may_refuse.wait()
        await visit.answer(422, b'{"error":{"code":"invalid_request","message":"no","type":"invalid_request_error"}}')

    return play


@pytest.mark.parametrize("leaves", ["with FIN", "with RST"])
def test_a_refusal_that_comes_after_the_client_left_is_told_by_callback(leaves: str, tmp_path: Path) -> None:
    """FAILURES T17. It left without an answer, so this is all that it hears of the task."""

    async def scenario() -> None:
        is_asked, is_left = asyncio.Event(), asyncio.Event()
        async with (
            Receiver() as receiver,
            Receiver(refusing_late(is_asked, is_left)) as late,
            world(tmp_path, OPENED + upstreams("evolink"), upstream=late.url, on_socket=True) as it,
        ):
            address = httpx.URL(it.base_url)
            _, writer = await asyncio.open_connection(address.host, address.port)
            speech = SPEECHES["evolink"]
            body = json.dumps({**speech.body, "callback_url": receiver.url}).encode()
            head = f"POST {speech.create} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ALICE}\r\n"
            writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await is_asked.wait()
            if leaves == "with RST":
                writer.transport.abort()
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.1)  # the gateway hears of it
            is_left.set()
            visit = await receiver.visit()
            await until(lambda: visit.body)
            said = json.loads(visit.body)
            assert said["status"] == "failed"
            assert (await it.read(said["id"])).json()["status"] == "failed"

    asyncio.run(scenario())


def test_a_late_refusal_that_a_twin_is_told_is_not_told_again(tmp_path: Path) -> None:
    """The first left, and its repeat waits for the same answer."""

    async def scenario() -> None:
        is_asked, may_refuse = asyncio.Event(), asyncio.Event()
        async with (
            Receiver() as receiver,
            Receiver(refusing_late(is_asked, may_refuse)) as late,
            world(tmp_path, OPENED + upstreams("evolink"), upstream=late.url, on_socket=True) as it,
        ):
            speech = SPEECHES["evolink"]
            body = {**speech.body, "callback_url": receiver.url}
            headers = {**bearer(ALICE), "idempotency-key": "k-1"}
            with pytest.raises(httpx.ReadTimeout):
                async with httpx.AsyncClient(base_url=it.base_url, trust_env=False, timeout=0.3) as impatient:
                    await impatient.post(speech.create, json=body, headers=headers)
            await is_asked.wait()
            twin = asyncio.create_task(it.http.post(speech.create, json=body, headers=headers))
            await asyncio.sleep(0.2)  # it has joined the first, and the gateway has heard that that one left
            may_refuse.set()
            assert (await twin).status_code == 400
            await asyncio.sleep(0.3)
            assert receiver.visits == []

    asyncio.run(scenario())


@pytest.mark.parametrize("on_socket", [False, True])
def test_a_refusal_that_is_the_answer_is_not_told_again(on_socket: bool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, world(tmp_path, OPENED, on_socket=on_socket) as it:
            created = await it.create(prompt="a ship #sandbox:422", callback_url=receiver.url)
            assert created.status_code == 400
            ((state,),) = _rows(tmp_path, "SELECT state FROM tasks")
            assert state == State.REFUSED
            assert _rows(tmp_path, "SELECT * FROM outbox") == []

    asyncio.run(scenario())


ONE_AT_A_TIME = upstreams("evolink").replace("value: sk-up-main-key", "value: sk-up-main-key, max_tasks: 1")


def test_who_cancels_a_task_that_waits_is_not_told_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        config = OPENED + ONE_AT_A_TIME + "queue: {max_tasks: 9, max_wait_s: 3600}\n"
        async with Receiver() as receiver, world(tmp_path, config, speed=SLOW) as it:
            await it.create()
            task_id = await order(it, receiver.url)
            deleted = await it.http.delete(f"/openai/v1/videos/{task_id}", headers=bearer(ALICE))
            assert deleted.status_code == 200
            ended = "SELECT count(*) FROM tasks WHERE finished_at IS NOT NULL"
            assert _rows(tmp_path, ended) == [(1,)]
            assert _rows(tmp_path, "SELECT * FROM outbox") == []

    asyncio.run(scenario())


def test_links_in_a_callback_lead_where_the_caller_came(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Receiver() as receiver, world(tmp_path, OPENED + "results: {links: gateway}\n") as it:

            async def fetch(visit: Visit) -> None:
                await visit.read()
                await visit.answer()

            receiver.play = fetch
            body = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship", "callback_url": receiver.url}
            transport = httpx.ASGITransport(it.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://films.lan:8080") as http:
                id_of(await http.post("/v1/videos/generations", json=body, headers=bearer(ALICE)))
            visit = await receiver.visit()
            await until(lambda: visit.body)
            (link,) = json.loads(visit.body)["results"]
            assert link.startswith("http://films.lan:8080/v1/videos/")
            assert (await it.http.get(link.removeprefix("http://films.lan:8080"))).status_code == 200

    asyncio.run(scenario())


def _rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "reelgate.db")) as connection:
        return connection.execute(sql).fetchall()
