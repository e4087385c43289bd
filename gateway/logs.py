"""Logs: one JSON object a line on standard error. No secret and, at info level, no prompt ever gets in.

Requests write their line directly (`access`); everything else goes through `logging`.
"""

import asyncio
import logging
import sys
import time
from typing import Any

from gateway import jsontext

# Libraries that would say more than is fit for a log: URLs with signatures, headers, SQL.
_QUIET = ("httpx", "httpcore", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "sqlalchemy", "multipart")
_OWN = "reelgate"


def set_up(level: str) -> None:
    """Send the house's records of `level` and above, and the libraries' warnings, to standard error as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_OWN).setLevel(level.upper())
    _access.is_on = logging.getLogger(_OWN).isEnabledFor(logging.INFO)


def access(fields: dict[str, Any]) -> None:
    """The one line of a request; lines of the same turn of the event loop are written together."""
    if _access.is_on:
        _access.add(jsontext.write(fields))


class _Access:
    """The lines that wait for the end of this turn. `is_on` is known without asking `logging` for every request."""

    def __init__(self) -> None:
        self.is_on = False
        self._lines: list[bytes] = []

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        sys.stderr.buffer.write(b"\n".join(lines) + b"\n")
        sys.stderr.buffer.flush()


_access = _Access()


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return jsontext.write(line).decode()
