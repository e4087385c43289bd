"""For the whole suite: where REELGATE_TESTS_MAY_NOT_SKIP is 1, as in `.ci/run`, a skipped test is a failure."""

import os

import pytest

MAY_NOT_SKIP = "REELGATE_TESTS_MAY_NOT_SKIP"

_skipped: list[str] = []


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
