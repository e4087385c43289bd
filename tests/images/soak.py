"""The long job: very many broken pictures, none of which may raise anything or take long.

    python -m tests.images.soak --files 1000000

Time is that of the processor, so a busy machine does not count against a file; a file that seems slow is read again.
Ends with status 1 and the seeds of the culprits if there are any.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from multiprocessing import Pool
from random import Random

from gateway.images import Header, judge_inline
from tests.images.mutants import mutant, originals
from tests.images.reading import cut, data_url, read

SLOWEST_S = 0.050
_BATCH = 2_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.images.soak")
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first file; the others follow")
    parser.add_argument("--workers", type=int, default=2)
    wanted = parser.parse_args()
    started = time.monotonic()
    end = wanted.seed + wanted.files
    batches = [range(first, min(first + _BATCH, end)) for first in range(wanted.seed, end, _BATCH)]
    culprits: list[str] = []
    slowest, readable = (0.0, 0), 0
    with Pool(wanted.workers) as pool:
        for found, slow, count in pool.imap_unordered(_soak, batches):
            culprits += found
            slowest, readable = max(slowest, slow), readable + count
    print(f"{wanted.files} mutated files in {time.monotonic() - started:.0f} s, {readable} of them with a header")
    print(f"slowest: {slowest[0] * 1000:.2f} ms of processor time, seed {slowest[1]}")
    print(
        "\n".join(culprits[:50]) or "no exception, no file too slow, no finding that depends on how the bytes were cut"
    )
    return 1 if culprits else 0


def _soak(seeds: range) -> tuple[list[str], tuple[float, int], int]:
    """Complaints, the slowest file as (seconds, seed), and how many files had a header."""
    culprits: list[str] = []
    slowest, readable = (0.0, 0), 0
    for seed in seeds:
        data = mutant(seed, originals(small=False))
        try:
            seconds, is_readable = _read(data)
            if seconds > SLOWEST_S:
                seconds = min(_read(data)[0] for _ in range(3))
            culprits += _complaints(seed, data, seconds)
        except Exception as error:  # any exception at all is what this job looks for
            culprits.append(f"seed {seed}: {type(error).__name__}: {error}")
            continue
        slowest, readable = max(slowest, (seconds, seed)), readable + is_readable
    return culprits, slowest, readable


def _read(data: bytes) -> tuple[float, bool]:
    """Seconds of processor time for a file as a stream and as a data URL together; whether it has a header."""
    url = data_url(data)
    started = time.thread_time()
    finding = read(data)
    judge_inline("image", url)
    return time.thread_time() - started, isinstance(finding, Header)


def _complaints(seed: int, data: bytes, seconds: float) -> Iterator[str]:
    if seconds > SLOWEST_S:
        yield f"seed {seed}: {seconds * 1000:.1f} ms"
    if read(data) != read(*cut(data, Random(seed))):
        yield f"seed {seed}: the finding depends on how the bytes were cut"


if __name__ == "__main__":
    sys.exit(main())
