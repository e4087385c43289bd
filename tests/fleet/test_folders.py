"""The folder of a fleet's counts: its own, locked, and nothing of anybody else is touched where it is made."""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from gateway.fleet import parent
from gateway.fleet.parent import _own_folder


def open_count() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def is_locked(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def put(base: Path, name: str) -> Path:
    folder = base / f"reelgate-fleet-{name}"
    folder.mkdir()
    (folder / "1").write_text("{}")
    return folder


def test_what_killed_parents_left_goes_and_what_is_held_stays(tmp_path: Path) -> None:
    left, held = put(tmp_path, "left"), put(tmp_path, "held")
    holder = os.open(held, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    before = open_count()
    folder = _own_folder(tmp_path)
    assert open_count() == before + 1, "the lock of its own, and nothing else"
    assert is_locked(folder)
    assert not left.exists()
    assert (held / "1").exists()
    os.close(holder)


def test_what_only_bears_such_a_name_is_not_waited_for_nor_followed(tmp_path: Path) -> None:
    base, elsewhere = tmp_path / "shm", tmp_path / "elsewhere"
    base.mkdir()
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("")
    os.mkfifo(base / "reelgate-fleet-pipe")  # opening it for reading would wait for a writer
    (base / "reelgate-fleet-link").symlink_to(elsewhere)
    (base / "reelgate-fleet-file").write_text("")
    before = open_count()
    folder = _own_folder(base)
    assert open_count() == before + 1
    assert sorted(path.name for path in base.iterdir()) == sorted(
        ["reelgate-fleet-pipe", "reelgate-fleet-link", "reelgate-fleet-file", folder.name]
    )
    assert (elsewhere / "kept").exists()


def test_what_belongs_to_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = put(tmp_path, "theirs")
    own = os.geteuid()
    before = open_count()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    assert parent._lock(theirs) is None
    assert open_count() == before
    assert (theirs / "1").exists()
    assert not is_locked(theirs)


def test_a_folder_that_another_parent_took_for_left_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, taken = tempfile.mkdtemp, list[str]()

    def made_and_taken(prefix: str, dir: Path) -> str:  # noqa: A002 - the name is mkdtemp's
        folder = make(prefix=prefix, dir=dir)
        if len(taken) < 2:
            taken.append(folder)
            Path(folder).rmdir()
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", made_and_taken)
    folder = _own_folder(tmp_path)
    assert len(taken) == 2
    assert str(folder) not in taken
    assert is_locked(folder)
