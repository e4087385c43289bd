"""What the other workers on this port have counted, asked when the metrics are scraped (`fleet/`).

Each worker answers on a socket in a folder of the fleet's own. What it answers it has written there before, so that a
count that was once told is still known when the worker is dead. What nobody asked for is written once a second: a
`kill -9` loses the counts of its last second, and nothing else.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from gateway.fleet import counts
from gateway.structs import Struct
from gateway.totals import Families, Family, add_up, told

log = logging.getLogger("reelgate.siblings")

ANSWER_WITHIN_S = 0.08  # /metrics answers within 100 ms, whoever else is stuck
KEEP_EVERY_S = 1.0
_ANSWER_BYTES_MAX = 32 * 1024 * 1024


class _Answer(Struct, frozen=True):
    families: Families
    is_alive: bool


class Siblings:
    """The workers of one fleet as one of them sees them. Made by `open`, ended by `close`."""

    def __init__(self, folder: Path, own: Callable[[], Families]) -> None:
        self._folder = folder
        self._own = own
        self._name = f"{os.getpid()}-{time.time_ns()}"
        self._server: asyncio.Server | None = None
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, folder: Path, own: Callable[[], Families]) -> Self:
        """Answer the others. `own` are the counts of this process."""
        siblings = cls(folder, own)
        path = folder / f"{siblings._name}{counts.SOCKET}"
        siblings._server = await asyncio.start_unix_server(siblings._answer, path)
        siblings._keep()
        siblings._keeping = asyncio.create_task(siblings._keep_on())
        return siblings

    async def close(self) -> None:
        """Leave the last counts behind; this process answers no more."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._keep()
        if self._server is not None:
            self._server.close()
        (self._folder / f"{self._name}{counts.SOCKET}").unlink(missing_ok=True)

    async def totals(self) -> Families:
        """The counts of all workers that are and were, this one's included."""
        own = self._own()
        self._keep(own)
        names = {path.stem for path in self._folder.iterdir() if path.suffix in (counts.SOCKET, counts.COUNTS)}
        asked = sorted(names - {self._name})
        answers = dict(zip(asked, await asyncio.gather(*map(self._ask, asked)), strict=True))
        buried, past = counts.past(self._folder)  # after all others, see `counts.py`
        known = [answer for name, answer in answers.items() if answer is not None and name not in buried]
        living = [answer.families for answer in known if answer.is_alive]
        return add_up(own, living, [past, *(answer.families for answer in known if not answer.is_alive)])

    async def _ask(self, name: str) -> _Answer | None:
        """What a sibling says; where it is stuck or gone, what it left."""
        is_alive = True
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                reader, writer = await asyncio.open_unix_connection(
                    self._folder / f"{name}{counts.SOCKET}", limit=_ANSWER_BYTES_MAX
                )
                try:
                    said = json.loads(await reader.read())
                finally:
                    writer.close()
            return _Answer([Family.of_plain(plain) for plain in said], is_alive=True)
        except (FileNotFoundError, ConnectionRefusedError):
            is_alive = False
        except (TimeoutError, OSError, ValueError):
            pass  # stuck, or ending in the middle of a word
        left = counts.read(self._folder / f"{name}{counts.COUNTS}")
        return None if left is None else _Answer(left, is_alive)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(json.dumps(self._keep()).encode())
            writer.write_eof()
            await writer.drain()
        writer.close()

    async def _keep_on(self) -> None:
        while True:
            self._keep()
            await asyncio.sleep(KEEP_EVERY_S)

    def _keep(self, own: Families | None = None) -> list[object]:
        said: list[object] = [family.plain() for family in told(self._own() if own is None else own)]
        try:
            counts.write(self._folder / f"{self._name}{counts.COUNTS}", said)
        except OSError as error:
            log.warning("counts cannot be kept for the other workers: %s", error.strerror)
        return said
