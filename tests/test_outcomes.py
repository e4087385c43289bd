"""The published table of outcomes is what the code does, and keeps the rules that it promises."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import errors
from gateway.errors import ModelNotOffered, Spent
from gateway.providers import base_resp, verdicts
from gateway.transport import MAYBE_SENT, NOTHING_SENT
from tools import outcomes
from tools.outcomes import Answer, Break, Case, Line

PAGE = Path(__file__).parent.parent / "docs" / "outcomes.md"
DIALECTS = {"evolink", "toapis", "newapi", "openai", "minimax"}
# Judged by the code that MiniMax sends, whatever its status; T14 to T17 are no outcomes of an upstream.
ROWS = {f"T{number}" for number in range(1, 14)} | {f"H{number}" for number in range(1, 30) if number != 3}
VENDOR_CODES = {
    1000, 1001, 1002, 1004, 1008, 1024, 1026, 1027, 1028, 1030, 1033, 1039, 1041, 1042, 2013, 2038, 2045, 2049, 2056,
    2061,
}  # fmt: skip
NEVER_TOLD = {401, 402, 403}
REPEATED_BY_CLIENTS = {429, 502, 503}
# How MiniMax's dialect says what the others say with these statuses: about the caller's own key, balance and plan.
NEVER_TOLD_IN_BAND = {f"base_resp {code}" for code in (1004, 1008, 2049, 2061)}
REPEATED_IN_BAND = {f"base_resp {code}" for code in (1002, 1024, 1033, 1041)}


@pytest.fixture(scope="module")
def played() -> dict[str, list[Line]]:
    return outcomes.play_all()


@pytest.fixture(scope="module")
def lines(played: dict[str, list[Line]]) -> list[Line]:
    return [line for section in played.values() for line in section]


def cases() -> Iterator[Case]:
    for _, _, section in outcomes.SECTIONS:
        yield from section


def statuses(line: Line) -> set[int]:
    return {status for _, status, _ in line.told}


def words(line: Line) -> set[str]:
    return {said for _, _, said in line.told}


def test_the_published_page_is_what_the_code_does(played: dict[str, list[Line]]) -> None:
    is_current = PAGE.read_text("utf-8") == outcomes.page(played)
    assert is_current, "docs/outcomes.md is out of date: python tools/outcomes.py > docs/outcomes.md"


def test_every_row_is_on_the_page(lines: list[Line]) -> None:
    rows = ROWS | {f"M{code}" for code in VENDOR_CODES | base_resp.LISTED} | {"M"}
    assert {line.row for line in lines} == rows
    assert {row for line in lines for row in line.logged} <= rows


def test_every_status_and_every_exception_of_the_judges_is_played() -> None:
    plays = [(case.row, play) for case in cases() for play in case.plays]
    played = {(row, play.status) for row, play in plays if isinstance(play, Answer)}
    assert {(row, status) for status, (row, _) in verdicts.REFUSED.items()} <= played
    assert {(row, status) for status, row in verdicts.IN_DOUBT.items()} <= played
    raised = {(play.kind, row) for row, play in plays if isinstance(play, Break)}
    assert {*NOTHING_SENT, *MAYBE_SENT} <= raised


def test_every_kind_of_refusal_is_on_the_page(lines: list[Line]) -> None:
    assert {kind.__name__ for kind in errors.Refused.__subclasses__()} <= {line.kind for line in lines}


def test_every_line_tells_all_dialects(lines: list[Line]) -> None:
    for line in lines:
        assert {name for name, _, _ in line.told} == DIALECTS
        assert all(said for _, _, said in line.told), line


def test_doubt_keeps_the_money_and_never_repeats(lines: list[Line]) -> None:
    doubts = [line for line in lines if line.spent is Spent.MAYBE]
    assert len(doubts) > 20
    for line in doubts:
        assert line.money == "kept: doubt", line
        assert (line.again, line.repeat, line.retry_after) == ("no", "false", None), line
        assert (statuses(line), words(line)) == ({200}, {"unconfirmed"}), line


def test_acceptance_keeps_the_money_and_is_no_error(lines: list[Line]) -> None:
    taken = [line for line in lines if line.spent is None]
    assert {line.row for line in taken} == {"H1", "H2", "H29", "T10", "T12"}
    for line in taken:
        assert line.money.startswith("kept"), line
        assert (statuses(line), line.again, line.repeat) == ({200}, "no", "–"), line


def test_a_refusal_releases_the_money(lines: list[Line]) -> None:
    for line in lines:
        assert (line.money == "released") == (line.spent is Spent.NO), line


def test_what_clients_repeat_on_is_only_said_of_released_money(lines: list[Line]) -> None:
    repeated = [line for line in lines if statuses(line) & REPEATED_BY_CLIENTS or words(line) & REPEATED_IN_BAND]
    assert len(repeated) > 20
    assert {line.money for line in repeated} == {"released"}


def test_no_caller_is_told_of_the_gateways_own_credentials_and_balance(lines: list[Line]) -> None:
    for line in lines:
        assert not statuses(line) & NEVER_TOLD, line
        assert not words(line) & NEVER_TOLD_IN_BAND, line


def test_a_repeat_is_only_wished_for_where_it_costs_nothing_and_can_help(lines: list[Line]) -> None:
    for line in lines:
        if line.repeat == "true":
            assert line.money == "released", line
            assert line.again != "no", line
            assert statuses(line) - {200} <= REPEATED_BY_CLIENTS, line
        else:
            assert line.retry_after is None, line
        assert line.retry_after is None or 1 <= line.retry_after <= 900, line


def test_what_is_wrong_with_the_request_itself_is_tried_nowhere_else(lines: list[Line]) -> None:
    for line in lines:
        is_about_the_request = bool(statuses(line) & {400, 413, 422})
        # H9: what one does not offer another one may; only when nobody does is it the request.
        again = "another upstream" if line.kind == ModelNotOffered.__name__ else "no"
        assert is_about_the_request == (line.again == again and line.money == "released"), line
        if is_about_the_request:
            assert (line.effect, line.repeat) == ("none", "false"), line
