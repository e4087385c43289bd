"""SIGHUP: every worker is replaced while traffic goes on, and nobody notices."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest

from gateway import sandbox
from tests.fleet.slow_film import download, finished, is_whole, slow_sandbox
from tests.fleet.traffic import Visitor, traffic
from tests.life.process import Process, serve, until, write_config
from tests.world import PROMPT_S

DOWNLOAD_S = 12.0
CONFIG = "results: {links: gateway}\npreflight: {images: 'off', allow_private_networks: ['127.0.0.0/8']}\n"


async def says(process: Process, words: str, times: int = 1) -> None:
    """Wait until it has said so, so many times."""
    await until(lambda: process.said().count(words) >= times)


async def are_gone(process: Process, numbers: set[int]) -> None:
    await until(lambda: not process.workers() & numbers)


def test_all_workers_are_replaced_under_load_and_everybody_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            sandbox.running(app=slow_sandbox(DOWNLOAD_S)) as upstream,
            serve(tmp_path, upstream, CONFIG, "--workers", "2") as process,
        ):
            old = process.workers()
            begun = asyncio.Event()
            task_id = await finished(process.base_url)
            films = [asyncio.create_task(download(process.base_url, task_id, begun)) for _ in range(4)]
            await begun.wait()
            async with traffic(process.base_url) as it:
                await asyncio.sleep(1)
                process.signal(signal.SIGHUP)
                await says(process, "all workers are new")
                await asyncio.sleep(1)
            assert all(map(is_whole, await asyncio.gather(*films)))
            await are_gone(process, old)
            assert len(process.workers()) == 2
            it.assert_everybody_was_answered()
            visitor = Visitor(process.base_url)
            for task_id in it.tasks:
                status, _ = await visitor.ask("GET", f"/v1/tasks/{task_id}")
                assert status == 200, "what the old ones were asked for the new ones know"
            visitor.close()
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0
            assert "Traceback" not in process.said()

    asyncio.run(story())


def test_a_new_worker_has_the_new_configuration_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9", "", "--workers", "2") as process:
            old = process.workers()
            config = write_config(tmp_path)
            good = config.read_text("utf-8")
            config.write_text("nonsense: true\n" + good, "utf-8")
            process.signal(signal.SIGHUP)
            await says(process, "the old ones stay")
            assert "nonsense" in process.said()
            assert process.workers() == old
            visitor = Visitor(process.base_url)
            assert (await visitor.ask("GET", "/admin/upstreams", closes=True))[0] == 404
            config.write_text("admin_key: the-admin-key\n" + good, "utf-8")
            process.signal(signal.SIGHUP)
            await says(process, "all workers are new")
            assert (await visitor.ask("GET", "/admin/upstreams"))[0] == 401
            visitor.close()
            await are_gone(process, old)

    asyncio.run(story())


def test_new_workers_on_an_open_port_do_not_let_everybody_in_whatever_host_the_file_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9", "server: {host: 0.0.0.0}", "--workers", "2") as process:
            old = process.workers()
            write_config(tmp_path, "virtual_keys: []")  # on loopback by itself
            process.signal(signal.SIGHUP)
            await says(process, "the old ones stay")
            assert "the listener on 0.0.0.0" in process.said()
            assert process.workers() == old
            os.kill(min(old), signal.SIGKILL)  # whoever comes in its place reads the same file
            await says(process, "ended with status 2; its place is filled again in")
            async with httpx.AsyncClient(base_url=process.base_url, trust_env=False) as stranger:
                headers = {"authorization": "Bearer anything", "host": "127.0.0.1"}
                assert (await stranger.get("/v1/tasks/1", headers=headers)).status_code == 401

    asyncio.run(story())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_fleet_ends_at_once(number: signal.Signals, tmp_path: Path) -> None:
    async def story() -> None:
        async with serve(tmp_path, "http://127.0.0.1:9", "", "--workers", "2") as process:
            process.signal(number)
            assert await process.ended(within_s=PROMPT_S) == 0
            assert "Traceback" not in process.said()
            assert "does not end by itself" not in process.said()

    asyncio.run(story())
