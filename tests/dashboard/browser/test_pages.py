"""Every page, as somebody sees it: by day, by night, on a telephone, with the admin key and with a virtual one."""

from pathlib import Path

import pytest

from tests.dashboard.browser.scene import gateway_with, person, with_history
from tests.dashboard.browser.window import Stage, Window
from tests.world import ALICE

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


@pytest.mark.parametrize("narrow", [False, True], ids=("screen", "telephone"))
def test_every_page_can_be_read_by_everybody(narrow: bool, stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it:
            made = await with_history(it)
            async with stage.window(it.base_url, narrow=narrow) as stranger:
                await look(stranger, "login", "/dashboard/login")
            async with person(stage, it, narrow=narrow) as operator:
                for name, path in pages(made).items():
                    await look(operator, name, path)
            async with person(stage, it, ALICE, narrow=narrow) as holder:
                for name in OF_HOLDERS:
                    await look(holder, f"holder-{name}", pages(made)[name])

    stage.play(story)


async def look(window: Window, name: str, path: str) -> None:
    """Open a page, keep its pictures, and let nothing be in anybody's way, by day or by night."""
    await window.go(path)
    assert not await window.is_wider_than_its_window(), path
    if window.is_narrow:  # the same words in the same colours
        await window.picture(f"{name}-narrow")
        return
    for scheme in ("light", "dark"):
        await window.page.emulate_media(color_scheme=scheme)
        await window.picture(f"{name}-{scheme}")
        assert await window.barriers() == [], f"{path}, {scheme}"
