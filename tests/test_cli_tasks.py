"""`reelgate tasks` and `usage`: for the person at night, who has a shell and no patience."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway import ids
from gateway.store import Registry, Verdict
from gateway.video import Failure, Look, Receipt, Status, Task
from tests.cli import NOW, PROMPT, answer, complaint, done, in_storage, ordered, reelgate

DOUBT = Verdict("submission_unconfirmed", "T9")
GIVEN_UP = Failure("submission_unconfirmed", "nobody knows")


async def in_doubt(registry: Registry) -> Task:
    return await registry.doubt(await ordered(registry), DOUBT, NOW + 1)


async def given_up(registry: Registry) -> Task:
    return await registry.fail((await in_doubt(registry)).id, GIVEN_UP, NOW + 2)


async def completed(registry: Registry, upstream_id: str = "u-1", **other: str) -> Task:
    running = await registry.start(await ordered(registry, **other), Receipt(upstream_id), NOW + 1)
    return await registry.note(running.id, Look(Status.COMPLETED, link="https://x/v.mp4"), NOW + 60)


def test_tasks_are_listed_page_by_page_and_by_state(tmp_path: Path) -> None:
    async def story(registry: Registry) -> list[str]:
        made = [await completed(registry, f"u-{number}", caller=("alice", "bob")[number % 2]) for number in range(5)]
        return [ids.word(task.id) for task in [*made, await in_doubt(registry), await given_up(registry)]][::-1]

    suspended, doubtful, *films = words = in_storage(tmp_path, story)
    everything = answer(tmp_path, "tasks", "list")
    assert {task["id"] for task in everything["tasks"]} == set(words)
    assert everything["next"] is None
    assert all(word in done(tmp_path, "tasks", "list") for word in words)
    for state, expected in (("unconfirmed", [doubtful]), ("suspense", [suspended]), ("running", [])):
        assert [task["id"] for task in answer(tmp_path, "tasks", "list", "--state", state)["tasks"]] == expected
    first = answer(tmp_path, "tasks", "list", "--state", "completed", "--limit", "2")
    second = answer(tmp_path, "tasks", "list", "--state", "completed", "--after", first["next"])
    assert {task["id"] for task in first["tasks"] + second["tasks"]} == set(films)
    assert len(first["tasks"]) == 2
    assert f"--after {first['next']}" in done(tmp_path, "tasks", "list", "--state", "completed", "--limit", "2")
    assert len(answer(tmp_path, "tasks", "list", "--caller", "bob")["tasks"]) == 2
    assert len(answer(tmp_path, "tasks", "list", "--team", "films", "--model", "MiniMax-Hailuo-2.3")["tasks"]) == 5
    assert answer(tmp_path, "tasks", "list", "--until", "2020-01-01")["tasks"] == []
    assert len(answer(tmp_path, "tasks", "list", "--since", "2020-01-01", "--upstream", "up")["tasks"]) == 7


def test_the_story_of_a_task_is_told_whole(tmp_path: Path) -> None:
    async def story(registry: Registry) -> tuple[str, str]:
        return ids.word((await completed(registry)).id), ids.word((await given_up(registry)).id)

    film, suspended = in_storage(tmp_path, story)
    told = done(tmp_path, "tasks", "show", film)
    for word in (
        film,
        "completed",
        "0.28 USD, settled",
        PROMPT,
        "u-1",
        "accepted",
        "reserve",
        "settle",
        "alice, films",
    ):
        assert word in told
    told = done(tmp_path, "tasks", "show", suspended)
    for word in ("failed", "suspended", "T9", "submission_unconfirmed: nobody knows", "suspend"):
        assert word in told
    answered = answer(tmp_path, "tasks", "show", film)
    assert [entry["kind"] for entry in answered["entries"]] == ["reserve", "settle"]
    assert answer(tmp_path, "tasks", "show", answered["task"]["number"]) == answered


def test_what_callers_wrote_moves_no_cursor_and_is_no_markup(tmp_path: Path) -> None:
    nasty = "a ship \x1b[2J\x1b]0;owned\x07 [bold red]at dawn[/] \u202ebackwards"

    async def story(registry: Registry) -> str:
        task = await registry.doubt(await ordered(registry, prompt=nasty), DOUBT, NOW + 1)
        return ids.word(task.id)

    word = in_storage(tmp_path, story)
    for arguments in (("tasks", "show", word), ("tasks", "reconcile"), ("tasks", "list")):
        printed = done(tmp_path, *arguments) + done(tmp_path, *arguments, "--json")
        assert not {"\x1b", "\x07", "\u202e"} & set(printed)
    assert "[bold red]" in done(tmp_path, "tasks", "reconcile")
    assert answer(tmp_path, "tasks", "show", word)["task"]["prompt"] == nasty


@pytest.mark.parametrize("before", [in_doubt, given_up])
def test_a_task_is_adopted_by_its_upstreams_id(before: Callable[[Registry], Awaitable[Task]], tmp_path: Path) -> None:
    word = ids.word(in_storage(tmp_path, before).id)
    adopted = answer(tmp_path, "tasks", "adopt", word, "u-7")
    assert (adopted["state"], adopted["money"], adopted["upstream_id"]) == ("running", "held", "u-7")
    assert "running" in done(tmp_path, "tasks", "adopt", word, "u-7")
    (line,) = complaint(tmp_path, 1, "tasks", "adopt", word, "u-8")
    assert "running" in line


def test_an_id_that_another_task_holds_is_refused(tmp_path: Path) -> None:
    async def story(registry: Registry) -> str:
        await completed(registry, "u-1")
        return ids.word((await in_doubt(registry)).id)

    word = in_storage(tmp_path, story)
    (line,) = complaint(tmp_path, 1, "tasks", "adopt", word, "u-1")
    assert "holds" in line
    assert answer(tmp_path, "tasks", "show", word)["task"]["state"] == "unconfirmed"


def test_money_in_suspense_is_released_or_settled_with_a_reason(tmp_path: Path) -> None:
    async def story(registry: Registry) -> tuple[str, str, str]:
        return (
            ids.word((await given_up(registry)).id),
            ids.word((await given_up(registry)).id),
            ids.word((await in_doubt(registry)).id),
        )

    one, other, doubtful = in_storage(tmp_path, story)
    assert answer(tmp_path, "tasks", "release", one, "--reason", "not in the console")["money"] == "released"
    assert "settled" in done(tmp_path, "tasks", "settle", other, "--reason", "on the invoice")
    assert answer(tmp_path, "tasks", "release", doubtful, "--reason", "never arrived")["state"] == "refused"
    assert answer(tmp_path, "tasks", "show", other)["entries"][-1] | {"at": 0} == {
        "number": 3,
        "kind": "settle",
        "amount": "0.28",
        "at": 0,
        "reason": "on the invoice",
    }
    for verb in ("release", "settle"):
        (line,) = complaint(tmp_path, 1, "tasks", verb, one, "--reason", "again")
        assert "suspended" in line
    (line,) = complaint(tmp_path, 2, "tasks", "release", doubtful, "--reason", " ")
    assert "reason" in line


def test_reconcile_brings_home_what_the_journal_has_and_leaves_it_to_the_gateway(tmp_path: Path) -> None:
    journal = tmp_path / "reelgate.db.journal"

    async def story(registry: Registry) -> tuple[str, str]:
        task, other = await in_doubt(registry), await given_up(registry)
        lines = (
            f'\n{{"task": {item.id}, "upstream": "up", "key_id": "main", "upstream_id": "u-{item.id}", "at": 1.0}}\n'
            for item in (task, other)
        )
        journal.write_text("".join(lines) + '{"torn', "utf-8")
        return ids.word(task.id), ids.word(other.id)

    words = in_storage(tmp_path, story)
    before = journal.read_bytes()
    printed = done(tmp_path, "tasks", "reconcile")
    assert all(f"{word} runs as u-" in printed for word in words)
    assert "nothing waits for a person" in printed
    assert journal.read_bytes() == before
    assert answer(tmp_path, "tasks", "reconcile")["brought_home"] == []


def test_reconcile_prints_the_commands_that_decide(tmp_path: Path) -> None:
    async def story(registry: Registry) -> tuple[str, str]:
        return ids.word((await in_doubt(registry)).id), ids.word((await given_up(registry)).id)

    doubtful, suspended = in_storage(tmp_path, story)
    printed = done(tmp_path, "tasks", "reconcile")
    assert "2 tasks wait for a person" in printed
    for word in (doubtful, suspended):
        assert f"reelgate tasks adopt {word} UPSTREAM_ID" in printed
        assert f"reelgate tasks release {word} --reason WHY" in printed
    assert f"reelgate tasks settle {suspended} --reason WHY" in printed
    assert f"reelgate tasks settle {doubtful}" not in printed
    assert "the books add up" in printed


@pytest.mark.falsifies_books
def test_reconcile_ends_with_status_1_where_the_books_do_not_add_up(tmp_path: Path) -> None:
    async def story(registry: Registry) -> None:
        await completed(registry)
        await registry._db.run(lambda connection: connection.exec_driver_sql("UPDATE accounts SET spent = spent + 1"))

    in_storage(tmp_path, story)
    ended = reelgate(tmp_path, "tasks", "reconcile")
    assert ended.exit_code == 1
    assert "do not add up" in ended.stdout


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (1, ("show", "video_0b2nwchr8qfnk")),
        (1, ("show", "17")),
        (1, ("show", "nonsense")),
        (1, ("adopt", "video_0b2nwchr8qfnk", "u-1")),
        (1, ("release", "video_0b2nwchr8qfnk", "--reason", "r")),
        (1, ("settle", "nonsense", "--reason", "r")),
        (2, ("adopt", "video_0b2nwchr8qfnk", "no id")),
        (2, ("list", "--state", "lost")),
        (2, ("list", "--limit", "0")),
        (2, ("list", "--since", "yesterday")),
        (2, ("list", "--after", "nonsense")),
    ],
)
def test_what_does_not_work_is_one_line(status: int, arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert len(complaint(tmp_path, status, "tasks", *arguments)) == 1


def test_usage_is_told_by_anything(tmp_path: Path) -> None:
    async def story(registry: Registry) -> None:
        await completed(registry, "u-1")
        await completed(registry, "u-2", caller="bob")
        await in_doubt(registry)

    in_storage(tmp_path, story)
    usage = answer(tmp_path, "usage", "--since", "2020-01-01")
    assert [(group["name"], group["spent"], group["held"]) for group in usage["groups"]] == [
        ("alice", "0.28", "0.28"),
        ("bob", "0.28", "0.00"),
    ]
    assert (usage["total"]["spent"], usage["currency"]) == ("0.56", "USD")
    assert {item.get("key") or item.get("team"): item["limit"] for item in usage["budgets"]} == {
        "alice": "5.00",
        "films": "20.00",
    }
    for by in ("team", "model", "upstream", "day"):
        assert answer(tmp_path, "usage", "--by", by, "--since", "2020-01-01")["total"] == usage["total"]
    printed = done(tmp_path, "usage", "--since", "2020-01-01")
    for word in ("alice", "bob", "0.56", "1 completed, 1 unconfirmed", "team films", "20.00"):
        assert word in printed
    assert answer(tmp_path, "usage", "--until", "2020-01-01")["groups"] == []
    assert len(complaint(tmp_path, 2, "usage", "--by", "colour")) == 1
