"""A skipped test is named, and where skipping is forbidden it fails the suite."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import driving
from tests.clients.driving import node_client, python_client
from tests.conftest import MAY_NOT_SKIP

ROOT = Path(__file__).parents[2]
MODULES = {
    "test_well.py": "def test_well():\n    pass\n\n\n@pytest.mark.xfail\ndef test_odd():\n    raise ValueError\n",
    "test_mark.py": "@pytest.mark.skip(reason='no moon')\ndef test_marked():\n    pass\n",
    "test_body.py": "def test_inside():\n    pytest.skip('no sun')\n",
    "test_module.py": "pytest.skip('no stars', allow_module_level=True)\n",
}
SKIPS = [
    "test_body.py::test_inside: no sun",
    "test_mark.py::test_marked: no moon",
    "test_module.py: no stars",
]


def run(folder: Path, *files: str, forbidden: bool) -> subprocess.CompletedProcess[str]:
    """This suite's own rules on other tests."""
    for name in files:
        (folder / name).write_text(f"import pytest\n\n\n{MODULES[name]}", "utf-8")
    env = {name: value for name, value in os.environ.items() if name != MAY_NOT_SKIP}
    env |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "--rootdir", folder, "--confcutdir", folder, "-c", folder / "none.ini", *files],
        cwd=folder,
        env=env | ({MAY_NOT_SKIP: "1"} if forbidden else {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_each_skipped_test_is_named_and_fails_the_suite_where_skipping_is_forbidden(tmp_path: Path) -> None:
    (tmp_path / "none.ini").touch()
    for forbidden, status in ((True, 1), (False, 0)):
        ended = run(tmp_path, *MODULES, forbidden=forbidden)
        assert ended.returncode == status, ended.stdout + ended.stderr
        mark = "SKIPPED, WHICH FAILS " if forbidden else "SKIPPED "
        assert sorted(line for line in ended.stdout.splitlines() if line.startswith("SKIPPED")) == [
            mark + skip for skip in SKIPS
        ]


def test_without_a_skip_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "none.ini").touch()
    ended = run(tmp_path, "test_well.py", forbidden=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "SKIPPED" not in ended.stdout


def test_a_client_that_is_not_installed_is_a_skip_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "ENVIRONMENTS", tmp_path)
    with pytest.raises(pytest.skip.Exception, match=r"openai3 is not installed: `make clients`"):
        python_client("openai3", "openai_python.py", tmp_path)
    with pytest.raises(pytest.skip.Exception, match=r"node is not installed"):
        node_client("openai_node.mjs", tmp_path)
