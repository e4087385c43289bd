"""The picture in the README: `python -m tests.dashboard.browser.portrait docs/dashboard.png`.

A month of a small studio, made up; the last films of it are being made by the sandbox while the picture is taken.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from gateway.catalog import Catalog
from gateway.video import Failure, Money, State, Task, VideoRequest
from tests.dashboard.browser.scene import ADMIN_KEY, gateway_with, person
from tests.dashboard.browser.window import Stage, chromium, running_chromium
from tests.dashboard.history import ended, put
from tests.world import bearer

CONFIG = f"""
admin_key: {ADMIN_KEY}
upstreams:
  - name: evolink
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    keys: [{{id: main, value: sk-up-main}}, {{id: reserve, value: sk-bad-reserve}}]
  - name: minimax
    provider: minimax
    base_url: ${{UPSTREAM}}/minimax
    priority: 1
    keys: [{{id: studio, value: sk-up-studio}}]
virtual_keys:
  - {{id: ana, value: sk-rg-ana, team: films, budget: {{amount: 120, period: 30d}}}}
  - {{id: ben, value: sk-rg-ben, team: films, budget: {{amount: 60, period: 30d}}}}
  - {{id: trailers, value: sk-rg-trailers, budget: {{amount: 90, period: 30d}}}}
  - {{id: website, value: sk-rg-website}}
teams: [{{id: films, budget: {{amount: 200, period: 30d}}}}]
"""
KEYS = (("ana", "films"), ("ben", "films"), ("trailers", None), ("website", None))
DAYS, DAY_S = 30, 86_400
SIZE = (1280, 900)


def month(now: float) -> Iterator[Task]:
    """Busier in the middle of each week, and a little more from week to week."""
    roll, today_s = random.Random(7), now % DAY_S
    offers = [offer for model in Catalog.shipped().models for offer in model.offers if offer.price is not None]
    for day in range(DAYS - 1, -1, -1):
        for _ in range(roll.randint(6, 12) + (DAYS - day) // 4 - (8 if day % 7 in (2, 3) else 0)):
            caller, team = roll.choices(KEYS, (5, 3, 2, 1))[0]
            offer, at = roll.choice(offers), now - day * DAY_S - 200 - roll.random() * max(0, today_s - 200)
            upstream = roll.choices(("evolink", "minimax"), (4, 1))[0]
            request = VideoRequest(
                model=offer.model, prompt="…", resolution=offer.resolution, duration_s=offer.duration_s
            )
            failed = roll.random() < 0.04
            yield ended(
                at,
                caller=caller,
                team=team,
                request=request,
                price=offer.price,
                upstream=upstream,
                upstream_id=f"u-{at}",
                state=State.FAILED if failed else State.COMPLETED,
                money=Money.RELEASED if failed else Money.SETTLED,
                link=None if failed else "https://files.example/film.mp4",
                failure=Failure("content_policy_violation", "the content was refused") if failed else None,
                finished_at=at + roll.uniform(45, 160),
            )


async def portrait(path: Path) -> None:
    """Take the picture."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_chromium(chromium()) as browser,
            gateway_with(Path(folder), CONFIG, speed=1.0) as it,
        ):
            await put(it.parts.database, list(month(time.time())))
            for number in range(7):
                caller = KEYS[number % 4][0]
                body = {"model": "MiniMax-Hailuo-2.3", "prompt": "…", "quality": ("768p", "1080p")[number % 3 == 0]}
                await it.http.post("/evolink/v1/videos/generations", json=body, headers=bearer(f"sk-rg-{caller}"))
            async with person(Stage(asyncio.Runner(), browser), it) as window:
                await window.page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
                await window.go("/dashboard")
                await window.page.screenshot(path=path)
    Image.open(path).convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(portrait(Path(sys.argv[1])))
