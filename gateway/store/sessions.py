"""Who is logged in at the dashboard: a row for each session, so that every process at one storage knows it.

A session is known by the digest of its token. What it was opened with is not kept: `proof` is a digest that only the
token can make of the key, and who holds neither learns nothing of either. A session is good for as long as its key is,
which is judged by whoever asks (`web/dashboard/sessions.py`).
"""

from functools import partial

from sqlalchemy import Connection, bindparam, delete, insert, select

from gateway.store.database import Database
from gateway.store.prepared import Prepared
from gateway.store.schema import sessions
from gateway.structs import Struct

# Whoever holds a key can log in as often as the limits let them; more than these are not people's browsers.
OF_ONE_HOLDER_MAX = 50


class Session(Struct, frozen=True):
    """Somebody who logged in. Times are seconds since 1970."""

    digest: str
    """Of the token that only the browser has."""
    key_id: str | None
    """The virtual key that opened it; None: the admin key did."""
    proof: str
    created_at: float
    ends_at: float


_FIND = Prepared(
    select(sessions.c.digest, sessions.c.key_id, sessions.c.proof, sessions.c.created_at, sessions.c.ends_at).where(
        sessions.c.digest == bindparam("of_digest")
    )
)


class Sessions:
    """The sessions at one database. Any method may raise StorageDown."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def start(self, session: Session) -> None:
        """Write a new one down. Those that are over go, and the oldest of a holder that has too many."""
        await self._db.run(partial(start, session=session))

    async def find(self, digest: str) -> Session | None:
        """The session of this token, over or not."""
        return await self._db.read(partial(find, digest=digest))

    async def end(self, digest: str) -> None:
        """It opens nothing any more, in no process."""
        await self._db.run(partial(end, digest=digest))


def start(connection: Connection, session: Session) -> None:
    connection.execute(delete(sessions).where(sessions.c.ends_at <= session.created_at))
    newest = (
        select(sessions.c.digest)
        .where(sessions.c.key_id.is_not_distinct_from(session.key_id))
        .order_by(sessions.c.created_at.desc(), sessions.c.digest)
        .offset(OF_ONE_HOLDER_MAX - 1)
        .limit(OF_ONE_HOLDER_MAX)
    )
    surplus = list(connection.execute(newest).scalars())
    if surplus:
        connection.execute(delete(sessions).where(sessions.c.digest.in_(surplus)))
    row = {
        "digest": session.digest,
        "key_id": session.key_id,
        "proof": session.proof,
        "created_at": session.created_at,
        "ends_at": session.ends_at,
    }
    connection.execute(insert(sessions), row)


def find(connection: Connection, digest: str) -> Session | None:
    row = _FIND.run(connection, {"of_digest": digest}).fetchone()
    return None if row is None else Session(*row)


def end(connection: Connection, digest: str) -> None:
    connection.execute(delete(sessions).where(sessions.c.digest == digest))
