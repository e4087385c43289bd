"""kill -9 at fifty random moments while creates pour in: no answered id is ever lost, and nothing is bought twice.

Each lane is a database that lives through many processes: start, fire creates, kill, start again on the same files,
look at all that was answered, go on. A film is bought by its own prompt, so the sandbox can count purchases of each.
"""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
from starlette.applications import Starlette

from gateway import ids, sandbox
from tests.life.process import ROOT, START_S, address_in, environment, write_config
from tests.world import ALICE, PROMPT_S, SPEECHES, bearer

LANES, KILLS = 2, 25  # two processors, two lanes
CREATES_AT_ONCE = 6
# A kill comes after so many answers, so that a slow machine does not kill every gateway before its first one, and
# then somewhere within the time that a create takes.
ANSWERS_MAX, CREATE_S = 10, 0.03
LANE_GIVE_UP_S = 900.0  # against hanging: a lane takes half a minute where the machine has little else to do
# Some answers are slow, so that a kill finds creates in every step: before, during and after the call.
MANNERS = ("", "", " #sandbox:slow=0.03", " #sandbox:slow=0.2", " #sandbox:drop-after-accept")
# A gateway that comes back makes no looks of its own, so that what is read is what was stored.
CONFIG = "polling: {min_interval_s: 20, max_interval_s: 30}"


class Nursery:
    """A process that has imported the gateway once and forks a new one whenever it is asked."""

    def __init__(self, started: asyncio.subprocess.Process) -> None:
        self._started = started

    async def child(self, stderr: Path, *words: str) -> int:
        assert self._started.stdin is not None
        assert self._started.stdout is not None
        self._started.stdin.write("\t".join([str(stderr), *words]).encode() + b"\n")
        return int(await self._started.stdout.readline())


@asynccontextmanager
async def nursery(folder: Path, upstream: str) -> AsyncIterator[Nursery]:
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.life.nursery"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=environment(folder, upstream),
    )
    try:
        yield Nursery(started)
    finally:
        assert started.stdin is not None
        started.stdin.close()
        await started.wait()


