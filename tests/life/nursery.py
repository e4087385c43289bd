"""Starts `reelgate` again and again without paying for its imports each time: a child for every line on stdin.

A line is the file that the child's standard error goes to, and then the words of the command, separated by tabs. The
answer is the child's number. A child that dies is reaped by the kernel; the nursery itself ends with its stdin.
"""

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from gateway.cli import COMMANDS, build
from tests.world import world


async def _make_a_film(folder: Path) -> None:
    async with world(folder, on_socket=True) as it:
        await it.finished_film()


def main() -> None:
    app = build(COMMANDS)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_make_a_film(Path(folder)))  # much is imported only when it is first used
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        stderr, *words = line.rstrip("\n").split("\t")
        number = os.fork()
        if number == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.dup2(os.open(stderr, os.O_WRONLY | os.O_APPEND), 2)
            app(words)  # ends the process
        print(number, flush=True)


if __name__ == "__main__":
    main()
