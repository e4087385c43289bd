"""What a person may say of a key or a team that is to be made, and what they are told when it makes no sense."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.values import _AMOUNT_MAX, _NAME
from gateway.errors import InvalidRequest
from gateway.video import Budget
from gateway.virtual_keys import (
    AMOUNT_MAX,
    NAME,
    Team,
    VirtualKey,
    moment_of,
    read_key,
    read_team,
    read_team_change,
    span_s_of,
)

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
DAY_S = 86_400


def key(**said: Any) -> VirtualKey:
    return read_key({"id": "carol", **said}, dialects=("evolink", "toapis"), now=NOW)


def problems_of(**said: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        key(**said)
    return [problem.param for problem in refused.value.problems]


def test_a_key_needs_a_name_and_nothing_else() -> None:
    assert key() == VirtualKey(id="carol", models=("*",))
    assert problems_of(id=None) == ["id"]
    with pytest.raises(InvalidRequest):
        read_key({}, dialects=(), now=NOW)


def test_everything_that_can_be_said_of_a_key_is_kept() -> None:
    said = {"team": "films", "models": ["a*", "b"], "dialect": "toapis", "rpm": 3, "max_tasks": 4, "passthrough": True}
    assert key(**said, budget="50/30d", expires="90d") == VirtualKey(
        id="carol",
        team="films",
        models=("a*", "b"),
        dialect="toapis",
        budget=Budget(50_000_000, "30d"),
        rpm=3,
        max_tasks=4,
        passthrough=True,
        expires_at=NOW + 90 * DAY_S,
    )
    nothing = dict.fromkeys(("team", "dialect", "budget", "rpm", "max_tasks", "expires"))
    assert key(**nothing) == VirtualKey(id="carol")


@pytest.mark.parametrize(
    ("said", "budget"),
    [
        ("50/30d", Budget(50_000_000, "30d")),
        ("0.28/1mo", Budget(280_000, "1mo")),
        ("7", Budget(7_000_000)),
        (0, Budget(0)),
        (0.28, Budget(280_000)),
        ({"amount": 50, "period": "7d"}, Budget(50_000_000, "7d")),
        ({"amount": "0.000001", "period": None}, Budget(1)),
        ({"amount": AMOUNT_MAX}, Budget(AMOUNT_MAX * 1_000_000)),
    ],
)
def test_a_budget_is_an_amount_and_perhaps_a_period(said: Any, budget: Budget) -> None:
    assert key(budget=said).budget == budget
    assert read_team({"id": "films", "budget": said}) == Team("films", budget)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("id", value) for value in ("", "-x", "a b", "a/b", "a:b", "ä", "x" * 65, 7, ["a"])),
        *(("team", value) for value in ("", "no team", 7)),
        *(("models", value) for value in ([], "a*", [""], ["a", 7], ["x" * 257], ["a"] * 101, {"a": 1})),
        *(("dialect", value) for value in ("sora", "", 7, ["evolink"])),
        *(("rpm", value) for value in (0, -1, 1.5, "3", True, 1_000_001)),
        *(("max_tasks", value) for value in (0, False, "many")),
        *(("passthrough", value) for value in (1, "yes", None)),
        *(("budget", value) for value in ("", "5/", "5/2d", "/30d", "5/30d/1d", "-5", "1e3", " 5", "٥", "0.0000001")),
        *(
            ("budget", value)
            for value in (-1, True, [5], {}, {"amount": None}, {"amount": 5, "per": "1d"}, "1000000001")
        ),
        *(("budget", value) for value in (float("inf"), float("nan"), 0.0000001, {"amount": 1, "period": "2d"})),
        *(
            ("expires", value)
            for value in ("", "0d", "90", "d", "2020-01-01", "1e9d", "soon", 1_900_000_000, "9" * 9 + "d")
        ),
        *(("expires", value) for value in ("2027-01-15T07:59:59Z", "2027-02-30", "tomorrow")),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field(field: str, value: Any) -> None:
    assert problems_of(**{field: value}) == [field]


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert problems_of(id="-", rpm=0, budget="x", colour="red") == ["colour", "id", "budget", "rpm"]


def test_a_teams_budget_must_be_said_to_be_changed() -> None:
    assert read_team({"id": "films"}) == Team("films")
    assert read_team_change({"id": "films", "budget": None}) == Team("films")
    with pytest.raises(InvalidRequest) as refused:
        read_team_change({"id": "films"})
    assert [problem.param for problem in refused.value.problems] == ["budget"]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-01-16", NOW - 8 * 3600 + DAY_S),
        ("2027-01-15T09:00:00Z", NOW + 3600),
        ("2027-01-15T09:00:00", NOW + 3600),
        ("2027-01-15T10:00:00+01:00", NOW + 3600),
    ],
)
def test_a_moment_is_utc_unless_it_says_otherwise(text: str, at: float) -> None:
    assert moment_of(text) == at
    assert key(expires=text).expires_at == at


def test_a_span_is_days_or_hours() -> None:
    assert (span_s_of("90d"), span_s_of("12h"), span_s_of("12m"), span_s_of("0d")) == (
        90 * DAY_S,
        12 * 3600,
        None,
        None,
    )


@given(st.text(max_size=70))
def test_names_and_amounts_have_the_rules_of_the_configuration(text: str) -> None:
    assert (NAME.pattern, NAME.flags, AMOUNT_MAX) == (_NAME.pattern, _NAME.flags, _AMOUNT_MAX)
    assert bool(NAME.fullmatch(text)) is bool(_NAME.fullmatch(text))
