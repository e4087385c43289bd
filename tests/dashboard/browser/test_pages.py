"""Every page, as somebody sees it: in light, in the dark, on a telephone, with the admin key and with a virtual one."""

from pathlib import Path

import pytest

from tests.dashboard.browser.scene import gateway_with, person, with_history
from tests.dashboard.browser.window import Stage, Window
from tests.world import ALICE

KINDS = ({}, {"dark": True}, {"narrow": True})
OF_HOLDERS = ("overview", "tasks", "task", "task-failed", "playground")


def pages(made: dict[str, str]) -> dict[str, str]:
    """Name → path, of all that have something to show."""
    return {
        "overview": "/dashboard",
        "tasks": "/dashboard/tasks",
        "tasks-wrong": "/dashboard/tasks?from=yesterday",
        "task": f"/dashboard/tasks/{made['completed']}",
        "task-failed": f"/dashboard/tasks/{made['failed']}",
        "task-unconfirmed": f"/dashboard/tasks/{made['unconfirmed']}",
        "task-suspense": f"/dashboard/tasks/{made['suspense']}",
        "playground": "/dashboard/playground",
        "keys": "/dashboard/keys",
        "upstreams": "/dashboard/upstreams",
        "playground-film": f"/dashboard/playground?task={made['completed']}",
    }


@pytest.mark.parametrize("kind", KINDS, ids=("light", "dark", "narrow"))
def test_every_page_can_be_read_by_everybody(kind: dict[str, bool], stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it:
            made = await with_history(it)
            async with stage.window(it.base_url, **kind) as stranger:
                await look(stranger, "login", "/dashboard/login")
            async with person(stage, it, **kind) as operator:
                for name, path in pages(made).items():
                    await look(operator, name, path)
            async with person(stage, it, ALICE, **kind) as holder:
                for name in OF_HOLDERS:
                    await look(holder, f"holder-{name}", pages(made)[name])

    stage.play(story)


async def look(window: Window, name: str, path: str) -> None:
    """Open a page, keep its picture, and let nothing be in anybody's way."""
    await window.go(path)
    await window.picture(name)
    assert not await window.is_wider_than_its_window(), path
    if window.kind != "narrow":  # the same words in the same colours
        assert await window.barriers() == [], path
