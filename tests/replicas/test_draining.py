"""A key that is to go: it sends nothing any more, asks about its own tasks, and is missed if it goes too soon."""

import asyncio
import logging
from pathlib import Path

import pytest

from gateway import ids
from gateway.flows.neighbours import NAMED_MAX, missing_key
from gateway.keys import KeyState
from tests.replicas.world import states, street, sync
from tests.test_command import ask
from tests.world import GIVE_UP_S, SLOW, Clock, id_of

OLD, NEW = "{id: old, value: sk-up-old-key}", "{id: new, value: sk-up-new-key}"
DRAINING = "{id: old, value: sk-up-old-key, draining: true}"


def test_a_draining_key_asks_about_its_tasks_and_never_submits(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        clock = Clock()
        async with street(tmp_path, storage, clock=clock, speed=1.0) as here:
            async with here.replica(OLD) as before:
                word = id_of(await before.create())
            async with here.replica(DRAINING, NEW) as after:
                assert states(after) == {"old": KeyState.DRAINING, "new": KeyState.OK}
                for number in range(4):
                    id_of(await after.create(prompt=f"film {number}"))
                keys = [request["key_id"] for request in after.requests("POST")]
                assert len(set(keys)) == 2
                assert keys[1:] == [keys[1]] * 4, "all later films went to the new key"
                async with asyncio.timeout(GIVE_UP_S):
                    while (await after.read(word)).json()["status"] != "completed":
                        clock.walk(30)
                assert keys[0] in {request["key_id"] for request in after.requests("GET")}

    asyncio.run(story())


def test_with_draining_keys_alone_nothing_can_be_ordered(tmp_path: Path, storage: str) -> None:
    async def story() -> None:
        async with street(tmp_path, storage) as here, here.replica(DRAINING) as only:
            assert (await only.create()).status_code == 503
            assert (await only.http.get("/readyz")).status_code == 503
            assert only.requests("POST") == []

    asyncio.run(story())


def test_tasks_whose_key_is_gone_are_named_at_the_start(
    tmp_path: Path, storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with street(tmp_path, storage) as here:
            async with here.replica(OLD) as before:
                words = [id_of(await before.create(prompt=f"film {number}")) for number in range(2)]
            with caplog.at_level(logging.WARNING, logger="reelgate.neighbours"):
                async with here.replica(NEW):
                    (line,) = caplog.messages
            assert "sandbox has no key old any more, and tasks in flight that were sent with it: 2" in line
            assert f" ({words[0]}, {words[1]}); nobody can ask" in line
            assert "with `draining: true`" in line
            caplog.clear()
            async with here.replica(DRAINING, NEW) as back:
                assert caplog.messages == []
                await sync(back)
                ((_, (old, _)),) = back.parts.upstreams.sights()
                assert old.live_tasks == 2

    asyncio.run(story())


def test_a_very_long_list_of_tasks_is_cut() -> None:
    line = missing_key("sandbox", "old", NAMED_MAX + 5, range(1, NAMED_MAX + 6))
    assert f"{ids.word(NAMED_MAX)} and 5 more)" in line
    assert ids.word(NAMED_MAX + 1) not in line


def check(folder: Path, *keys: str) -> str:
    """What `reelgate check` says, on one line."""
    path = folder / "check.yaml"
    path.write_text(
        f"storage: {{url: 'sqlite:///{folder}/reelgate.db'}}\n"
        "virtual_keys: [{id: alice, value: sk-rg-alice-key}]\n"
        "upstreams: [{name: sandbox, provider: evolink, base_url: 'http://127.0.0.1:9', "
        f"keys: [{', '.join(keys)}]}}]\n",
        "utf-8",
    )
    ended = ask("check", "-c", str(path), cwd=folder)
    assert ended.exit_code == 0, ended.output
    return " ".join(ended.stdout.split())


def test_check_says_when_a_draining_key_can_be_removed_and_which_was_removed_too_soon(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/reelgate.db"

    async def one_task() -> str:
        async with street(tmp_path, storage, speed=SLOW) as here, here.replica(OLD) as before:
            return id_of(await before.create())

    assert "sandbox: the key old is drained: no task needs it, and it can be removed" in check(tmp_path, DRAINING, NEW)
    asyncio.run(one_task())
    assert "sandbox: the key old is draining; tasks in flight that need it: 1" in check(tmp_path, DRAINING, NEW)
    assert "sandbox has no key old any more, and tasks in flight that were sent with it: 1; nobody" in check(
        tmp_path, NEW
    )
    assert "key old" not in check(tmp_path, OLD, NEW)
