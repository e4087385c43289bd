"""A sandbox in memory, on a clock that stands still until a test walks it forward."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway.sandbox import create_app

KEY = "sk-evo-a-key-of-alice"

Create = Callable[..., httpx.Response]


class Clock:
    """Time, as far as a test is concerned."""

    def __init__(self) -> None:
        self.now = 1_757_169_743.0

    def __call__(self) -> float:
        return self.now

    def walk(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """Asks an application without a socket, in a loop of its own for every request."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    def request(self, method: str, url: str, **said: Any) -> httpx.Response:
        return asyncio.run(self._request(method, url, **said))

    def get(self, url: str, **said: Any) -> httpx.Response:
        return self.request("GET", url, **said)

    def post(self, url: str, **said: Any) -> httpx.Response:
        return self.request("POST", url, **said)

    async def _request(self, method: str, url: str, **said: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox.test", headers=headers) as client:
            return await client.request(method, url, **said)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Client:
    return Client(create_app(clock=clock, seed=7))


@pytest.fixture
def poor_client(clock: Clock) -> Client:
    """Of a sandbox whose keys start with a single dollar."""
    return Client(create_app(clock=clock, seed=7, balance_usd=1))


@pytest.fixture
def poor_twin(clock: Clock) -> Client:
    """Another sandbox just like it."""
    return Client(create_app(clock=clock, seed=7, balance_usd=1))


@pytest.fixture
def create(client: Client) -> Create:
    """Order a video at EvoLink."""
    return ordering(client, "/evolink/v1/videos/generations")


@pytest.fixture
def create_toapis(client: Client) -> Create:
    return ordering(client, "/toapis/v1/videos/generations")


@pytest.fixture
def create_newapi(client: Client) -> Create:
    return ordering(client, "/newapi/v1/video/generations")


@pytest.fixture
def create_minimax(client: Client) -> Create:
    return ordering(client, "/minimax/v1/video_generation")


@pytest.fixture
def creates(create: Create, create_toapis: Create, create_newapi: Create, create_minimax: Create) -> dict[str, Create]:
    """Every protocol's, by its name."""
    return {"evolink": create, "toapis": create_toapis, "newapi": create_newapi, "minimax": create_minimax}


def ordering(client: Client, path: str) -> Create:
    """A good text-to-video body, with what the test says otherwise; None leaves a field out."""

    def create(key: str = KEY, **fields: Any) -> httpx.Response:
        body = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship at dawn", **fields}
        said = {name: value for name, value in body.items() if value is not None}
        return client.post(path, json=said, headers={"authorization": f"Bearer {key}"})

    return create
