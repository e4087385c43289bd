"""Who connects where, heard below every library: from the interpreter itself.

CPython raises an audit event before each `connect` of a socket object, whoever calls it. An audit hook stays for the
life of the process, so there is one, and it listens only while a test asks it to. What is not allowed is written down
and then forbidden, so that a guard with a hole harms nobody.
"""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

Place = tuple[str, int]


class Recorder:
    """The connections of one stretch of a test."""

    def __init__(self) -> None:
        self.allowed: list[Place] = []
        self.forbidden: list[Any] = []
        self._may: Collection[Place] | None = None
        sys.addaudithook(self._hear)

    @contextmanager
    def only(self, *may: Place) -> Iterator["Recorder"]:
        """Forbid every connection but these, and remember all."""
        self.allowed, self.forbidden, self._may = [], [], may
        try:
            yield self
        finally:
            self._may = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.connect" or self._may is None:
            return
        address = arguments[1]
        if isinstance(address, tuple) and address[:2] in self._may:
            self.allowed.append(address[:2])
            return
        self.forbidden.append(address)
        raise PermissionError(f"a test forbids to connect to {address}")


RECORDER = Recorder()
