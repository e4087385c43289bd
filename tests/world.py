"""The smallest world: a sandbox on a socket, a gateway in this process before it, and a client of the gateway.

What a test says of the configuration is laid over `BASE`, section by section. `${UPSTREAM}` is the sandbox's address.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpx
import yaml
from starlette.applications import Starlette

from gateway import sandbox, serving
from gateway.app import Gateway, gateway
from gateway.config import Config, load
from gateway.egress.resolving import Resolve
from gateway.parts import Parts

ALICE, BOB, UPSTREAM_KEY = "sk-rg-alice-key", "sk-rg-bob-key", "sk-up-main-key"
FAST = 1000.0  # a film of thirty seconds is done in thirty milliseconds
SLOW = 1e-4  # nothing begins or is finished while a test looks on, however long the machine makes it look
PROMPT_S = 60.0  # for what comes at once: a limit against hanging, and no measure of any machine
GIVE_UP_S = PROMPT_S
PATIENT = {"connect_s": 60, "read_s": 60, "total_s": 120}  # of a gateway that waits for an upstream

BASE = f"""
storage: {{url: "sqlite:///${{FOLDER}}/reelgate.db"}}
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    keys: [{{id: main, value: {UPSTREAM_KEY}}}]
virtual_keys:
  - {{id: alice, value: {ALICE}}}
  - {{id: bob, value: {BOB}}}
polling: {{min_interval_s: 0.02, max_interval_s: 30}}
preflight: {{images: "off"}}
server: {{answer_within_s: 60}}
queue: null
"""


async def anywhere(name: str) -> tuple[IPv4Address, ...]:
    """A name server that knows every name as one public host; no test may connect to it."""
    return (IPv4Address("93.184.215.14"),)


class Clock:
    """A clock that stands still until the test walks it forward."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def walk(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Speech:
    """How a dialect says the same things: paths, a good body, and where its answers hold what."""

    create: str
    read: str
    body: Mapping[str, Any]
    word: Callable[[Any], str]
    link: Callable[[Any], str]
    words: tuple[str, str, str, str]
    """For pending, processing, completed, failed."""


