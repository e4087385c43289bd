"""The door to SQL: the only room that knows SQLAlchemy.

`Database` runs steps, `prepare` makes sure that it is ours, `Registry` keeps a task's life, and `Journal` keeps
the receipts that the database could not take. To the outside everything is a `Task`; rows, tables and connections
stay in here.

    lane.py      a queue of steps and the threads that serve it, group by group
    sqlite.py    how a group becomes one transaction of SQLite
    postgres.py  how a step becomes one transaction of PostgreSQL, and what is run again
    locks.py     what must not happen at once, by name
    database.py  `Database.run(step)`: durable when it returns
    schema.py    the tables, and what they refuse
    preparing.py whose database it is, and of which revision; `migrations/` brings it to the newest
    presence.py  which of the gateways at one database are alive
    rows.py      row ↔ Task
    moves.py     what may follow what in a task's life
    twins.py     a create that was made before
    commits.py   a create whose commit was never answered
    limits.py    what a caller may have at once
    ledger.py    what happened to the money of a task, line by line
    accounts.py  what a caller and its team hold and have spent
    audit.py     whether all of it adds up
    prepared.py  statements of the hot paths, compiled once
    queries.py   what can be asked
    registry.py  the face of all this
    callers.py   virtual keys and teams made while the gateway runs, and the freeze
    books.py     what a person asks: pages of tasks, the story of one, who spent what
    totals.py    how things stand in all, for the metrics
    troubles.py  what went wrong lately
    outbox.py    whom to tell of the end of a task, and how far that has come
    rests.py     how the upstreams stand, for all processes together
    sessions.py  who is logged in at the dashboard
    leases.py    which process watches which running task
    journal.py   the way out when the database fails after the upstream said yes
"""

from gateway.store.books import GROUPS, Attempt, Books, Entry, Story, Usage, Wanted
from gateway.store.callers import Callers, NameTaken, NameUnknown
from gateway.store.commits import MayWait
from gateway.store.database import Database, StorageRefused
from gateway.store.journal import Journal, Kept
from gateway.store.lane import RuleBroken
from gateway.store.leases import LEASE_S, Leases, Others
from gateway.store.moves import CANCELLED, ReceiptTaken, Verdict, Wait, WrongState
from gateway.store.outbox import Fate, Letter, Out, Outbox
from gateway.store.preparing import NEWEST_REVISION, SchemaRefused, SchemaTooNew, migrate, prepare, revision_of
from gateway.store.presence import Presence
from gateway.store.registry import Registry
from gateway.store.rests import KeyFull, Rests
from gateway.store.sessions import Session, Sessions
from gateway.store.totals import Totals
from gateway.store.troubles import Refusal

__all__ = [
    "CANCELLED",
    "GROUPS",
    "LEASE_S",
    "NEWEST_REVISION",
    "Attempt",
    "Books",
    "Callers",
    "Database",
    "Entry",
    "Fate",
    "Journal",
    "Kept",
    "KeyFull",
    "Leases",
    "Letter",
    "MayWait",
    "NameTaken",
    "NameUnknown",
    "Others",
    "Out",
    "Outbox",
    "Presence",
    "ReceiptTaken",
    "Refusal",
    "Registry",
    "Rests",
    "RuleBroken",
    "SchemaRefused",
    "SchemaTooNew",
    "Session",
    "Sessions",
    "StorageRefused",
    "Story",
    "Totals",
    "Usage",
    "Verdict",
    "Wait",
    "Wanted",
    "WrongState",
    "migrate",
    "prepare",
    "revision_of",
]
