"""What is learnt of durations, and the looks that come of it."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.durations import ENOUGH, IMAGINED, KEPT, KINDS_MAX, OVERDUE_PART, PROGRESS_MAX, Durations, Kind

KIND = Kind("MiniMax-Hailuo-2.3", "768P", "evolink")
MIN_S, MAX_S = 2.0, 30.0
MIDDLE = 0.5  # no jitter


def learnt(durations_s: list[float], kind: Kind = KIND) -> Durations:
    durations = Durations()
    for duration_s in durations_s:
        durations.learn(kind, duration_s)
    return durations


def looks_at(durations: Durations, until_s: float, kind: Kind = KIND) -> list[float]:
    """The ages at which a task that never ends is looked at."""
    ages = [durations.look_after(kind, 0.0, MIN_S, MAX_S, MIDDLE)]
    while ages[-1] < until_s:
        ages.append(ages[-1] + durations.look_after(kind, ages[-1], MIN_S, MAX_S, MIDDLE))
    return ages


def pauses(ages: list[float]) -> list[float]:
    return [later - earlier for earlier, later in zip([0.0, *ages], ages, strict=False)]


@given(
    st.lists(st.floats(0, 5_000), max_size=2 * KEPT),
    st.floats(0, 10_000),
    st.floats(0.001, 60),
    st.floats(1, 100),
    st.floats(0, 1),
)
def test_whatever_was_learnt_a_look_comes_neither_sooner_nor_later_than_configured(
    durations_s: list[float], age_s: float, min_s: float, times: float, roll: float
) -> None:
    wait_s = learnt(durations_s).look_after(KIND, age_s, min_s, min_s * times, roll)
    assert min_s <= wait_s <= min_s * times


def test_looks_are_sparse_early_and_dense_around_the_expected_end() -> None:
    rng = random.Random(1)
    durations = learnt([rng.gauss(180, 12) for _ in range(KEPT)])
    ages = looks_at(durations, 200)
    early = [pause for age, pause in zip(ages, pauses(ages), strict=True) if age <= 130]
    late = [pause for age, pause in zip(ages, pauses(ages), strict=True) if 165 < age <= 190]
    assert early == [MAX_S] * len(early)
    assert len(early) == 4
    assert len(late) >= 4
    assert max(late) < 8


def test_a_kind_that_was_never_seen_is_looked_at_more_and_more_rarely() -> None:
    found = pauses(looks_at(Durations(), 400))
    assert found[0] < 10
    assert found[-1] > 2 * found[0]
    assert len(found) < 25


def test_what_takes_longer_than_all_that_were_seen_is_looked_at_in_growing_pauses() -> None:
    durations = learnt([60.0] * KEPT)
    for age_s in (61.0, 100.0, 200.0):
        pause_s = durations.look_after(KIND, age_s, MIN_S, MAX_S, MIDDLE)
        assert pause_s == pytest.approx(max(MIN_S, age_s * OVERDUE_PART))


def test_every_film_takes_the_place_of_one_imagined() -> None:
    durations = Durations()
    before = durations.look_after(KIND, 0.0, MIN_S, MAX_S, MIDDLE)
    for count in range(IMAGINED):
        durations.learn(KIND, 300.0)
        if count == 0:
            assert durations.look_after(KIND, 0.0, MIN_S, MAX_S, MIDDLE) <= MAX_S
    assert durations.look_after(KIND, 0.0, MIN_S, MAX_S, MIDDLE) == MAX_S > before
    assert durations.look_after(KIND, 299.0, MIN_S, MAX_S, MIDDLE) == MIN_S


def test_what_is_old_is_forgotten() -> None:
    durations = learnt([1000.0] * KEPT + [20.0] * KEPT)
    assert durations.expected_s(KIND, 0.0) == 20.0


def test_one_kind_says_nothing_of_another() -> None:
    durations = learnt([100.0] * IMAGINED)
    for other in (KIND._replace(upstream="toapis"), KIND._replace(resolution="1080P"), KIND._replace(model="X")):
        assert durations.expected_s(other, 0.0) is None
        assert durations.progress(other, 50.0) is None


def test_names_that_clients_make_up_fill_no_memory() -> None:
    durations = learnt([100.0] * IMAGINED)
    for number in range(KINDS_MAX):
        durations.learn(Kind(f"made-up-{number}", None, "x"), 1.0)
        durations.learn(KIND, 100.0)  # what is in use stays
    assert durations.expected_s(KIND, 0.0) == 100.0
    assert durations.expected_s(Kind("made-up-0", None, "x"), 0.0) is None


def test_the_jitter_moves_a_look_by_a_tenth() -> None:
    durations = learnt([90.0] * KEPT)
    found = [durations.look_after(KIND, 70.0, MIN_S, MAX_S, roll) for roll in (0.0, MIDDLE, 1.0)]
    assert found == pytest.approx([18.0, 20.0, 22.0])


def test_nothing_is_told_of_a_kind_before_it_was_seen_a_few_times() -> None:
    durations = Durations()
    for _ in range(ENOUGH):
        assert durations.expected_s(KIND, 1.0) is None
        assert durations.progress(KIND, 1.0) is None
        durations.learn(KIND, 100.0)
    assert durations.expected_s(KIND, 1.0) == 100.0
    assert durations.progress(KIND, 50.0) == 40


def test_the_expectation_grows_with_what_took_longer() -> None:
    durations = learnt([100.0, 110.0, 120.0, 200.0, 300.0])
    found = [durations.expected_s(KIND, age_s) for age_s in (0.0, 115.0, 250.0, 400.0)]
    assert found[:3] == [120.0, 200.0, 300.0]
    assert found[3] == pytest.approx(440.0)


@given(st.lists(st.floats(0, 1_000), min_size=ENOUGH, max_size=KEPT), st.floats(0, 5_000), st.floats(0, 5_000))
def test_the_estimated_progress_never_falls_and_never_reaches_the_end(
    durations_s: list[float], one_s: float, other_s: float
) -> None:
    durations = learnt(durations_s)
    earlier, later = (durations.progress(KIND, age_s) for age_s in sorted((one_s, other_s)))
    assert earlier is not None
    assert later is not None
    assert 0 <= earlier <= later <= PROGRESS_MAX


SERVICES: dict[str, Callable[[random.Random], float]] = {
    "three minutes, give or take": lambda rng: rng.gauss(180, 20),
    "two kinds of films under one name": lambda rng: rng.choice((60, 300)) * rng.uniform(0.9, 1.1),
    "mostly a minute, sometimes long": lambda rng: 90 * rng.lognormvariate(0, 0.4),
    "moments": lambda rng: rng.uniform(8, 12),
}


@pytest.mark.parametrize("service", SERVICES)
def test_a_learnt_schedule_looks_less_and_knows_sooner_than_a_fixed_one(service: str) -> None:
    rng, durations = random.Random(7), Durations()
    looks, late_s = [], []
    for _ in range(300):
        ends_at, age_s, seen_s, count = SERVICES[service](rng), 0.0, 0.0, 0
        while age_s < ends_at:
            seen_s, count = age_s, count + 1
            age_s += durations.look_after(KIND, age_s, MIN_S, MAX_S, rng.random())
        durations.learn(KIND, (seen_s + age_s) / 2)
        looks.append(count)
        late_s.append(age_s - ends_at)
    # A fixed 10 s: half of that late on average, and a look for each ten seconds of the film.
    fixed_looks = sum(SERVICES[service](rng) / 10 + 0.5 for _ in range(300)) / 300
    assert sum(late_s[50:]) / 250 < 5.3
    assert sum(looks[50:]) / 250 < max(2.5, fixed_looks * 0.95)
