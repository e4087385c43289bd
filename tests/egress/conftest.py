"""What every test here has."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.egress.recorder import RECORDER, Recorder


@pytest.fixture
def run() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs the story of a test, which must be over within a minute."""

    def run_story(story: Callable[[], Awaitable[None]]) -> None:
        asyncio.run(asyncio.wait_for(story(), 60))

    return run_story


@pytest.fixture
def recorder() -> Recorder:
    return RECORDER
