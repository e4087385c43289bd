"""A gateway without a dashboard pays nothing for it."""

import subprocess
import sys
from pathlib import Path

from tests.dashboard.house import NOWHERE
from tests.dashboard.visitor import CONFIG
from tests.world import make_config

STORY = """
import asyncio, sys
from pathlib import Path
from gateway.app import gateway
from gateway.config import load

async def story():
    async with gateway(load(Path(sys.argv[1]), {"UPSTREAM": sys.argv[2], "FOLDER": sys.argv[3]})):
        print(sorted(name for name in sys.modules if name in ("jinja2", "markupsafe", "gateway.web.dashboard")))

asyncio.run(story())
"""


def loaded(folder: Path, config: str) -> str:
    make_config(folder, NOWHERE, config)
    arguments = [sys.executable, "-c", STORY, str(folder / "config.yaml"), NOWHERE, str(folder)]
    return subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_without_an_admin_key_neither_the_dashboard_nor_its_templates_are_loaded(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == "[]"


def test_with_one_they_are(tmp_path: Path) -> None:
    assert loaded(tmp_path, CONFIG) == "['gateway.web.dashboard', 'jinja2', 'markupsafe']"
