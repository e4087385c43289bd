"""The machine: which core is whose, and the line that says what the figures were made on."""

import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

_PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "httpx", "SQLAlchemy", "orjson")
_FSYNCS = 50


@dataclass(frozen=True, slots=True)
class Cores:
    """`subject` carries the gateway or its yardstick; `others` carry the load generator and the upstream."""

    subject: int
    others: frozenset[int]


def cores() -> Cores:
    """The first usable core for the subject, the rest for all else. On a machine with one core they share it."""
    first, *rest = sorted(os.sched_getaffinity(0))
    return Cores(first, frozenset(rest or [first]))


def describe(cores: Cores, folder: Path, wrk: str) -> dict[str, str]:
    """What the figures depend on. `folder` is where the database will be."""
    return {
        "processor": f"{len(cores.others | {cores.subject})} cores, {_processor()}",
        "system": f"Linux {platform.release()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "wrk": _wrk_version(wrk),
        "fsync": f"{_fsync_ms(folder):.2f} ms",
        "load": f"{os.getloadavg()[0]:.1f} before the run",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _wrk_version(wrk: str) -> str:
    said = subprocess.run([wrk, "-v"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - a found path
    return said.partition(" [")[0].removeprefix("wrk ").removeprefix("debian/")


def _fsync_ms(folder: Path) -> float:
    """The median of an appended page's way to the disk: a figure near zero says that the disk only pretends."""
    path = folder / "fsync"
    times_s = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            file.write(bytes(4096))
            started = perf_counter()
            os.fdatasync(file.fileno())
            times_s.append(perf_counter() - started)
    path.unlink()
    return statistics.median(times_s) * 1000
