"""Keys, teams and the freeze: what a person changes, and how every process comes to know.

A change is in force in this process when it is answered. Others on the same storage ask once a second whether anything
was changed, which is one row, so a revocation is effective everywhere within seconds. A key that is not known is asked
for at once, because it may have been made a moment ago; a flood of junk asks no more often than one such key would.
While storage is down, what was known last is gone by: nothing can be opened then anyway.
"""

import asyncio
import logging
from contextlib import suppress
from time import monotonic

from gateway.errors import InvalidRequest, StorageDown
from gateway.parts import Desk, Parts
from gateway.secret import Secret
from gateway.store import NameTaken
from gateway.virtual_keys import Issued, Team, VirtualKey

log = logging.getLogger("reelgate.callers")

EVERY_S = 1.0  # other replicas learn of a revocation within 5 s (CONTRACT section 7), slow reads included
LOOK_AGAIN_S = 0.25  # for a key that is not known


async def run(parts: Parts) -> None:
    """Keep up with storage, until cancelled."""
    await parts.stories.repeat(lambda: _pass(parts))


async def refresh(desk: Desk) -> None:
    """Know what storage knows. Raises StorageDown."""
    if await desk.callers.version() != desk.admission.version:
        desk.admission.learn(await desk.callers.roll())


async def look_again(parts: Parts) -> None:
    """A key is not known: be as new as storage, unless that was tried a moment ago. Whoever comes meanwhile joins."""
    admission = parts.admission
    if admission.reading is None:
        if monotonic() - admission.read_at < LOOK_AGAIN_S:
            return
        admission.read_at = monotonic()
        admission.reading = parts.stories.start(_reread(parts))
    await asyncio.wait((admission.reading,))


async def _pass(parts: Parts) -> None:
    with suppress(StorageDown):  # the sweep says so, and this must not rest any longer for it
        await refresh(parts)
    await asyncio.sleep(EVERY_S)


async def create_key(key: VirtualKey, desk: Desk) -> tuple[Issued, Secret]:
    """A new key, good at once, and its text, for this one time. Raises NameTaken, InvalidRequest."""
    if desk.admission.is_configured_key(key.id):
        raise NameTaken(f"the configuration has a key {key.id}; take another name")
    teams = [team.id for team in desk.admission.teams()]
    if key.team is not None and key.team not in teams:
        raise InvalidRequest.at("team", f"there is no team {key.team}; make it first", *teams)
    made = await desk.callers.create_key(key, desk.clock())
    await _know(desk)
    log.info("key %s was made", key.id)
    return made


async def revoke_key(key_id: str, desk: Desk) -> Issued:
    """The key opens nothing any more. Raises NameTaken for a key of the configuration, NameUnknown."""
    if desk.admission.is_configured_key(key_id):
        raise NameTaken(f"the key {key_id} stands in the configuration; take it out there")
    revoked = await desk.callers.revoke_key(key_id, desk.clock())
    await _know(desk)
    log.info("key %s was revoked", key_id)
    return revoked


async def create_team(team: Team, desk: Desk) -> None:
    """A new team. Raises NameTaken."""
    if desk.admission.is_configured_team(team.id):
        raise NameTaken(f"the configuration has a team {team.id}; take another name")
    await desk.callers.create_team(team, desk.clock())
    await _know(desk)
    log.info("team %s was made", team.id)


async def update_team(team: Team, desk: Desk) -> None:
    """Give a team another budget. Raises NameTaken for a team of the configuration, NameUnknown."""
    if desk.admission.is_configured_team(team.id):
        raise NameTaken(f"the team {team.id} stands in the configuration; change it there")
    await desk.callers.update_team(team)
    await _know(desk)
    log.info("team %s has another budget", team.id)


async def freeze(desk: Desk) -> None:
    """Refuse creates from now on, in every process."""
    await desk.callers.freeze(desk.clock())
    await _know(desk)
    log.info("creates are frozen")


async def unfreeze(desk: Desk) -> None:
    """Take creates again."""
    await desk.callers.unfreeze()
    await _know(desk)
    log.info("creates are taken again")


async def _know(desk: Desk) -> None:
    """What was just changed is in force here. It is changed even if this fails, and then learnt by the next pass."""
    with suppress(StorageDown):
        await refresh(desk)


async def _reread(parts: Parts) -> None:
    try:
        with suppress(StorageDown):
            await refresh(parts)
    finally:
        parts.admission.reading = None
