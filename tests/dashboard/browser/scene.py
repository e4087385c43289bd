"""A gateway with a dashboard, some history in it, and somebody who is logged in."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.flows import sweep
from gateway.structs import replace
from tests.dashboard.browser.window import Stage, Window
from tests.world import ALICE, BOB, FAST, World, id_of, world

ADMIN_KEY = "the-admin-key-of-this-test"
CONFIG = f"""
admin_key: {ADMIN_KEY}
virtual_keys:
  - {{id: alice, value: {ALICE}, team: films, budget: {{amount: 12, period: 30d}}}}
  - {{id: bob, value: {BOB}, budget: {{amount: 2, period: 1d}}, models: ["MiniMax-Hailuo-*"]}}
teams:
  - {{id: films, budget: {{amount: 200, period: 30d}}}}
"""
PROMPTS = (
    "A lighthouse at dusk, the sea below it grey and slow [Push in]",
    "Rain on the window of a night train [Static shot]",
    "A paper boat follows a stream through an old town",
)


@asynccontextmanager
async def gateway_with(
    folder: Path, config: str = CONFIG, *, speed: float = FAST, clock: Callable[[], float] = time.time
) -> AsyncIterator[World]:
    """On a socket, as a browser needs it; `clock` is the sandbox's."""
    async with world(folder, config, on_socket=True, speed=speed, clock=clock) as it:
        yield it


async def with_history(it: World) -> dict[str, str]:
    """Films of two keys, one that failed, one in doubt and one that waits for a person; their ids by what they are."""
    made = {"of bob": id_of(await it.create(prompt=PROMPTS[0], key=BOB))}
    for dialect, prompt in zip(("toapis", "evolink"), PROMPTS[1:], strict=True):
        made["completed"] = await it.finished_film(dialect, prompt=prompt)
    made["failed"] = id_of(await it.create(prompt="A door that opens on a wall #sandbox:fail-generation"))
    await it.finish(made["failed"])
    made["suspense"] = id_of(await it.create(prompt="A kite over the harbour #sandbox:drop-after-accept"))
    await sweep.sweep(replace(it.parts, clock=lambda: time.time() + 3600))
    made["unconfirmed"] = id_of(await it.create(prompt="A whale under the ice #sandbox:drop-after-accept"))
    return made


@asynccontextmanager
async def person(
    stage: Stage, it: World, key: str = ADMIN_KEY, *, narrow: bool = False, script: bool = True
) -> AsyncIterator[Window]:
    """Somebody who has logged in with this key."""
    async with stage.window(it.base_url, narrow=narrow, script=script) as window:
        await log_in(window, key)
        yield window


async def log_in(window: Window, key: str) -> None:
    await window.go("/dashboard/login")
    await window.page.get_by_label("Admin key, or your virtual key").fill(key)
    await window.page.keyboard.press("Enter")
    await window.page.wait_for_url("**/dashboard")
