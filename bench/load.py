"""The load generator: wrk with a script of ours, and what came back of one round."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Server

_MARK = "BENCH "
_LATE_S = 20  # a round that takes this much longer than it should is given up


class LoadGeneratorMissing(Exception):
    """There is no wrk; says what to do."""


class RoundFailed(Exception):
    """A round that no figure may be built on."""


@dataclass(frozen=True, slots=True)
class Order:
    """The one request that is sent again and again."""

    method: str
    path: str
    headers: dict[str, str]
    body: str | None = None

    def on_the_wire(self) -> bytes:
        """As a client sends it that wants nothing else on its connection."""
        body = None if self.body is None else self.body.encode()
        length = {} if body is None else {"Content-Length": str(len(body))}
        fields = {"Host": "bench", **self.headers, **length, "Connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b"")


@dataclass(frozen=True, slots=True)
class Round:
    """What one server did in one round. All answers were 2xx, or none where all were to be refused."""

    server: str
    connections: int
    requests: int
    seconds: float
    p50_us: float
    p99_us: float
    cpu_us: float
    """Processor time of the server for one request."""
    cpu_share: float
    """Of the server's core: well below 1 under full load means that somebody else used it too."""

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Wrk:
    """The load generator, with a folder for its scripts."""

    command: str
    folder: Path

    def fire(self, server: Server, order: Order, *, connections: int, seconds: int, are_refused: bool = False) -> Round:
        """Send the order on so many connections, each as fast as it is answered. Raises RoundFailed where one was
        refused, or with `are_refused` where one was not."""
        cpu_s, started = server.cpu_s(), time.monotonic()
        told = self._run(server.base_url + order.path, order, connections, seconds)
        cpu_s, elapsed_s = server.cpu_s() - cpu_s, time.monotonic() - started
        unlike = told["requests"] - told["bad_status"] if are_refused else told["bad_status"]
        if unlike or told["bad_socket"] or not told["requests"]:
            raise RoundFailed(
                f"{server.name}: {told['bad_status']} answers were not 2xx and {told['bad_socket']} connections broke, "
                f"of {told['requests']} requests on {connections} connections"
            )
        return Round(
            server=server.name,
            connections=connections,
            requests=told["requests"],
            seconds=told["us"] / 1e6,
            p50_us=told["p50_us"],
            p99_us=told["p99_us"],
            cpu_us=cpu_s / told["requests"] * 1e6,
            cpu_share=cpu_s / elapsed_s,
        )

    def _run(self, url: str, order: Order, connections: int, seconds: int) -> dict[str, int]:
        script = self.folder / "order.lua"
        script.write_text(_script(order), "utf-8")
        command = [self.command, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), url]
        try:
            done = subprocess.run(  # noqa: S603 - a found path
                command, capture_output=True, text=True, timeout=seconds + _LATE_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise RoundFailed(f"wrk did not end within {seconds + _LATE_S} s") from None
        line = next((line for line in done.stdout.splitlines() if line.startswith(_MARK)), None)
        if line is None:
            raise RoundFailed(f"wrk said nothing useful: {(done.stderr or done.stdout).strip()[:300]}")
        told: dict[str, int] = json.loads(line.removeprefix(_MARK))
        return told


def find_wrk() -> str:
    """The path of wrk, installed from Debian's archive where that is possible. Raises LoadGeneratorMissing."""
    found = shutil.which("wrk")
    apt = shutil.which("apt-get")
    if found is None and apt is not None and os.geteuid() == 0:
        print("bench: wrk is missing; installing it", flush=True)
        for step in (["update"], ["install", "--yes", "--no-install-recommends", "wrk"]):
            subprocess.run([apt, "-qq", *step], stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - a found path
        found = shutil.which("wrk")
    if found is None:
        raise LoadGeneratorMissing("wrk is missing; install it, for instance with `sudo apt-get install wrk`")
    return found


def _script(order: Order) -> str:
    lines = [f"wrk.method = {_quoted(order.method)}"]
    lines += [f"wrk.headers[ {_quoted(name)} ] = {_quoted(value)}" for name, value in order.headers.items()]
    if order.body is not None:
        lines.append(f"wrk.body = {_quoted(order.body)}")
    return "\n".join(lines) + _DONE


def _quoted(text: str) -> str:
    return f"[==[{text}]==]"


# wrk counts 400 and above as bad; nothing here redirects.
_DONE = f"""
function done(summary, latency, requests)
  local bad = summary.errors
  print(string.format(
    '{_MARK}{{"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"bad_status":%d,"bad_socket":%d}}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    bad.status, bad.connect + bad.read + bad.write + bad.timeout))
end
"""
