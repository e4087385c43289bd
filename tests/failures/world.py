"""The smallest world of a failure: fakes on loopback, a gateway opened in this process before them, and a client."""

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.app import Gateway, gateway
from gateway.config import load
from gateway.keys import KeyState
from gateway.parts import Parts
from gateway.video import Caller, State, Task
from tests.world import anywhere

PRICE = 280_000  # millionths, of the video that `create` orders
CREATE = "/v1/videos/generations"
FIRST_LOOK_S = 2  # after the start, with the shortest interval that is the default
# No fake takes so long unless it is told to hang: a case that ends by a time-out says its own, shorter one.
TIMEOUTS = {"connect_s": 60, "read_s": 60, "total_s": 120}
PATIENT = {"answer_within_s": 60}  # nobody is answered early because the machine is slow
LOCAL = Caller(key_id="local")


class Clock:
    """Time, as far as the gateway is concerned: it stands still until the test walks it forward."""

    def __init__(self) -> None:
        self.now = 1_757_169_743.0

    def __call__(self) -> float:
        return self.now

    def walk(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Key:
    """A key of an upstream; its secret is made from both names."""

    id: str = "main"
    account: str | None = None
    weight: int = 1
    rpm: int | None = None
    max_tasks: int | None = None


@dataclass(frozen=True)
class Place:
    """An upstream of the configuration."""

    url: str
    name: str = "first"
    keys: Sequence[Key] = (Key(),)
    priority: int = 0
    weight: int = 1


def secret(upstream: str, key_id: str) -> str:
    return f"sk-{upstream}-{key_id}-secret"


@dataclass(frozen=True)
class World:
    """An open gateway and its only client."""

    opened: Gateway
    client: httpx.AsyncClient
    database: Path

    @property
    def parts(self) -> Parts:
        return self.opened.parts

    async def create(self, prompt: str = "a ship at dawn", **fields: Any) -> httpx.Response:
        """Order a video in the evolink dialect."""
        body = {"model": "MiniMax-Hailuo-2.3", "prompt": prompt, **fields}
        return await self.client.post(CREATE, json=body)

    async def poll(self, task_id: str) -> dict[str, Any]:
        reply = await self.client.get(f"/v1/tasks/{task_id}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def tasks(self) -> list[Task]:
        """All tasks in storage, newest first."""
        return await self.parts.registry.of_caller(LOCAL, limit=1000)

    async def task(self) -> Task:
        """The only task in storage."""
        (task,) = await self.tasks()
        return task

    async def states(self) -> list[State]:
        return [task.state for task in await self.tasks()]

    async def held(self) -> int:
        """Money that is set aside, in millionths."""
        balance, _ = await self.parts.registry.balances(LOCAL, self.parts.clock())
        return balance.held

    def key_states(self) -> dict[str, KeyState]:
        """`upstream/key` → state."""
        return {f"{name}/{key}": state for name, key, state in self.parts.upstreams.key_states()}

    def attempts(self) -> list[tuple[str, str, str]]:
        """(upstream, key, outcome) of every attempt, in order."""
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute("SELECT upstream, key_id, outcome FROM attempts ORDER BY task_id, number")
            return [(str(upstream), str(key), str(outcome)) for upstream, key, outcome in rows]


@asynccontextmanager
async def open_world(
    folder: Path,
    *places: Place,
    clock: Callable[[], float] = time.time,
    timeouts: Mapping[str, float] | None = None,
    **sections: Mapping[str, Any],
) -> AsyncIterator[World]:
    """A gateway in front of `places`, on the database of `folder`. `sections` of the configuration override, and so do
    `timeouts` one by one."""
    database = folder / "reelgate.db"
    config = {
        "preflight": {"images": "off"},  # nobody here has a network
        "queue": None,  # what a refusal means is seen at once
        "storage": {"url": f"sqlite:///{database}"},
        "upstreams": [_upstream(place, {**TIMEOUTS, **(timeouts or {})}) for place in places],
        "server": PATIENT,
        **sections,
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config), "utf-8")  # JSON is YAML
    async with gateway(load(path, {}), clock=clock, resolve=anywhere) as opened:
        transport = httpx.ASGITransport(opened.app)
        headers = {"authorization": "Bearer anyone"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            yield World(opened, client, database)


def _upstream(place: Place, timeouts: Mapping[str, float]) -> dict[str, Any]:
    keys = []
    for key in place.keys:
        said = {"account": key.account, "rpm": key.rpm, "max_tasks": key.max_tasks}
        known = {name: value for name, value in said.items() if value is not None}
        keys.append({"id": key.id, "value": secret(place.name, key.id), "weight": key.weight, **known})
    return {
        "name": place.name,
        "provider": "evolink",
        "base_url": place.url,
        "priority": place.priority,
        "weight": place.weight,
        "keys": keys,
        "timeouts": dict(timeouts),
    }
