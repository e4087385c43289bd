"""A gateway in a process of its own, for what calls it from outside: schemathesis, which throws the very dice that a
gateway in this process would make its ids with.

It sells every model, at simulated upstreams of all four protocols, and everything has a price. It is asked over its
standard input what has become of the money, and audits its books when it ends.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.store.audit import audit
from tests.world import World, world

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
ADMIN_KEY = "sk-rg-admin-key-of-the-tests"
CONFIG = """
upstreams:
  - {name: evolink, provider: evolink, base_url: "${UPSTREAM}/evolink", keys: [{id: main, value: sk-evolink}]}
  - {name: toapis, provider: toapis, base_url: "${UPSTREAM}/toapis", keys: [{id: main, value: sk-toapis}]}
  - {name: newapi, provider: newapi, base_url: "${UPSTREAM}/newapi", keys: [{id: main, value: sk-newapi}]}
  - {name: minimax, provider: minimax, base_url: "${UPSTREAM}/minimax", keys: [{id: main, value: sk-minimax}]}
prices:
  T2V-01: {"720P/6": 0.43, "1080P/6": 0.43}
  T2V-01-Director: {"720P/6": 0.43, "1080P/6": 0.43}
  I2V-01: {"720P/6": 0.43, "1080P/6": 0.43}
  I2V-01-Director: {"720P/6": 0.43, "1080P/6": 0.43}
  I2V-01-live: {"720P/6": 0.43, "1080P/6": 0.43}
  S2V-01: {"-/-": 0.65}
"""


class Served:
    """The gateway's address, and what it says of itself."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log
        self.base_url = str(self._read()["base_url"])

    def counts(self) -> dict[str, int]:
        """`tasks` that were opened here, and `videos` that the upstreams billed."""
        return self._ask("counts")

    def drift(self) -> list[str]:
        """Whatever does not add up in the books."""
        return list(self._ask("drift")["drift"])

    def _ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        patience = threading.Timer(PATIENCE_S, self._process.kill)
        patience.start()
        try:
            line = self._process.stdout.readline()
        finally:
            patience.cancel()
        assert line, self._log.read_text("utf-8")[-3000:]
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def served(folder: Path, config: str = "") -> Iterator[Served]:
    """The world, open. Its books are exact when it ends."""
    log = folder / "gateway.log"
    with (
        log.open("wb") as said,
        subprocess.Popen(
            [sys.executable, "-m", "tests.openapi.world", str(folder), CONFIG + config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=ROOT,
        ) as process,
    ):
        try:
            found = Served(process, log)
            yield found
            assert found.drift() == []
            assert process.stdin is not None
            process.stdin.close()
            process.wait(PATIENCE_S)
        finally:
            process.kill()


async def _live(folder: Path, config: str) -> None:
    async with world(folder, config, on_socket=True) as opened:
        _say({"base_url": opened.base_url})
        while word := (await asyncio.to_thread(sys.stdin.readline)).strip():
            _say(await _told(opened, word))


async def _told(opened: World, word: str) -> dict[str, Any]:
    if word == "drift":
        return {"drift": await opened.parts.database.read(audit)}
    states = await opened.parts.registry.state_counts()
    return {"tasks": sum(states.values()), "videos": len(opened.videos())}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_live(Path(sys.argv[1]), sys.argv[2]))
