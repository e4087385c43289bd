"""Servers as child processes: pinned to their cores, watched through /proc, ended by their own id."""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_WITHIN_S = 20.0
STOP_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.002
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server did not come up, or gave an answer that no figure can be built on."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running child that listens on `port`."""

    name: str
    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rss_bytes(self) -> int:
        """Resident memory."""
        return int(self._status()["VmRSS"].split()[0]) * 1024

    def peak_bytes(self) -> int:
        """The most resident memory that it ever had."""
        return int(self._status()["VmHWM"].split()[0]) * 1024

    def cpu_s(self) -> float:
        """Processor time of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def io(self) -> dict[str, int]:
        """The kernel's own account of what it read and wrote (`man 5 proc`, `/proc/pid/io`)."""
        lines = Path(f"/proc/{self.process.pid}/io").read_text("ascii").splitlines()
        return {name: int(value) for name, _, value in (line.partition(":") for line in lines)}

    def request(
        self, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        """One request on a connection of its own. Raises ServerFailed for anything but 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ServerFailed(f"{self.name} answered {method} {path} with {response.status}: {answer[:300]!r}")
        return answer

    def _status(self) -> dict[str, str]:
        lines = Path(f"/proc/{self.process.pid}/status").read_text("utf-8").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    port: int,
    *,
    cores: Collection[int],
    ready: str,
    log: Path,
    within_s: float = START_WITHIN_S,
) -> Iterator[Server]:
    """Start a server, wait until it answers 200 on the path `ready`, and end it with the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    server = Server(name, process, port)
    try:
        _wait(server, ready, log, within_s)
        yield server
    finally:
        _stop(process)


def _environment() -> dict[str, str]:
    """As a person's: Python keeps what it has compiled."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait(server: Server, ready: str, log: Path, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while True:
        if server.process.poll() is not None:
            said = log.read_text("utf-8", "replace")[-800:] if log.is_file() else ""
            raise ServerFailed(f"{server.name} ended with {server.process.returncode}: {said}")
        try:
            server.request("GET", ready)
        except OSError:
            if time.monotonic() > deadline:
                raise ServerFailed(f"{server.name} did not answer within {within_s:g} s") from None
            time.sleep(_LOOK_EVERY_S)
        else:
            return


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
