"""A gateway in this process before a sandbox, with the providers behind it in an order, and the cheapest client there
is: some ten thousand requests are made here, so they go straight into the ASGI application."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from gateway import sandbox
from gateway.app import Gateway, gateway
from gateway.config import load
from tests.matrix.sellers import Seller
from tests.matrix.speakers import Said, Speaker
from tests.world import PATIENT

KEY = "sk-rg-matrix"
HOST = "gateway.test"
AT_ONCE = 16  # enough for the writer to commit in groups, few enough that nothing waits for long
AT_ONCE_SPEED = 1e6  # every video is finished when it is first looked at
GIVE_UP_S = 60.0
SHOWN_MAX = 20  # a rule that breaks, breaks for many offers

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Reply:
    """One answer of the gateway."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


class World:
    """One sandbox, one gateway, one caller."""

    def __init__(self, opened: Gateway, simulated: Any, films: httpx.AsyncClient) -> None:
        self._app = opened.app
        self._sandbox = simulated.state.sandbox
        self._films = films

    async def create(self, speaker: Speaker, said: Said) -> Reply:
        """Order a video, on the path that dialects share."""
        headers = {"content-type": said.content_type, "x-reelgate-dialect": speaker.name}
        return await self.ask("POST", speaker.create, headers, said.body)

    async def try_out(self, speaker: Speaker, said: Said) -> Reply:
        """The dry run of the same, below the dialect's own prefix."""
        headers = {"content-type": said.content_type, "x-reelgate-dry-run": "true"}
        return await self.ask("POST", f"/{speaker.name}{speaker.create}", headers, said.body)

    async def read(self, speaker: Speaker, task_id: str) -> Reply:
        """Below the prefix for an id in one spelling, without it for the other."""
        prefix = "" if task_id.isdigit() else f"/{speaker.name}"
        return await self.ask("GET", prefix + speaker.read.format(id=task_id))

    async def film(self, link: str) -> bytes:
        """The film behind a link: with the key where the link is a path of the gateway, bare where it is absolute."""
        target = urlsplit(link)
        if target.netloc in ("", HOST):
            path = target._replace(scheme="", netloc="").geturl()
            reply = await self.ask("GET", path, is_bare=bool(target.netloc))
            status, content_type, body = reply.status, reply.headers["content-type"], reply.body
        else:
            answer = await self._films.get(link)
            status, content_type, body = answer.status_code, answer.headers["content-type"], answer.content
        assert (status, content_type) == (200, "video/mp4"), f"{link}: {status} {body[:200]!r}"
        return body

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        is_bare: bool = False,
    ) -> Reply:
        """One request. `is_bare`: without the caller's key."""
        sent = {"host": HOST, **({} if is_bare else {"authorization": f"Bearer {KEY}"}), **(headers or {})}
        where, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": where,
            "raw_path": where.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 50000),
            "server": (HOST, 80),
        }
        waiting, chunks, started = [{"type": "http.request", "body": body, "more_body": False}], [], {}

        async def receive() -> Any:
            if waiting:
                return waiting.pop()
            return await asyncio.Event().wait()  # this client never leaves

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                chunks.append(message["body"])

        async with asyncio.timeout(GIVE_UP_S):
            await self._app(scope, receive, send)
        said = {name.decode(): value.decode("latin-1") for name, value in started["headers"]}
        return Reply(started["status"], said, b"".join(chunks))

    def videos(self) -> list[dict[str, Any]]:
        """Every video the sandbox accepted and billed."""
        found: list[dict[str, Any]] = self._sandbox.videos()
        return found

    def requests(self) -> list[dict[str, Any]]:
        """Whatever reached the sandbox."""
        found: list[dict[str, Any]] = self._sandbox.journal.entries()
        return found

    def uploaded(self, link: str) -> bytes:
        """The image that was uploaded to the sandbox, by the address it was given."""
        parts = urlsplit(link).path.split("/")
        assert parts[1] == "uploads", f"{link} is no upload"
        data: bytes = self._sandbox.uploads.find(parts[2], self._sandbox.now()).data
        return data


@asynccontextmanager
async def world(
    folder: Path, sellers: Sequence[Seller], *, speed: float = AT_ONCE_SPEED, clock: Callable[[], float] = time.time
) -> AsyncIterator[World]:
    """Open everything. `sellers` stand behind the gateway in this order; `clock` is the sandbox's own."""
    async with AsyncExitStack() as stack:
        simulated = sandbox.create_app(speed=speed, balance_usd=10_000_000, clock=clock)
        address = await stack.enter_async_context(sandbox.running(app=simulated))
        path = folder / "config.yaml"
        path.write_text(json.dumps(_config(folder, sellers, address)), "utf-8")  # JSON is YAML
        opened = await stack.enter_async_context(gateway(load(path, {})))
        films = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=GIVE_UP_S))
        yield World(opened, simulated, films)


async def each(work: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Do it with every item, some at a time; the results in the order of the items. The first failure is raised."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with places:
            return await work(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]


async def find_nothing_wrong(
    check: Callable[[T], Awaitable[None]], items: Iterable[T], describe: Callable[[T], str]
) -> None:
    """Every item is checked, and all that is wrong is told at once, by what `describe` says of the item."""

    async def one(item: T) -> str | None:
        try:
            await check(item)
        except Exception as error:  # whatever an answer that is not what it should be leads to
            return f"{describe(item)}\n    {type(error).__name__}: {error}"
        return None

    wrong = [trouble for trouble in await each(one, items) if trouble is not None]
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:SHOWN_MAX])


def _config(folder: Path, sellers: Sequence[Seller], address: str) -> dict[str, Any]:
    return {
        "storage": {"url": f"sqlite:///{folder}/reelgate.db"},
        "virtual_keys": [{"id": "matrix", "value": KEY}],
        "server": {"answer_within_s": GIVE_UP_S},  # nobody is answered early because the machine is slow
        "upstreams": [
            {
                "name": f"{seller.name}-upstream",
                "provider": seller.name,
                "base_url": f"{address}/{seller.name}",
                "priority": priority,
                "models": list(seller.claims) or None,
                "keys": [{"id": "main", "value": f"sk-up-{seller.name}"}],
                "timeouts": PATIENT,
            }
            for priority, seller in enumerate(sellers)
        ],
        "polling": {"min_interval_s": 0.001, "max_interval_s": 0.2},
        "preflight": {"images": "off"},  # nothing here may ask the network about example.com
    }
