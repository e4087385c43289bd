"""The door to SQL: the only room that knows SQLAlchemy.

`Database` runs steps, `prepare` makes sure that a file is ours, `Registry` keeps a task's life, and `Journal` keeps
the receipts that the database could not take. To the outside everything is a `Task`; rows, tables and connections
stay in here.

    lane.py      a queue of steps and the threads that serve it, group by group
    sqlite.py    how a group becomes one transaction of SQLite
    database.py  `Database.run(step)`: durable when it returns
    schema.py    the tables, and what they refuse
    rows.py      row ↔ Task
    moves.py     what may follow what in a task's life
    twins.py     a create that was made before
    limits.py    what a caller may have at once
    ledger.py    what happened to the money of a task, line by line
    accounts.py  what a caller and its team hold and have spent
    audit.py     whether all of it adds up
    prepared.py  statements of the hot paths, compiled once
    queries.py   what can be asked
    registry.py  the face of all this
    journal.py   the way out when the database fails after the upstream said yes
"""

from gateway.store.database import Database
from gateway.store.journal import Journal
from gateway.store.lane import RuleBroken
from gateway.store.moves import ReceiptTaken, Verdict, Wait, WrongState
from gateway.store.registry import Registry
from gateway.store.schema import SchemaRefused, SchemaTooNew, prepare

__all__ = [
    "Database",
    "Journal",
    "ReceiptTaken",
    "Registry",
    "RuleBroken",
    "SchemaRefused",
    "SchemaTooNew",
    "Verdict",
    "Wait",
    "WrongState",
    "prepare",
]
