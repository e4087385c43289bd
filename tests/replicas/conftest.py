"""Both kinds of storage that several gateways can share."""

from pathlib import Path

import pytest

from tests.postgres import clean_database


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a storage that nobody else uses."""
    return clean_database() if request.param == "postgresql" else f"sqlite:///{tmp_path}/reelgate.db"
