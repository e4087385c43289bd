"""What every command says of itself, what shells complete, and what is still readable in a window of 80 columns."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from gateway import cli, ids
from gateway.cli import COMMANDS, build
from gateway.cli.examples import EXAMPLES
from gateway.cli.printing import table
from tests.cli import answer, done, in_storage, ordered, reelgate
from tests.test_command import ROOT, ask

WINDOW = {"COLUMNS": "80"}


def leaves() -> dict[str, object]:
    """Every command and group, by the words that call it."""
    found: dict[str, object] = {}
    for name, command in typer.main.get_command(build(COMMANDS)).commands.items():
        found[name] = command
        for inner, below in getattr(command, "commands", {}).items():
            found[f"{name} {inner}"] = below
    return found


def complete(*words: str, by: str = "bash") -> list[str]:
    """What a shell is told of a line whose last word is still being written."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("REELGATE_")}
    if by == "bash":
        environ |= {"COMP_WORDS": " ".join(("reelgate", *words)), "COMP_CWORD": str(len(words))}
    else:
        environ |= {"_TYPER_COMPLETE_ARGS": " ".join(("reelgate", *words)), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("reelgate"))],
        env={**environ, "_REELGATE_COMPLETE": f"complete_{by}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
    )
    assert ended.stderr == ""
    return [line.split("\t")[0] for line in ended.stdout.split("\n") if line]


def test_every_command_has_examples_and_there_are_no_others() -> None:
    assert set(EXAMPLES) == set(leaves())


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_help_says_what_a_command_does_and_shows_examples_that_fit(name: str, tmp_path: Path) -> None:
    helped = ask(*name.split(), "--help", cwd=tmp_path, env=WINDOW)
    assert helped.exit_code == 0
    lines = helped.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    shown = [line.strip() for line in lines]
    assert set(EXAMPLES[name]) <= set(shown[shown.index("Examples:") :])
    assert "Usage: reelgate" in helped.stdout


@pytest.mark.parametrize("line", sorted({line for lines in EXAMPLES.values() for line in lines}))
def test_an_example_is_a_line_that_the_command_understands(line: str) -> None:
    words = shlex.split(re.split(" [<>] ", line)[0])[1:]
    group = typer.main.get_command(build(COMMANDS))
    context = group.make_context("reelgate", words)
    while hasattr(context.command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)  # raises for an option that there is not
    assert context.command.name in words


def test_the_start_of_a_command_is_completed_and_its_siblings_are_not_forgotten() -> None:
    assert complete("che") == complete("check") == ["check", "check-request"]
    assert set(complete("")) == set(COMMANDS)
    assert complete("tasks", "re") == ["release", "reconcile"]
    assert complete("generate", "x", "--las") == ["--last-frame"]
    assert complete("gen", by="fish") == ["generate"]


def test_values_are_completed_where_there_is_a_closed_set_of_them() -> None:
    assert complete("tasks", "list", "--state", "un") == ["unconfirmed"]
    assert complete("tasks", "list", "--state", "su") == ["suspense"]
    assert complete("generate", "x", "--model", "MiniMax-Hailuo-2") == ["MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast"]
    assert complete("generate", "x", "--model", "MiniMax-Hailuo-02", "--resolution", "5") == ["512P"]
    assert complete("generate", "x", "--model", "MiniMax-Hailuo-2.3", "--resolution", "5") == []
    assert complete("generate", "x", "--duration", "1") == ["10"]
    assert complete("keys", "create", "x", "--dialect", "o") == ["openai"]
    assert complete("usage", "--by", "") == ["key", "team", "model", "upstream", "day"]


def test_a_line_to_complete_imports_only_what_it_may_be_about() -> None:
    assert cli.completable({"COMP_WORDS": "reelgate tasks list --st"}) == ["tasks"]
    assert cli.completable({"_TYPER_COMPLETE_ARGS": "reelgate --help ke"}) == ["keys"]
    assert cli.completable({"COMP_WORDS": "reelgate"}) == list(COMMANDS)


def test_the_shell_is_given_a_script_to_install(tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash"}
    command = [str(Path(sys.executable).with_name("reelgate")), "--show-completion", "bash"]
    shown = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert (shown.returncode, "_REELGATE_COMPLETE=complete_bash" in shown.stdout) == (0, True), shown.stderr


def test_a_list_that_has_no_room_for_a_table_is_paragraphs(tmp_path: Path) -> None:
    in_storage(tmp_path, ordered)
    (task,) = answer(tmp_path, "tasks", "list")["tasks"]
    path = tmp_path / "config.yaml"
    for arguments, first in ((("tasks", "list"), task["id"]), (("keys", "list"), "alice")):
        narrow = ask(*arguments, "-c", str(path), cwd=tmp_path, env=WINDOW).stdout.splitlines()
        assert max(map(len, narrow)) <= 80
        assert first in narrow
        assert not any("┃" in line for line in narrow)
        assert "┃" in done(tmp_path, *arguments)  # in 120 columns
    words = " ".join(ask("tasks", "list", "-c", str(path), cwd=tmp_path, env=WINDOW).stdout.split())
    for said in ("state opened", "model MiniMax-Hailuo-2.3", "price 0.28", "key alice", "team films"):
        assert said in words


def test_a_table_breaks_between_words_and_never_in_its_first_column(tmp_path: Path) -> None:
    drawn = reelgate(tmp_path, "check").stdout
    assert "http://127.0.0.1:9" in drawn
    assert table("t", ("a", "b"), [("x", None), ("y", True)]).rows == (("x", "–"), ("y", "yes"))
    assert ids.word(1) in str(table("t", ("a",), [(ids.word(1),)]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "list"),
        ("teams", "list"),
        ("tasks", "list"),
        ("tasks", "reconcile"),
        ("usage",),
        ("check",),
        ("migrate",),
    ],
)
def test_every_listing_speaks_to_programs_too(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert isinstance(answer(tmp_path, *arguments), dict)


def test_check_tells_programs_what_the_configuration_means(tmp_path: Path) -> None:
    told = answer(tmp_path, "check")
    assert told["upstreams"] == [
        {
            "name": "up",
            "provider": "evolink",
            "base_url": "http://127.0.0.1:9",
            "key": "main",
            "account": "main",
            "draining": False,
        }
    ]
    models = {model["name"]: model for model in told["models"]}
    assert models["MiniMax-Hailuo-2.3"] == {
        "name": "MiniMax-Hailuo-2.3",
        "upstreams": ["up"],
        "prices": ["0.28", "0.56"],
    }
    assert any("T2V-01: no upstream sells it" in note for note in told["notes"])
    assert "sk-up" not in str(told)


def test_migrate_tells_programs_whether_there_is_something_to_do(tmp_path: Path) -> None:
    waiting = reelgate(tmp_path, "migrate", "--check", "--json")
    assert waiting.exit_code == 1
    before = answer(tmp_path, "migrate")
    assert (before["found"], before["changed"]) == (None, True)
    after = answer(tmp_path, "migrate", "--check")
    assert (after["found"], after["changed"]) == (before["newest"], False)
