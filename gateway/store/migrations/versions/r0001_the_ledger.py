"""The first revision: tasks and their attempts, the ledger, virtual keys and teams.

Written by `tools/first_revision.py`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# What keeps the lines of the ledger, for each kind of database.
APPEND_ONLY = {
    "sqlite": [
        "CREATE TRIGGER entries_UPDATE BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is "
        "append-only'); END",
        "CREATE TRIGGER entries_DELETE BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is "
        "append-only'); END",
    ],
    "postgresql": [
        "CREATE FUNCTION entries_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
        "'the ledger is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        "CREATE TRIGGER entries_kept BEFORE UPDATE OR DELETE ON entries FOR EACH STATEMENT EXECUTE "
        "FUNCTION entries_are_kept()",
    ],
}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "accounts",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.Column("limit", sa.BigInteger(), nullable=True),
        sa.Column("available", sa.BigInteger(), nullable=True),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.CheckConstraint('"limit" = available + held + spent', name="money_adds_up"),
        sa.CheckConstraint('("limit" IS NULL) = (available IS NULL)', name="limited_or_not"),
        sa.CheckConstraint("held >= 0 AND spent >= 0 AND available >= 0", name="nothing_is_owed"),
        sa.CheckConstraint("starts_at < ends_at", name="time_passes"),
        sa.PrimaryKeyConstraint("owner", "starts_at", "ends_at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "rests",
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("whose", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("streak", sa.Integer(), nullable=False),
        sa.Column("learnt_at", sa.Double(), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.CheckConstraint("why IN ('barred', 'cooling', 'exhausted', 'resting', 'retired')", name="why_is_known"),
        sa.CheckConstraint("streak >= 0", name="streak_is_counted"),
        sa.PrimaryKeyConstraint("upstream", "why", "whose", "model"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=True),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.CheckConstraint("created_at < ends_at", name="session_ends"),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_end", "sessions", ["ends_at"], unique=False)
    op.create_index("sessions_holder", "sessions", ["key_id", "created_at"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("money", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("upstream_id", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("generating", sa.Boolean(), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("looked_at", sa.Double(), nullable=True),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.CheckConstraint("(state = 'completed') = (link IS NOT NULL)", name="completed_has_link"),
        sa.CheckConstraint(
            "(state IN ('completed', 'failed', 'refused')) = (finished_at IS NOT NULL)", name="final_is_finished"
        ),
        sa.CheckConstraint(
            "(state IN ('completed', 'failed', 'refused')) = (money <> 'held')", name="unfinished_holds"
        ),
        sa.CheckConstraint(
            "(state IN ('failed', 'refused')) = (failure_code IS NOT NULL AND failure_message IS NOT NULL)",
            name="failed_says_why",
        ),
        sa.CheckConstraint(
            "NOT (state IN ('completed', 'running')) OR (upstream_id IS NOT NULL AND started_at IS NOT NULL)",
            name="receipt_held",
        ),
        sa.CheckConstraint(
            "NOT (state IN ('opened', 'queued', 'refused', 'unconfirmed')) OR upstream_id IS NULL",
            name="receipt_not_held",
        ),
        sa.CheckConstraint("money IN ('held', 'released', 'settled', 'suspended')", name="money_is_known"),
        sa.CheckConstraint("state <> 'completed' OR money = 'settled'", name="completed_is_settled"),
        sa.CheckConstraint("state <> 'refused' OR money = 'released'", name="refused_is_released"),
        sa.CheckConstraint(
            "state IN ('completed', 'failed', 'opened', 'queued', 'refused', 'running', 'unconfirmed')",
            name="state_is_known",
        ),
        sa.CheckConstraint("attempts >= 0", name="attempts_are_counted"),
        sa.CheckConstraint("price >= 0", name="price_is_no_debt"),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name="progress_is_percent"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "tasks_caller",
        "tasks",
        ["caller", "id"],
        unique=False,
        sqlite_where=sa.text("team IS NULL"),
        postgresql_where=sa.text("team IS NULL"),
    )
    op.create_index("tasks_fingerprint", "tasks", ["caller", "fingerprint", "created_at"], unique=False)
    op.create_index("tasks_in_flight", "tasks", ["caller", "state"], unique=False)
    op.create_index("tasks_lately", "tasks", ["caller", "created_at"], unique=False)
    op.create_index(
        "tasks_receipt",
        "tasks",
        ["upstream", "upstream_id"],
        unique=True,
        sqlite_where=sa.text("upstream_id IS NOT NULL"),
        postgresql_where=sa.text("upstream_id IS NOT NULL"),
    )
    op.create_index("tasks_state", "tasks", ["state", "upstream", "key_id"], unique=False)
    op.create_index(
        "tasks_suspended",
        "tasks",
        ["id"],
        unique=False,
        sqlite_where=sa.text("money = 'suspended'"),
        postgresql_where=sa.text("money = 'suspended'"),
    )
    op.create_index(
        "tasks_team",
        "tasks",
        ["team", "id"],
        unique=False,
        sqlite_where=sa.text("team IS NOT NULL"),
        postgresql_where=sa.text("team IS NOT NULL"),
    )
    op.create_table(
        "teams",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("budget_amount", sa.BigInteger(), nullable=True),
        sa.Column("budget_period", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint("budget_amount >= 0", name="team_budget_is_no_debt"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "virtual_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("budget_amount", sa.BigInteger(), nullable=True),
        sa.Column("budget_period", sa.Text(), nullable=True),
        sa.Column("rpm", sa.Integer(), nullable=True),
        sa.Column("max_tasks", sa.Integer(), nullable=True),
        sa.Column("passthrough", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.CheckConstraint("budget_amount >= 0", name="budget_is_no_debt"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256"),
    )
    op.create_table(
        "watchers",
        sa.Column("instance", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("instance"),
    )
    op.create_table(
        "attempts",
        sa.Column("task_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("owner", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("row", sa.Text(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reserved", sa.Double(), nullable=True),
        sa.CheckConstraint("(outcome = 'intent') = (ended_at IS NULL)", name="ended_has_outcome"),
        sa.CheckConstraint("outcome IN ('accepted', 'doubt', 'intent', 'refused')", name="outcome_is_known"),
        sa.CheckConstraint("number >= 1", name="number_is_counted"),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("task_id", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index("attempts_lately", "attempts", ["upstream", "key_id", "started_at"], unique=False)
    op.create_table(
        "entries",
        sa.Column("task_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("(number = 1) = (kind = 'reserve') AND number >= 1", name="reserved_first"),
        sa.CheckConstraint("kind IN ('release', 'reserve', 'resume', 'settle', 'suspend')", name="kind_is_known"),
        sa.CheckConstraint("amount >= 0", name="amount_is_no_debt"),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("task_id", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "entries_resolved",
        "entries",
        ["task_id"],
        unique=True,
        sqlite_where=sa.text("kind IN ('settle', 'release')"),
        postgresql_where=sa.text("kind IN ('settle', 'release')"),
    )
    op.create_table(
        "films",
        sa.Column("task_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("kept_at", sa.Double(), nullable=True),
        sa.CheckConstraint("state <> 'kept' OR (bytes > 0 AND kept_at IS NOT NULL)", name="kept_is_counted"),
        sa.CheckConstraint("state IN ('due', 'gone', 'kept')", name="film_state_is_known"),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index(
        "films_due",
        "films",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_index(
        "films_kept",
        "films",
        ["kept_at"],
        unique=False,
        sqlite_where=sa.text("state = 'kept'"),
        postgresql_where=sa.text("state = 'kept'"),
    )
    op.create_table(
        "idempotency",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("task_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("caller", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("idempotency_task", "idempotency", ["task_id"], unique=False)
    op.create_table(
        "leases",
        sa.Column("task_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index("leases_holder", "leases", ["holder"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("task_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.CheckConstraint("(state = 'due') = (ended_at IS NULL)", name="ended_is_not_due"),
        sa.CheckConstraint("state IN ('delivered', 'due', 'given_up', 'withdrawn')", name="state_is_listed"),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("task_id", "number"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "outbox_due",
        "outbox",
        ["due_at", "host"],
        unique=False,
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_table(
        "waiting",
        sa.Column("task_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
        ),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index("waiting_turn", "waiting", ["caller", "model", "task_id"], unique=False)
    connection = op.get_bind()
    for statement in APPEND_ONLY[connection.dialect.name]:
        connection.exec_driver_sql(statement)
