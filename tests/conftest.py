"""For the whole suite: where REELGATE_TESTS_MAY_NOT_SKIP is 1, as in `.ci/run`, a skipped test is a failure; and no
example that hypothesis makes fails because the machine was busy. Every database that a test closes is audited first."""

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings

from gateway.errors import StorageDown
from gateway.flows import poll
from gateway.store import Database
from gateway.store.audit import audit
from gateway.web import operations

MAY_NOT_SKIP = "REELGATE_TESTS_MAY_NOT_SKIP"

_skipped: list[str] = []

# Its 200 ms for an example, and its second for making ten, are about the machine and not about the gateway.
settings.register_profile("reelgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("reelgate")


@pytest.fixture(autouse=True)
def _looks_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a look found is told by the poll that caused it, also where the machine is slower than any upstream."""
    monkeypatch.setitem(poll.look.__kwdefaults__, "within_s", 60.0)


@pytest.fixture(autouse=True)
def _figures_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what storage says is told by the scrape that asked."""
    monkeypatch.setattr(operations, "WITHIN_S", 60.0)


@pytest.fixture(autouse=True)
def _books_are_exact(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """The auditor: whatever a test did to tasks, the ledger and the accounts add up to the millionth after it.

    A test that falsifies the books on purpose says so: `@pytest.mark.falsifies_books`.
    """
    drift: list[str] = []
    close = Database.close

    async def audited(self: Database) -> None:
        with suppress(StorageDown):  # broken on purpose, or nobody's database
            drift.extend(await self.read(audit))
        await close(self)

    monkeypatch.setattr(Database, "close", audited)
    yield
    if "falsifies_books" not in request.keywords:
        assert drift == []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):  # what is expected to fail has at least been run
        _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped and _is_forbidden() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    mark = "SKIPPED, WHICH FAILS" if _is_forbidden() else "SKIPPED"
    for line in _skipped:
        terminalreporter.write_line(f"{mark} {line}", red=_is_forbidden(), yellow=not _is_forbidden())


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    _skipped.append(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")


def _is_forbidden() -> bool:
    return os.environ.get(MAY_NOT_SKIP) == "1"
