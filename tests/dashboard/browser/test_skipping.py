"""Where there is no browser, or nothing to look for barriers with, the tests that need it say so by name."""

import shutil
from pathlib import Path

import pytest

from tests.dashboard.browser import window


def test_what_is_not_installed_is_a_skip_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: None)
    with pytest.raises(pytest.skip.Exception, match=r"chromium is not installed: `make servers`"):
        window.chromium()
    monkeypatch.setattr(window, "AXE", tmp_path / "axe.min.js")
    with pytest.raises(pytest.skip.Exception, match=r"axe-core is not installed: `make clients`"):
        window.axe()
