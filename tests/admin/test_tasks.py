"""The tasks of everyone: pages, stories, and the decisions that only a person can make."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.flows import sweep
from gateway.structs import replace
from tests.admin.person import CONFIG, ask, refused, told
from tests.world import BOB, SLOW, SPEECHES, World, id_of, world

IN_DOUBT = "a whale #sandbox:drop-after-accept"
ONE_PLACE = """
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${UPSTREAM}/evolink
    keys: [{id: main, value: sk-up, max_tasks: 1}]
"""


async def in_doubt(it: World, **fields: Any) -> tuple[str, str]:
    """A task of which nobody here knows that the upstream took it, and the id that the upstream knows it by."""
    known = {video["id"] for video in it.videos()}
    word = id_of(await it.create(prompt=IN_DOUBT, **fields))
    (upstream_id,) = {video["id"] for video in it.videos()} - known
    assert (await shown(it, word))["state"] == "unconfirmed"
    return word, upstream_id


async def given_up(it: World) -> tuple[str, str]:
    """The same after its time: failed, and its money waits for a person."""
    word, upstream_id = await in_doubt(it)
    await sweep.sweep(replace(it.parts, clock=lambda: time.time() + 3600))
    task = await shown(it, word)
    assert (task["state"], task["money"]) == ("failed", "suspended")
    return word, upstream_id


async def shown(it: World, word: str) -> dict[str, Any]:
    task: dict[str, Any] = (await told(it, "GET", f"/tasks/{word}"))["task"]
    return task


async def balance(it: World) -> dict[str, str]:
    """Alice's money."""
    (key,) = [key for key in (await told(it, "GET", "/keys"))["keys"] if key["id"] == "alice"]
    return {name: key["balance"][name] for name in ("held", "spent")}


# --- pages and stories -------------------------------------------------------------------------------------------


