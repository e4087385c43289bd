"""Thousands of callbacks at once, some to a host that takes every connection and never answers.

`python -m tests.callbacks.soak --letters 10000` is the long run; `test_soak.py` makes a short one.
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.store import Registry
from gateway.video import Caller, Look, Mode, Offer, Receipt, Route, Status, VideoRequest
from tests.passthrough.upstream import Upstream as Receiver
from tests.passthrough.upstream import Visit
from tests.world import world

OPENED = 'preflight: {allow_private_networks: ["127.0.0.0/8"]}\n'
DEAD_EACH = 20  # one letter in so many goes to the dead host
LIVING = 5
AT_ONCE = 500
GIVE_UP_S = 900.0  # against hanging


@dataclass(frozen=True)
class Report:
    """What came of it."""

    letters: int
    told: int
    told_twice: int
    dead_attempts: int
    seconds: float
    """From the first end of a task to the last delivery to a living host."""

    def __str__(self) -> str:
        rate = self.told / self.seconds
        return (
            f"{self.letters} callbacks, {self.told} told in {self.seconds:.1f} s ({rate:.0f}/s), "
            f"{self.told_twice} of them twice; meanwhile {self.dead_attempts} attempts hung at the dead host"
        )


async def tell_many(folder: Path, letters: int) -> Report:
    """End so many tasks at the same time, and wait until every living host was told of all of its own."""
    dead = Receiver(_never_answer)
    living = [Receiver() for _ in range(LIVING)]
    async with dead, living[0], living[1], living[2], living[3], living[4], world(folder, OPENED) as it:
        hosts = [dead.url if number % DEAD_EACH == 0 else living[number % LIVING].url for number in range(letters)]
        task_ids = []
        for some in _batches(hosts):
            task_ids += await asyncio.gather(*(_running(it.parts.registry, f"{host}/hook") for host in some))
        expected = sum(host != dead.url for host in hosts)
        started = time.monotonic()
        for ended in _batches(task_ids):
            await asyncio.gather(*(_end(it.parts.registry, task_id) for task_id in ended))
        told: Counter[str | None] = Counter()
        while len(told) < expected:
            if time.monotonic() - started > GIVE_UP_S:
                raise AssertionError(f"only {len(told)} of {expected} were told")
            await asyncio.sleep(0.25)
            told = Counter(visit.header("webhook-id") for host in living for visit in host.visits)
        seconds = time.monotonic() - started
        return Report(letters, len(told), sum(count > 1 for count in told.values()), len(dead.visits), seconds)


def _batches(items: list[Any]) -> list[list[Any]]:
    return [items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE)]


async def _never_answer(visit: Visit) -> None:
    await visit.read()
    await visit.is_left()


async def _running(registry: Registry, url: str) -> int:
    request = VideoRequest(
        model="MiniMax-Hailuo-2.3",
        prompt="a ship",
        resolution="768P",
        duration_s=6,
        dialect="evolink",
        callback_url=url,
    )
    offer = Offer("MiniMax-Hailuo-2.3", Mode.TEXT, "768P", 6, 280_000)
    now = time.time()
    task, _ = await registry.open(request, Caller("alice"), offer, Route("sandbox", "main"), currency="USD", now=now)
    return (await registry.start(task, Receipt(f"u-{task.id}"), now)).id


async def _end(registry: Registry, task_id: int) -> None:
    await registry.note(task_id, Look(Status.COMPLETED, link="https://cdn.example/film.mp4"), time.time())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=10_000)
    letters = parser.parse_args().letters
    with tempfile.TemporaryDirectory() as folder:
        print(asyncio.run(tell_many(Path(folder), letters)))


if __name__ == "__main__":
    main()
