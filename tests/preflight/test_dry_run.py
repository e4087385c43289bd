"""The dry run says what the create would: the same refusals, the very call, and what the caller has left."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.preflight.hosts import hosting, whole
from tests.preflight.orders import IMAGE_PLACES, PATHS, SELLERS, assert_untouched, create, try_out
from tests.preflight.test_images import GOOD
from tests.world import ALICE, BOB, SLOW, World, id_of, world

PLAIN = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship at dawn"}
PRICE = "0.28"
OPEN = 'preflight: {allow_private_networks: ["127.0.0.0/8"]}\n'


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story, 120))


def same(dry: httpx.Response, real: httpx.Response) -> None:
    """Both are the same refusal, whatever the seconds until a repeat can help."""
    assert (dry.status_code, dry.json()) == (real.status_code, real.json())
    assert dry.headers["x-should-retry"] == real.headers["x-should-retry"]


async def both(it: World, dialect: str = "evolink", key: str = ALICE, **more: Any) -> tuple[httpx.Response, ...]:
    body = {**PLAIN, **more}
    return await try_out(it, dialect, body, key=key), await create(it, dialect, body, key=key)


@pytest.mark.parametrize("dialect", PATHS)
def test_an_order_with_an_image_is_sent_as_the_dry_run_said(dialect: str, tmp_path: Path) -> None:
    async def answer(path: str, headers: dict[str, str]) -> bytes:
        return whole(GOOD)

    async def story() -> None:
        async with hosting(answer) as host, world(tmp_path, OPEN + SELLERS) as it:
            place = next(place for place in IMAGE_PLACES if place.dialect == dialect)
            order = place.order(f"{host.url}/a.jpg", prompt="a ship [dolly in] at dawn")
            dry = await try_out(it, dialect, order)
            assert dry.status_code == 200, dry.text
            assert_untouched(it)
            real = await create(it, dialect, order)
            assert id_of(real)
            told = dry.json()
            (sent,) = it.videos()
            assert told["upstream_request"]["body"] == sent["request"]
            assert (told["upstream"], told["price"]) == (real.headers["x-reelgate-upstream"], PRICE)
            assert told["warnings"] == json.loads(real.headers["x-reelgate-warnings"])
            assert told["warnings"] == ["the camera command `[dolly in]` is sent as `[Push in]`"]

    run(story())


def test_the_budget_that_is_left_is_said_and_one_that_does_not_pay_is_refused_alike(tmp_path: Path) -> None:
    keys = f"""
virtual_keys:
  - {{id: alice, value: {ALICE}, team: films, budget: {{amount: 5, period: 30d}}}}
  - {{id: bob, value: {BOB}, budget: {{amount: 0.30}}}}
teams: [{{id: films, budget: {{amount: 0.50}}}}]
"""

    async def story() -> None:
        async with world(tmp_path, keys, speed=SLOW) as it:
            dry, real = await both(it)
            assert dry.headers["x-reelgate-budget-left"] == "0.50 USD", "the team's, which is less than the key's"
            assert id_of(real)
            dry, real = await both(it)
            same(dry, real)
            assert "this key's team has 0.22 left" in dry.json()["error"]["message"]
            dry, real = await both(it, key=BOB)
            assert dry.headers["x-reelgate-budget-left"] == "0.30 USD"
            assert id_of(real)
            same(*await both(it, key=BOB))
            assert len(it.videos()) == 2

    run(story())


@pytest.mark.parametrize("dialect", PATHS)
def test_a_budget_that_does_not_pay_is_refused_alike_in_every_dialect(dialect: str, tmp_path: Path) -> None:
    async def story() -> None:
        keys = f"virtual_keys: [{{id: alice, value: {ALICE}, budget: {{amount: 0.1}}}}]\n"
        async with world(tmp_path, keys) as it:
            same(*await both(it, dialect))
            assert_untouched(it)

    run(story())


def test_a_caller_without_a_budget_is_told_of_none(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            dry = await try_out(it, "evolink", PLAIN)
            assert dry.status_code == 200
            assert "x-reelgate-budget-left" not in dry.headers

    run(story())


ONE_PLACE = """
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${UPSTREAM}/evolink
    keys: [{id: main, value: sk-up, max_tasks: 1}]
