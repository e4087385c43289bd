"""`reelgate keys`, `teams`, `freeze`: what they do to storage, what they print, and the status they end with."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli import COMMANDS
from tests.cli import answer, complaint, done, reelgate
from tests.test_command import ask


def test_a_key_is_made_printed_once_and_listed(tmp_path: Path) -> None:
    said = ("--team", "films", "--budget", "50/30d", "--rpm", "30", "--max-tasks", "5", "--dialect", "toapis")
    more = ("--models", "MiniMax-*", "--models", "T2V-01", "--expires", "90d", "--passthrough")
    printed = done(tmp_path, "keys", "create", "carol", *said, *more)
    text = printed.splitlines()[0]
    assert text.startswith("sk-rg-")
    assert len(text) >= 38
    assert "carol" in printed
    other = answer(tmp_path, "keys", "create", "dave")
    assert other["key"].startswith("sk-rg-")
    listed = done(tmp_path, "keys", "list")
    assert text not in listed
    assert other["key"] not in listed
    keys = {key["id"]: key for key in answer(tmp_path, "keys", "list")["keys"]}
    assert list(keys) == ["alice", "carol", "dave"]
    carol = keys["carol"]
    assert carol["expires_at"] - carol["created_at"] == pytest.approx(90 * 86_400)
    assert {
        name: carol[name] for name in ("team", "budget", "rpm", "max_tasks", "dialect", "models", "passthrough")
    } == {
        "team": "films",
        "budget": {"amount": "50.00", "period": "30d"},
        "rpm": 30,
        "max_tasks": 5,
        "dialect": "toapis",
        "models": ["MiniMax-*", "T2V-01"],
        "passthrough": True,
    }
    assert (carol["hint"], carol["source"], keys["alice"]["source"]) == (text[-4:], "storage", "configuration")
    with closing(sqlite3.connect(tmp_path / "reelgate.db")) as file:
        assert text not in "\n".join(file.iterdump())
    for name in ("carol", "dave", text[-4:], "50.00/30d"):
        assert name in listed


def test_a_key_is_revoked_for_good(tmp_path: Path) -> None:
    done(tmp_path, "keys", "create", "carol")
    assert "revoked" in done(tmp_path, "keys", "revoke", "carol")
    assert answer(tmp_path, "keys", "revoke", "carol") == {"id": "carol", "state": "revoked"}
    assert {key["id"]: key["state"] for key in answer(tmp_path, "keys", "list")["keys"]} == {
        "alice": "active",
        "carol": "revoked",
    }
    (line,) = complaint(tmp_path, 1, "keys", "create", "carol")
    assert "revoked" in line


def test_teams_are_made_changed_and_listed(tmp_path: Path) -> None:
    assert "30.00/1mo" in done(tmp_path, "teams", "create", "press", "--budget", "30/1mo")
    done(tmp_path, "keys", "create", "eve", "--team", "press")
    assert answer(tmp_path, "teams", "update", "press", "--budget", "7/7d")["teams"][0]["budget"] == {
        "amount": "7.00",
        "period": "7d",
    }
    assert answer(tmp_path, "teams", "update", "press", "--budget", "none")["teams"][0]["budget"] is None
    assert [(team["id"], team["source"]) for team in answer(tmp_path, "teams", "list")["teams"]] == [
        ("films", "configuration"),
        ("press", "storage"),
    ]
    assert "press" in done(tmp_path, "teams", "list")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("keys", "create", "alice"), "configuration"),
        (("keys", "revoke", "alice"), "configuration"),
        (("keys", "revoke", "nobody"), "nobody"),
        (("teams", "create", "films"), "configuration"),
        (("teams", "update", "films", "--budget", "5"), "configuration"),
        (("teams", "update", "nobody", "--budget", "5"), "nobody"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(arguments: tuple[str, ...], word: str, tmp_path: Path) -> None:
    (line,) = complaint(tmp_path, 1, *arguments)
    assert word in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("keys", "create", "no good"), ["id"]),
        (("keys", "create", "x", "--budget", "5/3d", "--expires", "9", "--rpm", "0"), ["budget", "rpm", "expires"]),
        (("keys", "create", "x", "--max-tasks", "0"), ["max-tasks"]),
        (("keys", "create", "x", "--dialect", "sora"), ["dialect"]),
        (("keys", "create", "x", "--team", "nowhere"), ["team"]),
        (("teams", "create", "x", "--budget", "much"), ["budget"]),
    ],
)
def test_what_is_said_wrongly_is_a_line_each_and_status_2(
    arguments: tuple[str, ...], words: list[str], tmp_path: Path
) -> None:
    lines = complaint(tmp_path, 2, *arguments)
    assert [line.split(": ")[1] for line in lines] == words


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "create"),
        ("keys", "create", "x", "--rpm", "many"),
        ("keys", "revoke"),
        ("keys", "lose", "x"),
        ("teams", "update", "films"),
        ("tasks", "release", "video_0b2nwchr8qfnk"),
        ("tasks", "adopt", "video_0b2nwchr8qfnk"),
        ("freeze", "now"),
    ],
)
def test_a_command_that_is_called_wrongly_ends_with_status_2_and_touches_nothing(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    assert reelgate(tmp_path, *arguments).exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("name", ["keys", "teams", "tasks", "usage", "freeze", "unfreeze"])
def test_every_command_helps_and_reports_a_broken_configuration(name: str, tmp_path: Path) -> None:
    assert name in COMMANDS
    helped = ask(name, "--help", cwd=tmp_path)
    assert (helped.exit_code, "Usage" in helped.stdout) == (0, True)
    (tmp_path / "config.yaml").write_text("server: {port: eighty}\n", "utf-8")
    arguments = {"keys": ("list",), "teams": ("list",), "tasks": ("list",)}.get(name, ())
    ended = reelgate(tmp_path, name, *arguments)
    assert ended.exit_code == 2
    assert all(line.startswith(str(tmp_path / "config.yaml")) for line in ended.stderr.splitlines())


def test_storage_that_cannot_be_used_is_one_line_and_status_1(tmp_path: Path) -> None:
    stranger = tmp_path / "reelgate.db"
    stranger.write_bytes(b"this is somebody's diary, and no database at all\n" * 100)
    before = stranger.read_bytes()
    (line,) = complaint(tmp_path, 1, "keys", "list")
    assert line.startswith("reelgate: storage: ")
    assert stranger.read_bytes() == before


def test_creates_are_frozen_and_taken_again(tmp_path: Path) -> None:
    assert "frozen" in done(tmp_path, "freeze")
    frozen = answer(tmp_path, "freeze")
    assert (frozen["frozen"], frozen["since"] > 0) == (True, True)
    assert answer(tmp_path, "unfreeze") == {"frozen": False, "since": None}
    assert "taken" in done(tmp_path, "unfreeze")


def test_check_says_what_the_configuration_overrules(tmp_path: Path) -> None:
    assert "also a key in storage" not in done(tmp_path, "check")
    assert not (tmp_path / "reelgate.db").exists()  # it only looks
    done(tmp_path, "keys", "create", "carol")
    done(tmp_path, "teams", "create", "press")
    assert "also" not in done(tmp_path, "check")
    config = tmp_path / "config.yaml"
    text = config.read_text("utf-8").replace("id: alice, value: sk-rg-alice", "id: carol, value: sk-rg-alice")
    config.write_text(text.replace("id: films", "id: press").replace("team: films", "team: press"), "utf-8")
    said = done(tmp_path, "check")
    assert "carol is also a key in storage" in said
    assert "press is also a team in storage" in said
