"""What Alembic runs around the revisions: our connection, in our transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # Also on SQLite, whose driver once ended a transaction before such statements. Ours leaves that to us.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
