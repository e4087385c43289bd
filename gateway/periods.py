"""The stretches of time that a budget counts in, in UTC.

They are fixed, so that what an account holds in one of them is a number that storage can guard: a day, a week from
Monday, thirty days counted from 1 January 1970, a calendar month. A video counts in the stretch in which it was
ordered, whenever it ends.
"""

from datetime import UTC, datetime
from typing import NamedTuple

DAY_S = 86_400
_MONDAY_S = 4 * DAY_S  # 5 January 1970, the first Monday
FOR_EVER_S = 253_402_300_800.0  # the year 10,000, where calendars end
PERIODS = ("1d", "7d", "30d", "1mo")


class Window(NamedTuple):
    """From `starts_at` on, and before `ends_at`; seconds since 1970."""

    starts_at: float
    ends_at: float


LIFETIME = Window(0.0, FOR_EVER_S)


def window_of(period: str | None, now: float) -> Window:
    """The stretch of this period that `now` lies in; None is a lifetime. Raises ValueError for any other word."""
    match period:
        case None:
            return LIFETIME
        case "1d":
            return _every(DAY_S, 0, now)
        case "7d":
            return _every(7 * DAY_S, _MONDAY_S, now)
        case "30d":
            return _every(30 * DAY_S, 0, now)
        case "1mo":
            return _month_of(now)
        case _:
            raise ValueError(f"{period!r} is no period; use one of {', '.join(PERIODS)}")


def date_of(at: float) -> str:
    """The day, in UTC, of a moment."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _every(length_s: int, first_s: int, now: float) -> Window:
    starts_at = float(first_s + (now - first_s) // length_s * length_s)
    return Window(starts_at, starts_at + length_s)


def _month_of(now: float) -> Window:
    first = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return Window(first.timestamp(), following.timestamp())
