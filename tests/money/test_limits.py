"""A caller gets what it may have, to the video, however many creates arrive at once and wherever they arrive."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.money.fleet import KINDS, PRICE, Fleet, fleet
from tests.world import ALICE, BOB, SLOW, bearer, world

CREATES, WORTH = 500, 7
MONEY = 2.23  # worth seven films of 0.28, and a cent is missing for an eighth
CAROL, DAVE = "sk-rg-carol-key", "sk-rg-dave-key"


def statuses(answers: Sequence[httpx.Response]) -> dict[int, int]:
    return dict(Counter(answer.status_code for answer in answers))


def test_five_hundred_creates_at_once_on_a_budget_of_seven_videos_buy_seven(tmp_path: Path) -> None:
    keys = f"virtual_keys: [{{id: alice, value: {ALICE}, budget: {{amount: {MONEY}, period: 30d}}}}]"

    async def story() -> None:
        async with world(tmp_path, keys, speed=SLOW) as it:
            answers = await asyncio.gather(*(it.create(prompt=f"film {number}") for number in range(CREATES)))
            assert statuses(answers) == {200: WORTH, 402: CREATES - WORTH}
            assert len(it.videos()) == WORTH
            refused = next(answer for answer in answers if answer.status_code == 402)
            assert refused.json()["error"]["code"] == "insufficient_quota"
            assert refused.headers["x-should-retry"] == "false"

    asyncio.run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_four_gateways_on_one_storage_keep_every_limit_as_one_would(kind: str, tmp_path: Path) -> None:
    config = f"""
teams: [{{id: films, budget: {{amount: {MONEY}, period: 1mo}}}}]
virtual_keys:
  - {{id: alice, value: {ALICE}, team: films}}
  - {{id: bob, value: {BOB}, team: films}}
  - {{id: carol, value: {CAROL}, max_tasks: 3}}
  - {{id: dave, value: {DAVE}, rpm: 5}}
"""

    async def story() -> None:
        async with fleet(tmp_path, kind, config) as it:
            team, carol, dave = await asyncio.gather(
                it.creates(CREATES, [ALICE, BOB], "team"),
                it.creates(100, [CAROL], "carol"),
                it.creates(100, [DAVE], "dave"),
            )
            assert statuses(team) == {200: WORTH, 402: CREATES - WORTH}
            assert statuses(carol) == {200: 3, 429: 97}
            assert statuses(dave) == {200: 5, 429: 95}
            bought = Counter(video["request"]["prompt"].split()[0] for video in it.videos())
            assert bought == {"team": WORTH, "carol": 3, "dave": 5}
            await assert_everybody_says_what_is_left(it)

    asyncio.run(story())


async def assert_everybody_says_what_is_left(it: Fleet) -> None:
    for process in it.processes:
        answer = await it.crowd[0].get(f"{process.base_url}/evolink/v1/credits", headers=bearer(BOB))
        assert answer.status_code == 200, answer.text
        of_team = answer.json()["data"]["user"]
        assert of_team["used_credits"] == 0
        assert of_team["remaining_credits"] == pytest.approx(MONEY - WORTH * PRICE / 1e6)
