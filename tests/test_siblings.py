"""What the workers on one port have counted, told by whichever is asked."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.fleet import counts
from gateway.metrics import Metrics
from gateway.siblings import Siblings
from gateway.totals import Families

SERIES = ("reelgate_polls_saved_total", ())
PATIENCE_S = 60.0

# A sibling in a process of its own, with seven polls saved, that can be killed or stopped.
NEIGHBOUR = """
import asyncio, sys
from pathlib import Path
from gateway.metrics import Metrics
from gateway.siblings import Siblings

async def main():
    metrics = Metrics()
    for _ in range(7):
        metrics.poll_saved()
    await Siblings.open(Path(sys.argv[1]), metrics.families)
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def neighbour(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", NEIGHBOUR, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def saved(polls: int) -> Metrics:
    metrics = Metrics()
    for _ in range(polls):
        metrics.poll_saved()
    return metrics


def polls(families: Families) -> float:
    return next(family.samples[SERIES] for family in families if SERIES in family.samples)


def test_each_tells_what_all_have_counted_up_to_this_moment(tmp_path: Path) -> None:
    async def story() -> None:
        one, other = saved(1), saved(2)
        here = await Siblings.open(tmp_path, one.families)
        there = await Siblings.open(tmp_path, other.families)
        other.poll_saved()
        assert [polls(await it.totals()) for it in (here, there)] == [4, 4]
        await there.close()
        assert polls(await here.totals()) == 4, "what was counted stays counted"
        await here.close()

    asyncio.run(story())


def test_what_a_killed_worker_had_counted_stays_counted_once_before_and_after_it_is_buried(tmp_path: Path) -> None:
    async def story() -> None:
        here = await Siblings.open(tmp_path, saved(1).families)
        with neighbour(tmp_path) as process:
            assert polls(await here.totals()) == 8
            process.kill()
            process.wait()
            assert polls(await here.totals()) == 8
            for _ in range(2):
                counts.bury(tmp_path, process.pid)
                assert polls(await here.totals()) == 8
            buried.append(process.pid)
        await here.close()

    buried: list[int] = []
    asyncio.run(story())
    assert list(tmp_path.glob(f"{buried[0]}-*")) == []


def test_a_worker_that_is_stuck_delays_nobody_and_its_last_counts_are_told(tmp_path: Path) -> None:
    async def story() -> None:
        here = await Siblings.open(tmp_path, saved(1).families)
        with neighbour(tmp_path) as process:
            os.kill(process.pid, signal.SIGSTOP)
            began = time.monotonic()
            assert polls(await here.totals()) == 8
            assert time.monotonic() - began < PATIENCE_S
        await here.close()

    asyncio.run(story())


def test_who_is_buried_while_somebody_reads_is_counted_once(tmp_path: Path) -> None:
    """The reader has its answer already when the parent adds the dead to the past."""

    async def story() -> None:
        here = await Siblings.open(tmp_path, saved(1).families)
        with neighbour(tmp_path) as process:
            ask = here._ask

            async def ask_and_bury(name: str) -> object:
                answer = await ask(name)
                process.kill()
                process.wait()
                counts.bury(tmp_path, process.pid)
                return answer

            here._ask = ask_and_bury  # type: ignore[method-assign, assignment]
            assert polls(await here.totals()) == 8
        await here.close()

    asyncio.run(story())


def test_the_past_keeps_the_names_of_those_that_ended_last(tmp_path: Path) -> None:
    for number in range(counts.NAMES_MAX + 10):
        said = [family.plain() for family in saved(1).families()]
        counts.write(tmp_path / f"{number}-1{counts.COUNTS}", said)
        counts.bury(tmp_path, number)
    names, past = counts.past(tmp_path)
    assert polls(past) == counts.NAMES_MAX + 10
    assert names[-1] == f"{counts.NAMES_MAX + 9}-1"
    assert len(names) == counts.NAMES_MAX
    assert [path.name for path in tmp_path.iterdir()] == [counts.PAST]
