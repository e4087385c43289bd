"""Both kinds of storage, and a queue that a test moves."""

import asyncio
from pathlib import Path

import pytest

from gateway.flows import queue, sweep
from gateway.parts import Parts
from tests.postgres import clean_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty storage."""
    return f"sqlite:///{tmp_path / 'reelgate.db'}" if request.param == "sqlite" else clean_database()


async def _only_when_told(parts: Parts) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue moves when a test moves it, on the test's clock."""
    monkeypatch.setattr(queue, "run", _only_when_told)
    monkeypatch.setattr(sweep, "run", _only_when_told)
