"""The revisions lead to the tables that the program believes in, on both kinds of database."""

import asyncio
import re
import shutil

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from gateway.store import NEWEST_REVISION, Database, Registry, migrations, prepare, preparing, revision_of
from gateway.store.schema import create, metadata
from gateway.video import State
from tests.postgres import fresh_database

# What each kind of database says about itself, whoever made it: every index, trigger and function in its own words.
OWN_WORDS = {
    "sqlite": [
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL",
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main'",
        "SELECT t.name, c.* FROM sqlite_master AS t, pragma_table_xinfo(t.name) AS c WHERE t.type = 'table'",
        "SELECT t.name, f.* FROM sqlite_master AS t, pragma_foreign_key_list(t.name) AS f WHERE t.type = 'table'",
    ],
    "postgresql": [
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace",
        "SELECT table_name, ordinal_position, column_name, data_type, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    ],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def addresses(request, tmp_path):
    """Two empty databases of one kind."""
    if request.param == "sqlite":
        return [f"sqlite:///{tmp_path / name}" for name in ("migrated.db", "believed.db")]
    return [fresh_database().replace("postgresql://", "postgresql+psycopg://") for _ in range(2)]


def migrated(connection):
    migrations.upgrade(connection)
    connection.commit()


def believed(connection):
    create(connection)
    connection.commit()


def description(connection):
    """All there is to know about the tables, whatever made them."""
    look = inspect(connection)
    tables = {
        name: {
            "checks": sorted((check["name"], _flat(check["sqltext"])) for check in look.get_check_constraints(name)),
            "key": look.get_pk_constraint(name)["constrained_columns"],
            "unique": sorted(str(rule["column_names"]) for rule in look.get_unique_constraints(name)),
        }
        for name in look.get_table_names()
        if name != "alembic_version"
    }
    words = [
        sorted(_flat(str(tuple(row))) for row in connection.exec_driver_sql(query) if "alembic_version" not in str(row))
        for query in OWN_WORDS[connection.dialect.name]
    ]
    return tables, words


def _flat(text):
    return re.sub(r"\s+", " ", text.replace("\\n", " "))


def test_the_migrated_schema_is_the_one_that_the_program_believes_in(addresses):
    found = []
    for address, make in zip(addresses, (migrated, believed), strict=True):
        engine = create_engine(address, poolclass=NullPool)
        with engine.connect() as connection:
            make(connection)
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
            found.append(description(connection))
    tables, words = found[0]
    assert set(tables) == set(metadata.tables)
    assert all(words)
    assert tables == found[1][0]
    assert words == found[1][1]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX one_more ON tasks (caller)",
        "DROP INDEX tasks_receipt",
        "ALTER TABLE teams ADD COLUMN colour TEXT",
    ],
)
def test_the_comparison_notices_a_difference(addresses, statement):
    engine = create_engine(addresses[0], poolclass=NullPool)
    with engine.connect() as connection:
        migrated(connection)
        before = description(connection)
        connection.exec_driver_sql(statement)
        assert description(connection) != before


SECOND = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

def upgrade():
    op.add_column("teams", sa.Column("colour", sa.Text(), nullable=False, server_default="red"))
    {more}
"""


@pytest.fixture
def second(monkeypatch, tmp_path):
    """A program that knows one revision more, which does `more`."""

    def teach(more="pass"):
        folder = tmp_path / "100% migrations"
        shutil.copytree(migrations.FOLDER, folder)
        (folder / "versions" / "r0002_colours.py").write_text(SECOND.format(more=more))
        monkeypatch.setattr(migrations, "FOLDER", folder)
        monkeypatch.setattr(preparing, "NEWEST_REVISION", "0002")

    return teach


def test_a_database_of_an_older_revision_is_brought_to_the_newest_with_all_it_holds(world, run, second):
    if world.url.startswith("postgresql"):
        world.url = fresh_database()

    async def story():
        async with world.registry() as registry:
            tasks = [await world.in_state(registry, state) for state in State]
            world.execute("INSERT INTO teams (id, created_at) VALUES ('film', 1)")
        second()
        several = [Database.open(world.url) for _ in range(3)]
        await asyncio.gather(*[prepare(db) for db in several])
        assert [await revision_of(db) for db in several] == ["0002"] * 3
        for task in tasks:
            assert await Registry(several[0]).get(task.id) == task
        for db in several:
            await db.close()
        assert world.execute("SELECT id, colour FROM teams") == [("film", "red")]

    run(story)


def test_a_revision_that_fails_leaves_nothing_behind(world, run, second):
    if world.url.startswith("postgresql"):
        world.url = fresh_database()

    async def story():
        async with world.database():
            pass
        second(more="raise LookupError('the power went out')")
        db = Database.open(world.url)
        with pytest.raises(LookupError):
            await prepare(db)
        assert await revision_of(db) == NEWEST_REVISION
        await db.close()
        with pytest.raises(Exception, match="colour"):
            world.execute("SELECT colour FROM teams")

    run(story)


def test_the_newest_revision_is_the_one_that_the_program_asks_for():
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST_REVISION]