"""


@pytest.mark.parametrize(
    ("queue", "statuses"),
    [("{max_tasks: 1}", [200, 200, 429]), ("null", [200, 429, 429]), ("{max_tasks: 0}", [200, 429, 429])],
)
def test_where_every_key_is_busy_the_dry_run_is_taken_if_the_create_may_wait(
    queue: str, statuses: list[int], tmp_path: Path
) -> None:
    async def story() -> None:
        async with world(tmp_path, f"{ONE_PLACE}queue: {queue}\n", speed=SLOW) as it:
            for status in statuses:
                dry, real = await both(it)
                assert (dry.status_code, real.status_code) == (status, status), dry.text + real.text
                if status != 200:
                    same(dry, real)
                else:
                    assert dry.json()["upstream"] == "sandbox"
            assert len(it.videos()) == 1

    run(story())


def test_a_busy_upstream_is_said_to_be_busy(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, f"{ONE_PLACE}queue: {{max_tasks: 9}}\n", speed=SLOW) as it:
            assert "a usable key" in (await try_out(it, "evolink", PLAIN)).headers["x-reelgate-upstream-reason"]
            await create(it, "evolink", PLAIN)
            assert "no key with room" in (await try_out(it, "evolink", PLAIN)).headers["x-reelgate-upstream-reason"]

    run(story())


def test_dry_runs_take_no_turn_and_no_place(tmp_path: Path) -> None:
    """Two upstreams take turns; however often somebody asks, the next create goes where the next create goes."""
    twins = """
upstreams:
  - {name: one, provider: evolink, base_url: "${UPSTREAM}/evolink", keys: [{value: sk-up, max_tasks: 1}]}
  - {name: two, provider: evolink, base_url: "${UPSTREAM}/evolink", keys: [{value: sk-up, max_tasks: 1}]}
"""

    async def story() -> None:
        async with world(tmp_path, twins, speed=SLOW) as it:
            for _ in range(2):
                told = {(await try_out(it, "evolink", PLAIN)).json()["upstream"] for _ in range(5)}
                real = await create(it, "evolink", PLAIN)
                assert told == {real.headers["x-reelgate-upstream"]}

    run(story())


@pytest.mark.parametrize("dialect", PATHS)
def test_while_creates_are_frozen_or_the_gateway_ends_the_dry_run_is_refused_alike(
    dialect: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            it.parts.admission.is_frozen = True
            same(*await both(it, dialect))
            it.parts.admission.is_frozen = False
            it.parts.stories.stop_creates()
            same(*await both(it, dialect))
            assert_untouched(it)

    run(story())


def test_keys_that_are_down_are_told_alike(tmp_path: Path) -> None:
    async def story() -> None:
        config = """
upstreams:
  - {name: sandbox, provider: evolink, base_url: "${UPSTREAM}/evolink", keys: [{id: main, value: sk-bad-key}]}
"""
        async with world(tmp_path, config) as it:
            assert (await create(it, "evolink", PLAIN)).status_code == 503  # the key is refused
            same(*await both(it))

    run(story())


def test_an_unknown_model_is_forwarded_where_that_is_configured(tmp_path: Path) -> None:
    config = f"""
preflight: {{unknown_models: forward}}
upstreams:
  - {{name: sandbox, provider: evolink, base_url: "${{UPSTREAM}}/evolink", models: ["veo-*"], keys: [{{value: sk-up}}]}}
virtual_keys:
  - {{id: alice, value: {ALICE}}}
  - {{id: bob, value: {BOB}, budget: {{amount: 5}}}}
"""

    async def story() -> None:
        async with world(tmp_path, config) as it:
            order = {"model": "veo-9:fast", "prompt": "a ship " * 500, "duration": 7, "quality": "720p"}
            dry = await try_out(it, "evolink", order)
            assert dry.status_code == 200, dry.text
            assert (dry.json()["price"], dry.json()["model"]) == (None, "veo-9:fast")
            assert dry.json()["upstream_request"]["body"] == order
            for headers in ({}, {"x-reelgate-max-price": "9"}):
                refused = await create(it, "evolink", order, key=BOB if not headers else ALICE, **headers)
                assert refused.status_code == 400, "what has no price is not for counted money"
            for model in ("kling-1", "veo-9 \u2028", "veo-" + "9" * 200):
                unknown = await create(it, "evolink", {**order, "model": model})
                assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "model")
            assert_untouched(it)
            assert (await create(it, "evolink", order)).status_code in (200, 400)  # the sandbox does not know it either
            assert [entry["path"] for entry in it.requests("POST")] == ["/evolink/v1/videos/generations"]

    run(story())


def test_without_forwarding_an_unknown_model_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            same(*await both(it, model="veo-9"))
            assert_untouched(it)

    run(story())


@pytest.mark.parametrize("said", ["", " ", "yes", "1", "true, true"])
def test_a_header_that_says_neither_yes_nor_no_buys_nothing(said: str, tmp_path: Path) -> None:
    """An empty one above all: `-H "x-reelgate-dry-run: $DRY_RUN"` with nothing in the variable."""

    async def story() -> None:
        async with world(tmp_path) as it:
            headers = {"authorization": f"Bearer {ALICE}", "x-reelgate-dry-run": said}
            answer = await it.http.post("/evolink/v1/videos/generations", json=PLAIN, headers=headers)
            assert answer.status_code == 400
            assert answer.json()["error"]["param"] == "x-reelgate-dry-run"
            assert_untouched(it)

    run(story())
