"""A person at a browser: Debian's Chromium, driven by Playwright, that tells on every page it is shown.

Nothing may be logged as an error, thrown, asked in a dialog, or requested from anywhere but the gateway. What a test
provokes on purpose it says with `expects`.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Dialog, Page, Request, async_playwright

from tests.clients.driving import ENVIRONMENTS
from tests.world import PROMPT_S

ROOT = Path(__file__).parents[3]
SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ENVIRONMENTS / "node" / "node_modules" / "axe-core" / "axe.min.js"
# Of a browser that calls nobody by itself, on a machine without a screen.
SWITCHES = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREEN, TELEPHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
GRAVE = ("serious", "critical")
_AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_WITHIN = ("data:", "blob:", "about:")


def chromium() -> str:
    """The browser's command. Skips the test where it is not installed."""
    command = shutil.which("chromium")
    if command is None:
        pytest.skip("chromium is not installed: `make servers` does that, as far as it can here")
    return command


def axe() -> str:
    """The text of axe-core. Skips the test where it is not installed."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `make clients` does that, as far as it can here")
    return AXE.read_text("utf-8")


@asynccontextmanager
async def running_chromium(command: str) -> AsyncIterator[Browser]:
    """The browser, until the end."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=command, args=SWITCHES)
        yield browser
        await browser.close()


@dataclass(frozen=True)
class Stage:
    """The browser, and the one event loop that it and the gateways of all tests run in."""

    runner: asyncio.Runner
    browser: Browser

    def play(self, story: Callable[[], Awaitable[None]]) -> None:
        """Run a test's story to its end."""

        async def whole() -> None:
            await story()

        self.runner.run(whole())

    @asynccontextmanager
    async def window(self, base_url: str, *, narrow: bool = False, script: bool = True) -> AsyncIterator["Window"]:
        """A fresh profile with one tab; at its end, nothing untoward may have happened in it."""
        context = await self.browser.new_context(
            base_url=base_url,
            color_scheme="light",
            viewport=TELEPHONE if narrow else SCREEN,
            reduced_motion="reduce",
            java_script_enabled=script,
        )
        context.set_default_timeout(PROMPT_S * 1000)
        try:
            window = Window(await context.new_page(), base_url, narrow)
            window.listen()
            yield window
            assert window.troubles == [], window.troubles
        finally:
            await context.close()


@dataclass
class Window:
    """One tab, and what went wrong in it."""

    page: Page
    base_url: str
    is_narrow: bool
    troubles: list[str] = field(default_factory=list)
    _expected: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Note from now on whatever should not happen."""
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self._note(f"thrown: {error}"))
        self.page.on("request", self._on_request)
        self.page.on("dialog", self._on_dialog)

    async def go(self, path: str) -> None:
        """Open a page of the dashboard that is there."""
        answer = await self.page.goto(path)
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"

    async def picture(self, name: str) -> None:
        """Keep what is seen, for a person to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    async def barriers(self) -> list[str]:
        """What keeps people out of this page, as far as axe can tell: each rule, its weight, and where."""
        await self.page.evaluate(axe())
        found: dict[str, Any] = await self.page.evaluate(
            "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", _AXE_RULES
        )
        return [
            f"{rule['id']} ({rule['impact']}): {node['html'][:200]} {node['failureSummary']}"
            for rule in found["violations"]
            if rule["impact"] in GRAVE
            for node in rule["nodes"]
        ]

    async def is_wider_than_its_window(self) -> bool:
        """Whether one would have to scroll sideways."""
        wide: bool = await self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        return wide

    @contextmanager
    def expects(self, *words: str) -> Iterator[None]:
        """What is logged meanwhile with one of these words in it is no trouble."""
        self._expected += words
        yield
        del self._expected[-len(words) :]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(f"logged: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.base_url}/", *_WITHIN)):
            self._note(f"asked elsewhere: {request.url}")

    async def _on_dialog(self, dialog: Dialog) -> None:
        self._note(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    def _note(self, trouble: str) -> None:
        if not any(word in trouble for word in self._expected):
            self.troubles.append(trouble)
