"""Two gateways on one file, each a process of its own, and the command line beside them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway import sandbox
from gateway.flows import callers
from tests.admin.person import ADMIN_KEY, CONFIG
from tests.life.process import ROOT, Process, environment, serve
from tests.world import ALICE, PROMPT_S, SPEECHES, bearer


class Person:
    """Somebody with the admin key, who also has a shell."""

    def __init__(self, folder: Path, upstream: str, http: httpx.AsyncClient) -> None:
        self._folder = folder
        self._environment: Mapping[str, str] = environment(folder, upstream)
        self.http = http

    async def command(self, *arguments: str, status: int = 0) -> Any:
        """What `reelgate … --json` says."""
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *arguments, "--json", "-c", str(self._folder / "config.yaml")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env=self._environment,
        )
        said, complaint = await asyncio.wait_for(started.communicate(), PROMPT_S)
        assert started.returncode == status, complaint.decode()
        return json.loads(said) if status == 0 else complaint.decode()

    async def create(self, at: Process, key: str, prompt: str = "a ship") -> httpx.Response:
        body = {**SPEECHES["evolink"].body, "prompt": prompt}
        url = f"{at.base_url}{SPEECHES['evolink'].create}"
        return await self.http.post(url, json=body, headers=bearer(key))

    async def admin(self, at: Process, method: str, path: str, **said: Any) -> Any:
        answer = await self.http.request(method, f"{at.base_url}/admin{path}", headers=bearer(ADMIN_KEY), **said)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def until(self, at: Process, status: int, key: str) -> None:
        """Until a create with this key is answered so. How soon is a matter of the machine, too."""
        async with asyncio.timeout(PROMPT_S):
            while (await self.create(at, key)).status_code != status:  # noqa: ASYNC110  # nothing wakes us
                await asyncio.sleep(0.05)


@asynccontextmanager
async def somebody(folder: Path, upstream: str) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(trust_env=False, timeout=PROMPT_S) as http:
        yield Person(folder, upstream, http)


def test_what_is_done_to_a_key_in_one_process_holds_in_the_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            sandbox.running(speed=1e-4) as upstream,
            serve(tmp_path, upstream, CONFIG, "--log-level", "debug") as one,
            serve(tmp_path, upstream, CONFIG, "--log-level", "debug") as other,
            somebody(tmp_path, upstream) as person,
        ):
            text = (await person.admin(one, "POST", "/keys", json={"id": "carol"}))["key"]
            assert (await person.create(other, text)).status_code == 200  # with its very first request
            await person.admin(one, "POST", "/keys/carol/revoke")
            assert (await person.create(one, text)).status_code == 401
            await person.until(other, 401, text)
            await person.admin(other, "POST", "/freeze")
            assert (await person.create(other, ALICE)).status_code == 503
            await person.until(one, 503, ALICE)
            await person.admin(one, "POST", "/unfreeze")
            await person.until(other, 200, ALICE)
            assert [secret for secret in (text, ADMIN_KEY) if secret in one.said() + other.said()] == []
            assert "reelgate.access" in one.said()

    asyncio.run(scenario())


def test_a_revocation_has_several_chances_to_be_learnt_in_its_time() -> None:
    """CONTRACT section 7: replicas learn of it within 5 s, and a read of storage may be slow, or fail once."""
    assert callers.EVERY_S * 3 < 5


def test_a_budget_is_one_budget_in_both_processes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            sandbox.running(speed=1e-4) as upstream,
            serve(tmp_path, upstream, CONFIG) as one,
            serve(tmp_path, upstream, CONFIG) as other,
            somebody(tmp_path, upstream) as person,
        ):
            text = (await person.admin(one, "POST", "/keys", json={"id": "carol", "budget": "2.00"}))["key"]
            creates = [person.create(at, text, f"ship {number}") for number in range(20) for at in (one, other)]
            answers = [answer.status_code for answer in await asyncio.gather(*creates)]
            assert (answers.count(200), answers.count(402)) == (7, 33)  # seven of 0.28 are 1.96

    asyncio.run(scenario())


def test_the_command_line_works_beside_a_running_gateway(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            sandbox.running(speed=1000) as upstream,
            serve(tmp_path, upstream, CONFIG) as at,
            somebody(tmp_path, upstream) as person,
        ):
            text = (await person.command("keys", "create", "carol"))["key"]
            ordered = await person.create(at, text, "a whale #sandbox:drop-after-accept")
            word = ordered.json()["id"]
            assert ordered.json()["submission"] == "unconfirmed"
            videos = (await person.http.get(f"{upstream}/_sandbox/videos")).json()
            upstream_id = videos[0]["id"]
            await person.command("tasks", "adopt", word, upstream_id)
            # The gateway learns of it, looks after it with the key that submitted it, and pays.
            async with asyncio.timeout(PROMPT_S):
                while True:
                    answer = await person.http.get(f"{at.base_url}/v1/tasks/{word}", headers=bearer(text))
                    if answer.json()["status"] == "completed":
                        break
                    await asyncio.sleep(0.05)
            story = await person.admin(at, "GET", f"/tasks/{word}")
            assert [entry["kind"] for entry in story["entries"]] == ["reserve", "settle"]
            await person.command("keys", "revoke", "carol")
            await person.until(at, 401, text)

    asyncio.run(scenario())
