"""Whom this process lets in: the virtual keys of the configuration, and those that storage knows.

Asked at every request, so it answers from memory; `flows/callers.py` keeps it as new as storage. Where both know a
name, the configuration wins. A key of either may be of a team of either. As long as there is no key at all, one that
was revoked included, a gateway that only its own machine can reach lets everyone in (CONTRACT section 3).
"""

import asyncio
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.video import Budget, Caller
from gateway.virtual_keys import Issued, Roll, Team


class Admission:
    """Keys by the digest of their text, and whether creates are frozen."""

    def __init__(
        self, keys: Iterable[Issued] = (), teams: Iterable[Team] = (), *, anyone: Caller | None = None
    ) -> None:
        """`keys` and `teams` are the configuration's; `anyone` is who everyone is while there are no keys."""
        self._configured = {item.key.id: item for item in keys}
        self._configured_teams = {team.id: team for team in teams}
        self._if_there_are_none = anyone
        self._roll = Roll(version=-1)
        self.anyone: Caller | None = None
        self.callers: Mapping[str, tuple[str, Caller]] = {}
        """Digest → the digest again, and who comes with it."""
        self._by_name: Mapping[str, Caller] = {}
        self._revoked: frozenset[str] = frozenset()
        self.is_frozen = False
        self.read_at = float("-inf")
        """When storage was last asked about an unknown key; by the clock that only runs forward."""
        self.reading: asyncio.Task[Any] | None = None
        """The one question to storage that everybody waits for."""
        self._settle(Roll())

    @property
    def version(self) -> int:
        """Of the roll that is known; -1 before the first."""
        return self._roll.version

    @property
    def frozen_since(self) -> float | None:
        return self._roll.frozen_since

    def learn(self, roll: Roll) -> None:
        """What storage knows now. An older roll than the one that is known, which may arrive later, teaches nothing."""
        if roll.version > self._roll.version:
            self._roll = roll
            self._settle(roll)

    def opened_by(self, digest: str, now: float) -> Caller | None:
        """Whose key this is the digest of, if it opens something now. A gateway that lets anyone in knows none."""
        known, caller = self.callers.get(digest, ("", None))
        # The look-up's time tells of a digest's first bits at most, and nobody can steer a digest; the comparison of
        # all of it takes the same time whatever was presented.
        if caller is None or not hmac.compare_digest(known, digest):
            return None
        return None if caller.has_expired(now) else caller

    def issued(self) -> list[Issued]:
        """Every key there is or was: the configuration's, then storage's in the order of their making."""
        return [*self._configured.values(), *self._stored(self._roll)]

    def teams(self) -> list[Team]:
        """Every team there is."""
        stored = (team for team in self._roll.teams if team.id not in self._configured_teams)
        return [*self._configured_teams.values(), *stored]

    def owners(self) -> tuple[dict[str, Budget | None], dict[str, Budget | None]]:
        """Whose money is counted: every key that opens something, and every team, each with its budget."""
        keys = {item.key.id: item.key.budget for item in self.issued() if item.revoked_at is None}
        if self.anyone is not None:
            keys[self.anyone.key_id] = self.anyone.budget
        return keys, {team.id: team.budget for team in self.teams()}

    def standing(self, key_id: str, now: float) -> Caller | None:
        """Who comes with the key of this name by now, if it still opens something."""
        caller = self._by_name.get(key_id)
        return None if caller is None or caller.has_expired(now) else caller

    def is_revoked(self, key_id: str) -> bool:
        """Whether a person took this key away: what it ordered and was not sent yet must not be sent any more. With the
        first key that is made, that is said of whoever everyone was until then."""
        was_anyone = self._if_there_are_none is not None and key_id == self._if_there_are_none.key_id
        return key_id in self._revoked or (was_anyone and key_id not in self._by_name)

    def has_expired(self, key_id: str, now: float) -> bool:
        """Whether the time of a key that is known is up."""
        caller = self._by_name.get(key_id)
        return caller is not None and caller.has_expired(now)

    def is_configured_key(self, name: str) -> bool:
        return name in self._configured

    def is_configured_team(self, name: str) -> bool:
        return name in self._configured_teams

    def conflicts(self) -> list[str]:
        """One sentence for everything that storage says and the configuration overrules, or leaves without a limit."""
        teams = {team.id for team in self.teams()}
        keys = [item.key for item in self._roll.keys if item.revoked_at is None]
        return [
            *(
                f"virtual_keys: {key.id} is also a key in storage, which opens nothing: the configuration's is used"
                for key in keys
                if key.id in self._configured
            ),
            *(
                f"teams: {team.id} is also a team in storage: the configuration's budget is used"
                for team in self._roll.teams
                if team.id in self._configured_teams
            ),
            *(
                f"teams: the key {key.id} in storage is of the team {key.team}, which is nowhere, and has no budget so"
                for key in keys
                if key.team is not None and key.team not in teams and key.id not in self._configured
            ),
        ]

    def _settle(self, roll: Roll) -> None:
        budgets = {team.id: team.budget for team in self.teams()}
        active = [item for item in self._stored(roll) if item.revoked_at is None]
        # The configuration's last, so that a text which both know is the configuration's key.
        self.callers = {item.digest: _known(item, budgets) for item in [*active, *self._configured.values()]}
        self.is_frozen = roll.frozen_since is not None
        self._revoked = frozenset(item.key.id for item in self._stored(roll) if item.revoked_at is not None)
        self.anyone = None if self._configured or roll.keys else self._if_there_are_none
        known = [caller for _, caller in self.callers.values()] + ([] if self.anyone is None else [self.anyone])
        self._by_name = {caller.key_id: caller for caller in known}

    def _stored(self, roll: Roll) -> Sequence[Issued]:
        return [item for item in roll.keys if item.key.id not in self._configured]


def _known(item: Issued, budgets: Mapping[str, Budget | None]) -> tuple[str, Caller]:
    team = item.key.team
    return item.digest, item.key.caller(None if team is None else budgets.get(team))
