"""The intention is on the disk before the upstream is connected: seen from outside, by the system calls themselves.

`strace` writes down every fsync and every connect of a gateway, in the order in which the kernel saw them.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.fakes.upstream import FakeUpstream
from tests.life.process import ROOT, START_S, address_in, environment, write_config
from tests.world import ALICE, GIVE_UP_S, SPEECHES, bearer

CREATES = 5


def find_strace() -> str | None:
    """The path of strace, installed from Debian's archive where that is possible."""
    if shutil.which("strace") is None and shutil.which("apt-get") is not None and os.geteuid() == 0:
        for step in (["update"], ["install", "--yes", "--no-install-recommends", "strace"]):
            subprocess.run(["apt-get", "-qq", *step], capture_output=True, check=False)
    return shutil.which("strace")


def may_trace(strace: str) -> bool:
    """Whether this system lets a process be traced."""
    return subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


def events(trace: str, port: int) -> list[str]:
    """`sync` of a write-ahead log that succeeded, and `connect` to the port for what is then posted there, in order.

    A call that another thread's call overlaps is written in two lines; a sync counts where it ends, a connect where it
    begins, which is the stricter of both readings.
    """
    unfinished: dict[str, str] = {}
    found: list[str] = []
    connects: dict[str, int] = {}
    for line in trace.splitlines():
        process, _, call = line.partition(" ")
        call = call.strip()
        if match := re.match(r"connect\((\d+)<", call):
            if f"sin_port=htons({port})" in call:
                connects[match[1]] = len(found)
                found.append("other")
        elif match := re.match(r'(?:write|writev|sendto|sendmsg)\((\d+)<.*"POST /', call):
            if match[1] in connects:
                found[connects.pop(match[1])] = "connect"
        elif re.match(r"(fsync|fdatasync)\(", call):
            if "unfinished" in call:
                unfinished[process] = call
            elif "-wal>" in call and call.endswith("= 0"):
                found.append("sync")
        elif re.match(r"<\.\.\. (fsync|fdatasync) resumed>", call):
            begun = unfinished.pop(process, "")
            if "-wal>" in begun and call.endswith("= 0"):
                found.append("sync")
    return [event for event in found if event != "other"]


def test_every_intention_is_synced_before_the_upstream_is_connected(tmp_path: Path) -> None:
    strace = find_strace()
    if strace is None or not may_trace(strace):
        pytest.skip("strace is not here, or may not trace")

    async def story() -> str:
        async with FakeUpstream() as fake:
            config, stderr, trace = write_config(tmp_path), tmp_path / "stderr", tmp_path / "trace"
            with stderr.open("wb") as err:
                gateway = await asyncio.create_subprocess_exec(
                    *(strace, "-f", "-y", "-o", str(trace), "-e", _CALLS),
                    *(sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", "0"),
                    stdout=err,
                    stderr=err,
                    cwd=ROOT,
                    env=environment(tmp_path, fake.url),
                    start_new_session=True,
                )
            try:
                async with asyncio.timeout(START_S):
                    while (base_url := address_in(stderr)) is None:
                        assert gateway.returncode is None, stderr.read_text("utf-8")
                        await asyncio.sleep(0.05)
                begun = len(trace.read_text("utf-8", "replace").splitlines())
                async with httpx.AsyncClient(trust_env=False, timeout=GIVE_UP_S, headers=bearer(ALICE)) as http:
                    speech = SPEECHES["evolink"]
                    for number in range(CREATES):
                        body = {**speech.body, "prompt": f"film {number}"}
                        answer = await http.post(base_url + speech.create, json=body)
                        assert answer.status_code == 200, answer.text
            finally:
                if gateway.returncode is None:
                    os.killpg(gateway.pid, signal.SIGKILL)
                    await gateway.wait()
            assert fake.accepted == CREATES
            lines = trace.read_text("utf-8", "replace").splitlines()[begun:]
            return "".join(_LETTERS[event] for event in events("\n".join(lines), urlsplit(fake.url).port or 0))

    seen = asyncio.run(story())
    # One sync for the intention before each connect, and between two of them one more, for the receipt of the first.
    assert re.fullmatch(rf"s+c(ss+c){{{CREATES - 1}}}s+", seen), seen


_CALLS = "trace=fsync,fdatasync,connect,write,writev,sendto,sendmsg"
_LETTERS = {"sync": "s", "connect": "c"}


def test_the_reader_of_traces_knows_when_a_call_began_and_ended() -> None:
    trace = """
1 fdatasync(7</x/reelgate.db-wal> <unfinished ...>
2 connect(9<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS
1 <... fdatasync resumed>) = 0
1 fsync(7</x/reelgate.db-wal>) = -1 EIO (Input/output error)
1 fsync(8</x/reelgate.db>) = 0
2 writev(9<TCP:[1]>, [{iov_base="POST /v1/vid"..., iov_len=300}], 1) = 300
2 connect(9<TCP:[2]>, {sa_family=AF_INET, sin_port=htons(81), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
2 connect(8<TCP:[3]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
2 write(8<TCP:[3]>, "GET /v1/tasks"..., 100) = 100
"""
    assert events(trace, 80) == ["connect", "sync"]
