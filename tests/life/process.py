"""A gateway in a process of its own, so that it can be stopped, killed, and listened to."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from tests.world import BASE, laid_over

ROOT = Path(__file__).parents[2]
START_S = 120.0  # against hanging; a start takes a second where the machine has nothing else to do
STOP_S = 60.0


class Process:
    """One `reelgate serve`, until it ends. What it says is kept in files."""

    def __init__(self, started: asyncio.subprocess.Process, folder: Path, name: str) -> None:
        self._started = started
        self.stdout, self.stderr = folder / f"{name}.stdout", folder / f"{name}.stderr"
        self.base_url = ""

    async def listens(self) -> None:
        """Wait until it says where."""
        async with asyncio.timeout(START_S):
            while (base_url := address_in(self.stderr)) is None:
                assert self._started.returncode is None, self.said()
                await asyncio.sleep(0.01)
        self.base_url = base_url

    @property
    def pid(self) -> int:
        return self._started.pid

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - a path for each of a thousand is a millisecond

    def signal(self, number: signal.Signals) -> None:
        self._started.send_signal(number)

    @property
    def is_running(self) -> bool:
        return self._started.returncode is None

    def workers(self) -> set[int]:
        """The processes that it has started and that live."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii")
        return {int(number) for number in children.split()}

    async def ended(self, within_s: float = STOP_S) -> int:
        """Its exit status."""
        async with asyncio.timeout(within_s):
            return await self._started.wait()

    def said(self) -> str:
        return self.stdout.read_text("utf-8") + self.stderr.read_text("utf-8")


async def until(is_so: Callable[[], bool], within_s: float = START_S) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(within_s):
        while True:
            if is_so():
                return
            await asyncio.sleep(0.02)


def is_alive(number: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{number}").exists()


def address_in(stderr: Path) -> str | None:
    """Where a gateway that says this listens, once it has said so to the end of the line."""
    _, found, rest = stderr.read_text("utf-8").rpartition("listening on ")
    return rest.split()[0] if found and "\n" in rest else None


@asynccontextmanager
async def serve(folder: Path, upstream: str, config: str = "", *arguments: str) -> AsyncIterator[Process]:
    """`reelgate serve` on a free port before `upstream`, with its files in `folder`; killed at the end if it lives."""
    path = write_config(folder, config)
    name = _fresh_name(folder)
    with (folder / f"{name}.stdout").open("wb") as out, (folder / f"{name}.stderr").open("wb") as err:
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "-c", str(path), "--port", "0", *arguments),
            stdout=out,
            stderr=err,
            cwd=ROOT,
            env=environment(folder, upstream),
        )
    process = Process(started, folder, name)
    try:
        await process.listens()
        yield process
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


def _fresh_name(folder: Path) -> str:
    return f"serve-{len(list(folder.glob('*.stderr')))}"


def write_config(folder: Path, config: str = "") -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(laid_over(BASE, config)), "utf-8")
    return path


def environment(folder: Path, upstream: str) -> Mapping[str, str]:
    # Nobody here speaks TLS, and loading every certificate of the machine takes a good part of a start.
    return {**os.environ, "UPSTREAM": upstream, "FOLDER": str(folder), "SSL_CERT_FILE": os.devnull}
