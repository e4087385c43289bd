"""kill -9 at seeded moments under load: budgets, idempotency keys, a queue behind a narrow key, polls, and repeats.

A client whose create was cut off sends it again to the next gateway, as clients do: under its idempotency key it must
get the first video and no second one. After each kill the books must be exact to the millionth, with nobody there to
put them right.
"""

import asyncio
import json
import os
import random
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from gateway import sandbox
from gateway.store import Database, Registry
from tests.life.process import write_config
from tests.life.test_kill import Lane, nursery
from tests.world import ALICE, PROMPT_S, SPEECHES, UPSTREAM_KEY, bearer

LANES = 2
# Two hundred take some minutes: `REELGATE_KILLS=200` asks for them.
KILLS = int(os.environ.get("REELGATE_KILLS", "50")) // LANES
LANE_GIVE_UP_S = 1_200.0  # against hanging
WIDE, NARROW = "MiniMax-Hailuo-2.3", "MiniMax-Hailuo-02"
# Half a minute of film at a hundredth of the speed of life: nothing is finished meanwhile, and held is what was bought.
CONFIG = f"""
upstreams:
  - name: wide
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    models: [{WIDE}]
    keys: [{{id: main, value: {UPSTREAM_KEY}}}]
  - name: narrow
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    models: [{NARROW}]
    keys: [{{id: main, value: {UPSTREAM_KEY}, rpm: 6}}]
virtual_keys: [{{id: alice, value: {ALICE}, team: films, budget: {{amount: 1000000, period: 1mo}}}}]
teams: [{{id: films, budget: {{amount: 1000000, period: null}}}}]
queue: {{max_tasks: 1000, max_wait_s: 3600}}
polling: {{min_interval_s: 20, max_interval_s: 30}}
"""
MANNERS = ("", "", " #sandbox:slow=0.03", " #sandbox:slow=0.2", " #sandbox:drop-after-accept", " #sandbox:drop")


@dataclass
class LoadedLane(Lane):
    """A lane of kills whose clients use everything, and never give a video up."""

    cut_off: list[str] = field(default_factory=list)
    """Prompts of creates with an idempotency key that were not answered."""
    first_told: dict[str, str] = field(default_factory=dict)
    """Prompt → the id that its first answer named."""
    told_running: set[str] = field(default_factory=set)
    """Prompts of which an answer said that they were accepted."""
    queued_seen: int = 0
    repeats_seen: int = 0

    async def live(self) -> None:
        config = write_config(self.folder, CONFIG)
        async with httpx.AsyncClient(trust_env=False, timeout=PROMPT_S, headers=bearer(ALICE)) as http:
            before: set[str] = set()
            for number in range(KILLS):
                async with self._served(config, number) as base_url:
                    await self._assert_all_known(http, base_url, set(self.answered) - before)
                    before = set(self.answered)
                    await self._fire(http, base_url)
                await self._assert_books_are_exact()
            async with self._served(config, KILLS) as base_url:
                while self.cut_off:
                    await self._order(http, base_url, self.cut_off.pop(), has_key=True)
                await self._assert_all_known(http, base_url, set(self.answered))
            await self._assert_books_are_exact()

    async def _create(self, http: httpx.AsyncClient, base_url: str) -> None:
        for _ in range(1_000):
            has_key = self.random.random() < 0.5
            if self.cut_off and has_key:
                prompt = self.cut_off.pop()
                self.repeats_seen += 1
            else:
                prompt = f"{self.name} {next(self.prompts)}{self.random.choice(MANNERS)}"
            self.unanswered += 1
            try:
                await self._order(http, base_url, prompt, has_key=has_key)
                if self.answered and self.random.random() < 0.2:
                    await http.get(f"{base_url}/v1/tasks/{self.random.choice(list(self.answered))}")
            except httpx.TransportError:
                return  # killed
            self.unanswered -= 1

    async def _order(self, http: httpx.AsyncClient, base_url: str, prompt: str, *, has_key: bool) -> None:
        speech = SPEECHES["evolink"]
        # By its number, so that a repeat asks for the same again.
        model = NARROW if int(prompt.split()[1]) % 4 == 0 else WIDE
        headers = {"idempotency-key": prompt.replace("#", "-")} if has_key else {}
        body = {**speech.body, "model": model, "prompt": prompt}
        try:
            answer = await http.post(base_url + speech.create, json=body, headers=headers)
        except httpx.TransportError:
            if has_key:
                self.cut_off.append(prompt)
            raise
        assert answer.status_code == 200, answer.text
        told = answer.json()
        self.queued_seen += told.get("submission") == "queued"
        if "submission" not in told:
            self.told_running.add(prompt)
        assert self.first_told.setdefault(prompt, told["id"]) == told["id"]
        self.answered[told["id"]] = prompt
        self.news.set()

    async def _assert_books_are_exact(self) -> None:
        database = Database.open(f"sqlite:///{self.folder / 'reelgate.db'}")
        try:
            assert await Registry(database).audit() == []
        finally:
            await database.close()

    def states(self) -> dict[str, str]:
        """Prompt → state. A prompt is in storage once, however often it was asked for under its key."""
        with closing(sqlite3.connect(f"file:{self.folder / 'reelgate.db'}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT state, request FROM tasks").fetchall()
        prompts = Counter(json.loads(request)["prompt"] for _, request in rows)
        assert {prompt: times for prompt, times in prompts.items() if times > 1} == {}
        return {json.loads(request)["prompt"]: state for state, request in rows}


def assert_nothing_was_lost_or_bought_twice(bought: Counter[str], lane: LoadedLane) -> None:
    states = lane.states()
    own = {prompt for prompt in bought if prompt.startswith(f"{lane.name} ")}
    assert own <= set(states), "no purchase without its intention"
    assert set(lane.answered.values()) <= set(states), "no answer without its task"
    by_state = {state: {prompt for prompt in states if states[prompt] == state} for state in set(states.values())}
    assert set(by_state) <= {"running", "unconfirmed", "queued"}
    assert by_state["running"] <= own
    assert not by_state.get("queued", set()) & own, "what waits was not sent"
    assert lane.told_running <= by_state["running"], "a receipt once told is never forgotten"


def test_a_gateway_killed_under_load_loses_nothing_and_buys_nothing_twice(tmp_path: Path) -> None:
    folders = [tmp_path / f"lane{number}" for number in range(LANES)]
    for folder in folders:
        folder.mkdir()

    async def run_lane(folder: Path, upstream: str, seed: int) -> LoadedLane:
        async with nursery(folder, upstream) as started:
            lane = LoadedLane(folder, started, random.Random(seed), folder.name)
            async with asyncio.timeout(LANE_GIVE_UP_S):
                await lane.live()
        return lane

    async def story() -> None:
        simulated = sandbox.create_app(balance_usd=1_000_000, speed=0.01)
        async with sandbox.running(app=simulated) as upstream:
            lanes = await asyncio.gather(*(run_lane(folder, upstream, 100 + n) for n, folder in enumerate(folders)))
        bought = Counter(video["request"]["prompt"] for video in simulated.state.sandbox.videos())
        assert {prompt: times for prompt, times in bought.items() if times > 1} == {}
        for lane in lanes:
            assert_nothing_was_lost_or_bought_twice(bought, lane)
        # The kills hit where it hurts.
        assert sum(len(lane.answered) for lane in lanes) > LANES * KILLS
        assert sum(lane.unanswered for lane in lanes) >= LANES * KILLS
        assert sum(lane.repeats_seen for lane in lanes) > LANES * KILLS / 4
        assert sum(lane.queued_seen for lane in lanes) > LANES

    asyncio.run(story())
