"""The judge of a soak: what it calls flat, and what it finds in books that do not add up."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.soak.measuring import Sample
from tests.soak.stage import make_config
from tests.soak.verdict import BOUGHT_STATES, compare, find_wrong

CALM = Sample(
    at_s=0,
    process=1,
    age_s=0,
    rss_mib=90,
    descriptors=40,
    threads=16,
    database_mib=1,
    poll_p50=5,
    poll_p99=20,
    bare_p50=2,
    bare_p99=8,
    create_p50=30,
    create_p99=60,
    watch_p50=5,
    watch_max=20,
)


def not_flat(**last: float) -> set[str]:
    """What is not flat when the last minutes of an hour are like this."""
    samples = [replace(CALM, at_s=number * 10) for number in range(300)]
    samples += [replace(CALM, at_s=3_000 + number * 10, **last) for number in range(60)]
    return {line.name for line in compare(samples) if not line.is_flat}


def test_an_hour_in_which_nothing_changes_is_flat() -> None:
    assert not_flat() == set()


@pytest.mark.parametrize(
    ("name", "last"),
    [("rss_mib", 160.0), ("descriptors", 90), ("threads", 30), ("poll_p50", 9.0), ("create_p99", 120.0)],
)
def test_what_grows_is_found(name: str, last: float) -> None:
    assert not_flat(**{name: last}) == {name}


def test_a_slow_machine_is_not_taken_for_a_slow_gateway() -> None:
    slow: Mapping[str, Any] = {"poll_p50": 15, "create_p50": 90, "create_p99": 170, "bare_p50": 6, "bare_p99": 24}
    assert not_flat(**slow) == set()
    assert not_flat(**{**slow, "bare_p50": 2, "bare_p99": 8}) == {"poll_p50", "create_p50", "create_p99"}


def test_one_bad_sample_is_no_trend_and_an_outage_says_nothing() -> None:
    samples = [CALM] * 60
    samples[-3] = replace(CALM, poll_p50=500, rss_mib=900)
    samples[-4] = replace(CALM, poll_p50=None, create_p99=None)
    assert all(line.is_flat for line in compare(samples))


def wrong(
    orders: list[tuple[str, str | None, str]],
    bought: list[str],
    told: tuple[str, ...] = (),
    drift: tuple[str, ...] = (),
) -> list[str]:
    return [sentence.partition(":")[0] for sentence in find_wrong(orders, bought, set(told), drift)]


def test_books_that_add_up_are_right() -> None:
    orders = [
        ("completed", "u-1", "one"),
        ("failed", "u-2", "two"),
        ("refused", None, "three"),
        ("refused", None, "three"),  # sent again after its refusal
        ("unconfirmed", None, "four"),
        ("failed", None, "five"),
    ]
    assert wrong(orders, ["one", "two", "four"], told=("one", "five")) == []
    assert frozenset({"running", "completed"}) == BOUGHT_STATES


@pytest.mark.parametrize(
    ("orders", "bought", "more", "sentence"),
    [
        ([("completed", "u-1", "one")], ["one", "one"], {}, "bought twice"),
        ([("completed", "u-1", "one"), ("unconfirmed", None, "one")], ["one"], {}, "2 tasks of one order"),
        ([], ["one"], {}, "bought without an intention"),
        ([], [], {"told": ("one",)}, "told and forgotten"),
        ([("running", "u-1", "one")], [], {}, "counted and never bought"),
        ([("refused", None, "one")], ["one"], {}, "bought and not counted"),
        ([], [], {"drift": ("account key:alice",)}, "the books"),
    ],
)
def test_every_way_in_which_they_do_not_is_said(
    orders: list[tuple[str, str | None, str]], bought: list[str], more: Mapping[str, Any], sentence: str
) -> None:
    assert wrong(orders, bought, **more) == [sentence]


def test_the_processes_of_a_soak_write_nowhere_but_in_their_folder(tmp_path: Path) -> None:
    said = make_config(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2")
    assert str(tmp_path) in str(said["storage"])
    assert str(tmp_path) in str(said["results"])
