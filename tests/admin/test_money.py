"""Who spent what: by anything, to the cent, in the admin API and in the metrics."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.admin.person import CONFIG, new_key, refused, told
from tests.world import BOB, SLOW, World, world

BUDGETS = f"""{CONFIG}
teams: [{{id: films, budget: {{amount: 10, period: 30d}}}}]
virtual_keys:
  - {{id: alice, value: sk-rg-alice-key, team: films, budget: {{amount: 1.5}}}}
  - {{id: bob, value: sk-rg-bob-key}}
"""


async def budget_metrics(it: World) -> dict[str, float]:
    lines = (await it.http.get("/metrics")).text.splitlines()
    samples = (line.rpartition(" ") for line in lines if line.startswith("reelgate_budget_"))
    return {name.removeprefix("reelgate_budget_"): float(value) for name, _, value in samples}


def test_usage_is_told_by_every_group_and_in_all(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, BUDGETS) as it:
            await it.finished_film()
            await it.finished_film(duration=10)
            await it.create(key=BOB, prompt="p #sandbox:400")
            await it.create(key=BOB, prompt="p #sandbox:drop-after-accept")
            usage = await told(it, "GET", "/usage")
            assert usage["currency"] == "USD"
            groups = {group["name"]: group for group in usage["groups"]}
            assert groups["alice"] == _group("alice", spent="0.84", completed=2)
            assert groups["bob"] == _group("bob", held="0.28", refused=1, unconfirmed=1)
            assert usage["total"] | {"name": ""} == _group("", "0.84", "0.28", completed=2, refused=1, unconfirmed=1)
            days = {
                time.strftime("%Y-%m-%d", time.gmtime(time.time() - ago_s)) for ago_s in (60, 0)
            }  # or it is midnight
            for by, names in (
                ("team", {"", "films"}),
                ("model", {"MiniMax-Hailuo-2.3"}),
                ("upstream", {"sandbox"}),
                ("day", days),
            ):
                told_by = await told(it, "GET", f"/usage?by={by}&from=1d")
                assert {group["name"] for group in told_by["groups"]} <= names
                assert told_by["total"] == usage["total"]
            assert (await told(it, "GET", "/usage?to=1h"))["groups"] == []

    asyncio.run(scenario())


def _group(name: str, spent: str = "0.00", held: str = "0.00", **tasks: int) -> dict[str, Any]:
    return {"name": name, "held": held, "suspended": "0.00", "spent": spent, "tasks": tasks}


def test_every_budget_says_what_it_has_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, BUDGETS, speed=SLOW) as it:
            carol = await new_key(it, "carol", team="films", budget="5/1mo")
            await it.create()
            await it.create(key=carol)
            await it.create(key=BOB)
            found = (await told(it, "GET", "/usage"))["budgets"]
            assert [(item.get("key"), item.get("team"), item["limit"], item["available"]) for item in found] == [
                ("alice", None, "1.50", "1.22"),
                ("bob", None, None, None),
                ("carol", None, "5.00", "4.72"),
                (None, "films", "10.00", "9.44"),
            ]
            assert [item["held"] for item in found] == ["0.28", "0.28", "0.28", "0.56"]
            assert [item["until"] is None for item in found] == [True, True, False, False]

    asyncio.run(scenario())


@pytest.mark.parametrize(("query", "param"), [("by=colour", "by"), ("from=x", "from"), ("since=1d", "since")])
def test_a_question_that_makes_no_sense_is_named(query: str, param: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            assert (await refused(it, 400, "GET", f"/usage?{query}"))["param"] == param

    asyncio.run(scenario())


def test_the_metrics_say_the_same_of_keys_and_teams(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, BUDGETS) as it:
            await it.finished_film()
            await it.create(key=BOB, prompt="p #sandbox:drop-after-accept")
            assert await budget_metrics(it) == {
                'amount{virtual_key="alice"}': 1.5,
                'amount{virtual_key="team:films"}': 10.0,
                'spent{virtual_key="alice"}': 0.28,
                'spent{virtual_key="bob"}': 0.0,
                'spent{virtual_key="team:films"}': 0.28,
                'held{virtual_key="alice"}': 0.0,
                'held{virtual_key="bob"}': 0.28,
                'held{virtual_key="team:films"}': 0.0,
            }
            await new_key(it, "carol", budget="7")
            assert (await budget_metrics(it))['amount{virtual_key="carol"}'] == 7.0
            await told(it, "DELETE", "/keys/carol")
            assert not any("carol" in name for name in await budget_metrics(it))

    asyncio.run(scenario())


def test_an_open_gateway_counts_what_everyone_spends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "virtual_keys: []") as it:
            await it.finished_film()
            found = await budget_metrics(it)
            assert found == {'spent{virtual_key="local"}': 0.28, 'held{virtual_key="local"}': 0.0}

    asyncio.run(scenario())
