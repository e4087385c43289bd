"""`reelgate migrate`: what it says, what it changes, and the status it ends with."""

import pytest
from typer.testing import CliRunner

from gateway.cli import build
from gateway.store import NEWEST_REVISION
from tests.postgres import fresh_database
from tests.store.conftest import World

CONFIG = """
storage: {{url: "{url}"}}
upstreams: [{{name: a, provider: evolink, base_url: "https://a.example", keys: [{{value: k}}]}}]
"""


@pytest.fixture
def migrate(tmp_path):
    """Runs the command on the storage at an address: (status, output, errors)."""

    def run(url, *arguments):
        config = tmp_path / "config.yaml"
        config.write_text(CONFIG.format(url=url))
        result = CliRunner().invoke(build(["migrate", "version"]), ["migrate", "-c", str(config), *arguments])
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path):
    """The address of an empty database."""
    return f"sqlite:///{tmp_path / 'tasks.db'}" if request.param == "sqlite" else fresh_database()


def test_an_empty_database_is_brought_to_the_newest_revision_once(migrate, empty):
    status, _, errors = migrate(empty, "--check")
    assert status == 1
    assert errors == (
        f"reelgate: storage: empty, and this version needs revision {NEWEST_REVISION}: run `reelgate migrate`\n"
    )
    assert migrate(empty) == (0, f"storage: was empty, is at revision {NEWEST_REVISION}\n", "")
    nothing = (0, f"storage: at revision {NEWEST_REVISION}; nothing to do\n", "")
    assert migrate(empty) == migrate(empty, "--check") == nothing


def test_a_database_that_is_not_ours_ends_in_one_line(migrate, empty):
    World(empty).execute("CREATE TABLE customers (id INTEGER)")
    for arguments in ((), ("--check",)):
        status, output, errors = migrate(empty, *arguments)
        assert (status, output, errors.count("\n")) == (1, "", 1)
        assert "not Reelgate's" in errors


@pytest.mark.parametrize(
    ("url", "ends", "says"),
    [
        ("postgresql://user:hunter2@127.0.0.1:1/db", 1, "postgresql at storage.url cannot be used"),
        ("postgresql://user:hunter2@127.0.0.1", 2, "storage.url: names no database"),
        ("postgresql://user:a@hunter2@127.0.0.1/db", 2, "%40"),
        ("sqlite:////nowhere/at/all.db", 1, "sqlite at storage.url cannot be used: unable to open database file"),
    ],
)
def test_storage_that_cannot_be_used_ends_in_one_line_without_its_password(migrate, url, ends, says):
    """With 2 where the configuration alone shows it."""
    status, output, errors = migrate(url)
    assert (status, output, errors.count("\n")) == (ends, "", 1)
    assert says in errors
    assert "hunter2" not in errors
