"""Virtual keys and teams that are made while the gateway runs: shown once, good at once, gone at once."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import StorageDown
from gateway.flows import callers
from gateway.store import Callers
from gateway.virtual_keys import VirtualKey
from tests.admin.person import CONFIG, ask, keys_of, new_key, refused, told
from tests.life.process import until
from tests.world import ALICE, PROMPT_S, SLOW, SPEECHES, World, bearer, error_of, id_of, world

OPEN = f"{CONFIG}virtual_keys: []\n"


def test_a_new_key_is_shown_once_and_good_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            said = {
                "budget": {"amount": "5", "period": "30d"},
                "models": ["MiniMax-Hailuo-*"],
                "rpm": 7,
                "max_tasks": 3,
            }
            made = await ask(it, "POST", "/keys", json={"id": "carol", **said})
            assert made.status_code == 201
            text, shown = made.json()["key"], {name: value for name, value in made.json().items() if name != "key"}
            assert text.startswith("sk-rg-")
            assert shown["budget"] == {"amount": "5.00", "period": "30d"}
            word = id_of(await it.create(key=text))
            assert (await it.read(word, key=text)).status_code == 200
            listed = (await ask(it, "GET", "/keys")).text
            assert text not in listed
            assert shown == {**(await keys_of(it))["carol"], "balance": shown["balance"]}
            assert (shown["hint"], shown["source"], shown["state"]) == (text[-4:], "storage", "active")

    asyncio.run(scenario())


def test_a_revoked_key_opens_nothing_from_then_on_and_its_tasks_stay(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            for name, method, path in (("carol", "POST", "/keys/carol/revoke"), ("d@v.e+1", "DELETE", "/keys/d@v.e+1")):
                text = await new_key(it, name)
                word = id_of(await it.create(key=text))
                assert await told(it, method, path) == {"id": name, "state": "revoked"}
                for dialect in SPEECHES:
                    assert (await it.create(dialect, key=text)).status_code == 401
                    assert (await it.read(word, dialect, key=text)).status_code == 401
                assert (await it.http.get("/v1/models", headers={"x-api-key": text})).status_code == 401
                assert (await keys_of(it))[name]["state"] == "revoked"
                task = (await told(it, "GET", f"/tasks/{word}"))["task"]
                assert task["caller"] == name
                assert await told(it, method, path) == {"id": name, "state": "revoked"}
                assert (await refused(it, 409, "POST", "/keys", json={"id": name}))["code"] == "conflict"

    asyncio.run(scenario())


def test_what_a_key_may_do_holds_for_one_that_was_made(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it:
            picky = await new_key(it, "picky", models=["T2V-*"], dialect="toapis")
            answer = await it.http.post(
                "/v1/videos/generations", json={"model": "MiniMax-Hailuo-2.3", "prompt": "p"}, headers=bearer(picky)
            )
            assert (answer.status_code, error_of("toapis", answer)["code"]) == (403, "model_access_denied")
            poor = await new_key(it, "poor", budget="0.30")
            assert [(await it.create(key=poor)).status_code for _ in range(2)] == [200, 402]
            slow = await new_key(it, "slow", rpm=1)
            assert [(await it.create(key=slow)).status_code for _ in range(2)] == [200, 429]
            single = await new_key(it, "single", max_tasks=1)
            assert [(await it.create(key=single)).status_code for _ in range(2)] == [200, 429]

    asyncio.run(scenario())


def test_a_key_that_expires_opens_nothing_when_its_time_has_come(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            text = await new_key(it, "carol", expires="1h")
            assert (await it.create(key=text)).status_code == 200
            # Its time comes: written down as it would be had it been made an hour ago.
            with closing(sqlite3.connect(it.parts.database.path)) as file, file:
                file.execute("UPDATE virtual_keys SET expires_at = ?", (time.time() - 1,))
            await new_key(it, "any-change")
            assert (await it.create(key=text)).status_code == 401
            assert (await keys_of(it))["carol"]["state"] == "expired"

    asyncio.run(scenario())


def test_names_of_the_configuration_can_be_neither_made_nor_revoked_nor_changed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, f"{CONFIG}teams: [{{id: films, budget: {{amount: 3}}}}]") as it:
            for status, method, path, body in (
                (409, "POST", "/keys", {"id": "alice"}),
                (409, "POST", "/keys/alice/revoke", {}),
                (409, "DELETE", "/keys/alice", {}),
                (409, "POST", "/teams", {"id": "films"}),
                (409, "PUT", "/teams", {"id": "films", "budget": None}),
            ):
                assert "configuration" in (await refused(it, status, method, path, json=body))["message"]
            assert (await it.create()).status_code == 200
            assert (await it.parts.callers.roll()).version == 0

    asyncio.run(scenario())


def test_a_key_of_a_team_shares_its_budget_and_sees_its_tasks(tmp_path: Path) -> None:
    async def scenario() -> None:
        config = f"{CONFIG}teams: [{{id: films, budget: {{amount: 0.60}}}}]"
        async with world(tmp_path, config, speed=SLOW) as it:
            assert (await refused(it, 400, "POST", "/keys", json={"id": "x", "team": "flims"}))["param"] == "team"
            press = await ask(it, "POST", "/teams", json={"id": "press", "budget": "0.30/30d"})
            assert (press.status_code, press.json()["balance"]["available"]) == (201, "0.30")
            carol, dave = await new_key(it, "carol", team="films"), await new_key(it, "dave", team="films")
            eve = await new_key(it, "eve", team="press")
            word = id_of(await it.create(key=carol))
            assert (await it.read(word, key=dave)).status_code == 200
            assert (await it.read(word, key=eve)).status_code == 404
            assert (await it.create(key=dave)).status_code == 200
            assert (await it.create(key=carol)).status_code == 402
            assert [(await it.create(key=eve)).status_code for _ in range(2)] == [200, 402]
            changed = await told(it, "PUT", "/teams", json={"id": "press", "budget": {"amount": 1}})
            assert changed["balance"] | {"until": None} == {
                "limit": "1.00",
                "available": "0.72",
                "held": "0.28",
                "spent": "0.00",
                "until": None,
            }
            assert (await it.create(key=eve)).status_code == 200
            teams = {team["id"]: team for team in (await told(it, "GET", "/teams"))["teams"]}
            assert (teams["films"]["source"], teams["press"]["source"]) == ("configuration", "storage")
            assert (teams["films"]["balance"]["held"], teams["press"]["balance"]["held"]) == ("0.56", "0.56")

    asyncio.run(scenario())


def test_everyone_is_let_in_until_the_first_key_is_made(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, OPEN, speed=SLOW) as it:
            word = id_of(await it.create(key="anything"))
            text = await new_key(it, "carol")
            assert (await it.create(key="anything")).status_code == 401
            assert (await it.read(word, key="anything")).status_code == 401
            assert (await it.create(key=text)).status_code == 200
            await told(it, "DELETE", "/keys/carol")
            assert (await it.create(key="anything")).status_code == 401  # once closed, it stays closed
        async with world(tmp_path, OPEN, speed=SLOW) as it:
            assert (await it.create(key="anything")).status_code == 401

    asyncio.run(scenario())


def test_the_text_of_a_key_is_in_no_file_metric_or_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            text = await new_key(it, "carol", budget="5")
            await it.create(key=text)
            await it.create(key=text, model="nobody")
            await told(it, "DELETE", "/keys/carol")
            await it.create(key=text)
            for path in ("/metrics", "/readyz"):
                assert text not in (await it.http.get(path)).text
            for path in ("/keys", "/usage", "/tasks", "/upstreams"):
                assert text not in (await ask(it, "GET", path)).text
            assert text not in caplog.text
            kept = _every_file(tmp_path)
            assert "reelgate.db" in kept
            assert [name for name, content in kept.items() if text.encode() in content] == []

    asyncio.run(scenario())


def test_what_the_configuration_names_later_is_the_configurations_and_said_at_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            text = await new_key(it, "carol", budget="5")
            assert (await ask(it, "POST", "/teams", json={"id": "films"})).status_code == 201
        keys = "virtual_keys: [{id: carol, value: sk-rg-configured, team: films}]"
        async with world(tmp_path, f"{CONFIG}{keys}\nteams: [{{id: films, budget: {{amount: 0}}}}]") as it:
            assert (await it.create(key=text)).status_code == 401
            assert (await it.create(key="sk-rg-configured")).status_code == 402
            assert [key["source"] for key in (await keys_of(it)).values()] == ["configuration"]

    asyncio.run(scenario())
    said = [record.getMessage() for record in caplog.records if "in storage" in record.getMessage()]
    assert [sentence.split(" is ")[0] for sentence in said] == ["virtual_keys: carol", "teams: films"]


def test_what_a_person_takes_away_counts_for_a_create_whose_body_is_still_coming(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            assert (await ask(it, "POST", "/teams", json={"id": "press", "budget": "5"})).status_code == 201
            keys = [await new_key(it, "carol"), await new_key(it, "dave", team="press")]
            speech, gate = SPEECHES["evolink"], asyncio.Event()

            async def slowly() -> AsyncIterator[bytes]:
                body = json.dumps(speech.body).encode()
                yield body[:-1]
                await gate.wait()
                yield body[-1:]

            creates = [
                asyncio.create_task(
                    it.http.post(
                        f"/evolink{speech.create}",
                        content=slowly(),
                        headers={**bearer(text), "content-type": "application/json"},
                    )
                )
                for text in keys
            ]
            await until(lambda: it.parts.bounds.creates.taken == len(keys))
            await told(it, "POST", "/keys/carol/revoke")
            await told(it, "PUT", "/teams", json={"id": "press", "budget": "0.10"})
            gate.set()
            revoked, spent = [await create for create in creates]
            assert (revoked.status_code, error_of("evolink", revoked)["code"]) == (401, "unauthorized"), revoked.text
            assert (spent.status_code, error_of("evolink", spent)["code"]) == (402, "insufficient_quota"), spent.text
            assert it.videos() == []
            assert (await told(it, "GET", "/teams"))["teams"][0]["balance"]["held"] == "0.00"

    asyncio.run(scenario())


# --- what another process did ------------------------------------------------------------------------------------


def test_a_key_that_was_made_elsewhere_is_good_with_its_first_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            elsewhere = Callers(it.parts.database)
            for number in range(3):
                _, text = await elsewhere.create_key(VirtualKey(id=f"carol-{number}"), time.time())
                _forget_the_last_look(it)
                answers = await asyncio.gather(
                    *(it.http.get("/v1/models", headers=bearer(text.reveal())) for _ in range(5))
                )
                assert {answer.status_code for answer in answers} == {200}

    asyncio.run(scenario())


def test_a_flood_of_junk_asks_storage_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "EVERY_S", 3600)  # the background story asks once, and then sleeps

    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            await it.create()
            asked: list[Callers] = []
            really = Callers.version

            async def counted(self: Callers) -> int:
                asked.append(self)
                return await really(self)

            monkeypatch.setattr(Callers, "version", counted)
            monkeypatch.setattr(callers, "LOOK_AGAIN_S", 3600)
            _forget_the_last_look(it)
            junk = [it.create(key=f"sk-junk-{number}") for number in range(200)]
            assert {answer.status_code for answer in await asyncio.gather(*junk)} == {401}
            assert len(asked) == 1
            assert (await it.create(key=ALICE)).status_code == 200

    asyncio.run(scenario())


def test_what_is_revoked_and_frozen_elsewhere_is_learnt_of_in_the_background(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it:
            elsewhere = Callers(it.parts.database)
            text = await new_key(it, "carol")
            assert (await it.create(key=text)).status_code == 200
            await elsewhere.revoke_key("carol", time.time())
            await _until(it, 401, text)
            await elsewhere.freeze(time.time())
            await _until(it, 503, ALICE)
            await elsewhere.unfreeze()
            await _until(it, 200, ALICE)

    asyncio.run(scenario())


def test_while_storage_is_down_the_keys_that_are_known_are_gone_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it:
            text = await new_key(it, "carol")
            word = id_of(await it.create(key=text))

            async def down(self: Callers) -> int:
                raise StorageDown("the disk is gone")

            monkeypatch.setattr(Callers, "version", down)
            _forget_the_last_look(it)
            assert (await it.create(key="sk-unknown")).status_code == 401
            assert (await it.read(word, key=text)).status_code == 200
            monkeypatch.undo()
            made = await new_key(it, "dave")
            assert (await it.create(key=made)).status_code == 200

    asyncio.run(scenario())


def test_a_key_whose_making_was_answered_is_told_even_if_it_cannot_be_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:

            async def down(self: Callers) -> int:
                raise StorageDown("the disk is gone")

            with monkeypatch.context() as broken:
                broken.setattr(Callers, "version", down)
                text = await new_key(it, "carol")
            _forget_the_last_look(it)
            assert (await it.create(key=text)).status_code == 200

    asyncio.run(scenario())


def _every_file(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _forget_the_last_look(it: World) -> None:
    """As if no unknown key had come for a while."""
    it.parts.admission.read_at = float("-inf")


async def _until(it: World, status: int, key: str) -> None:
    """A create with this key is answered so, within the time that only a hung process needs."""
    async with asyncio.timeout(PROMPT_S):
        while (await it.create(key=key)).status_code != status:  # noqa: ASYNC110  # there is nothing to be woken by
            await asyncio.sleep(0.1)
