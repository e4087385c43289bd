"""What a virtual key may have at once: submits a minute, tasks in flight, and a last day."""

import asyncio
from pathlib import Path

from tests.world import ALICE, BOB, FAST, SLOW, UPSTREAM_KEY, id_of, world

KEYS = f"""
virtual_keys:
  - {{id: alice, value: {ALICE}, LIMIT}}
  - {{id: bob, value: {BOB}}}
"""


def test_a_key_has_as_many_tasks_in_flight_as_it_may_and_not_one_more(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, KEYS.replace("LIMIT", "max_tasks: 3"), speed=SLOW) as it:
            answers = await asyncio.gather(*(it.create(prompt=f"film {number}") for number in range(20)))
            assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 17
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert refused.json()["error"]["code"] == "rate_limit_exceeded"
            assert refused.headers["x-should-retry"] == "true"
            assert int(refused.headers["retry-after"]) >= 1
            assert len(it.videos()) == 3
            assert (await it.create(key=BOB)).status_code == 200

    asyncio.run(story())


def test_a_task_that_ended_makes_room(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, KEYS.replace("LIMIT", "max_tasks: 1"), speed=FAST) as it:
            first = id_of(await it.create())
            await it.finish(first)
            assert (await it.create()).status_code == 200

    asyncio.run(story())


def test_a_key_orders_as_many_videos_a_minute_as_it_may(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, KEYS.replace("LIMIT", "rpm: 2")) as it:
            began = it.parts.clock()
            for number in range(2):
                assert (await it.create(prompt=f"film {number}")).status_code == 200
            refused = await it.create(prompt="film 3")
            assert refused.status_code == 429
            assert 60 - (it.parts.clock() - began) <= int(refused.headers["retry-after"]) <= 60
            assert (await it.create(quality="999p")).status_code == 400
            assert (await it.create(key=BOB)).status_code == 200
            assert len(it.videos()) == 3

    asyncio.run(story())


def test_a_refused_create_gives_its_place_on_the_upstream_key_back(tmp_path: Path) -> None:
    upstreams = f"""
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    keys: [{{id: main, value: {UPSTREAM_KEY}, max_tasks: 2}}]
"""

    async def story() -> None:
        async with world(tmp_path, KEYS.replace("LIMIT", "max_tasks: 1") + upstreams, speed=SLOW) as it:
            assert (await it.create()).status_code == 200
            for _ in range(5):
                assert (await it.create()).status_code == 429
            assert (await it.create(key=BOB)).status_code == 200

    asyncio.run(story())


def test_an_expired_key_opens_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, KEYS.replace("LIMIT", "expires: 2020-01-01")) as it:
            refused = await it.create()
            assert refused.status_code == 401
            assert "expired" in refused.json()["error"]["message"]
            assert it.requests() == []
            assert (await it.create(key=BOB)).status_code == 200

    asyncio.run(story())


def test_a_key_that_expires_some_day_opens_until_then(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, KEYS.replace("LIMIT", 'expires: "2099-12-31T00:00:00Z"')) as it:
            assert (await it.create()).status_code == 200

    asyncio.run(story())
