"""Debian's servers, where a test needs one: found, or the test reports itself as skipped, by name."""

import shutil

import pytest


def found(command: str) -> str:
    """The path of a server that `tests/servers.sh` installs."""
    path = shutil.which(command) or shutil.which(command, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{command} is not installed here: run `make servers`")
    return path
