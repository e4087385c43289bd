"""The schema, revision by revision, as Alembic runs it.

Imported only where a database is of an older revision: an empty one gets the newest tables at once, and Alembic costs
more time than all the rest of the store.

Rules for editors of this folder:

1. A revision says its statements itself and never reads `schema.py`, which moves on. It is not changed after a release.
2. There is one step back from a revision, and that is the backup.
3. A revision runs in one transaction, on both kinds of database, and while other replicas still run the program before
   it: it adds, and leaves removing to a later one.

Revision 0001 is written by `tools/first_revision.py` from `schema.py`, until the release that it belongs to.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

FOLDER = Path(__file__).parent


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest revision, inside the transaction that the connection is in."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