@dataclass
class Lane:
    """One database, the processes that serve it one after another, and what its clients were told."""

    folder: Path
    nursery: Nursery
    random: random.Random
    name: str
    prompts: Iterator[int] = field(default_factory=count)
    answered: dict[str, str] = field(default_factory=dict)
    """Task id → prompt."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    clients: list[asyncio.Task[None]] = field(default_factory=list)
    unanswered: int = 0
    doubts_seen: int = 0

    async def live(self) -> None:
        """All kills of this lane, and a last look at everything."""
        config = write_config(self.folder, CONFIG)
        async with httpx.AsyncClient(trust_env=False, timeout=PROMPT_S, headers=bearer(ALICE)) as http:
            before: set[str] = set()
            for number in range(KILLS):
                async with self._served(config, number) as base_url:
                    await self._assert_all_known(http, base_url, set(self.answered) - before)
                    before = set(self.answered)
                    await self._fire(http, base_url)
            async with self._served(config, KILLS) as base_url:
                await self._assert_all_known(http, base_url, set(self.answered))
                await self._assert_doubts_are_told(http, base_url)

    @asynccontextmanager
    async def _served(self, config: Path, number: int) -> AsyncIterator[str]:
        """A gateway on the lane's files, killed at the end."""
        stderr = self.folder / f"{number}.stderr"
        stderr.touch()
        child = await self.nursery.child(stderr, "serve", "-c", str(config), "--port", "0", "--log-level", "warning")
        try:
            yield await _listens(stderr)
        finally:
            os.kill(child, signal.SIGKILL)
            await _gone(child)
        await asyncio.gather(*self.clients)
        assert "Traceback" not in stderr.read_text("utf-8")

    async def _fire(self, http: httpx.AsyncClient, base_url: str) -> None:
        """Clients that create one film after another, until the moment of the kill."""
        self.clients = [asyncio.create_task(self._create(http, base_url)) for _ in range(CREATES_AT_ONCE)]
        enough = len(self.answered) + self.random.randint(0, ANSWERS_MAX)
        async with asyncio.timeout(PROMPT_S):
            while len(self.answered) < enough:
                await self.news.wait()
                self.news.clear()
        await asyncio.sleep(self.random.uniform(0, CREATE_S))

    async def _create(self, http: httpx.AsyncClient, base_url: str) -> None:
        speech = SPEECHES["evolink"]
        for _ in range(1_000):
            prompt = f"{self.name} {next(self.prompts)}{self.random.choice(MANNERS)}"
            self.unanswered += 1
            try:
                answer = await http.post(base_url + speech.create, json={**speech.body, "prompt": prompt})
            except httpx.TransportError:
                return  # killed
            assert answer.status_code == 200, answer.text
            self.answered[answer.json()["id"]] = prompt
            self.news.set()
            self.unanswered -= 1

    async def _assert_all_known(self, http: httpx.AsyncClient, base_url: str, task_ids: set[str]) -> None:
        for answer in await asyncio.gather(*(http.get(f"{base_url}/v1/tasks/{task_id}") for task_id in task_ids)):
            assert answer.status_code == 200, answer.text
            assert answer.json()["status"] in ("pending", "processing")

    async def _assert_doubts_are_told(self, http: httpx.AsyncClient, base_url: str) -> None:
        stored = self.stored()
        assert {state for _, state, _ in stored} == {"running", "unconfirmed"}
        doubtful = [f"{base_url}/v1/tasks/{ids.word(number)}" for number, state, _ in stored if state == "unconfirmed"]
        for answer in await asyncio.gather(*(http.get(url) for url in doubtful)):
            assert (answer.json()["status"], answer.json()["submission"]) == ("pending", "unconfirmed")
        self.doubts_seen = len(doubtful)

    def stored(self) -> list[tuple[int, str, str]]:
        """Number, state and prompt of every task in the lane's database."""
        with closing(sqlite3.connect(f"file:{self.folder / 'reelgate.db'}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT id, state, request FROM tasks").fetchall()
        return [(number, state, json.loads(request)["prompt"]) for number, state, request in rows]


async def _listens(stderr: Path) -> str:
    deadline = time.monotonic() + START_S
    while (base_url := address_in(stderr)) is None:
        assert time.monotonic() < deadline, f"no gateway: see {stderr}"
        await asyncio.sleep(0.005)
    return base_url


async def _gone(child: int) -> None:
    deadline = time.monotonic() + PROMPT_S
    with suppress(ProcessLookupError):
        while True:
            os.kill(child, 0)
            assert time.monotonic() < deadline, f"process {child} survived SIGKILL"
            await asyncio.sleep(0.002)


async def run_lane(folder: Path, upstream: str, seed: int) -> Lane:
    async with nursery(folder, upstream) as started:
        lane = Lane(folder, started, random.Random(seed), folder.name)
        async with asyncio.timeout(LANE_GIVE_UP_S):
            await lane.live()
    return lane


def assert_nothing_was_bought_twice(simulated: Starlette, lanes: list[Lane]) -> None:
    bought = Counter(video["request"]["prompt"] for video in simulated.state.sandbox.videos())
    assert {prompt: times for prompt, times in bought.items() if times > 1} == {}
    for lane in lanes:
        stored = {prompt: state for _, state, prompt in lane.stored()}
        own = {prompt for prompt in bought if prompt.startswith(f"{lane.name} ")}
        # Whatever reached the upstream had been written down before: no purchase without its intention.
        assert own <= set(stored)
        # Whatever was answered had been written down, and a receipt once told is never forgotten.
        assert set(lane.answered.values()) <= set(stored)
        running = {prompt for prompt, state in stored.items() if state == "running"}
        assert running <= own
        assert {prompt for prompt in lane.answered.values() if "drop-after" not in prompt} <= running


def test_a_gateway_killed_at_any_moment_loses_no_task_and_buys_nothing_twice(tmp_path: Path) -> None:
    folders = [tmp_path / f"lane{seed}" for seed in range(LANES)]
    for folder in folders:
        folder.mkdir()

    async def scenario() -> None:
        simulated = sandbox.create_app(balance_usd=1_000_000, speed=0.01)
        async with sandbox.running(app=simulated) as upstream:
            lanes = await asyncio.gather(*(run_lane(folder, upstream, seed) for seed, folder in enumerate(folders)))
        assert_nothing_was_bought_twice(simulated, lanes)
        # The kills hit where it hurts: many creates were answered, many were cut off, and some are in doubt.
        assert sum(len(lane.answered) for lane in lanes) > LANES * KILLS
        assert sum(lane.unanswered for lane in lanes) >= LANES * KILLS
        assert sum(lane.doubts_seen for lane in lanes) > LANES * KILLS / 2

    asyncio.run(scenario())
