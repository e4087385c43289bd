"""A gateway whose storage cannot be used says so in one line and ends; it never begins with an empty one instead."""

import asyncio
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from gateway.store import Database, prepare
from tests.life.process import ROOT, START_S, environment, write_config


def no_room_on_the_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, 8_192))


def everything_is_allowed() -> None:
    pass


@contextmanager
def of_a_newer_program(path: Path) -> Iterator[None]:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    yield


# A process of its own: whoever opens and closes a file loses all locks that it has on it.
HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_by_another_process(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.kill()


@contextmanager
def somebody_elses_text(path: Path) -> Iterator[None]:
    path.write_text("not a database, but somebody's notes\n" * 100)
    yield


@contextmanager
def in_a_folder_that_is_gone(path: Path) -> Iterator[None]:
    path.unlink()
    path.parent.rmdir()
    yield


@contextmanager
def new_where_there_is_no_room(path: Path) -> Iterator[None]:
    path.unlink()
    yield


Spoil = Callable[[Path], AbstractContextManager[None]]
CASES: list[tuple[Spoil, Callable[[], None], str]] = [
    (of_a_newer_program, everything_is_allowed, "newer Reelgate"),
    (locked_by_another_process, everything_is_allowed, "locked"),
    (somebody_elses_text, everything_is_allowed, "not a database"),
    (in_a_folder_that_is_gone, everything_is_allowed, "unable to open"),
    (new_where_there_is_no_room, no_room_on_the_disk, "storage"),
]


@pytest.mark.parametrize(("spoil", "limit", "says"), CASES, ids=[case[0].__name__ for case in CASES])
def test_storage_that_cannot_be_used_is_one_line_and_no_start(
    spoil: Spoil, limit: Callable[[], None], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "reelgate.db"
    path.parent.mkdir()
    asyncio.run(_prepare(path))
    config = write_config(tmp_path, f"storage: {{url: 'sqlite:///{path}'}}")
    with spoil(path):
        before = path.read_bytes() if path.exists() else None
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", "0", "--log-level", "warning"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment(tmp_path, "http://127.0.0.1:9"),
            timeout=START_S,
            preexec_fn=limit,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("reelgate: storage")
        assert says in line
        if before is not None:
            assert path.read_bytes() == before
        assert not path.with_name(f"{path.name}.journal").exists()


async def _prepare(path: Path) -> None:
    database = Database.open(f"sqlite:///{path}")
    try:
        await prepare(database)
    finally:
        await database.close()
