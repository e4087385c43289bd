"""`python -m bench`: measure, print the table, and end with 1 where a figure could not be had."""

import argparse
import sys
from pathlib import Path

from bench import figures, machine, report
from bench.laboratory import laboratory
from bench.load import LoadGeneratorMissing, find_wrk
from bench.plan import FULL, QUICK
from bench.processes import ServerFailed

_UNUSABLE = 2


def main() -> int:
    """Run the whole benchmark; the exit status."""
    options = _parse()
    if sys.platform != "linux":
        print("bench: this benchmark pins processes and reads /proc, so it needs Linux", file=sys.stderr)
        return _UNUSABLE
    try:
        wrk = find_wrk()
    except LoadGeneratorMissing as error:
        print(f"bench: {error}", file=sys.stderr)
        return _UNUSABLE
    cores = machine.cores()
    try:
        return _run(options, cores, wrk)
    except ServerFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        return _UNUSABLE


def _run(options: argparse.Namespace, cores: machine.Cores, wrk: str) -> int:
    with laboratory(cores, wrk) as lab:
        about = machine.describe(cores, lab.folder, wrk)
        report.show_machine(about)
        plan = QUICK if options.quick else FULL
        rows = figures.measure(lab, plan, options.only or figures.STEPS, on_step=report.show_step)
    report.show(rows)
    if options.json is not None:
        report.keep(options.json, about, rows)
    return 1 if any(row.failed for row in rows) else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the gateway beside yardsticks.")
    parser.add_argument("--quick", action="store_true", help="short rounds: for a first look, not for a claim")
    parser.add_argument("--only", action="append", choices=list(figures.STEPS), help="measure this; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the raw figures here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
