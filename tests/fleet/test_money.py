"""Budgets, idempotency and watching are as right with four workers on one port as with one process."""

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest

from tests.money.fleet import KINDS, Fleet, fleet
from tests.money.test_limits import CREATES, MONEY, WORTH, assert_everybody_says_what_is_left, statuses
from tests.money.test_twins import KEY, TWINS_ELSEWHERE, assert_one_answer
from tests.world import ALICE, BOB, FAST, GIVE_UP_S, SPEECHES, bearer

WORKERS = ("--workers", "4")
CREATE = SPEECHES["evolink"].create


async def counted(it: Fleet, name: str, *labels: str) -> float:
    """The sum of a metric's series with these labels, as one of the workers tells it."""
    text = (await it.crowd[0].get(f"{it.processes[0].base_url}/metrics")).text
    series = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    lines = [line for line in series if all(word in line for word in labels)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def are_counted(count: int, it: Fleet, name: str, *labels: str) -> None:
    """Exactly so many, as soon as every worker had a moment to tell; more at no time, and fewer never after more."""
    found = 0.0
    async with asyncio.timeout(GIVE_UP_S):
        while found < count:
            found, before = await counted(it, name, *labels), found
            assert before <= found <= count
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_five_hundred_creates_at_four_workers_on_a_budget_of_seven_videos_buy_seven(kind: str, tmp_path: Path) -> None:
    config = f"""
teams: [{{id: films, budget: {{amount: {MONEY}, period: 1mo}}}}]
virtual_keys: [{{id: alice, value: {ALICE}, team: films}}, {{id: bob, value: {BOB}, team: films}}]
"""

    async def story() -> None:
        async with fleet(tmp_path, kind, config, *WORKERS, size=1) as it:
            assert len(it.processes[0].workers()) == 4
            answers = await it.creates(CREATES, [ALICE, BOB])
            assert statuses(answers) == {200: WORTH, 402: CREATES - WORTH}
            assert len(it.videos()) == WORTH
            await assert_everybody_says_what_is_left(it)
            route = f'route="{CREATE}"'
            await are_counted(WORTH, it, "reelgate_requests_total", route, 'status="200"')
            await are_counted(CREATES - WORTH, it, "reelgate_requests_total", route, 'status="402"')
            await are_counted(CREATES, it, "reelgate_request_duration_seconds_count", route)
            await are_counted(WORTH, it, "reelgate_tasks", 'state="running"')

    asyncio.run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_twins_at_four_workers_buy_one_video_and_get_one_answer(kind: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with fleet(tmp_path, kind, "", *WORKERS, size=1) as it:
            prompt = "a ship #sandbox:slow=1"
            twins = (it.create(number, ALICE, prompt, KEY) for number in range(TWINS_ELSEWHERE))
            assert_one_answer(await asyncio.gather(*twins))
            assert len(it.videos()) == 1

    asyncio.run(story())


def test_each_task_is_looked_at_by_one_worker_only(tmp_path: Path) -> None:
    """The sandbox's films take three seconds; a look each second by four workers would be twelve and more."""
    config = "polling: {min_interval_s: 1, max_interval_s: 1}"

    async def story() -> None:
        async with fleet(tmp_path, "sqlite", config, *WORKERS, size=1, speed=FAST / 100) as it:
            words = [answer.json()["id"] for answer in await it.creates(24, [ALICE])]
            async with asyncio.timeout(GIVE_UP_S):
                for number, word in enumerate(words):
                    await done(it, number, word)
            entries = it.simulated.state.sandbox.journal.entries()
            looks: dict[str, list[float]] = defaultdict(list)
            for entry in entries:
                if entry["method"] == "GET":
                    looks[entry["path"]].append(entry["time"])
            assert len(looks) == len(words)
            for times in looks.values():
                assert len(times) <= max(times) - min(times) + 2, "one looks once a second, two would look twice"

    asyncio.run(story())


async def done(it: Fleet, number: int, word: str) -> None:
    """Wait until a task is over."""
    http, url = it.crowd[number % len(it.crowd)], f"{it.processes[0].base_url}/v1/tasks/{word}"
    while True:
        if (await http.get(url, headers=bearer(ALICE))).json()["status"] == "completed":
            return
        await asyncio.sleep(0.2)
