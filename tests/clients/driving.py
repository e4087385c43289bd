"""The test's side of a real client: a process that does, line by line, what it is told, in an environment of its own.

`make clients` makes the environments. A client is started when a test first needs it and told of each test's gateway
anew, so that its imports are paid for once.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ENVIRONMENTS = Path(sys.prefix) / "clients"
GIVE_UP_S = 120.0
END_S = 30.0
# Neither a proxy of this machine nor anybody's account may have a say.
_KEPT = ("PATH", "HOME", "LANG", "SYSTEMROOT", "TMPDIR")


class Failed(AssertionError):
    """A client raised what its test did not expect."""


@dataclass(frozen=True)
class Error:
    """What a client raised, and what a program can read off it."""

    kind: str
    message: str
    status: int | None = None
    code: str | None = None
    param: str | None = None
    type: str | None = None
    body: Any = None


class Process:
    """A client's process, started when it is first asked, and again after it had to be ended."""

    def __init__(self, name: str, command: Sequence[str | Path], said: Path, **env: str) -> None:
        self.name = name
        self._command = command
        self._env = {key: os.environ[key] for key in _KEPT if key in os.environ} | env
        self._said = said
        self._running: subprocess.Popen[bytes] | None = None

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Its answer to one line; it is ended if that does not come in time."""
        process = self._running = self._running or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        patience = threading.Timer(GIVE_UP_S, process.kill)
        patience.start()
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        finally:
            patience.cancel()
        if not line:
            self.end()
            raise Failed(f"{self.name} ended or took more than {GIVE_UP_S:g} s: {self._said.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        process, self._running = self._running, None
        if process is None:
            return
        with process:  # closes its stdin, at which it ends
            patience = threading.Timer(END_S, process.kill)
            patience.start()
        patience.cancel()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._said.open("ab") as said:
            return subprocess.Popen(
                [str(word) for word in self._command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=self._env,
                cwd=self._said.parent,
            )


@dataclass(frozen=True)
class Client:
    """A real client that speaks to one gateway with one key."""

    process: Process
    base_url: str
    key: str
    settings: dict[str, Any] = field(default_factory=dict)

    async def do(self, deed: str, **said: Any) -> Any:
        """What it returns; raises Failed when it raises."""
        found = await self._ask(deed, said)
        if "error" in found:
            raise Failed(f"{self.process.name} raised in {deed}: {found['error']}")
        return found["answer"]

    async def fails(self, deed: str, **said: Any) -> Error:
        """What it raises."""
        found = await self._ask(deed, said)
        assert "error" in found, f"{self.process.name} returned from {deed}: {found['answer']}"
        error = found["error"]
        return Error(error.pop("class"), **error)

    async def _ask(self, deed: str, said: dict[str, Any]) -> dict[str, Any]:
        question = {
            "do": deed,
            "with": said,
            "base_url": self.base_url,
            "key": self.key,
            "settings": self.settings,
        }
        return await asyncio.to_thread(self.process.ask, question)


def python_client(name: str, script: str, folder: Path, **env: str) -> Process:
    """A client from PyPI. Skips the test where it is not installed."""
    python = ENVIRONMENTS / name / "bin" / "python"
    _require(name, python.parent.parent / ".stamp")
    return Process(name, (python, HERE / script), folder / f"{name}.stderr", **env)


def node_client(script: str, folder: Path) -> Process:
    """The client from npm. Skips the test where it is not installed."""
    node = shutil.which("node")
    _require("node", ENVIRONMENTS / "node" / ".stamp")
    if node is None:
        pytest.skip("node is not here any more")
    return Process("node", (node, HERE / "node" / script, ENVIRONMENTS / "node"), folder / "node.stderr")


def _require(name: str, stamp: Path) -> None:
    if not stamp.exists():
        pytest.skip(f"the client {name} is not installed: `make clients` does that, as far as it can here")
