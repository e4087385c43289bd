"""What a person does with the dashboard, from the first login to the last look, in a real browser."""

import re
from pathlib import Path

from playwright.async_api import Page, expect

from tests.dashboard.browser.scene import gateway_with, person
from tests.dashboard.browser.window import Stage
from tests.world import ALICE, BOB, PROMPT_S, SLOW, Clock

expect.set_options(timeout=PROMPT_S * 1000)
PROMPT = "A ferry leaves the harbour in the first light"
# Time passes in it, and there are pictures.
PLAYS = """async video => {
  video.muted = true;
  await video.play();
  while (!(video.readyState >= 3 && video.currentTime > 0.2 && video.videoWidth > 0))
    await new Promise((done) => video.addEventListener("timeupdate", done, { once: true }));
  return [video.videoWidth, video.videoHeight];
}"""


async def compose(page: Page, *, dialect: str, offer: str = "MiniMax-Hailuo-2.3|768P|6", prompt: str = PROMPT) -> None:
    await page.get_by_label("What to make").select_option(offer)
    await page.get_by_label("Dialect").select_option(dialect)
    await page.get_by_label(re.compile("^Prompt")).fill(prompt)


async def plays(page: Page) -> list[int]:
    """The film plays in place; its width and height."""
    size: list[int] = await page.locator("#follow video").evaluate(PLAYS)
    return size


