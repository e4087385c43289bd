"""The processes of a soak, all on loopback: the gateway, its simulated upstream, a bare server to measure beside."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

from gateway.store import Database, Registry
from tests.images.files import LARGE, real_files
from tests.passthrough.upstream import Upstream as Receiver
from tests.passthrough.upstream import Visit
from tests.preflight.hosts import Host, hosting, whole

ROOT = Path(__file__).parents[2]
SPEED = 20.0  # a film of half a minute takes a second and a half, and a hang six
START_S, STOP_S = 60.0, 40.0
ADMIN_KEY, ALICE, BOB, POOR = "sk-soak-admin", "sk-soak-alice", "sk-soak-bob", "sk-soak-poor"
SLOW_IMAGE_S = 7.0  # longer than anybody waits for an image
KEYS_EACH = 4  # some of them rest, or are refused for a minute, at any time
_SANDBOX = (
    "import sys; from gateway import sandbox; sandbox.serve(port=int(sys.argv[1]), speed={speed}, balance_usd=10**9)"
)


@dataclass
class Child:
    """One process that can be ended and started again on its port."""

    name: str
    command: Sequence[str]
    port: int
    ready: str
    folder: Path
    process: asyncio.subprocess.Process | None = None
    starts: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self.starts += 1
        with self.log.open("ab") as log:
            environment = {**os.environ, "SSL_CERT_FILE": os.devnull}
            self.process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=environment
            )
        async with asyncio.timeout(START_S), httpx.AsyncClient(trust_env=False) as http:
            while not await self._answers(http):
                if self.process.returncode is not None:
                    raise RuntimeError(
                        f"{self.name} ended with {self.process.returncode}: {self.log.read_text()[-800:]}"
                    )
                await asyncio.sleep(0.05)

    def tell(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        assert self.process is not None
        self.tell(number)
        try:
            async with asyncio.timeout(STOP_S):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()

    async def _answers(self, http: httpx.AsyncClient) -> bool:
        try:
            return (await http.get(self.base_url + self.ready)).status_code == 200
        except httpx.TransportError:
            return False


@dataclass
class Stage:
    """All of it, running."""

    folder: Path
    gateway: Child
    sandbox: Child
    yardstick: Child
    images: Host
    receiver: Receiver
    bought: dict[tuple[int, str], str] = field(default_factory=dict)
    """What the sandbox ever sold: (its start, its id) → prompt."""
    drift: list[str] = field(default_factory=list)
    """What the books ever said of themselves."""

    async def note_bought(self) -> None:
        """The sandbox forgets with its process, and after some thousand videos."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            videos = (await http.get(f"{self.sandbox.base_url}/_sandbox/videos")).json()
        for video in videos:
            self.bought[self.sandbox.starts, video["id"]] = video["request"]["prompt"]

    async def audit(self) -> None:
        """Whether the books add up, read from the file beside whoever uses it."""
        database = Database.open(f"sqlite:///{self.folder / 'reelgate.db'}")
        try:
            self.drift += await Registry(database).audit()
        finally:
            await database.close()


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Open the curtain; whatever still runs at the end is ended by its own id."""
    picture = whole(real_files(LARGE)["jpeg"], "Content-Type: image/jpeg")

    async def show(path: str, headers: dict[str, str]) -> bytes:
        if "slow" in path:
            await asyncio.sleep(SLOW_IMAGE_S)
        return picture

    ports = _free_ports(3)
    sandbox = Child(
        "sandbox",
        [sys.executable, "-c", _SANDBOX.format(speed=SPEED), str(ports[0])],
        ports[0],
        "/_sandbox/words",
        folder,
    )
    config = folder / "config.yaml"
    serve = [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", str(ports[1])]
    gateway = Child("gateway", serve, ports[1], "/healthz", folder)
    answer = folder / "answer.json"
    answer.write_text('{"status": "completed"}' + " " * 500)
    bare = [sys.executable, "-m", "bench.yardsticks", "route", str(ports[2]), str(answer)]
    yardstick = Child("yardstick", bare, ports[2], "/v1/tasks/any", folder)
    children = (sandbox, yardstick, gateway)
    async with Receiver(_take) as receiver, hosting(show) as images:
        config.write_text(yaml.safe_dump(make_config(folder, sandbox.base_url, receiver.url)))
        try:
            for child in children:
                await child.start()
            yield Stage(folder, gateway, sandbox, yardstick, images, receiver)
        finally:
            for child in reversed(children):
                child.tell(signal.SIGCONT)
                if child.process is not None and child.process.returncode is None:
                    await child.end()


async def _take(visit: Visit) -> None:
    """Whatever is passed on or called back is good; what is remembered of it would only grow."""
    await visit.read()
    visit.body = b""
    await visit.answer()


def make_config(folder: Path, sandbox: str, receiver: str) -> dict[str, object]:
    """Everything on: several upstreams with several keys, budgets, archive, callbacks, other routes."""

    def keys(name: str) -> list[dict[str, str]]:
        return [{"id": f"{name}-{number}", "value": f"sk-up-{name}-{number}"} for number in range(KEYS_EACH)]

    providers = ("evolink", "toapis", "newapi", "minimax")
    upstreams = [
        {
            "name": name,
            "provider": name,
            "base_url": f"{sandbox}/{name}",
            "keys": keys(name),
            "timeouts": {"connect_s": 5, "read_s": 20, "total_s": 30},
        }
        for name in providers
    ]
    other = {"name": "other", "provider": "evolink", "base_url": receiver, "models": ["none-*"], "keys": keys("other")}
    return {
        "storage": {"url": f"sqlite:///{folder / 'reelgate.db'}"},
        "admin_key": ADMIN_KEY,
        "upstreams": [*upstreams, other],
        "virtual_keys": [
            {"id": "alice", "value": ALICE},
            {"id": "bob", "value": BOB, "budget": {"amount": 1_000_000, "period": "30d"}, "passthrough": True},
            {"id": "poor", "value": POOR, "budget": {"amount": 5, "period": None}},
        ],
        "preflight": {"images": "strict", "allow_private_networks": ["127.0.0.0/8"]},
        "polling": {"min_interval_s": 0.5, "max_interval_s": 5},
        "reconcile": {"give_up_after_s": 60},
        "results": {"links": "gateway", "archive": str(folder / "films"), "keep_s": 60},
        "passthrough": {"upstream": "other"},
    }


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in taken]
    for listener in taken:
        listener.close()
    return ports
