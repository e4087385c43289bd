"""How many connections there may be. Beyond that a few are heard for a moment, so that probes and metrics still are;
and some more have a moment to read why they are not."""

import resource
from enum import Enum

from gateway.serving.limits import Limits

SPARE = 128
# Of the descriptors that the process may have: what is left is for upstreams, storage and films.
_SHARE, _PARTING_SHARE = 0.75, 0.1


class Place(Enum):
    """What a connection has."""

    OWN = "own"
    SPARE = "spare"
    PARTING = "parting"
    """It is told that there is no place, and has a moment to read that."""
    NONE = "none"
    """It is told so, too, and closed at once."""


class Places:
    """Counts who is here."""

    def __init__(self, size: int, parting: int) -> None:
        self._free = {Place.OWN: size, Place.SPARE: SPARE, Place.PARTING: parting}

    def take(self) -> Place:
        for place, free in self._free.items():
            if free > 0:
                self._free[place] -= 1
                return place
        return Place.NONE

    def leave(self, place: Place) -> None:
        if place is not Place.NONE:
            self._free[place] += 1

    def part(self, place: Place) -> Place:
        """Exchange a place for that of somebody who is about to go, where there is one."""
        self.leave(place)
        if self._free[Place.PARTING] == 0:
            return Place.NONE
        self._free[Place.PARTING] -= 1
        return Place.PARTING


def places(limits: Limits) -> Places:
    """As many as are configured, and as this process can have open at once: what it may raise by itself, it raises."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = int((limits.connections + SPARE) / _SHARE) + 1
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return Places(limits.connections, int(wanted * _PARTING_SHARE))
    size = max(1, min(limits.connections, int(soft * _SHARE) - SPARE))
    return Places(size, int(soft * _PARTING_SHARE))
