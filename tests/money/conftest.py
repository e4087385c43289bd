"""Both kinds of storage."""

from pathlib import Path

import pytest

from tests.postgres import clean_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty storage."""
    return f"sqlite:///{tmp_path / 'reelgate.db'}" if request.param == "sqlite" else clean_database()
