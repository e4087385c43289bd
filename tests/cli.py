"""Commands that need no running gateway, run in this process on a database of the test's own."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from click.testing import Result

from gateway.store import Database, Registry, prepare
from gateway.video import Caller, Mode, Offer, Route, Task, VideoRequest
from tests.test_command import ask

T = TypeVar("T")
NOW = 1_800_000_000.0
PROMPT = "a ship [Push in] at dawn"
CONFIG = """
storage: {{url: 'sqlite:///{folder}/reelgate.db'}}
upstreams: [{{name: up, provider: evolink, base_url: 'http://127.0.0.1:9', keys: [{{id: main, value: sk-up}}]}}]
virtual_keys: [{{id: alice, value: sk-rg-alice, team: films, budget: {{amount: 5}}}}]
teams: [{{id: films, budget: {{amount: 20, period: 30d}}}}]
"""


def reelgate(folder: Path, *arguments: str) -> Result:
    """The command with this folder's configuration."""
    path = folder / "config.yaml"
    if not path.exists():
        path.write_text(CONFIG.format(folder=folder), "utf-8")
    return ask(*arguments, "-c", str(path), cwd=folder)


def done(folder: Path, *arguments: str) -> str:
    """What a command prints that works."""
    ended = reelgate(folder, *arguments)
    assert ended.exit_code == 0, ended.output
    assert ended.stderr == ""
    return ended.stdout


def answer(folder: Path, *arguments: str) -> Any:
    """What it says to programs."""
    return json.loads(done(folder, *arguments, "--json"))


def complaint(folder: Path, status: int, *arguments: str) -> list[str]:
    """The lines of a command that does not work; the same whoever asks."""
    ended = reelgate(folder, *arguments)
    assert ended.exit_code == status, ended.output
    assert ended.stdout == ""
    assert reelgate(folder, *arguments, "--json").stderr == ended.stderr
    return ended.stderr.splitlines()


def in_storage(folder: Path, story: Callable[[Registry], Awaitable[T]]) -> T:
    """What a gateway did before, or does beside."""

    async def run() -> T:
        database = Database.open(f"sqlite:///{folder}/reelgate.db")
        try:
            await prepare(database)
            return await story(Registry(database))
        finally:
            await database.close()

    return asyncio.run(run())


async def ordered(registry: Registry, caller: str = "alice", prompt: str = PROMPT, now: float = NOW) -> Task:
    """A task that is being sent."""
    request = VideoRequest(
        model="MiniMax-Hailuo-2.3", prompt=prompt, resolution="768P", duration_s=6, dialect="evolink"
    )
    offer = Offer(request.model, Mode.TEXT, "768P", 6, 280_000)
    place = Route("up", "main")
    who = Caller(caller, team="films" if caller == "alice" else None)
    task, _ = await registry.open(request, who, offer, place, currency="USD", now=now)
    return task
