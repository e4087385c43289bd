"""The clients, each started once for all tests."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.catalog import Catalog
from gateway.store import sqlite
from tests.clients.driving import Process, node_client, python_client

_CATALOG = functools.cache(Catalog.shipped)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred gateways are opened here, and these are most of what one costs."""
    monkeypatch.setattr(sqlite, "_WRITER", ("PRAGMA synchronous=OFF", "PRAGMA foreign_keys=ON"))
    monkeypatch.setattr(Catalog, "shipped", lambda prices, forwards_unknown: _CATALOG())


def _until_the_end(process: Process) -> Iterator[Process]:
    yield process
    process.end()


@pytest.fixture(scope="session")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the clients' standard errors go."""
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="session")
def openai3(said: Path) -> Iterator[Process]:
    yield from _until_the_end(python_client("openai3", "openai_python.py", said))


@pytest.fixture(scope="session")
def openai2(said: Path) -> Iterator[Process]:
    yield from _until_the_end(python_client("openai2", "openai_python.py", said))


@pytest.fixture(scope="session")
def node(said: Path) -> Iterator[Process]:
    yield from _until_the_end(node_client("openai_node.mjs", said))


@pytest.fixture(scope="session")
def minimax(said: Path) -> Iterator[Process]:
    # It refuses to be imported without these two; every line says them anew.
    env = {"MINIMAX_API_KEY": "unsaid", "MINIMAX_API_HOST": "http://127.0.0.1:9"}
    yield from _until_the_end(python_client("minimax", "minimax_mcp_python.py", said, **env))


@pytest.fixture(params=["openai3", "openai2"])
def openai_python(request: pytest.FixtureRequest) -> Process:
    """OpenAI's Python client, the one after the other."""
    process: Process = request.getfixturevalue(request.param)
    return process


@pytest.fixture(params=["openai3", "openai2", "node"])
def openai(request: pytest.FixtureRequest) -> Process:
    """OpenAI's clients, one after the other."""
    process: Process = request.getfixturevalue(request.param)
    return process
