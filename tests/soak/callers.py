"""What callers do: order, ask, wait, follow, download, list, delete, and make every mistake there is.

Each habit has a rate, in times a second at full strength; nothing is done more often than that however quick the
answers are, and so many things of one habit are under way at most.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.soak.stage import ADMIN_KEY, ALICE, BOB, POOR, Stage

MODEL = "MiniMax-Hailuo-2.3"
AT_ONCE_MAX = 200  # of one habit
REMEMBERED = 2_000
# How creates and reads are said; `{id}` is what the create's header calls the task.
SPEECHES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "evolink": ("/evolink/v1/videos/generations", "/evolink/v1/tasks/{id}", {"quality": "768p"}),
    "toapis": ("/toapis/v1/videos/generations", "/toapis/v1/videos/generations/{id}", {"resolution": "768P"}),
    "newapi": (
        "/newapi/v1/video/generations",
        "/newapi/v1/video/generations/{id}",
        {"metadata": {"resolution": "768P"}},
    ),
    "openai": ("/openai/v1/videos", "/openai/v1/videos/{id}", {"seconds": "6"}),
    "minimax": ("/minimax/v1/video_generation", "/minimax/v1/query/video_generation?task_id={id}", {"duration": 6}),
}
# What the upstream makes of a create, out of a thousand; the rest goes well.
FATES: Mapping[str, int] = {
    "429=1": 20,
    "401=1": 1,
    "402=1": 1,
    "500": 5,
    "503": 5,
    "422": 10,
    "drop": 5,
    "drop-after-accept": 10,
    "hang": 5,
    "malformed": 10,
    "no-id": 5,
    "slow=2": 20,
    "slow-drip": 20,
    "poll-500": 20,
    "poll-404": 10,
    "unknown-status": 30,
    "fail-generation": 40,
    "fail-content": 20,
    "expired-link": 10,
}
BAD: tuple[Mapping[str, Any], ...] = (
    {"model": "nobody"},
    {"duration": 7},
    {"prompt": 7},
    {"prompt": "p" * 50_000},
    {"image_urls": ["http://10.0.0.1/a.png"]},
    {"unheard_of": {"a": [1, 2, {"b": None}]}},
)
# Statuses with which each habit may be answered while nothing is the matter. 503 is for keys that all rest.
GOOD_STATUSES = frozenset({200, 204, 206, 304, 400, 402, 403, 404, 409, 410, 413, 416, 422, 429, 502, 503})


@dataclass
class Callers:
    """Everybody who uses the gateway."""

    stage: Stage
    strength: float
    random: random.Random
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """(habit, status) → how often."""
    wrong: list[str] = field(default_factory=list)
    cut_off: int = 0
    tasks: "deque[tuple[str, str]]" = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """(id, key) of what was ordered lately."""
    told: dict[str, str] = field(default_factory=dict)
    """Id → prompt, of everything that was ever answered."""
    repeats: "deque[tuple[str, dict[str, Any], dict[str, str]]]" = field(default_factory=lambda: deque(maxlen=200))
    """Creates under a key that were cut off: sent again, as clients do."""
    is_away: bool = False
    """The gateway is being restarted, and nobody expects an answer."""
    is_paused: bool = False
    """Nobody orders."""
    ordered: int = 0
    http: httpx.AsyncClient = field(init=False)

    async def live(self) -> None:
        """All habits side by side, until cancelled."""
        limits = httpx.Limits(max_connections=1_000, max_keepalive_connections=100)
        async with (
            httpx.AsyncClient(
                base_url=self.stage.gateway.base_url, trust_env=False, timeout=60, limits=limits
            ) as self.http,
            asyncio.TaskGroup() as habits,
        ):
            for rate, habit in self._habits():
                habits.create_task(self._again_and_again(rate * self.strength, habit))

    def _habits(self) -> tuple[tuple[float, Callable[[], Awaitable[None]]], ...]:
        return (
            (15, self._order),
            (2, self._order_badly),
            (0.5, self._order_and_leave),
            (0.5, self._repeat),
            (30, self._poll),
            (2, self._wait),
            (1, self._follow),
            (3, self._download),
            (0.3, self._download_slowly),
            (1, self._list),
            (0.5, self._delete),
            (2, self._pass_through),
            (0.3, self._administer),
            (0.2, self._scrape),
            (1, self._ask_for_nonsense),
        )

    async def _again_and_again(self, rate: float, habit: Callable[[], Awaitable[None]]) -> None:
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                await asyncio.sleep(self.random.expovariate(rate))
                if self.is_away or len(under_way) >= AT_ONCE_MAX:
                    continue
                task = asyncio.create_task(self._once(habit))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _once(self, habit: Callable[[], Awaitable[None]]) -> None:
        starts = self.stage.gateway.starts
        try:
            await habit()
        except (httpx.TransportError, OSError, asyncio.IncompleteReadError) as error:
            if self.is_away or starts != self.stage.gateway.starts or self._is_cut_off_above(habit):
                self.cut_off += 1
            elif not isinstance(error, httpx.ReadTimeout | httpx.RemoteProtocolError) or "stream" not in str(error):
                self.wrong.append(f"{habit.__name__}: {error!r}")

    def _is_cut_off_above(self, habit: Callable[[], Awaitable[None]]) -> bool:
        """A film or an answer on its way down ends with the upstream that sends it."""
        return self.is_paused and habit in (self._download, self._download_slowly, self._pass_through)

    def _note(self, habit: str, answer: httpx.Response) -> None:
        self.answers[habit, answer.status_code] += 1
        if answer.status_code not in GOOD_STATUSES:
            self.wrong.append(f"{habit}: {answer.status_code} {answer.text[:200]}")

    # --- ordering

    def _create(self) -> tuple[str, dict[str, Any], dict[str, str]]:
        """Path, body and headers of one order; its prompt is its own."""
        dialect = self.random.choice(list(SPEECHES))
        path, _, said = SPEECHES[dialect]
        self.ordered += 1
        roll, fate = self.random.randrange(1_000), ""
        for word, share in FATES.items():
            if 0 <= roll < share:
                fate = f" #sandbox:{word}"
            roll -= share
        body = {"model": MODEL, "prompt": f"soak {self.ordered}{fate}", **said}
        if self.random.random() < 0.1 and dialect in ("evolink", "minimax"):
            body["callback_url"] = f"{self.stage.receiver.url}/hook"
        if self.random.random() < 0.1 and dialect == "evolink":
            body["image_urls"] = [f"{self.stage.images.url}/{self.random.choice(['a', 'b', 'slow'])}.jpg"]
        key = self.random.choices([ALICE, BOB, POOR], [60, 35, 5])[0]
        headers = {"authorization": f"Bearer {key}"}
        if self.random.random() < 0.3:
            headers["idempotency-key"] = f"soak-{self.ordered}"
        return path, body, headers

    async def _order(self) -> None:
        if not self.is_paused:
            await self._send(*self._create())

    async def _send(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        if self.random.random() < 0.03:
            headers = {**headers, "x-reelgate-dry-run": "true"}
        try:
            answer = await self.http.post(path, json=body, headers=headers)
        except httpx.TransportError:
            if "idempotency-key" in headers:
                self.repeats.append((path, body, headers))
            raise
        self._note("order", answer)
        word = answer.headers.get("x-reelgate-task-id")
        if word is not None and answer.status_code == 200:
            self.told[word] = body["prompt"]
            self.tasks.append((word, headers["authorization"]))

    async def _repeat(self) -> None:
        if self.repeats and not self.is_paused:
            await self._send(*self.repeats.popleft())

    async def _order_badly(self) -> None:
        path, body, headers = self._create()
        answer = await self.http.post(path, json={**body, **self.random.choice(BAD)}, headers=headers)
        self._note("order badly", answer)
        if "x-reelgate-task-id" in answer.headers:
            self.told[answer.headers["x-reelgate-task-id"]] = body["prompt"]

    async def _order_and_leave(self) -> None:
        if not self.is_paused:
            path, body, headers = self._create()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.random.uniform(0.0, 0.03)):
                    await self.http.post(path, json=body, headers=headers)

    # --- reading

    def _some_task(self) -> tuple[str, str] | None:
        return self.random.choice(self.tasks) if self.tasks else None

    async def _poll(self, habit: str = "poll", **more: str) -> None:
        task = self._some_task()
        if task is not None:
            word, key = task
            read = SPEECHES[self.random.choice(list(SPEECHES))][1]
            answer = await self.http.get(read.format(id=word), headers={"authorization": key, **more})
            self._note(habit, answer)

    async def _wait(self) -> None:
        await self._poll("wait", prefer="wait=5")

    async def _follow(self) -> None:
        task = self._some_task()
        if task is not None:
            word, key = task
            path = f"/v1/tasks/{word}/events"
            with suppress(TimeoutError):
                async with asyncio.timeout(self.random.uniform(0.1, 10)):
                    async with self.http.stream("GET", path, headers={"authorization": key}) as answer:
                        self.answers["follow", answer.status_code] += 1
                        async for _ in answer.aiter_bytes():
                            pass

    async def _download(self) -> None:
        task = self._some_task()
        if task is not None:
            word, key = task
            headers = {"authorization": key}
            if self.random.random() < 0.5:
                headers["range"] = f"bytes={self.random.randrange(20_000)}-"
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02 if self.random.random() < 0.1 else 60):
                    self._note("download", await self.http.get(f"/v1/videos/{word}/content", headers=headers))

    async def _download_slowly(self) -> None:
        """A reader that takes a few bytes a second, and then leaves."""
        task = self._some_task()
        if task is None:
            return
        word, key = task
        reader, writer = await asyncio.open_connection("127.0.0.1", self.stage.gateway.port, limit=1_024)
        try:
            head = f"GET /v1/videos/{word}/content HTTP/1.1\r\nHost: localhost\r\nAuthorization: {key}\r\n\r\n"
            writer.write(head.encode())
            status = int((await reader.readline()).split()[1])
            self.answers["download slowly", status] += 1
            for _ in range(10):
                if not await reader.read(500):
                    break
                await asyncio.sleep(0.5)
        finally:
            writer.transport.abort()

    async def _list(self) -> None:
        path = self.random.choice(["/openai/v1/videos?limit=100", "/evolink/v1/credits", "/v1/models"])
        answer = await self.http.get(path, headers={"authorization": f"Bearer {BOB}"})
        self._note("list", answer)

    async def _delete(self) -> None:
        task = self._some_task()
        if task is not None:
            answer = await self.http.delete(f"/openai/v1/videos/{task[0]}", headers={"authorization": task[1]})
            self._note("delete", answer)

    async def _pass_through(self) -> None:
        headers = {"authorization": f"Bearer {BOB}"}
        said = {"messages": [{"role": "user", "content": "x" * self.random.randrange(20_000)}]}
        self._note("pass through", await self.http.post("/v1/chat/completions", json=said, headers=headers))

    async def _administer(self) -> None:
        path = self.random.choice(["tasks?limit=200", "keys", "teams", "usage", "usage?by=model", "upstreams"])
        answer = await self.http.get(f"/admin/{path}", headers={"authorization": f"Bearer {ADMIN_KEY}"})
        self._note("administer", answer)

    async def _scrape(self) -> None:
        self._note("scrape", await self.http.get("/metrics"))

    async def _ask_for_nonsense(self) -> None:
        path = self.random.choice(
            ["/v1/tasks/nobody", "/v1/videos/1/remix", "/nowhere", "/v1/tasks/video_0000000000000"]
        )
        answer = await self.http.get(path, headers={"authorization": f"Bearer {self.random.choice([BOB, 'sk-bad'])}"})
        self.answers["nonsense", answer.status_code] += 1
        if answer.status_code not in (400, 401, 404):
            self.wrong.append(f"nonsense: {answer.status_code} {answer.text[:200]}")
