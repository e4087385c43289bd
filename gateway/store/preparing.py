"""Is the database ours, and of this program? Asked before anything is written to it.

An empty database gets the tables; one of an older revision is brought to the newest; one of this program is left as it
is; all others are refused untouched. Of several gateways that begin at once, one works and the others wait for it.
"""

from sqlalchemy import Connection, inspect, select

from gateway.errors import StorageDown
from gateway.store.database import Database, StorageRefused
from gateway.store.locks import lock
from gateway.store.schema import create, meta, tasks

NEWEST_REVISION = "0001"
"""The newest revision in `migrations/versions`."""

_REVISION = "SELECT version_num FROM alembic_version"
_LOCK = "migrations"

# The tables and views that somebody made. Extensions of PostgreSQL bring some of their own.
_NAMES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*'",
    "postgresql": (
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
        "AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (SELECT FROM pg_depend "
        "WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')"
    ),
}


class SchemaRefused(StorageRefused):
    """The database is nothing this program may write to."""


class SchemaTooNew(SchemaRefused):
    """A newer Reelgate wrote it."""


class SchemaTooOld(SchemaRefused):
    """A Reelgate wrote it whose tables this one does not take over."""


class ForeignDatabase(SchemaRefused):
    """Somebody else's."""


async def prepare(db: Database) -> None:
    """Make sure that the database is of this program, and can be written to.

    Raises SchemaRefused before a byte of a strange database is changed, StorageDown where it cannot be used.
    """
    if await revision_of(db) != NEWEST_REVISION:
        await migrate(db)
    await db.probe()  # where there was nothing to do, nothing has been written yet


async def revision_of(db: Database) -> str | None:
    """The revision of a database that is ours, None for an empty one. Raises SchemaRefused for all others."""
    try:
        return await db.read(lambda connection: _judged(connection, db.name))
    except StorageDown as error:
        if _is_no_database(error):
            raise ForeignDatabase(f"{db.name} is not a database: name another file, or remove this one") from None
        raise


async def migrate(db: Database) -> str | None:
    """Bring the database to the newest revision. Returns the one it was of, None if it was empty.

    Raises SchemaRefused like `revision_of`.
    """

    def step(connection: Connection) -> str | None:
        lock(connection, _LOCK)
        found = _judged(connection, db.name)  # looked at again: another process may have been at it
        if found is None:
            _look_at_encoding(connection, db.name)
            _create(connection)
        elif found != NEWEST_REVISION:
            from gateway.store.migrations import upgrade

            upgrade(connection)
        return found

    await revision_of(db)  # only reads: opening a strange file to write would change it
    return await db.run_apart(step)


def _create(connection: Connection) -> None:
    """The tables as they are now: an empty database has no history to go through, and Alembic takes longer to import
    than all this. That the revisions lead to the same tables is a test (`test_migrations.py`)."""
    create(connection)
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{NEWEST_REVISION}')")  # noqa: S608  # our own


def _judged(connection: Connection, name: str) -> str | None:
    names = set(connection.exec_driver_sql(_NAMES[connection.dialect.name]).scalars())
    if not names:
        return None
    if {"alembic_version", meta.name, tasks.name} <= names:
        found = connection.exec_driver_sql(_REVISION).scalars().all()
        if len(found) == 1 and found[0].isdecimal() and int(found[0]) > 0:
            if int(found[0]) > int(NEWEST_REVISION):
                newer = f"revision {found[0]}, and this one knows {NEWEST_REVISION}"
                raise SchemaTooNew(f"{name} was written by a newer Reelgate ({newer}): update Reelgate")
            return str(found[0])
    if _is_before_the_ledger(connection, names):
        raise SchemaTooOld(
            f"{name} was written by a Reelgate before the ledger, and is not taken over: name another database"
        )
    raise ForeignDatabase(f"{name} holds tables that are not Reelgate's: name another database")


def _is_before_the_ledger(connection: Connection, names: set[str]) -> bool:
    """Early files said what they are in a row of `meta`."""
    if not {meta.name, tasks.name} <= names or "alembic_version" in names:
        return False
    if {column["name"] for column in inspect(connection).get_columns(meta.name)} != {"name", "value"}:
        return False
    return connection.execute(select(meta.c.value).where(meta.c.name == "schema_version")).first() is not None


def _look_at_encoding(connection: Connection, name: str) -> None:
    # In any other, the first prompt with a letter that it does not have would fail, with a task half-way.
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            raise SchemaRefused(f"{name} keeps its texts in {encoding}: create it with ENCODING 'UTF8'")


def _is_no_database(error: StorageDown) -> bool:
    original = getattr(error.__cause__, "orig", error.__cause__)
    return getattr(original, "sqlite_errorname", None) == "SQLITE_NOTADB"
