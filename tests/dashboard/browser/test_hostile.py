"""Words that would be markup or script if anything let them: inert on every page, wherever they came from."""

import time
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from gateway import ids
from gateway.video import Budget, Failure, VideoRequest
from gateway.virtual_keys import Team, VirtualKey
from tests.dashboard.browser.scene import gateway_with, person
from tests.dashboard.browser.test_journey import compose
from tests.dashboard.browser.window import Stage
from tests.dashboard.history import ended, put
from tests.world import ALICE

EVIL = '"\'><img src=x onerror="window.pwned=1"><script>window.pwned=1</script></script>{{7*7}}</textarea></title>'
LINK = "javascript:window.pwned=1"
PAGES = ("/dashboard", "/dashboard/tasks", "/dashboard/playground", "/dashboard/keys", "/dashboard/upstreams")


async def is_inert(page: Page) -> None:
    """No element was made of it, and nothing of it ran."""
    assert await page.evaluate("'pwned' in window") is False
    assert await page.locator("[onerror], main script, a[href^='javascript:'], [src='x']").count() == 0


@pytest.mark.falsifies_books  # there are no accounts of keys that nobody could make
def test_no_word_that_is_stored_becomes_more_than_a_word(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it, person(stage, it) as window:
            page = window.page
            await it.parts.callers.create_team(Team(EVIL, Budget(1_000_000, "30d")), time.time())
            key = VirtualKey(id=EVIL, team=EVIL, models=(EVIL,), budget=Budget(1_000_000, "30d"))
            await it.parts.callers.create_key(key, time.time())
            wish = VideoRequest(
                model=EVIL,
                prompt=EVIL,
                resolution=EVIL,
                first_frame_image=LINK,
                last_frame_image=EVIL,
                callback_url=LINK,
            )
            task = ended(
                time.time() - 60,
                caller=EVIL,
                team=EVIL,
                request=wish,
                upstream=EVIL,
                key_id=EVIL,
                upstream_id=EVIL,
                failure=Failure(EVIL, EVIL),
            )
            await put(it.parts.database, [task], reason=EVIL)
            for path in (*PAGES, f"/dashboard/tasks/{ids.word(task.id)}"):
                await window.go(path)
                await is_inert(page)
            for said in (EVIL, "Attempt 1", "It failed"):
                await expect(page.locator("main")).to_contain_text(said)
            await expect(page.locator("#attempts")).to_contain_text(EVIL)
            await expect(page.locator("#ledger")).to_contain_text(EVIL)
            await window.go("/dashboard/tasks")
            await expect(page.locator(".tasks")).to_contain_text(EVIL)

    stage.play(story)


def test_no_word_that_is_typed_becomes_more_than_a_word(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it, person(stage, it, ALICE) as window:
            page = window.page
            await window.go("/dashboard/playground")
            await compose(page, dialect="minimax", prompt=EVIL)
            await page.get_by_role("button", name="Dry run").click()
            await expect(page.locator("#outcome")).to_contain_text("onerror")
            await is_inert(page)
            await page.get_by_role("button", name="Send").click()
            await page.locator("#follow video").wait_for()
            await is_inert(page)
            await page.get_by_role("link", name="Its story").click()
            await expect(page.locator(".said")).to_have_text(EVIL)
            await is_inert(page)
            for query in (f"?from={EVIL}", f"?state={EVIL}", f"?caller={EVIL}", f"?after={EVIL}"):
                await page.goto(f"/dashboard/tasks{query}")
                await is_inert(page)

    stage.play(story)
