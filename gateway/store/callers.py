"""Virtual keys and teams that were made while the gateway runs, and the switch that freezes creates.

A key is kept as the digest of its text, which is told once and kept nowhere; a revoked key stays, because its tasks and
its money do, and so does its name. Every change makes the roll's version grow, in the same transaction: whoever has
read the roll asks for this one number to learn whether to read it again.
"""

import json
import secrets
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from gateway.secret import Secret
from gateway.store.database import Database
from gateway.store.locks import lock
from gateway.store.prepared import Prepared
from gateway.store.schema import meta, teams, virtual_keys
from gateway.video import Budget
from gateway.virtual_keys import Issued, Roll, Team, VirtualKey

PREFIX = "sk-rg-"
SECRET_BYTES = 32
HINT_CHARACTERS = 4

_VERSION, _FROZEN = "callers:version", "callers:frozen_since"
_READ_VERSION = Prepared(select(meta.c.value).where(meta.c.name == bindparam("of_name")))


class NameTaken(Exception):
    """There is or was a key or team of this name; nothing was changed. The message says so to whoever wants it."""


class NameUnknown(Exception):
    """There is no key or team of this name in storage; nothing was changed."""


class Callers:
    """Makes and revokes keys, makes and changes teams, freezes creates. Any method may raise StorageDown."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create_key(self, key: VirtualKey, now: float) -> tuple[Issued, Secret]:
        """A new key, and its text, which nobody can be told again. Raises NameTaken."""
        text = Secret(PREFIX + secrets.token_urlsafe(SECRET_BYTES))
        hint = text.reveal()[-HINT_CHARACTERS:]
        issued = Issued(key=key, digest=text.digest(), hint=hint, created_at=now)
        await self._db.run(partial(add_key, issued=issued))
        return issued, text

    async def revoke_key(self, key_id: str, now: float) -> Issued:
        """The key opens nothing any more, wherever this is known. One that was revoked before stays as it is.

        Raises NameUnknown.
        """
        return await self._db.run(partial(revoke_key, key_id=key_id, now=now))

    async def create_team(self, team: Team, now: float) -> None:
        """A new team. Raises NameTaken."""
        await self._db.run(partial(add_team, team=team, now=now))

    async def update_team(self, team: Team) -> None:
        """Give a team another budget, from the next create on. Raises NameUnknown."""
        await self._db.run(partial(change_team, team=team))

    async def freeze(self, now: float) -> None:
        """Refuse creates everywhere, until `unfreeze`."""
        await self._db.run(partial(set_frozen, since=now))

    async def unfreeze(self) -> None:
        """Take creates again."""
        await self._db.run(partial(set_frozen, since=None))

    async def version(self) -> int:
        """Of the roll: one row, so cheap that it is asked every second."""
        return await self._db.read(version)

    async def roll(self) -> Roll:
        """All keys and teams, as they are now."""
        return await self._db.read(read_roll)


def add_key(connection: Connection, issued: Issued) -> None:
    """Write a new key down."""
    _begin_change(connection)
    key = issued.key
    found = connection.execute(select(virtual_keys.c.revoked_at).where(virtual_keys.c.id == key.id)).one_or_none()
    if found is not None:
        was = "there is a key" if found[0] is None else "there was a key, now revoked,"
        raise NameTaken(f"{was} of the name {key.id}, and its tasks are under it; take another name")
    row = {
        "id": key.id,
        "sha256": issued.digest,
        "hint": issued.hint,
        "team": key.team,
        "dialect": key.dialect,
        "models": json.dumps(key.models),
        **_budget_columns(key.budget),
        "rpm": key.rpm,
        "max_tasks": key.max_tasks,
        "passthrough": key.passthrough,
        "created_at": issued.created_at,
        "expires_at": key.expires_at,
    }
    connection.execute(insert(virtual_keys), row)


def revoke_key(connection: Connection, key_id: str, now: float) -> Issued:
    """Write down since when a key opens nothing."""
    _begin_change(connection)
    revoking = update(virtual_keys).where(virtual_keys.c.id == key_id, virtual_keys.c.revoked_at.is_(None))
    connection.execute(revoking.values(revoked_at=now))
    row = connection.execute(select(virtual_keys).where(virtual_keys.c.id == key_id)).one_or_none()
    if row is None:
        raise NameUnknown(f"there is no key {key_id} in storage")
    return _issued(row)


def add_team(connection: Connection, team: Team, now: float) -> None:
    """Write a new team down."""
    _begin_change(connection)
    if connection.execute(select(teams.c.id).where(teams.c.id == team.id)).one_or_none() is not None:
        raise NameTaken(f"there is a team of the name {team.id}")
    connection.execute(insert(teams), {"id": team.id, **_budget_columns(team.budget), "created_at": now})


def change_team(connection: Connection, team: Team) -> None:
    """Write another budget down."""
    _begin_change(connection)
    changed = connection.execute(update(teams).where(teams.c.id == team.id).values(_budget_columns(team.budget)))
    if changed.rowcount == 0:
        raise NameUnknown(f"there is no team {team.id} in storage")


def set_frozen(connection: Connection, since: float | None) -> None:
    """Creates are refused from a time on, or no more. Who froze first is remembered."""
    _begin_change(connection)
    if since is None:
        connection.execute(delete(meta).where(meta.c.name == _FROZEN))
    elif _meta(connection, _FROZEN) is None:
        connection.execute(insert(meta), {"name": _FROZEN, "value": repr(since)})


def version(connection: Connection) -> int:
    """How many changes there were."""
    row = _READ_VERSION.run(connection, {"of_name": _VERSION}).fetchone()
    return 0 if row is None else int(row[0])


def read_roll(connection: Connection) -> Roll:
    """Everything, with the version first: a change that comes meanwhile is then read once more, and not missed."""
    known = version(connection)
    keys = connection.execute(select(virtual_keys).order_by(virtual_keys.c.created_at, virtual_keys.c.id))
    found = connection.execute(select(teams).order_by(teams.c.created_at, teams.c.id))
    frozen_since = _meta(connection, _FROZEN)
    return Roll(
        version=known,
        keys=tuple(_issued(row) for row in keys),
        teams=tuple(Team(row.id, _budget(row)) for row in found),
        frozen_since=None if frozen_since is None else float(frozen_since),
    )


def _begin_change(connection: Connection) -> None:
    """One change after the other, and the version grows with each; if the change fails, so does this."""
    lock(connection, "callers")
    if _meta(connection, _VERSION) is None:
        connection.execute(insert(meta), {"name": _VERSION, "value": "1"})
    else:
        following = str(version(connection) + 1)
        connection.execute(update(meta).where(meta.c.name == _VERSION).values(value=following))


def _meta(connection: Connection, name: str) -> str | None:
    value: str | None = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()
    return value


def _issued(row: Any) -> Issued:
    key = VirtualKey(
        id=row.id,
        team=row.team,
        models=tuple(json.loads(row.models)),
        dialect=row.dialect,
        budget=_budget(row),
        rpm=row.rpm,
        max_tasks=row.max_tasks,
        passthrough=bool(row.passthrough),
        expires_at=row.expires_at,
    )
    return Issued(key=key, digest=row.sha256, hint=row.hint, created_at=row.created_at, revoked_at=row.revoked_at)


def _budget(row: Any) -> Budget | None:
    return None if row.budget_amount is None else Budget(row.budget_amount, row.budget_period)


def _budget_columns(budget: Budget | None) -> dict[str, Any]:
    return {
        "budget_amount": None if budget is None else budget.amount,
        "budget_period": None if budget is None else budget.period,
    }