def test_pages_follow_each_other_by_any_filter(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it:
            made = []
            for number in range(9):
                key = {"key": BOB} if number % 3 == 0 else {}
                made.append(id_of(await it.create(("evolink", "toapis")[number % 2], prompt=f"number {number}", **key)))
            await in_doubt(it)
            made.reverse()
            assert await _pages(it, "state=running") == made
            assert await _pages(it, "state=running&caller=bob") == made[2::3]
            assert await _pages(it, "caller=nobody") == []
            assert await _pages(it, "from=1h&upstream=sandbox&model=MiniMax-Hailuo-2.3&state=running") == made
            assert await _pages(it, "to=1h") == []
            (task,) = (await told(it, "GET", "/tasks?state=unconfirmed"))["tasks"]
            assert task["prompt"] == IN_DOUBT
            assert (await told(it, "GET", "/tasks?state=suspense")) == {"tasks": [], "next": None}

    asyncio.run(scenario())


async def _pages(it: World, query: str) -> list[str]:
    words: list[str] = []
    after = ""
    while True:
        page = await told(it, "GET", f"/tasks?{query}&limit=4{after}")
        assert len(page["tasks"]) <= 4
        words += [task["id"] for task in page["tasks"]]
        if page["next"] is None:
            return words
        assert page["next"] == words[-1]
        after = f"&after={page['next']}"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("state=lost", "state"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=x", "limit"),
        ("limit=%C2%B2", "limit"),
        ("after=somewhere", "after"),
        ("from=yesterday", "from"),
        ("to=2027-02-30", "to"),
        ("colour=red", "colour"),
    ],
)
def test_a_filter_that_makes_no_sense_is_named(query: str, param: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            assert (await refused(it, 400, "GET", f"/tasks?{query}"))["param"] == param

    asyncio.run(scenario())


@pytest.mark.parametrize("moment", ["1d", "24h", "2020-01-01", "2020-01-01T00:00:00Z", "1577836800"])
def test_a_time_is_said_in_any_of_its_spellings(moment: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            word = await it.finished_film()
            assert await _pages(it, f"from={moment}") == [word]
            assert await _pages(it, f"to={moment}") == []

    asyncio.run(scenario())


def test_the_story_of_a_task_is_whole_and_holds_no_secret(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            word = await it.finished_film(prompt="a ship [Push in]")
            story = await told(it, "GET", f"/tasks/{word}")
            assert story["task"]["prompt"] == "a ship [Push in]"
            assert story["task"]["request"]["resolution"] == "768P"
            assert [(item["outcome"], item["upstream"], item["key"]) for item in story["attempts"]] == [
                ("accepted", "sandbox", "main")
            ]
            assert [(item["kind"], item["amount"]) for item in story["entries"]] == [
                ("reserve", "0.28"),
                ("settle", "0.28"),
            ]
            by_number = await told(it, "GET", f"/tasks/{story['task']['number']}")
            assert by_number == story
            refusal = await it.create(prompt="p #sandbox:400")
            assert refusal.status_code == 400
            (task,) = (await told(it, "GET", "/tasks?state=refused"))["tasks"]
            other = await told(it, "GET", f"/tasks/{task['id']}")
            assert [(item["outcome"], item["row"], item["http_status"]) for item in other["attempts"]] == [
                ("refused", "H9", 400)
            ]
            assert [item["kind"] for item in other["entries"]] == ["reserve", "release"]

    asyncio.run(scenario())


# --- decisions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_given_up", [False, True])
def test_an_adopted_task_is_looked_after_and_paid_like_any_other(is_given_up: bool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            word, upstream_id = await (given_up if is_given_up else in_doubt)(it)
            assert (await it.read(word)).json()["status"] == ("failed" if is_given_up else "pending")
            running = await told(it, "POST", f"/tasks/{word}/adopt", json={"upstream_id": upstream_id})
            assert running["upstream_id"] == upstream_id
            looks = [entry for entry in it.requests("GET") if upstream_id in entry["path"]]
            assert looks  # at once, with the key that submitted it
            for dialect, speech in SPEECHES.items():
                await it.finish(word)
                assert speech.word((await it.read(word, dialect)).json()) == speech.words[2]
            assert await balance(it) == {"held": "0.00", "spent": "0.28"}
            kinds = [entry["kind"] for entry in (await told(it, "GET", f"/tasks/{word}"))["entries"]]
            assert kinds == (["reserve", "suspend", "resume", "settle"] if is_given_up else ["reserve", "settle"])
            assert len(it.videos()) == 1

    asyncio.run(scenario())


def test_an_id_that_another_task_holds_is_never_adopted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it:
            holder, _ = await in_doubt(it)
            taken = it.videos()[0]["id"]
            await told(it, "POST", f"/tasks/{holder}/adopt", json={"upstream_id": taken})
            word, right = await in_doubt(it)
            before = await told(it, "GET", f"/tasks/{word}")
            error = await refused(it, 409, "POST", f"/tasks/{word}/adopt", json={"upstream_id": taken})
            assert error["code"] == "conflict"
            assert await told(it, "GET", f"/tasks/{word}") == before
            await told(it, "POST", f"/tasks/{word}/adopt", json={"upstream_id": right})
            again = await told(it, "POST", f"/tasks/{word}/adopt", json={"upstream_id": right})
            assert (again["upstream_id"], again["state"]) == (right, "running")  # saying it twice does no harm

    asyncio.run(scenario())


@pytest.mark.parametrize("upstream_id", ["", " ", "a b", "ä", "a\nb", "x" * 257, 7, None])
def test_what_is_no_id_is_not_adopted(upstream_id: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            word, _ = await in_doubt(it)
            error = await refused(it, 400, "POST", f"/tasks/{word}/adopt", json={"upstream_id": upstream_id})
            assert error["param"] == "upstream_id"
            assert (await shown(it, word))["state"] == "unconfirmed"

    asyncio.run(scenario())


@pytest.mark.parametrize("is_given_up", [False, True])
def test_what_was_not_bought_is_released(is_given_up: bool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            word, _ = await (given_up if is_given_up else in_doubt)(it)
            assert await balance(it) == {"held": "0.28", "spent": "0.00"}
            released = await told(it, "POST", f"/tasks/{word}/release", json={"reason": "the console has none"})
            assert released["money"] == "released"
            assert (await it.read(word)).json()["status"] == "failed"
            assert await balance(it) == {"held": "0.00", "spent": "0.00"}
            last = (await told(it, "GET", f"/tasks/{word}"))["entries"][-1]
            assert (last["kind"], last["reason"]) == ("release", "the console has none")
            await refused(it, 409, "POST", f"/tasks/{word}/release", json={"reason": "again"})
            await refused(it, 409, "POST", f"/tasks/{word}/settle", json={"reason": "again"})

    asyncio.run(scenario())


def test_what_was_bought_and_lost_is_settled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            word, _ = await given_up(it)
            assert [task["id"] for task in (await told(it, "GET", "/tasks?state=suspense"))["tasks"]] == [word]
            settled = await told(it, "POST", f"/tasks/{word}/settle", json={"reason": "it is on the invoice"})
            assert (settled["state"], settled["money"]) == ("failed", "settled")
            assert await balance(it) == {"held": "0.00", "spent": "0.28"}
            assert (await told(it, "GET", "/tasks?state=suspense"))["tasks"] == []

    asyncio.run(scenario())


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501, 7, None])
def test_a_decision_says_why(reason: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            word, _ = await in_doubt(it)
            for verb in ("release", "settle"):
                assert (await refused(it, 400, "POST", f"/tasks/{word}/{verb}", json={"reason": reason}))[
                    "param"
                ] == "reason"
            assert (await shown(it, word))["state"] == "unconfirmed"

    asyncio.run(scenario())


def test_what_is_not_in_doubt_is_nobodys_to_decide(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it:
            running = id_of(await it.create())
            unconfirmed, _ = await in_doubt(it)
            for verb, body in (
                ("adopt", {"upstream_id": "u-1"}),
                ("release", {"reason": "r"}),
                ("settle", {"reason": "r"}),
            ):
                error = await refused(it, 409, "POST", f"/tasks/{running}/{verb}", json=body)
                assert "running" in error["message"]
            error = await refused(it, 409, "POST", f"/tasks/{unconfirmed}/settle", json={"reason": "r"})
            assert "adopt it or release it" in error["message"]
            assert await balance(it) == {"held": "0.56", "spent": "0.00"}

    asyncio.run(scenario())


def test_a_released_task_gives_its_place_back_and_an_adopted_one_takes_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG + ONE_PLACE, speed=SLOW) as it:
            word, upstream_id = await in_doubt(it)
            assert (await it.create()).status_code == 429
            await told(it, "POST", f"/tasks/{word}/release", json={"reason": "none"})
            word, upstream_id = await given_up(it)  # which gave its place back too
            await told(it, "POST", f"/tasks/{word}/adopt", json={"upstream_id": upstream_id})
            assert (await it.create()).status_code == 429
            (upstream,) = (await told(it, "GET", "/upstreams"))["upstreams"]
            assert [key["live_tasks"] for key in upstream["keys"]] == [1]

    asyncio.run(scenario())


# --- reconcile ---------------------------------------------------------------------------------------------------


def test_reconcile_asks_what_a_person_must_decide_and_how(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            suspended, _ = await given_up(it)
            doubtful, _ = await in_doubt(it)
            found = await told(it, "POST", "/reconcile")
            assert (found["brought_home"], found["drift"]) == ([], [])
            assert "list" in found["note"]
            commands = {item["task"]["id"]: item["commands"] for item in found["to_decide"]}
            assert set(commands) == {suspended, doubtful}
            assert [command.split()[2] for command in commands[doubtful]] == ["adopt", "release"]
            assert [command.split()[2] for command in commands[suspended]] == ["adopt", "release", "settle"]
            assert len(it.videos()) == 2  # it sent nothing

    asyncio.run(scenario())


@pytest.mark.parametrize("is_given_up", [False, True])
def test_reconcile_brings_home_what_the_journal_has(is_given_up: bool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            word, upstream_id = await (given_up if is_given_up else in_doubt)(it)
            task = await shown(it, word)
            it.parts.journal.append(int(task["number"]), "sandbox", "main", upstream_id, at=task["created_at"])
            it.parts.journal.append(int(task["number"]), "elsewhere", "main", "not-ours", at=task["created_at"])
            found = await told(it, "POST", "/reconcile")
            assert [item["id"] for item in found["brought_home"]] == [word]
            assert found["to_decide"] == []
            assert (await shown(it, word))["upstream_id"] == upstream_id
            again = await told(it, "POST", "/reconcile")
            assert (again["brought_home"], again["to_decide"]) == ([], [])

    asyncio.run(scenario())


def test_reconcile_tells_the_id_that_could_not_be_kept(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            holder, taken = await in_doubt(it)
            await told(it, "POST", f"/tasks/{holder}/adopt", json={"upstream_id": taken})
            word, _ = await in_doubt(it)
            number = int((await shown(it, word))["number"])
            it.parts.journal.append(number, "sandbox", "main", taken, at=1.0)
            found = await told(it, "POST", "/reconcile")
            (item,) = found["to_decide"]
            assert (item["task"]["id"], item["evidence"]) == (word, taken)
            assert f"adopt {word} {taken}" in item["commands"][0]

    asyncio.run(scenario())


@pytest.mark.falsifies_books
def test_reconcile_says_where_the_books_do_not_add_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            await it.finished_film()
            await it.parts.database.run(
                lambda connection: connection.exec_driver_sql("UPDATE accounts SET spent = spent + 1")
            )
            assert (await told(it, "POST", "/reconcile"))["drift"] != []

    asyncio.run(scenario())


# --- upstreams ---------------------------------------------------------------------------------------------------


def test_upstreams_tell_the_state_of_every_key_and_no_secret(tmp_path: Path) -> None:
    async def scenario() -> None:
        keys = "[{id: a, value: sk-secret-a, rpm: 9}, {id: b, value: sk-secret-b, account: acme}]"
        config = (
            f"{CONFIG}upstreams: [{{name: up, provider: evolink, base_url: '${{UPSTREAM}}/evolink', keys: {keys}}}]"
        )
        async with world(tmp_path, config, speed=SLOW) as it:
            await it.create(prompt="p #sandbox:429=1")
            answer = await ask(it, "GET", "/upstreams")
            assert "sk-secret" not in answer.text
            (upstream,) = answer.json()["upstreams"]
            assert (upstream["name"], upstream["provider"]) == ("up", "evolink")
            first, second = upstream["keys"]
            assert (first["id"], first["account"], first["rpm"]) == ("a", "a", 9)
            assert (second["id"], second["account"], second["rpm"]) == ("b", "acme", None)
            assert {key["state"]: key["live_tasks"] for key in (first, second)} == {"resting": 0, "ok": 1}
            resting = next(key for key in (first, second) if key["state"] == "resting")
            assert resting["until"] > (await shown(it, _last(await told(it, "GET", "/tasks"))))["created_at"]

    asyncio.run(scenario())


def _last(page: dict[str, Any]) -> str:
    word: str = page["tasks"][0]["id"]
    return word
