"""Ids sort by age, so a stretch of time is a stretch of ids."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import first_number, last_number, new_number

MOMENTS = st.floats(min_value=0, max_value=3_800_000_000, allow_nan=False)  # until 2090


@given(MOMENTS, MOMENTS)
def test_a_stretch_of_time_bounds_the_ids_that_were_made_in_it(one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    assert first_number(earlier) <= new_number(earlier) <= last_number(earlier)
    assert first_number(earlier) <= first_number(later)
    assert last_number(earlier) <= last_number(later)
    assert first_number(earlier) <= new_number(later)
    assert new_number(earlier) <= last_number(later)


@given(st.floats(min_value=0, max_value=1e300))
def test_a_time_beyond_all_ids_is_a_bound_all_the_same(at: float) -> None:
    assert 0 <= first_number(at) <= last_number(at) < 1 << 63
