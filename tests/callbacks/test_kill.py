"""`kill -9` again and again while callbacks go out: everybody is told, and whoever is told twice is told the same."""

import asyncio
import random
import signal
from collections import defaultdict
from pathlib import Path

import httpx

from gateway import sandbox
from tests.callbacks.world import until
from tests.life.process import serve
from tests.passthrough.upstream import Upstream as Receiver
from tests.passthrough.upstream import Visit
from tests.world import ALICE, PROMPT_S, bearer

CONFIG = """
preflight: {allow_private_networks: ["127.0.0.0/8"]}
polling: {min_interval_s: 0.02, max_interval_s: 0.1}
results: {links: gateway}
"""
KILLS, TASKS_EACH = 4, 6
WITHIN_S = 0.4  # of the creates' answers: the films come, are noted, written and told in that time


def test_whoever_wished_to_be_told_is_told_however_often_the_gateway_is_killed(tmp_path: Path) -> None:
    bodies: dict[str, set[bytes]] = defaultdict(set)
    answered: set[str] = set()

    async def sometimes_slow(visit: Visit) -> None:
        """Some receivers have read it all when the gateway dies, and have not answered yet."""
        await visit.read()
        number = visit.header("webhook-id") or ""
        bodies[number].add(visit.body)
        await asyncio.sleep(random.choice((0.0, 0.0, 0.3)))
        await visit.answer(200)
        answered.add(number)

    async def scenario() -> None:
        created: list[str] = []
        async with sandbox.running(speed=200) as upstream, Receiver(sometimes_slow) as receiver:
            for killing in range(KILLS + 1):
                async with serve(tmp_path, upstream, CONFIG) as process:
                    if killing == KILLS:
                        await until(lambda: len(bodies) == KILLS * TASKS_EACH)
                        await until(lambda: answered >= bodies.keys())
                        break
                    async with httpx.AsyncClient(base_url=process.base_url, trust_env=False, timeout=PROMPT_S) as http:
                        body = {
                            "model": "MiniMax-Hailuo-2.3",
                            "prompt": "a ship",
                            "callback_url": f"{receiver.url}/hook",
                        }
                        answers = await asyncio.gather(
                            *(
                                http.post("/v1/videos/generations", json=body, headers=bearer(ALICE))
                                for _ in range(TASKS_EACH)
                            )
                        )
                    created += [answer.headers["x-reelgate-task-id"] for answer in answers]
                    await asyncio.sleep(random.uniform(0, WITHIN_S))
                    process.signal(signal.SIGKILL)
                    await process.ended()
            assert {f"msg_{word.removeprefix('video_')}_1" for word in created} == set(bodies)
            assert {number: len(said) for number, said in bodies.items() if len(said) != 1} == {}

    asyncio.run(scenario())
