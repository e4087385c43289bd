"""Broken pictures: real ones with a few things done to them. One number makes one mutant, always the same."""

from collections.abc import Callable
from functools import cache
from random import Random

from tests.images.files import TINY, bomb_png, real_files

# What length and size fields like least.
_EXTREMES = (b"\0\0", b"\0\x01", b"\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0")
_RUNS = (
    b"\xff",
    b"\0",
    b"\xff\0",
    b"\xff\xd0",
    b"\xff\xfe\0\x02",
    b"\xff\xe1\0\x08Exif\0\0",
    b"\xff\xd8",
    b"IHDR",
    b"VP8X",
)


def mutant(seed: int, files: tuple[bytes, ...]) -> bytes:
    """One of `files` after one to four accidents."""
    random = Random(seed)
    data = random.choice(files)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        data = random.choice(_ACCIDENTS)(data, random, files)
    return data


@cache
def originals(*, small: bool) -> tuple[bytes, ...]:
    """What mutants are made from: pictures of 61 x 47 pixels, or also large ones with long metadata."""
    sources = [real_files(TINY)] if small else [real_files(TINY), real_files()]
    return (
        *(data for source in sources for data in source.values() if not small or len(data) < 10_000),
        bomb_png(65_000, 65_000),
    )


def _flip(data: bytes, random: Random, files: tuple[bytes, ...]) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, 6)):
        if changed:
            changed[_place(changed, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _set_extreme(data: bytes, random: Random, files: tuple[bytes, ...]) -> bytes:
    at, field = _place(data, random), random.choice(_EXTREMES)
    return data[:at] + field + data[at + len(field) :]


def _cut(data: bytes, random: Random, files: tuple[bytes, ...]) -> bytes:
    return data[: _place(data, random)]


def _insert_run(data: bytes, random: Random, files: tuple[bytes, ...]) -> bytes:
    at = _place(data, random)
    return data[:at] + random.choice(_RUNS) * random.choice((1, 3, 100, 1_100, 5_000)) + data[at:]


def _insert_noise(data: bytes, random: Random, files: tuple[bytes, ...]) -> bytes:
    at = _place(data, random)
    return data[:at] + random.randbytes(random.randint(1, 300)) + data[at:]


def _drop(data: bytes, random: Random, files: tuple[bytes, ...]) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + random.randint(1, 40) :]


def _double(data: bytes, random: Random, files: tuple[bytes, ...]) -> bytes:
    start, end = sorted((_place(data, random), _place(data, random)))
    return data[:end] + data[start:end] + data[end:]


def _splice(data: bytes, random: Random, files: tuple[bytes, ...]) -> bytes:
    other = random.choice(files)
    return data[: _place(data, random)] + other[_place(other, random) :]


def _place(data: bytes | bytearray, random: Random) -> int:
    """Somewhere, and mostly in the header."""
    return random.randrange(min(len(data), random.choice((40, 40, 700, 1 << 30))) or 1)


_ACCIDENTS: tuple[Callable[[bytes, Random, tuple[bytes, ...]], bytes], ...] = (
    _flip,
    _set_extreme,
    _cut,
    _insert_run,
    _insert_noise,
    _drop,
    _double,
    _splice,
)
