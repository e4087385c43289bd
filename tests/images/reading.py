"""Reading a file in the tests: whole, in pieces, and with the steps counted."""

import base64
import sys
from collections.abc import Callable, Iterable
from random import Random
from typing import TypeVar

from gateway.images import Finding, HeaderReader

T = TypeVar("T")


def read(*pieces: bytes) -> Finding:
    """The finding of a file that comes in these pieces."""
    reader = HeaderReader()
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


def cut(data: bytes, random: Random) -> Iterable[bytes]:
    """The same bytes in pieces of 1 to 2000."""
    at = 0
    while at < len(data):
        count = random.choice((1, 2, 7, 100, 2_000))
        yield data[at : at + count]
        at += count


def data_url(data: bytes, kind: str = "image/jpeg") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def steps_of(action: Callable[[], T]) -> tuple[T, int]:
    """What an action gives, and how many times it called or resumed a Python function: work, whatever the machine."""
    steps = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal steps
        steps += event == "call"

    sys.setprofile(count)
    try:
        result = action()
    finally:
        sys.setprofile(None)
    return result, steps
