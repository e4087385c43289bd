"""Locks on names, held until the step is durable: whoever counts or moves something takes them first.

Steps of SQLite run one after another in all processes (`BEGIN IMMEDIATE`), so there is nothing to take. On PostgreSQL
steps run side by side, in this process and in the other replicas.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection


def lock(connection: Connection, *names: str) -> None:
    """Nobody else holds one of these names until this step's transaction has ended.

    The names of one call are locked in one order everywhere; a step that calls twice must do so in the order in which
    all others do (owners, then the queue), so that no two wait for each other. Two that do are told so by the database,
    and run again (`postgres.py`). Two names that share a hash only wait for each other needlessly. Waiting too long is
    StorageDown.
    """
    if connection.dialect.name == "postgresql" and names:
        keys = sorted({_key(name) for name in names})
        driver: Any = connection.connection.driver_connection
        driver.execute(_statement(len(keys)), keys)


@lru_cache(4096)  # a team's keys and their names fit; it spares the hash, nothing else
def _key(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8]) >> 1


@lru_cache(16)
def _statement(count: int) -> str:
    # Expressions of a SELECT without a table are computed from left to right.
    return f"SELECT {', '.join(['pg_advisory_xact_lock(%s)'] * count)}"
