"""A gateway whose dashboard is tried: no upstream answers, and the clock stands still until the test walks it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from gateway.app import gateway
from gateway.parts import Parts
from tests.dashboard.visitor import ADMIN_KEY, CONFIG, Visitor
from tests.world import PROMPT_S, Clock, anywhere, make_config

NOWHERE = "http://127.0.0.1:9"
COOKIE = "reelgate_session"


class House:
    """One gateway, and whoever comes to it."""

    def __init__(self, parts: Parts, browse: Callable[..., httpx.AsyncClient]) -> None:
        self.parts = parts
        self.browse = browse

    async def login(self, http: httpx.AsyncClient, key: str = ADMIN_KEY, **headers: str) -> httpx.Response:
        """Send the login's form."""
        return await http.post("/dashboard/login", data={"key": key}, headers=headers)

    @asynccontextmanager
    async def logged_in(self, key: str = ADMIN_KEY) -> AsyncIterator[Visitor]:
        """A browser with a session of its own."""
        async with self.browse() as http:
            answer = await self.login(http, key)
            assert answer.status_code == 303, answer.text
            visiting = Visitor(http)
            await visiting.gets("/dashboard")
            yield visiting


@asynccontextmanager
async def house(folder: Path, config: str = CONFIG, *, clock: Clock | None = None) -> AsyncIterator[House]:
    """Open a gateway; several at one folder share its storage, as replicas do."""
    settings = make_config(folder, NOWHERE, config)
    async with gateway(settings, clock=clock or Clock(), resolve=anywhere) as opened:

        def browse(address: str = "192.0.2.1", base_url: str = "http://127.0.0.1") -> httpx.AsyncClient:
            transport = httpx.ASGITransport(opened.app, client=(address, 40_000))
            return httpx.AsyncClient(base_url=base_url, transport=transport, trust_env=False, timeout=PROMPT_S)

        yield House(opened.parts, browse)


async def is_let_in(http: httpx.AsyncClient, path: str = "/dashboard") -> bool:
    """Whether somebody reads a page; else he is sent to log in."""
    answer = await http.get(path)
    if answer.status_code == 303:
        assert answer.headers["location"].startswith("/dashboard/login")
        return False
    assert answer.status_code == 200, answer.text
    return True
