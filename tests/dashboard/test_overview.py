"""The first page: what the operator sees of everything, and the holder of a key of its own."""

import asyncio
import re
from pathlib import Path

import pytest

from gateway.errors import Fault
from gateway.flows.board import fault_of
from tests.dashboard.visitor import ADMIN_KEY, CONFIG, text_of, visitor
from tests.world import ALICE, BOB, SLOW, bearer, world

TEAMS = f"""{CONFIG}
virtual_keys:
  - {{id: alice, value: {ALICE}, team: films, budget: {{amount: 5, period: 30d}}}}
  - {{id: bob, value: {BOB}, team: films, expires: 2999-01-01}}
  - {{id: carol, value: sk-rg-carol}}
teams: [{{id: films, budget: {{amount: 20, period: 1d}}}}]
"""


def test_the_operator_sees_what_was_spent_what_failed_and_whose_fault_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, TEAMS) as it, visitor(it) as operator:
            assert "Nothing was ordered yet today." in await operator.reads("/dashboard")
            await it.finished_film()
            await it.finished_film(prompt="a wreck #sandbox:fail-generation")
            await it.create(key="wrong")
            page = await operator.gets("/dashboard")
            words = text_of(page)
            assert "Spent today 0.28 USD since midnight, UTC" in words
            assert "Held 0.00 USD nothing" in words
            assert "alice 0.28 0.00" in words
            assert "films 0.28 0.00" in words
            assert "Upstream keys well 1 of 1" in words
            assert re.search(r"generation_failed\w* upstream sandbox 1 ", words)
            assert "unauthorized caller 1" in words
            assert "1 finished film, not kept" in words
            assert "MiniMax-Hailuo-2.3 768P at sandbox" in words
            assert "Gateway all client routes" in words
            assert "sandbox submit" in words
            assert '<rect class="series-1"' in page
            assert '<polyline class="series-2"' in page

    asyncio.run(story())


def test_what_is_held_is_told_with_its_age(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, TEAMS, speed=SLOW) as it, visitor(it) as operator:
            await it.create()
            await it.create(key=BOB)
            words = await operator.reads("/dashboard")
            assert re.search(r"Held 0\.56 USD the oldest for \d", words)
            assert "Running now 2 0 queued, 0 in doubt" in words

    asyncio.run(story())


def test_the_holder_of_a_key_sees_its_own_money_and_nobody_elses(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, TEAMS) as it, visitor(it, ALICE) as alice, visitor(it, "sk-rg-carol") as carol:
            await it.finished_film()
            for _ in range(3):
                await it.create(key=BOB, prompt="what bob wants nobody to know")
            words = await alice.reads("/dashboard")
            assert "Left to order 4.72 USD with this key" in words
            assert "Spent 0.28 USD in 30 days" in words
            assert "Left for your team" in words
            assert "MiniMax-Hailuo-2.3 0.28 0.00 1 0" in words
            for secret in ("bob", "carol", "sandbox", "sk-", "nobody to know"):
                assert secret not in words
            strangers = await carol.reads("/dashboard")
            assert "Left to order no limit with this key" in strangers
            assert "Nothing was ordered with this key yet." in strangers
            for secret in ("alice", "bob", "films", "sandbox"):
                assert secret not in strangers

    asyncio.run(story())


def test_no_text_of_another_team_reaches_a_holder_on_any_page(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, TEAMS, speed=SLOW) as it, visitor(it, "sk-rg-carol") as carol:
            created = await it.create(prompt="the secret of the films team")
            word = created.headers["x-reelgate-task-id"]
            for path in ("/dashboard", "/dashboard/tasks", "/dashboard/playground", "/dashboard/tasks?caller=alice"):
                page = await carol.gets(path)
                for secret in ("alice", "bob", "films", "secret of", word, "UPSTREAM", "sk-up-"):
                    assert secret not in page.replace("?caller=alice", "").replace("caller=alice", ""), (path, secret)
            for path in ("", "/film"):
                answer = await carol.http.get(f"/dashboard/tasks/{word}{path}")
                assert answer.status_code == 404
                assert "secret of" not in answer.text

    asyncio.run(story())


def test_the_admin_api_tells_usage_of_one_key(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, TEAMS, speed=SLOW) as it:
            await it.create()
            for _ in range(2):
                await it.create(key=BOB)
            for said, held in ((("caller", "bob"), "0.56"), (("caller", "alice"), "0.28"), (("team", "films"), "0.84")):
                answer = await it.http.get("/admin/usage", params=[said, ("by", "day")], headers=bearer(ADMIN_KEY))
                assert answer.json()["total"]["held"] == held

    asyncio.run(story())


def test_the_admin_api_tells_the_same_as_the_first_page(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, TEAMS) as it:
            await it.finished_film()
            await it.finished_film(prompt="a wreck #sandbox:fail-generation")
            told = (await it.http.get("/admin/overview", headers=bearer(ADMIN_KEY))).json()
            assert told["today"]["total"]["spent"] == "0.28"
            assert [group["name"] for group in told["today"]["keys"]] == ["alice"]
            assert len(told["days"]) == 30
            assert told["days"][-1]["spent"] == "0.28"
            assert (told["tasks"]["completed"], told["tasks"]["failed"]) == (1, 1)
            assert told["holds"]["held"] == {"amount": "0.00", "oldest_at": None}
            assert (told["keys"]["count"], told["keys"]["unwell"]) == (1, [])
            assert told["durations"][0]["count"] == 1
            (failure,) = told["failures"]
            assert (failure["fault"], failure["upstream"], failure["count"]) == ("upstream", "sandbox", 1)
            assert told["going"]["films"] == 1
            assert told["latencies"]["gateway"]["count"] >= 2
            assert {call["operation"] for call in told["latencies"]["upstreams"]} >= {"submit", "poll"}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("invalid_request", Fault.CALLER),
        ("content_policy_violation", Fault.CALLER),
        ("cancelled", Fault.CALLER),
        ("queue_timeout", Fault.POLICY),
        ("budget_spent", Fault.POLICY),
        ("no_usable_key", Fault.UPSTREAM),
        ("submission_unconfirmed", Fault.UPSTREAM),
        ("a word of the upstream's own", Fault.UPSTREAM),
        ("internal_error", Fault.GATEWAY),
    ],
)
def test_every_failure_is_somebodys_fault(code: str, fault: Fault) -> None:
    assert fault_of(code) is fault
