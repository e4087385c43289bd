"""Debian's Prometheus and promtool, and the files that an installation would give them."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.world import PROMPT_S

ROOT = Path(__file__).parents[2]
CONFIG, RULES = (ROOT / "deploy" / "prometheus" / name for name in ("prometheus.yml", "alerts.yml"))
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "reelgate.json"


def command(name: str) -> str:
    """Where it is; a test that cannot have it is skipped by name."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def promtool(*arguments: str | Path, said: str | None = None) -> str:
    """What promtool says of something that is as it should be."""
    ended = subprocess.run(
        [command("promtool"), *arguments], input=said, capture_output=True, text=True, timeout=PROMPT_S, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> Iterator[dict[str, Any]]:
    """Every panel of the dashboard that asks something."""
    return (panel for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"] if panel["type"] != "row")


class Prometheus:
    """A running one, and a client of it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        answer = await self._http.get("/api/v1/query", params={"query": query})
        assert answer.status_code == 200, (query, answer.text)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    async def value(self, query: str) -> float:
        """Of an expression that has one."""
        (series,) = await self.ask(query)
        return float(series["value"][1])

    async def names(self, metric: str, label: str) -> list[str]:
        """What a label of a metric says, as Grafana asks for the choices of a variable."""
        answer = await self._http.get(f"/api/v1/label/{label}/values", params={"match[]": metric})
        assert answer.status_code == 200, answer.text
        found: list[str] = answer.json()["data"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """What became of the alerts when they were last looked at."""
        answer = await self._http.get("/api/v1/rules")
        (group,) = answer.json()["data"]["groups"]
        found: list[dict[str, Any]] = group["rules"]
        return found

    async def passes(self, query: str, value: float) -> None:
        """Wait until an expression is at least this, which it is after one scrape or the next."""
        async with asyncio.timeout(PROMPT_S):
            while max((float(it["value"][1]) for it in await self.ask(query)), default=-1.0) < value:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


@asynccontextmanager
async def prometheus(folder: Path, targets: Sequence[str], every: str = "500ms") -> AsyncIterator[Prometheus]:
    """The shipped configuration and rules, but for whom it scrapes and how often; ended with the block."""
    binary = command("prometheus")
    settings = yaml.safe_load(CONFIG.read_text("utf-8"))
    settings["global"] = {"scrape_interval": every, "evaluation_interval": every, "scrape_timeout": every}
    settings["scrape_configs"][0]["static_configs"] = [{"targets": list(targets)}]
    settings["rule_files"] = [str(RULES)]
    config, log = folder / "prometheus.yml", folder / "prometheus.log"
    config.write_text(yaml.safe_dump(settings), "utf-8")
    with log.open("wb") as said:
        started = await asyncio.create_subprocess_exec(
            binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            "--web.listen-address=127.0.0.1:0",
            "--log.format=json",
            stdout=said,
            stderr=said,
        )
    try:
        address = await _listens(log, started)
        async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=PROMPT_S) as http:
            await _is_ready(http)
            yield Prometheus(http)
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


async def _listens(log: Path, started: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(PROMPT_S):
        while (address := _address_in(log)) is None:
            assert started.returncode is None, _said(log)
            await asyncio.sleep(0.05)
    return address


def _address_in(log: Path) -> str | None:
    whole_lines = [line for line in _said(log).splitlines() if line.startswith("{") and line.endswith("}")]
    found = [said["address"] for said in map(json.loads, whole_lines) if said.get("msg") == "Listening on"]
    return str(found[0]) if found else None


def _said(log: Path) -> str:
    return log.read_text("utf-8")


async def _is_ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(PROMPT_S):
        while (await http.get("/-/ready")).status_code != 200:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)
