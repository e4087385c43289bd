"""The tables.

A database gets them from `migrations/`, which say the same; a change here needs a revision there.

What the code promises about a task's life (DESIGN section 4), the constraints say again: a bug here must fail, not
lose money. Times are seconds since 1970, prices millionths of the currency. Prompts live in `tasks.request` only.
"""

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from gateway.video import FINAL, Money, State


def _one_of(column: str, words: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(repr(str(word)) for word in sorted(words))})"


metadata = MetaData()

WHERE = "where"
"""Of an index: which rows it is of. It is told to a dialect only once that is known (`say_where`), because to name one
here imports all of it, PostgreSQL's where nobody has one."""

# On SQLite an INTEGER PRIMARY KEY is the row's own place in the file: ids sort by age, so rows are only ever appended.
_TaskId = BigInteger().with_variant(Integer(), "sqlite")

_HAS_RECEIPT = _one_of("state", (State.RUNNING, State.COMPLETED))
_HAS_NONE = _one_of("state", (State.QUEUED, State.OPENED, State.UNCONFIRMED, State.REFUSED))

tasks = Table(
    "tasks",
    metadata,
    Column("id", _TaskId, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("team", Text),
    Column("dialect", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("price", BigInteger),
    Column("currency", Text, nullable=False),
    Column("money", Text, nullable=False),
    Column("upstream", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("upstream_id", Text),
    Column("attempts", Integer, nullable=False),
    Column("progress", Integer, nullable=False),
    Column("generating", Boolean, nullable=False),
    Column("link", Text),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("looked_at", Double),
    Column("hidden", Boolean, nullable=False),
    CheckConstraint(_one_of("state", State), name="state_is_known"),
    CheckConstraint("price >= 0", name="price_is_no_debt"),
    CheckConstraint("attempts >= 0", name="attempts_are_counted"),
    CheckConstraint("progress BETWEEN 0 AND 100", name="progress_is_percent"),
    CheckConstraint(
        f"NOT ({_HAS_RECEIPT}) OR (upstream_id IS NOT NULL AND started_at IS NOT NULL)", name="receipt_held"
    ),
    CheckConstraint(f"NOT ({_HAS_NONE}) OR upstream_id IS NULL", name="receipt_not_held"),
    CheckConstraint(f"({_one_of('state', FINAL)}) = (finished_at IS NOT NULL)", name="final_is_finished"),
    CheckConstraint("(state = 'completed') = (link IS NOT NULL)", name="completed_has_link"),
    CheckConstraint(
        f"({_one_of('state', (State.FAILED, State.REFUSED))}) = "
        "(failure_code IS NOT NULL AND failure_message IS NOT NULL)",
        name="failed_says_why",
    ),
    CheckConstraint(_one_of("money", Money), name="money_is_known"),
    # Where the money of a task may stand in each of its states: held until its end, and never in doubt after success.
    CheckConstraint(f"({_one_of('state', FINAL)}) = (money <> 'held')", name="unfinished_holds"),
    CheckConstraint("state <> 'completed' OR money = 'settled'", name="completed_is_settled"),
    CheckConstraint("state <> 'refused' OR money = 'released'", name="refused_is_released"),
)

_receipt_held = tasks.c.upstream_id.is_not(None)
Index(
    "tasks_receipt",  # an upstream's id belongs to one task (FAILURES H5)
    tasks.c.upstream,
    tasks.c.upstream_id,
    unique=True,
    info={WHERE: _receipt_held},
)
Index("tasks_state", tasks.c.state, tasks.c.upstream, tasks.c.key_id)
# Each task is in one of these two: with a team it is the team's, without one the key's (`Caller.may_see`).
_of_team = tasks.c.team.is_not(None)
_of_key = tasks.c.team.is_(None)
Index("tasks_team", tasks.c.team, tasks.c.id, info={WHERE: _of_team})
Index("tasks_caller", tasks.c.caller, tasks.c.id, info={WHERE: _of_key})

# What a caller has in flight, and has opened lately, is counted at every create that is limited (`limits.py`).
Index("tasks_in_flight", tasks.c.caller, tasks.c.state)
Index("tasks_lately", tasks.c.caller, tasks.c.created_at)
# A repeat that an SDK marks is found by what it asks for (CONTRACT section 7).
Index("tasks_fingerprint", tasks.c.caller, tasks.c.fingerprint, tasks.c.created_at)

_is_suspended = tasks.c.money == Money.SUSPENDED.value
Index("tasks_suspended", tasks.c.id, info={WHERE: _is_suspended})

attempts = Table(
    "attempts",
    metadata,
    Column("task_id", _TaskId, ForeignKey("tasks.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("upstream", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("owner", Integer, nullable=False),  # the process that sends it (`presence.py`)
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("outcome", Text, nullable=False),
    Column("row", Text),  # the line of FAILURES that judged it, such as H20
    Column("http_status", Integer),
    Column("reason", Text),
    Column("reserved", Double),  # what the upstream said it set aside, in its own unit
    CheckConstraint("number >= 1", name="number_is_counted"),
    CheckConstraint(_one_of("outcome", ("intent", "accepted", "refused", "doubt")), name="outcome_is_known"),
    CheckConstraint("(outcome = 'intent') = (ended_at IS NULL)", name="ended_has_outcome"),
    sqlite_with_rowid=False,
)

# How often a key was used in the last minute, by all processes, is counted where that is limited (`rests.py`).
Index("attempts_lately", attempts.c.upstream, attempts.c.key_id, attempts.c.started_at)

# What an idempotency key stands for. A task that surely was not bought frees its key.
idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("task_id", _TaskId, ForeignKey("tasks.id"), nullable=False),
    Column("created_at", Double, nullable=False),
    sqlite_with_rowid=False,
)
Index("idempotency_task", idempotency.c.task_id)

# What an owner's tasks of one stretch of time (`periods.py`) hold and have spent: the sum over the tasks that were
# opened in it, kept beside them so that a create need not add them up. An owner is `key:ID` or `team:ID`.
accounts = Table(
    "accounts",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("starts_at", Double, primary_key=True),
    Column("ends_at", Double, primary_key=True),
    Column("limit", BigInteger),  # NULL where nothing is limited, or no longer in this stretch
    Column("available", BigInteger),
    Column("held", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    CheckConstraint("held >= 0 AND spent >= 0 AND available >= 0", name="nothing_is_owed"),
    CheckConstraint('("limit" IS NULL) = (available IS NULL)', name="limited_or_not"),
    CheckConstraint('"limit" = available + held + spent', name="money_adds_up"),
    CheckConstraint("starts_at < ends_at", name="time_passes"),
    sqlite_with_rowid=False,
)

# The ledger: what happened to the money of a task, line by line. Lines are added, never changed: `APPEND_ONLY` sees
# to it.
entries = Table(
    "entries",
    metadata,
    Column("task_id", _TaskId, ForeignKey("tasks.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("reason", Text),  # said by whoever moved the money by hand
    CheckConstraint(_one_of("kind", ("reserve", "suspend", "resume", "settle", "release")), name="kind_is_known"),
    CheckConstraint("(number = 1) = (kind = 'reserve') AND number >= 1", name="reserved_first"),
    CheckConstraint("amount >= 0", name="amount_is_no_debt"),
    sqlite_with_rowid=False,
)
_resolves = entries.c.kind.in_(("settle", "release"))
Index(
    "entries_resolved",  # each reservation is resolved once
    entries.c.task_id,
    unique=True,
    info={WHERE: _resolves},
)

APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER entries_{change} BEFORE {change} ON entries "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for change in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION entries_are_kept() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        "CREATE TRIGGER entries_kept BEFORE UPDATE OR DELETE ON entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION entries_are_kept()",
    ],
}
"""What keeps the lines of the ledger, for each kind of database."""

# Tasks that wait for a key, with the whole request: `tasks` keeps an inline image by its digest only.
waiting = Table(
    "waiting",
    metadata,
    Column("task_id", _TaskId, ForeignKey("tasks.id"), primary_key=True, autoincrement=False),
    Column("caller", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("since", Double, nullable=False),
    Column("request", Text, nullable=False),
)
Index("waiting_turn", waiting.c.caller, waiting.c.model, waiting.c.task_id)

# Whom to tell of the end of a task (`outbox.py`), written in the transaction that ends it. A task that a person takes
# up again ends once more, and is told of once more.
outbox = Table(
    "outbox",
    metadata,
    Column("task_id", _TaskId, ForeignKey("tasks.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("host", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", Double, nullable=False),  # and while somebody delivers it, when his time is over
    Column("taken", Integer, nullable=False),  # how often it was: who took it before has no more to say
    Column("failures", Integer, nullable=False),
    Column("body", LargeBinary),  # from the first attempt to the last, so that all of them say the same
    Column("answer", Text),  # the last one: a status, or why there is none
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    CheckConstraint(_one_of("state", ("due", "delivered", "given_up", "withdrawn")), name="state_is_listed"),
    CheckConstraint("(state = 'due') = (ended_at IS NULL)", name="ended_is_not_due"),
    sqlite_with_rowid=False,
)
_is_due = outbox.c.state == "due"
Index("outbox_due", outbox.c.due_at, outbox.c.host, info={WHERE: _is_due})

# What became of the film of each completed task: `due` to be fetched, `kept` in the archive, or `gone`.
films = Table(
    "films",
    metadata,
    Column("task_id", _TaskId, ForeignKey("tasks.id"), primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("due_at", Double, nullable=False),  # not fetched before; a process that fetches it puts it off for the rest
    Column("tries", Integer, nullable=False),
    Column("bytes", BigInteger),
    Column("kept_at", Double),
    CheckConstraint(_one_of("state", ("due", "kept", "gone")), name="film_state_is_known"),
    CheckConstraint("state <> 'kept' OR (bytes > 0 AND kept_at IS NOT NULL)", name="kept_is_counted"),
)
_is_due = films.c.state == "due"
Index("films_due", films.c.due_at, info={WHERE: _is_due})
_is_kept = films.c.state == "kept"
Index("films_kept", films.c.kept_at, info={WHERE: _is_kept})

# Who watches what (`leases.py`): the processes that say they are there, and the running tasks that each has taken.
watchers = Table(
    "watchers",
    metadata,
    Column("instance", Integer, primary_key=True, autoincrement=False),
    Column("until", Double, nullable=False),
)
leases = Table(
    "leases",
    metadata,
    Column("task_id", _TaskId, ForeignKey("tasks.id"), primary_key=True, autoincrement=False),
    Column("holder", Integer, nullable=False),
)
Index("leases_holder", leases.c.holder)

# What was learnt of an upstream, of an account there, of a key, or of a key and a model; the names that a rest does not
# need are empty. Infinity is until somebody acts.
rests = Table(
    "rests",
    metadata,
    Column("upstream", Text, primary_key=True),
    Column("why", Text, primary_key=True),
    Column("whose", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("until", Double, nullable=False),
    Column("streak", Integer, nullable=False),
    Column("learnt_at", Double, nullable=False),
    Column("credential", Text, nullable=False),
    CheckConstraint(_one_of("why", ("cooling", "resting", "exhausted", "retired", "barred")), name="why_is_known"),
    CheckConstraint("streak >= 0", name="streak_is_counted"),
    sqlite_with_rowid=False,
)

# Keys and teams made while the gateway runs. A key is known by the digest of its text, which is shown once, not kept.
virtual_keys = Table(
    "virtual_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("hint", Text, nullable=False),  # its last characters, to tell one from another
    Column("team", Text),
    Column("dialect", Text),
    Column("models", Text, nullable=False),  # a JSON array of globs
    Column("budget_amount", BigInteger),
    Column("budget_period", Text),
    Column("rpm", Integer),
    Column("max_tasks", Integer),
    Column("passthrough", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    CheckConstraint("budget_amount >= 0", name="budget_is_no_debt"),
)
teams = Table(
    "teams",
    metadata,
    Column("id", Text, primary_key=True),
    Column("budget_amount", BigInteger),
    Column("budget_period", Text),
    Column("created_at", Double, nullable=False),
    CheckConstraint("budget_amount >= 0", name="team_budget_is_no_debt"),
)

# Who is logged in at the dashboard (`sessions.py`): nothing here opens anything, and no key is kept.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("key_id", Text),  # NULL for whoever came with the admin key
    Column("proof", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ends_at", Double, nullable=False),
    CheckConstraint("created_at < ends_at", name="session_ends"),
    sqlite_with_rowid=False,
)
Index("sessions_end", sessions.c.ends_at)
Index("sessions_holder", sessions.c.key_id, sessions.c.created_at)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)


def say_where(dialect: str) -> None:
    """From now on, the indexes of some rows are so for this dialect."""
    for table in metadata.tables.values():
        for index in table.indexes:
            if WHERE in index.info:
                index.dialect_options[dialect]["where"] = index.info[WHERE]


def create(connection: Connection) -> None:
    """All of this, in an empty database."""
    say_where(connection.dialect.name)
    metadata.create_all(connection)
    for statement in APPEND_ONLY[connection.dialect.name]:
        connection.exec_driver_sql(statement)
