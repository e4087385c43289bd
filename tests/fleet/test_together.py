"""What a person decides at one worker is in force at all of them within the promised seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from gateway import sandbox
from tests.life.process import serve
from tests.world import ALICE, PROMPT_S, SLOW, SPEECHES, bearer

CREATE = SPEECHES["evolink"].create
ADMIN = "the-admin-key"
ASKED = 24  # connections: all of them at one of three workers happens once in 3^23 times
REVOKED_WITHIN_S, RESTED_WITHIN_S = 5.0, 2.0  # CONTRACT section 7
CONFIG = f"admin_key: {ADMIN}\nserver: {{workers: 3, answer_within_s: 60}}\n"


async def everywhere(ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> set[int]:
    """What all workers answer: a connection for each request."""
    once = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(trust_env=False, timeout=PROMPT_S, limits=once) as http:
        return {(await ask(http)).status_code for _ in range(ASKED)}


async def soon_everywhere(
    ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]], status: int, within_s: float
) -> None:
    """All answer alike. A round that began after the promised time decides; earlier ones may still find some who do
    not know."""
    began = time.monotonic()
    while True:
        is_late = time.monotonic() - began > within_s
        statuses = await everywhere(ask)
        if statuses == {status}:
            return
        assert not is_late, statuses


def test_keys_and_freezes_and_recoveries_hold_at_all_workers(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            sandbox.running(app=sandbox.create_app(speed=SLOW, balance_usd=1_000_000)) as upstream,
            serve(tmp_path, upstream, CONFIG) as process,
            httpx.AsyncClient(trust_env=False, timeout=PROMPT_S, headers=bearer(ADMIN)) as admin,
        ):
            assert len(process.workers()) == 3
            url = process.base_url

            def create(key: str, prompt: str = "a ship") -> Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]:
                body = {**SPEECHES["evolink"].body, "prompt": prompt}
                return lambda http: http.post(url + CREATE, json=body, headers=bearer(key))

            async def order(path: str, status: int = 200) -> None:
                answer = await admin.post(f"{url}/admin/{path}", json={})
                assert answer.status_code == status, answer.text

            made = (await admin.post(f"{url}/admin/keys", json={"id": "carol"})).json()["key"]
            assert await everywhere(create(made)) == {200}, "a key that was just made opens every worker"
            await order("keys/carol/revoke")
            await soon_everywhere(create(made), 401, REVOKED_WITHIN_S)
            await order("freeze")
            await soon_everywhere(create(ALICE), 503, REVOKED_WITHIN_S)
            await order("unfreeze")
            await soon_everywhere(create(ALICE), 200, REVOKED_WITHIN_S)
            async with httpx.AsyncClient(trust_env=False, timeout=PROMPT_S) as http:
                refused = await create(ALICE, "a ship #sandbox:401=1")(http)
                assert refused.status_code == 503, "the only key was refused"
            await soon_everywhere(lambda http: http.get(f"{url}/readyz"), 503, RESTED_WITHIN_S)
            await order("upstreams/sandbox/keys/main/recover")
            await soon_everywhere(create(ALICE), 200, RESTED_WITHIN_S)

    asyncio.run(story())
