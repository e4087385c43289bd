"""SIGUSR1: a gateway leaves its load balancer, serving on, and ends when nobody needs it. A second SIGTERM ends it
at once and loses nothing."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway import sandbox, serving
from tests.fakes.upstream import FakeUpstream, accept, gated
from tests.fleet.slow_film import download, finished, is_whole, slow_sandbox
from tests.fleet.traffic import Visitor, traffic
from tests.life.process import ROOT, Process, serve, until
from tests.servers import found
from tests.world import ALICE, PROMPT_S, SLOW, SPEECHES, bearer, id_of

DOWNLOAD_S = 10.0
KEPT = "results: {links: gateway}\npreflight: {images: 'off', allow_private_networks: ['127.0.0.0/8']}\n"
SPEECH = SPEECHES["evolink"]
CHECKED = "inter 1s fall 2 rise 1"


async def told(base_url: str, path: str) -> tuple[int, str]:
    """What a new client is answered."""
    async with httpx.AsyncClient(trust_env=False, timeout=PROMPT_S) as http:
        answer = await http.get(base_url + path)
        return answer.status_code, answer.json()["status"]


def test_a_gateway_that_leaves_says_so_serves_on_closes_connections_and_ends(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            sandbox.running(app=sandbox.create_app(speed=SLOW)) as upstream,
            serve(tmp_path, upstream, "server: {leave_s: 4, answer_within_s: 60}") as process,
        ):
            assert await told(process.base_url, "/healthz") == (200, "ok")
            kept = Visitor(process.base_url)
            assert (await kept.ask("GET", "/healthz"))[0] == 200
            process.signal(signal.SIGUSR1)
            async with asyncio.timeout(PROMPT_S):
                while True:
                    if await told(process.base_url, "/healthz") == (200, "leaving"):
                        break
            assert await told(process.base_url, "/readyz") == (503, "not ready")
            assert kept.is_connected
            status, _ = await kept.ask("POST", SPEECH.create, SPEECH.body)
            assert status == 200, "creates go on while balancers have not noticed"
            assert not kept.is_connected, "the answer closed the connection"
            assert await process.ended() == 0
            assert "Traceback" not in process.said()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("number", "arguments"),
    [(signal.SIGTERM, ()), (signal.SIGINT, ()), (signal.SIGTERM, ("--workers", "2"))],
    ids=["SIGTERM", "SIGINT", "SIGTERM to a fleet"],
)
def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(
    number: signal.Signals, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """The upstream answers nothing; one signal would wait for it for almost half a minute."""

    async def story() -> None:
        gate = asyncio.Event()
        async with FakeUpstream([accept(), *[gated(gate, accept())] * 3]) as upstream:
            config = "server: {answer_within_s: 0.2}\n"
            async with serve(tmp_path, upstream.url, config, *arguments) as process, client() as http:
                done = id_of(await http.post(process.base_url + SPEECH.create, json=SPEECH.body))
                sending = [id_of(await http.post(process.base_url + SPEECH.create, json=SPEECH.body)) for _ in range(3)]
                process.signal(number)
                await asyncio.sleep(1)
                assert process.is_running, "what is being sent is waited for"
                process.signal(number)
                assert await process.ended(within_s=10) in (0, 1)
                assert "Traceback" not in process.said()
            async with serve(tmp_path, upstream.url, config) as again, client() as http:
                answers = [(await http.get(f"{again.base_url}/v1/tasks/{word}")).json() for word in [done, *sending]]
                assert [answer.get("submission") for answer in answers] == [None, *["unconfirmed"] * 3]
            assert len(upstream.posts) == 4, "nothing was sent again"
            gate.set()

    asyncio.run(story())


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=PROMPT_S, headers=bearer(ALICE))


def test_two_gateways_behind_haproxy_are_restarted_under_load_and_everybody_is_answered(tmp_path: Path) -> None:
    haproxy = found("haproxy")

    async def story() -> None:
        async with (
            sandbox.running(app=slow_sandbox(DOWNLOAD_S)) as upstream,
            serve(tmp_path, upstream, KEPT) as one,
            serve(tmp_path, upstream, KEPT) as other,
            balancer(haproxy, tmp_path, one, other) as url,
        ):
            task_id, begun = await finished(url), asyncio.Event()
            films = [asyncio.create_task(download(url, task_id, begun)) for _ in range(4)]
            await begun.wait()
            async with AsyncExitStack() as stack:
                async with traffic(url) as it:
                    await asyncio.sleep(1)
                    new = [await stack.enter_async_context(restarted(old, tmp_path, upstream)) for old in (one, other)]
                    await asyncio.sleep(1)
                it.assert_everybody_was_answered()
                for process in new:
                    assert "/v1/tasks/" in process.said(), "both new ones had some of the traffic"
                assert all(map(is_whole, await asyncio.gather(*films)))

    asyncio.run(story())


@asynccontextmanager
async def restarted(old: Process, folder: Path, upstream: str) -> AsyncIterator[Process]:
    """The old one leaves and ends, a new one takes its address, and the balancer has time to find it."""
    old.signal(signal.SIGUSR1)
    assert await old.ended() == 0, old.said()
    port = old.base_url.rpartition(":")[2]
    async with serve(folder, upstream, KEPT, "--port", port) as new:
        await until(lambda: '"/healthz"' in new.said())
        await asyncio.sleep(1)
        yield new


@asynccontextmanager
async def balancer(haproxy: str, folder: Path, *replicas: Process) -> AsyncIterator[str]:
    """Debian's HAProxy with the configuration of `deploy/`, before these processes."""
    config = (ROOT / "deploy" / "haproxy.cfg").read_text("utf-8")
    assert CHECKED in config
    before, _, after = config.partition("resolvers containers\n")
    config = before + after.partition("\n\n")[2].replace(" resolvers containers init-addr libc,none", "")
    for number, process in enumerate(replicas, 1):
        config = config.replace(f"replica-{number}:8080", process.base_url.removeprefix("http://"))
    with serving.bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    path = folder / "haproxy.cfg"
    path.write_text(config.replace("bind :8080", f"bind 127.0.0.1:{port}"), "utf-8")
    with (folder / "haproxy.log").open("wb") as log:
        started = await asyncio.create_subprocess_exec(haproxy, "-db", "-f", str(path), stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(PROMPT_S):
            while True:
                try:
                    if (await told(url, "/healthz"))[0] == 200:
                        break
                except (httpx.TransportError, ValueError):
                    assert started.returncode is None, (folder / "haproxy.log").read_text("utf-8")
                await asyncio.sleep(0.05)
        yield url
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()
