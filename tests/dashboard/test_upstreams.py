"""Upstream keys at the dashboard: how each stands and why, and what a person does about it."""

import asyncio
from pathlib import Path

from tests.dashboard.house import house
from tests.dashboard.visitor import CONFIG, text_of, visitor
from tests.world import world

TWO_KEYS = f"""{CONFIG}
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    keys: [{{id: empty, value: sk-empty-1}}, {{id: bad, value: sk-bad-1}}, {{id: last, value: sk-last, draining: true}}]
"""


def test_a_key_that_was_refused_says_why_and_is_recovered_by_a_person(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, TWO_KEYS) as it, visitor(it) as operator:
            assert (await it.create()).status_code == 503
            page = text_of(await operator.gets("/dashboard/upstreams"))
            assert "empty exhausted its account has no balance" in page
            assert "no_usable_key , HTTP 402, row H11" in page
            assert "bad retired its credential was refused" in page
            assert "no_usable_key , HTTP 401, row H10" in page
            assert "last draining takes nothing new" in page
            assert "2 of 3" not in await operator.reads("/dashboard")
            assert "1 of 3" not in await operator.reads("/dashboard")
            answer = await operator.sends("/dashboard/upstreams/recover", upstream="sandbox", key="bad")
            assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/upstreams?done=recovered")
            page = text_of(await operator.gets(answer.headers["location"]))
            assert "The key is used again" in page
            assert "bad ok takes tasks" in page
            for said in ({"upstream": "sandbox", "key": "none"}, {"upstream": "none", "key": "bad"}, {}):
                assert (await operator.sends("/dashboard/upstreams/recover", **said)).status_code == 404

    asyncio.run(story())


def test_creates_are_frozen_and_taken_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            assert (await operator.sends("/dashboard/upstreams/freeze")).status_code == 303
            assert it.parts.admission.is_frozen
            assert "Creates are frozen since" in await operator.reads("/dashboard/upstreams?done=frozen")
            assert "the gateway is frozen" in await operator.reads("/dashboard")
            assert (await operator.sends("/dashboard/upstreams/unfreeze")).status_code == 303
            assert not it.parts.admission.is_frozen
            assert "frozen" not in await operator.reads("/dashboard")

    asyncio.run(story())
