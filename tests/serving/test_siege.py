"""Slow sockets by the thousand, and the tool that people use for it: all are let go, and honest clients answered."""

import asyncio
import re
import shutil
import sys
from pathlib import Path

import httpx
import pytest

from tests.life.process import serve
from tests.serving.siege import GIVE_UP_S, MODES, SHORT, SOCKETS, besiege
from tests.world import ALICE, PROMPT_S

TOOL = "slowhttptest"
LINES = 200
PROBES = 2  # by which it finds out whether the service is available
TYPE_AND_KEY = f"application/json\r\nAuthorization: Bearer {ALICE}"  # it writes the first into its head as it is
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What it does, and whether it leaves by itself once the gateway closed its connections: who reads a few bytes a second
# does not hear of that.
WAYS = {
    "heads": (("-H", "-u", "{url}/v1/models"), True),
    "bodies": (("-B", "-s", "8192", "-f", TYPE_AND_KEY, "-u", "{url}/v1/video/generations"), True),
    "reading": (("-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5", "-u", "{url}/metrics"), False),
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts the descriptors of another process in /proc")


@pytest.mark.parametrize("mode", MODES)
def test_a_thousand_slow_sockets_are_let_go_and_an_honest_client_is_answered(mode: str, tmp_path: Path) -> None:
    report = asyncio.run(besiege(tmp_path, mode, config=SHORT, polls=100))
    assert report.sockets == SOCKETS
    assert report.polls > 1


@pytest.mark.parametrize("mode", WAYS)
def test_slowhttptest_finds_the_service_available_and_holds_nothing(mode: str, tmp_path: Path) -> None:
    if shutil.which(TOOL) is None:
        pytest.skip(f"{TOOL} is not installed; run `make servers`")

    async def story() -> None:
        async with (
            serve(tmp_path, "http://127.0.0.1:9", SHORT) as process,
            httpx.AsyncClient(base_url=process.base_url, trust_env=False, timeout=PROMPT_S) as http,
        ):
            assert (await http.get("/healthz")).status_code == 200
            before = process.descriptors()
            options, leaves_by_itself = WAYS[mode]
            words = [word.format(url=process.base_url) for word in options]
            common = ("-c", str(LINES), "-r", str(LINES), "-i", "1", "-p", "5", "-l", "60" if leaves_by_itself else "8")
            attack = await asyncio.create_subprocess_exec(
                *(TOOL, *words, *common), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            listening = asyncio.create_task(attack.communicate())
            held = []
            try:
                while attack.returncode is None and len(held) < GIVE_UP_S / 0.05:
                    assert (await http.get("/healthz")).status_code == 200
                    held.append(process.descriptors() - before)
                    await asyncio.sleep(0.05)
                said = COLOURS.sub("", (await listening)[0].decode())
            finally:
                if attack.returncode is None:
                    attack.kill()
                    await attack.wait()
            assert max(held) > LINES // 2
            async with asyncio.timeout(PROMPT_S):
                while process.descriptors() - before > PROBES:  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.05)
            assert set(re.findall(r"service available:\s+(\w+)", said)) == {"YES"}, said
            assert ("No open connections left" in said) == leaves_by_itself, said

    asyncio.run(story())
