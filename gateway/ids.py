"""Task ids: one 63-bit number, spelt two ways.

The `minimax` dialect shows it as a decimal string, because its clients parse it; all others as an opaque word. Both
spellings are accepted everywhere. The high bits are milliseconds, so ids sort by age; the low bits are random, so
that replicas need not talk to each other (the primary key of the table has the last word).
"""

import random
from functools import lru_cache

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no letter is mistaken for a digit
_PREFIX = "video_"
_LENGTH = 13  # 65 bits hold 63
_SHIFTS = range(5 * (_LENGTH - 1), -1, -5)
_LETTERS = frozenset(_ALPHABET)
_TO_PYTHON = str.maketrans(_ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # the digits int() knows for base 32
_RANDOM_BITS = 22  # leaves 41 bits of milliseconds: 69 years from the epoch below, until 2093
_EPOCH_MS = 1_700_000_000_000  # 14 November 2023
_NUMBER_MAX = (1 << 63) - 1


def new_number(now: float) -> int:
    """A fresh task number for the time `now` (seconds since 1970)."""
    elapsed_ms = max(0, int(now * 1000) - _EPOCH_MS)
    return (elapsed_ms << _RANDOM_BITS | random.getrandbits(_RANDOM_BITS)) & _NUMBER_MAX


def first_number(at: float) -> int:
    """No task that was ordered at this time or later has a smaller one."""
    return min(max(0, int(at * 1000) - _EPOCH_MS) << _RANDOM_BITS, _NUMBER_MAX)


def last_number(at: float) -> int:
    """No task that was ordered at this time or before has a greater one."""
    return first_number(at) | ((1 << _RANDOM_BITS) - 1)


def word(number: int) -> str:
    """The opaque spelling: `video_` and 13 characters."""
    return _PREFIX + "".join([_ALPHABET[number >> shift & 31] for shift in _SHIFTS])


@lru_cache(maxsize=10_000)  # a task that is watched is asked for by the same word again and again
def number_of(spelling: str) -> int | None:
    """The number behind either spelling, or None when it is neither."""
    if spelling.startswith(_PREFIX) and len(spelling) == len(_PREFIX) + _LENGTH:
        letters = spelling[len(_PREFIX) :]
        if not _LETTERS.issuperset(letters):
            return None
        number = int(letters.translate(_TO_PYTHON), 32)
    elif spelling.isascii() and spelling.isdigit() and len(spelling) <= 19 and spelling[0] != "0":
        number = int(spelling)
    else:
        return None
    return number if 0 < number <= _NUMBER_MAX else None
