"""Two gateways on sockets at one storage, before one sandbox, and everything that can happen to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway import sandbox, serving
from gateway.app import gateway
from tests.admin.person import ADMIN_KEY, told
from tests.passthrough.upstream import Upstream as Receiver
from tests.world import ALICE, BOB, GIVE_UP_S, World, anywhere, id_of, make_config

CAROL = "sk-rg-carol-key"
CONFIG = f"""
admin_key: {ADMIN_KEY}
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    keys:
      - {{id: main, value: sk-up-main}}
      - {{id: second, value: sk-up-second}}
      - {{id: empty, value: sk-empty-one}}
      - {{id: worn, value: sk-bad-one}}
virtual_keys:
  - {{id: alice, value: {ALICE}, team: films, budget: {{amount: 50, period: 30d}}}}
  - {{id: bob, value: {BOB}}}
  - {{id: carol, value: {CAROL}, budget: {{amount: 0.3}}}}
queue: {{max_tasks: 100}}
teams: [{{id: films, budget: {{amount: 100, period: 1mo}}}}]
preflight: {{images: "off", allow_private_networks: ["127.0.0.0/8"]}}
"""
SPEED = 200.0  # slow enough that a film is looked at while it is made
TROUBLES = ("fail-generation", "fail-content", "422", "429=1", "500", "drop-after-accept")
SHAPES = ({"quality": "768p"}, {"quality": "1080p"}, {"model": "MiniMax-Hailuo-02", "quality": "768p"})


@dataclass(frozen=True)
class Town:
    """The gateways, each a world of its own, and one who wants to be called back."""

    gateways: tuple[World, World]
    receiver: Receiver

    @property
    def targets(self) -> list[str]:
        """Where Prometheus finds them."""
        return [it.base_url.removeprefix("http://") for it in self.gateways]

    async def round(self, number: int) -> None:
        """Once everything: films, failures, refusals, rests, doubts, callbacks, polls, and an audit. When it is over,
        nothing runs any more."""
        await asyncio.gather(*(self._at(it, f"{number} at {place}") for place, it in enumerate(self.gateways)))

    async def _at(self, it: World, when: str) -> None:
        for shape in SHAPES:
            task_id = await it.finished_film(**shape, callback_url=f"{self.receiver.url}/hook")
            await it.read(task_id)
        for trouble in TROUBLES:
            created = await it.create(prompt=f"a ship, {when} #sandbox:{trouble}")
            if created.status_code == 200:
                await _is_at_rest(it, id_of(created))
        await _surprised(it)
        for refused in (
            await it.create(model="nobody"),
            await it.create(key="sk-rg-nobody"),
            await it.create(key=CAROL, quality="1080p"),
            await it.http.get("/v1/nowhere"),
        ):
            assert refused.status_code >= 400, refused.text
        # Nobody listens there: the attempt fails, and the next one is due in a second.
        await it.finished_film(callback_url="http://127.0.0.1:9/")
        await told(it, "POST", "/reconcile")


async def _surprised(it: World) -> None:
    """A status word that no document lists: said while a film is made, and so heard by whoever looks then."""
    async with asyncio.timeout(GIVE_UP_S):
        while b"surprises_total{" not in it.parts.metrics.exposition():
            await it.finished_film(prompt="a ship #sandbox:unknown-status")


async def _is_at_rest(it: World, task_id: str) -> None:
    """Wait until a task is over, or in doubt: it may have stood in the queue before."""
    async with asyncio.timeout(GIVE_UP_S):
        while True:
            answer = (await it.read(task_id)).json()
            if answer["status"] in ("completed", "failed") or answer.get("submission") == "unconfirmed":
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def town(folder: Path) -> AsyncIterator[Town]:
    """Open everything; nothing has happened yet."""
    simulated = sandbox.create_app(speed=SPEED, balance_usd=1_000_000)
    async with AsyncExitStack() as stack:
        sandbox_url = await stack.enter_async_context(sandbox.running(app=simulated))
        receiver = await stack.enter_async_context(Receiver())
        worlds = []
        for _ in range(2):
            opened = await stack.enter_async_context(
                gateway(make_config(folder, sandbox_url, CONFIG), resolve=anywhere)
            )
            listener = stack.enter_context(serving.bind("127.0.0.1", 0))
            base_url = await stack.enter_async_context(serving.running(opened.app, listener))
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=GIVE_UP_S)
            )
            worlds.append(World(http, opened, simulated, sandbox_url))
        yield Town((worlds[0], worlds[1]), receiver)
