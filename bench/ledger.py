"""What the transactions of a create cost: the gateway's own flow in this process, with an upstream that says yes at
once, beside the same flow with nothing in the place of the two transactions that open and start a task.

All else is on: parsing, pre-flight, keys, budgets, metrics. HTTP is left out on both sides, so the ratio is the hardest
that can be asked for.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench.rows import Row
from gateway.app import gateway
from gateway.config import Config, load
from gateway.dialects import DIALECTS
from gateway.flows.submit import submit
from gateway.parts import Parts
from gateway.store import moves
from gateway.structs import replace
from gateway.video import Budget, Caller, Receipt, State

AT_ONCE = 64
CREATES = {"quick": 1_500, "full": 6_000}
PAIRS = {"quick": 2, "full": 4}
WARM_UP = 200
_CALLER = Caller("bench", team="team", budget=Budget(10**15, "30d"), team_budget=Budget(10**15, "1mo"))
_BODY = {"model": "MiniMax-Hailuo-2.3", "prompt": "A lighthouse at dusk", "quality": "768p", "duration": 6}


def rows(folder: Path, size: str) -> Iterator[Row]:
    """A row for each kind of database."""
    from tests.postgres import fresh_database  # the server that the tests start

    addresses: dict[str, Callable[[str], str]] = {
        "SQLite": lambda name: f"sqlite:///{folder / name}.db",
        "PostgreSQL": lambda name: fresh_database(),
    }
    for kind, address in addresses.items():
        pairs = []
        for number in range(PAIRS[size]):
            config = _config(folder, address(f"ledger-{number}"))
            pairs.append(
                tuple(asyncio.run(_creates_per_s(config, CREATES[size], is_stored)) for is_stored in (True, False))
            )
        ratios = sorted(ours / bare for ours, bare in pairs)
        ours, bare = (median(pair[side] for pair in pairs) for side in (0, 1))
        yield Row(
            f"creates, {AT_ONCE} at once, {kind}",
            f"{ours:,.0f}/s",
            f"{bare:,.0f}/s without transactions",
            f"{median(ratios):.2f} ({ratios[0]:.2f}…{ratios[-1]:.2f})",
            raw={"creates_per_s": pairs},
        )


def _config(folder: Path, url: str) -> Config:
    path = folder / "ledger.yaml"
    key = "{id: main, value: upstream-secret}"
    path.write_text(
        f'storage: {{url: "{url}"}}\n'
        f"upstreams: [{{name: fixed, provider: evolink, base_url: http://127.0.0.1:9, keys: [{key}]}}]\n"
        "polling: {min_interval_s: 3600, max_interval_s: 7200}\n",
        "utf-8",
    )
    return load(path, {})


async def _creates_per_s(config: Config, count: int, is_stored: bool) -> float:
    async with gateway(config) as opened:
        parts, numbers = opened.parts, itertools.count()

        async def yes(*ignored: Any) -> Receipt:
            return Receipt(f"task-{next(numbers)}")

        parts.upstreams.submit = yes  # type: ignore[method-assign]
        if not is_stored:
            parts.registry._db = _Nothing(parts.registry._db)  # type: ignore[assignment]
        await _rush(parts, WARM_UP)
        started = time.perf_counter()
        await _rush(parts, count)
        return count / (time.perf_counter() - started)


async def _rush(parts: Parts, count: int) -> None:
    parse = DIALECTS["evolink"].parse

    async def some(share: int) -> None:
        for _ in range(share):
            task = await submit(parse(dict(_BODY)), _CALLER, parts).answer(60)
            if task.state is not State.RUNNING:
                raise OSError(f"a create ended as {task.state}")

    await asyncio.gather(*(some(count // AT_ONCE) for _ in range(AT_ONCE)))


class _Nothing:
    """A database that does not open and start tasks, and does everything else."""

    def __init__(self, real: Any) -> None:
        self._real = real

    async def run(self, step: Any) -> Any:
        function = getattr(step, "func", None)
        if function is moves.open_task:
            return step.keywords["task"]
        if function is moves.start:
            task, receipt, now = (step.keywords[name] for name in ("task", "receipt", "now"))
            return replace(task, state=State.RUNNING, upstream_id=receipt.upstream_id, started_at=now)
        return await self._real.run(step)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)
