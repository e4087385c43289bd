"""`python -m tests.soak [--minutes 60] [--strength 1] [--seed N] [--json FILE]`."""

import argparse
import asyncio
import json
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.soak.callers import Callers
from tests.soak.measuring import Probes
from tests.soak.mishaps import Mishaps
from tests.soak.stage import Stage, stage
from tests.soak.verdict import check_books, compare

SETTLE_S = 10.0  # what hangs at the upstream is over by then
NOTE_EVERY_S = 60.0
SAID_MAX = 20


async def soak(folder: Path, minutes: float, strength: float, seed: int) -> tuple[Callers, Probes, Mishaps]:
    """The whole run; everything is over and written down when it returns."""
    async with stage(folder) as it:
        callers = Callers(it, strength, random.Random(seed))
        mishaps = Mishaps(callers)
        probes = Probes(callers, mishaps)
        started, run_s = time.monotonic(), minutes * 60
        living = [
            asyncio.create_task(story)
            for story in (callers.live(), probes.measure(started), mishaps.happen(run_s), _note_now_and_then(it))
        ]
        done, _ = await asyncio.wait(living[:2], timeout=run_s, return_when=asyncio.FIRST_COMPLETED)
        for story in living:
            story.cancel()
        ended = await asyncio.gather(*living, return_exceptions=True)
        if done:
            callers.wrong.append(f"the soak itself ended early: {ended[:2]}")
        for error in ended[2:]:
            if isinstance(error, Exception):
                callers.wrong.append(f"a mishap went wrong: {error!r}")
        await asyncio.sleep(SETTLE_S)
        await it.note_bought()
        status = await it.gateway.end(signal.SIGTERM)
        if status != 0:
            callers.wrong.append(f"the gateway ended with {status}")
        await it.note_bought()
        await it.audit()
    return callers, probes, mishaps


async def _note_now_and_then(it: Stage) -> None:
    while True:
        await asyncio.sleep(NOTE_EVERY_S)
        await it.note_bought()


def report(callers: Callers, probes: Probes, mishaps: Mishaps) -> bool:
    """Everything there is to say, and whether all of it is well."""
    statuses: dict[str, list[str]] = defaultdict(list)
    for (habit, status), count in sorted(callers.answers.items()):
        statuses[habit].append(f"{count} x {status}")
    for habit, told in statuses.items():
        print(f"{habit:16} {', '.join(told)}")
    print(f"{callers.cut_off} requests were cut off by a restart or a kill")
    print("\n".join(mishaps.log))
    print(f"\n{'':24}{'first part':>12}{'last part':>12}{'allowed':>12}")
    compared = compare(probes.samples) if probes.samples else []
    for line in compared:
        print(line)
    wrong = [*callers.wrong, *_bugs(callers.stage.gateway.log)]
    books = check_books(callers)
    for sentence in (*wrong[:SAID_MAX], *books):
        print(f"WRONG {sentence}")
    print(
        f"\n{len(callers.stage.bought)} videos were bought for {callers.ordered} orders; "
        f"{len(wrong)} answers were wrong, {len(books)} things do not add up"
    )
    return bool(compared) and all(line.is_flat for line in compared) and not wrong and not books


def _bugs(log: Path) -> list[str]:
    """Lines of the gateway's log that only a bug can write."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return [
        line[:400] for line in lines if '"level":"error"' in line or '"level": "error"' in line or "Traceback" in line
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--strength", type=float, default=1.0, help="1 is some sixty requests a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where to keep the samples")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        callers, probes, mishaps = asyncio.run(soak(Path(folder), said.minutes, said.strength, said.seed))
        is_well = report(callers, probes, mishaps)
    if said.json is not None:
        rows = [sample.row() for sample in probes.samples]
        said.json.write_text(json.dumps({"minutes": said.minutes, "mishaps": mishaps.log, "samples": rows}, indent=1))
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
