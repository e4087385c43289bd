"""A person says that a key is good again: on the command line beside the gateways, or to one of them."""

import asyncio
from pathlib import Path

import httpx

from gateway.keys import KeyState
from tests.replicas.world import ADMIN, Street, eventually, states, street
from tests.test_command import ask
from tests.world import Clock, World, bearer

MAIN = "{id: main, value: sk-up-main-key}"


async def refuse(replica: World) -> None:
    assert (await replica.create(prompt="a ship #sandbox:401")).status_code == 503
    assert states(replica) == {"main": KeyState.RETIRED}


async def recover(replica: World, name: str, key: str) -> httpx.Response:
    return await replica.http.post(f"/admin/upstreams/{name}/keys/{key}/recover", headers=bearer(ADMIN))


def test_a_running_gateway_is_told_and_tells_the_others(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with (
            street(tmp_path, storage, clock=Clock()) as here,
            here.replica(MAIN) as one,
            here.replica(MAIN) as other,
        ):
            await refuse(one)
            answer = await recover(one, "sandbox", "main")
            assert (answer.status_code, answer.json()) == (200, {"upstream": "sandbox", "key": "main", "ended": 1})
            assert states(one) == {"main": KeyState.OK}
            await eventually(lambda: states(other) == {"main": KeyState.OK})
            assert (await recover(one, "sandbox", "main")).json()["ended"] == 0

    asyncio.run(story())


def test_an_unknown_key_is_not_found_and_a_stranger_may_not_ask(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage) as here, here.replica(MAIN) as one:
            for name, key in (("sandbox", "spare"), ("elsewhere", "main")):
                answer = await recover(one, name, key)
                assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
            assert (await one.http.post("/admin/upstreams/sandbox/keys/main/recover")).status_code == 401

    asyncio.run(story())


def test_the_command_works_on_the_storage(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/reelgate.db"

    async def refused(here: Street) -> None:
        async with here.replica(MAIN) as before:
            await refuse(before)

    async def is_good(here: Street) -> bool:
        async with here.replica(MAIN) as after:
            return states(after) == {"main": KeyState.OK}

    async def story() -> None:
        async with street(tmp_path, storage) as here:
            await refused(here)
            assert not await is_good(here)
            said = await asyncio.to_thread(command, tmp_path, "main")
            assert said == (0, "sandbox: main: it is used again within seconds")
            assert await is_good(here)
            said = await asyncio.to_thread(command, tmp_path, "main")
            assert said == (0, "sandbox: main: nothing kept it from being used")
            status, words = await asyncio.to_thread(command, tmp_path, "spare")
            assert status == 1
            assert words.endswith("the configuration has no key spare of an upstream sandbox")

    asyncio.run(story())


def command(folder: Path, key: str) -> tuple[int, str]:
    """Its status, and what it says."""
    path = folder / "command.yaml"
    path.write_text(
        f"storage: {{url: 'sqlite:///{folder}/reelgate.db'}}\n"
        f"upstreams: [{{name: sandbox, provider: evolink, base_url: 'http://127.0.0.1:9', keys: [{MAIN}]}}]\n",
        "utf-8",
    )
    ended = ask("upstreams", "recover", "sandbox", key, "-c", str(path), cwd=folder)
    return ended.exit_code, (ended.stdout + ended.stderr).strip()
