"""What every test of a failure needs: nobody asks a name server, and nothing happens behind a test's back."""

import asyncio
import functools
import socket

import pytest

from gateway.catalog import Catalog
from gateway.durations import Durations
from gateway.flows import carry, sweep, watch
from gateway.parts import Parts
from gateway.store import sqlite
from tests.fakes.upstream import invalid_names_fail

_CATALOG = functools.cache(Catalog.shipped)


async def _only_when_told(parts: Parts) -> None:
    await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def quick_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", invalid_names_fail(socket.getaddrinfo))
    for background in (sweep, watch):
        monkeypatch.setattr(background, "run", _only_when_told)
    monkeypatch.setattr(carry, "ONCE_MORE_AFTER_S", 0.02)  # one test keeps the real second
    # Some hundred gateways are opened here. None of them meets a power cut, and these are most of what one costs.
    monkeypatch.setattr(sqlite, "_WRITER", ("PRAGMA synchronous=OFF", "PRAGMA foreign_keys=ON"))
    monkeypatch.setattr(Catalog, "shipped", lambda prices, forwards_unknown: _CATALOG())
    # When a look pays is not what is tested here: one is due whenever the shortest interval is over.
    monkeypatch.setattr(Durations, "look_after", lambda self, kind, age_s, min_s, max_s, roll: min_s)