def test_from_the_first_login_to_the_last_look(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it, person(stage, it) as window:
            page = window.page
            await page.get_by_role("link", name="Keys and teams").click()
            await page.get_by_label(re.compile("^Name letters")).first.fill("carol")
            await page.get_by_label(re.compile("^Budget")).first.fill("5")
            await page.get_by_role("button", name="Make the key").click()
            key = await page.locator("#made").inner_text()
            assert key not in page.url
            await window.picture("keys-made")
            assert await window.barriers() == []

            await page.get_by_role("link", name="Playground").click()
            assert key not in await page.content()
            await page.get_by_label(re.compile("^Virtual key")).fill(key)
            await compose(page, dialect="evolink")
            await page.get_by_role("button", name="Send").click()
            await plays(page)

            await page.get_by_role("link", name="Tasks", exact=True).click()
            row = page.get_by_role("row").filter(has_text=PROMPT)
            await expect(row).to_contain_text("completed")
            await expect(row).to_contain_text("carol")
            await page.get_by_role("link", name="Overview").click()
            await expect(page.locator(".tile").filter(has_text="Spent today")).to_contain_text("0.28")
            await expect(page.get_by_role("row").filter(has_text="carol").first).to_contain_text("0.28")

            await page.get_by_role("link", name="Keys and teams").click()
            await expect(page.get_by_role("row").filter(has_text="carol")).to_contain_text("0.28")
            await page.get_by_label("Revoke carol").click()
            await page.get_by_role("button", name="Revoke it").click()
            await expect(page.get_by_role("status")).to_contain_text("opens nothing any more")
            refused = await it.create(key=key)
            assert refused.status_code == 401

            await page.get_by_role("button", name="Log out").click()
            await page.wait_for_url("**/dashboard/login")
            await page.goto("/dashboard/tasks")
            await page.wait_for_url("**/dashboard/login?to=/dashboard/tasks")
            assert key not in await page.content()

    stage.play(story)


def test_a_request_of_the_playground_becomes_a_film_that_plays_beside_the_form(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it, person(stage, it, ALICE) as window:
            page = window.page
            await window.go("/dashboard/playground")
            await compose(page, dialect="openai")
            await page.get_by_role("button", name="Dry run").click()
            await expect(page.locator("#outcome")).to_contain_text("0.28 USD")
            await expect(page.locator("#outcome")).to_contain_text("nothing was bought")
            await expect(page.locator("#curl")).to_contain_text("/openai/v1/videos")
            assert it.videos() == []
            await window.picture("playground-quote")
            assert await window.barriers() == []

            await page.get_by_role("button", name="Send").click()
            assert await plays(page) == [1366, 768]
            await expect(page.get_by_label(re.compile("^Prompt"))).to_have_value(PROMPT)  # the form is as it was
            assert len(it.videos()) == 1
            await page.get_by_role("link", name="Its story").click()
            await plays(page)
            await expect(page.locator(".timeline")).to_contain_text("0.28 USD spent")
            async with page.expect_download() as saving:
                await page.get_by_role("link", name="Download").click()
            saved = tmp_path / "saved.mp4"
            await (await saving.value).save_as(saved)
            assert saved.read_bytes()[4:8] == b"ftyp"

    stage.play(story)


def test_a_mistake_is_told_beside_its_field_and_read_aloud_with_it(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it, person(stage, it, ALICE) as window:
            page = window.page
            await window.go("/dashboard/playground")
            await compose(page, dialect="toapis", prompt="")
            with window.expects("status of 400"):
                await page.get_by_role("button", name="Send").click()
                prompt = page.get_by_label(re.compile("^Prompt"))
                await expect(prompt).to_have_attribute("aria-invalid", "true")
                await expect(prompt).to_have_accessible_description(re.compile("a prompt that is not blank"))
                await expect(prompt).to_be_focused()
            assert await window.barriers() == []
            await prompt.fill(PROMPT)
            await page.get_by_role("button", name="Dry run").click()
            await expect(page.locator("#outcome")).to_contain_text("This would be sent")
            await expect(prompt).not_to_have_attribute("aria-invalid", "true")
            assert it.videos() == []

    stage.play(story)


def test_the_form_shows_only_what_the_chosen_model_and_dialect_can_take(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it, person(stage, it, ALICE) as window:
            page = window.page
            await window.go("/dashboard/playground")
            first, last = page.get_by_role("group", name="First frame"), page.get_by_role("group", name="Last frame")
            watermark = page.get_by_label("Watermark")
            for offer, dialect, shown in (
                ("MiniMax-Hailuo-2.3|768P|6", "evolink", (True, False, False)),
                ("MiniMax-Hailuo-2.3|768P|6", "minimax", (True, False, True)),
                ("MiniMax-Hailuo-02|768P|6", "toapis", (True, True, True)),
                ("MiniMax-Hailuo-02|512P|6", "toapis", (True, False, True)),
            ):
                await compose(page, dialect=dialect, offer=offer)
                assert (await first.is_visible(), await last.is_visible(), await watermark.is_visible()) == shown, offer

    stage.play(story)


def test_what_is_running_is_followed_until_it_is_over(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with gateway_with(tmp_path, clock=clock) as it, person(stage, it) as window:
            page = window.page
            word = (await it.create(prompt=PROMPT)).headers["x-reelgate-task-id"]
            await window.go(f"/dashboard/tasks/{word}")
            await expect(page.get_by_role("progressbar")).to_be_visible()
            await expect(page.locator(".timeline")).to_contain_text("sandbox accepted it")
            clock.walk(3600)
            await page.locator("#follow video").wait_for()
            await expect(page.locator("#ledger")).to_contain_text("settle")  # and what stands beside it is as new

    stage.play(story)


def test_a_person_decides_about_money_that_waits(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it, person(stage, it) as window:
            page = window.page
            await it.create(prompt="a kite #sandbox:drop-after-accept")
            await window.go("/dashboard/tasks?state=unconfirmed")
            await page.get_by_role("link", name="a kite").click()
            await page.get_by_text("It never got it").click()
            await page.get_by_label("Why").fill("its console knows nothing of it")
            await page.get_by_role("button", name="Release").click()
            await expect(page.locator(".timeline")).to_contain_text("its console knows nothing of it")
            await expect(page.locator("#money")).to_contain_text("released")

    stage.play(story)


def test_everything_but_what_moves_by_itself_works_without_a_script(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path) as it, person(stage, it, ALICE, script=False) as window:
            page = window.page
            await window.go("/dashboard/playground")
            await compose(page, dialect="newapi")
            await page.get_by_role("button", name="Dry run").click()
            await expect(page.locator("#outcome")).to_contain_text("0.28 USD")
            await page.get_by_role("button", name="Send").click()
            await page.wait_for_url("**/dashboard/playground?task=*")
            (video,) = it.videos()
            await it.finish(page.url.rpartition("=")[2])
            await page.reload()
            await expect(page.locator("#follow video")).to_be_visible()
            await page.get_by_role("link", name="Tasks", exact=True).click()
            await page.get_by_label("State").select_option("failed")
            await page.get_by_role("button", name="Filter").click()
            await expect(page.locator("main")).to_contain_text("No task fits this.")
            assert video["request"]["prompt"] == PROMPT

    stage.play(story)


def test_a_virtual_key_sees_its_own_and_nothing_of_others(stage: Stage, tmp_path: Path) -> None:
    async def story() -> None:
        async with gateway_with(tmp_path, speed=SLOW) as it:
            await it.create(prompt="of alice")
            of_bob = (await it.create(prompt="of bob", key=BOB)).headers["x-reelgate-task-id"]
            async with person(stage, it, ALICE) as window:
                page = window.page
                await window.go("/dashboard/tasks")
                await expect(page.get_by_role("link", name="of alice")).to_be_visible()
                await expect(page.locator("main")).not_to_contain_text("bob")
                with window.expects("status of 404"):
                    for path in (f"/dashboard/tasks/{of_bob}", "/dashboard/keys", "/dashboard/upstreams"):
                        answer = await page.goto(path)
                        assert answer is not None
                        assert answer.status == 404
                        assert "of bob" not in await page.content()
                await window.go("/dashboard/tasks")

    stage.play(story)