SPEECHES: Mapping[str, Speech] = {
    "evolink": Speech(
        "/v1/videos/generations",
        "/v1/tasks/{id}",
        {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship at dawn", "quality": "768p"},
        lambda answer: answer["status"],
        lambda answer: answer["results"][0],
        ("pending", "processing", "completed", "failed"),
    ),
    "toapis": Speech(
        "/v1/videos/generations",
        "/v1/videos/generations/{id}",
        {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship at dawn", "resolution": "768P"},
        lambda answer: answer["status"],
        lambda answer: answer["result"]["data"][0]["url"],
        ("queued", "in_progress", "completed", "failed"),
    ),
    "newapi": Speech(
        "/v1/video/generations",
        "/v1/video/generations/{id}",
        {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship at dawn", "metadata": {"resolution": "768P"}},
        lambda answer: answer["data"]["status"],
        lambda answer: answer["data"]["result_url"],
        ("QUEUED", "IN_PROGRESS", "SUCCESS", "FAILURE"),
    ),
}


class World:
    """One sandbox, one gateway, one client with Alice's key."""

    def __init__(self, http: httpx.AsyncClient, opened: Gateway, simulated: Starlette, sandbox_url: str) -> None:
        self.http = http
        self.app = opened.app
        self.parts: Parts = opened.parts
        self.base_url = str(http.base_url).rstrip("/")
        self.sandbox_url = sandbox_url
        self._sandbox = simulated.state.sandbox

    def videos(self) -> list[dict[str, Any]]:
        """Every video the sandbox accepted and billed."""
        found: list[dict[str, Any]] = self._sandbox.videos()
        return found

    def requests(self, method: str | None = None) -> list[dict[str, Any]]:
        """What reached the sandbox, of one method or all."""
        return [entry for entry in self._sandbox.journal.entries() if method in (None, entry["method"])]

    async def create(self, dialect: str = "evolink", key: str = ALICE, **fields: Any) -> httpx.Response:
        """Order a film: a good body, with what the test says otherwise. None leaves a field out."""
        speech = SPEECHES[dialect]
        body = {name: value for name, value in {**speech.body, **fields}.items() if value is not None}
        return await self.http.post(f"/{dialect}{speech.create}", json=body, headers=bearer(key))

    async def read(self, task_id: str, dialect: str = "evolink", key: str = ALICE, **headers: str) -> httpx.Response:
        path = f"/{dialect}{SPEECHES[dialect].read.format(id=task_id)}"
        return await self.http.get(path, headers={**bearer(key), **headers})

    async def finish(self, task_id: str) -> dict[str, Any]:
        """Poll until the task is over; its last answer, in evolink's words."""
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            answer: dict[str, Any] = (await self.read(task_id)).json()
            if answer["status"] in ("completed", "failed"):
                return answer
            await asyncio.sleep(0.02)
        raise AssertionError(f"task {task_id} did not finish: {answer}")

    async def finished_film(self, dialect: str = "evolink", **fields: Any) -> str:
        """The id of a new task that is over."""
        task_id = id_of(await self.create(dialect, **fields))
        await self.finish(task_id)
        return task_id


@asynccontextmanager
async def world(
    folder: Path,
    config: str = "",
    *,
    speed: float = FAST,
    clock: Callable[[], float] = time.time,
    on_socket: bool = False,
    upstream: str | None = None,
    resolve: Resolve = anywhere,
) -> AsyncIterator[World]:
    """Open everything. `clock` is the sandbox's; `on_socket` puts the gateway on a real one; `upstream` stands in for
    the sandbox; `resolve` is the name server for what clients name."""
    async with AsyncExitStack() as stack:
        simulated = sandbox.create_app(speed=speed, clock=clock, balance_usd=1_000_000)
        sandbox_url = await stack.enter_async_context(sandbox.running(app=simulated))
        settings = make_config(folder, upstream or sandbox_url, config)
        opened = await stack.enter_async_context(gateway(settings, resolve=resolve))
        base_url, transport = "http://127.0.0.1", None
        if on_socket:
            listener = stack.enter_context(serving.bind("127.0.0.1", 0))
            base_url = await stack.enter_async_context(serving.running(opened.app, listener, opened.limits))
        else:
            transport = httpx.ASGITransport(opened.app)
        client = httpx.AsyncClient(base_url=base_url, transport=transport, trust_env=False, timeout=GIVE_UP_S)
        yield World(await stack.enter_async_context(client), opened, simulated, sandbox_url)


def make_config(folder: Path, upstream: str, config: str = "", base: str = BASE) -> Config:
    """The configuration of a test, read from a file as a person's would be."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(laid_over(base, config)), "utf-8")
    return load(path, {"UPSTREAM": upstream, "FOLDER": str(folder)})


def laid_over(base: str, config: str) -> dict[str, Any]:
    """What the test says over what it leaves unsaid; and no upstream is given up because the machine is slow."""
    settings: dict[str, Any] = {**yaml.safe_load(base), **(yaml.safe_load(config) or {})}
    for upstream in settings["upstreams"]:
        upstream.setdefault("timeouts", dict(PATIENT))
    return settings


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def id_of(created: httpx.Response) -> str:
    """The id of a task that was just created."""
    assert created.status_code == 200, created.text
    return created.headers["x-reelgate-task-id"]


def error_of(dialect: str, answer: httpx.Response) -> dict[str, Any]:
    """What an error answer says, wherever the dialect keeps it; asserts the dialect's envelope."""
    body: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/json"
    if dialect == "newapi" and answer.status_code != 401:
        assert set(body) - {"param", "problems"} == {"code", "message", "data"}, body
        assert body["data"] is None
        return body
    assert set(body) == {"error"}, body
    assert set(body["error"]) - {"param", "problems", "fallback_suggestion"} == {"code", "message", "type"}, body
    error: dict[str, Any] = body["error"]
    return error


def problems_of(dialect: str, answer: httpx.Response) -> list[str]:
    """The fields an answer complains about, all of them."""
    return [problem["param"] for problem in error_of(dialect, answer)["problems"]]
