"""A short one of the long runs: what is dead holds up nobody, and nobody is told twice."""

import asyncio
from pathlib import Path

import pytest

from gateway.egress import POLICIES, Kind
from gateway.flows.callbacks import HOST_PLACES
from gateway.structs import replace
from tests.callbacks.soak import DEAD_EACH, tell_many

LETTERS = 400


def test_four_hundred_callbacks_are_told_while_one_host_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The dead host's attempts outlast the test; only its end need not wait ten seconds for them.
    impatient = replace(POLICIES[Kind.CALLBACK], total_s=5.0, pause_s=5.0)
    monkeypatch.setitem(POLICIES, Kind.CALLBACK, impatient)  # type: ignore[arg-type]
    report = asyncio.run(tell_many(tmp_path, LETTERS))
    assert report.told == LETTERS - LETTERS // DEAD_EACH
    assert report.told_twice == 0
    assert HOST_PLACES <= report.dead_attempts <= LETTERS // DEAD_EACH * 4
