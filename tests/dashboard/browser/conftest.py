"""Debian's Chromium, started once for all tests; where it is not installed, the tests that need it skip by name."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.dashboard.browser.window import Stage, chromium, running_chromium


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    command = chromium()
    with asyncio.Runner() as runner:
        browser = running_chromium(command)
        yield Stage(runner, runner.run(browser.__aenter__()))
        runner.run(browser.__aexit__(None, None, None))
