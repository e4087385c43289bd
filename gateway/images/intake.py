"""Bytes on their way from a source that gives them piecemeal to a reader that wants them by number.

A reader is a generator: it pauses (`yield`) when it has too few bytes and is resumed when there are more, so that it
reads like a story and costs the same however the bytes were cut. Only what was not yet read is held.
"""

import re
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]


class Ended(Exception):
    """The file ended before what its reader asked for."""


class Intake:
    """The bytes that came and were not yet read."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._is_over = False

    def add(self, data: bytes) -> None:
        self._held += data

    def finish(self) -> None:
        """No more bytes will come."""
        self._is_over = True

    def peek(self, count: int) -> Steps[bytes]:
        """The next bytes, which stay; fewer than `count` only where the file ends."""
        while len(self._held) < count and not self._is_over:
            yield
        return bytes(self._held[:count])

    def take(self, count: int) -> Steps[bytes]:
        """The next bytes. Raises Ended."""
        while len(self._held) < count:
            yield from self._more()
        data = bytes(self._held[:count])
        del self._held[:count]
        return data

    def skip(self, count: int) -> Steps[None]:
        """Let bytes pass. Raises Ended."""
        while len(self._held) < count:
            count -= len(self._held)
            self._held.clear()
            yield from self._more()
        del self._held[:count]

    def skip_to(self, pair: re.Pattern[bytes]) -> Steps[None]:
        """Let bytes pass until a pattern of two bytes comes next. Raises Ended."""
        while (at := self._find(pair)) is None:
            del self._held[:-1]  # the last one may be the first of the pair
            yield from self._more()
        del self._held[:at]

    def _find(self, pair: re.Pattern[bytes]) -> int | None:
        found = pair.search(self._held)  # let go of at once: a match keeps its bytes from being deleted
        return None if found is None else found.start()

    def _more(self) -> Steps[None]:
        if self._is_over:
            raise Ended
        yield
