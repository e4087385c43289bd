"""How much of each kind of work may be under way in this process at once, and who may hold how much of it.

What does not fit is refused before anything of it is begun: no waiting, no reservation, no call. Deciding costs one
comparison and touches nothing but numbers, so a refusal is as quick under full load as on an idle gateway.

A holder (a caller, or an upstream where it is the upstream that is slow) may hold at most `SHARE` times as many places
as would still be free then. Alone, that is four fifths of them; of two, each gets four ninths; and whoever holds none
finds one as long as there is any. So nobody has to be told how many others there are, and no crowd of one leaves
nothing for the rest. (Known from the buffers of switches as a dynamic threshold.)
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from gateway.errors import Crowded

SHARE = 4  # 1 would keep half of everything free for somebody who may never come; 9 leaves newcomers a tenth


@dataclass(frozen=True, kw_only=True)
class Most:
    """How much of each kind, in each process. The defaults are what a gateway of one core can carry and still answer:
    it is memory and open files that they bound, not speed. Calls to the outside all together fit into the quarter of
    the descriptors that connections leave. No struct, because the configuration reads the defaults of the class."""

    creates: int = 2_000
    """From the first byte of the body to the upstream's answer: each a connection upstream, and some 150 KiB."""
    body_bytes: int = 256 << 20
    """Of the bodies of those creates. A body is in memory up to four times: as it came, read, checked, and sent."""
    probes: int = 64
    """Addresses of images and callbacks that are asked about, each a connection for at most five seconds."""
    looks: int = 100
    """At upstreams. Who asks for news when there is no place for a look is told what is known."""
    waits: int = 4_000
    """Reads with `Prefer: wait`, some 15 KiB each. One more is answered at once."""
    streams: int = 5_000
    """Readers of server-sent events, some 20 KiB each."""
    films: int = 500
    """Downloads on their way through, each two connections and some 300 KiB."""
    passthrough: int = 500
    """Requests of other routes on their way through, as downloads."""
    callbacks: int = 96
    """On the way, half of them of one caller. The others wait in storage, so none of them is refused."""
    listings: int = 32
    """Lists and sums that storage makes of many tasks: one at a time, so more would wait for very long."""


class Bounds:
    """Every bound of this process, by its name in `bounds` of the configuration and in the metrics."""

    def __init__(self, most: Most | None = None) -> None:
        most = most or Most()
        self.creates = Bound("creates", most.creates, retry_after_s=1)
        self.body_bytes = Bound("body_bytes", most.body_bytes, retry_after_s=1)
        self.probes = Bound("probes", most.probes, retry_after_s=2)
        self.looks = Bound("looks", most.looks, retry_after_s=2)
        self.waits = Bound("waits", most.waits, retry_after_s=2)
        self.streams = Bound("streams", most.streams, retry_after_s=3)
        self.films = Bound("films", most.films, retry_after_s=5)
        self.passthrough = Bound("passthrough", most.passthrough, retry_after_s=2)
        self.callbacks = Bound("callbacks", most.callbacks, retry_after_s=1)
        self.listings = Bound("listings", most.listings, retry_after_s=1)

    def __iter__(self) -> "Iterator[Bound]":
        return iter(vars(self).values())


class Bound:
    """The places for one kind of work."""

    def __init__(self, what: str, most: int, *, retry_after_s: int) -> None:
        self.what = what
        self.most = most
        self.taken = 0
        self.refused = 0
        """How often something did not fit, since the start."""
        self._retry_after_s = retry_after_s
        self._held: dict[str, int] = {}

    def take(self, holder: str, count: int = 1) -> "Place":
        """So many places for this holder. Raises Crowded where they do not fit; then nothing was taken."""
        place = Place(self, holder)
        place.grow(count)
        return place

    def try_to_take(self, holder: str, count: int = 1) -> "Place | None":
        """The same where work can be left undone; None where it does not fit."""
        try:
            return self.take(holder, count)
        except Crowded:
            return None

    def refuse(self) -> Crowded:
        """The error for what does not fit, counted."""
        self.refused += 1
        words = f"the gateway has as much of this under way as it can carry ({self.what}); nothing was begun"
        return Crowded(f"{words}, send it again later", retry_after=self._retry_after_s)

    def fits(self, holder: str, count: int) -> bool:
        """Whether this holder could take so many more."""
        left, held = self.most - self.taken - count, self._held.get(holder, 0)
        return left >= 0 and (held == 0 or held + count <= SHARE * left)

    def move(self, holder: str, count: int) -> None:
        """What this holder has grows by so many, or shrinks: for places, and for work that was chosen so as to fit."""
        self.taken += count
        self._held[holder] = held = self._held.get(holder, 0) + count
        if held == 0:
            del self._held[holder]


class Place:
    """What one piece of work holds of a bound: until the end of its block, or of the story it was handed to."""

    __slots__ = ("_bound", "_count", "_holder", "_is_handed_on")

    def __init__(self, bound: Bound, holder: str) -> None:
        self._bound = bound
        self._holder = holder
        self._count = 0
        self._is_handed_on = False

    def expect(self, count: int) -> None:
        """Raises Crowded where so many more would not fit now. Takes nothing: who says much may send little."""
        if not self._bound.fits(self._holder, count):
            raise self._bound.refuse()

    def grow(self, count: int) -> None:
        """Hold so many more. Raises Crowded where they do not fit."""
        self.expect(count)
        self._bound.move(self._holder, count)
        self._count += count

    def leave(self) -> None:
        """Give everything back; done twice, it is done."""
        count, self._count = self._count, 0
        self._bound.move(self._holder, -count)

    async def aclose(self) -> None:
        """The same, for whoever awaits the ends of things."""
        self.leave()

    def hand_to(self, story: "asyncio.Future[Any]") -> None:
        """Stay for as long as this story runs, whatever becomes of the request that began it."""
        self._is_handed_on = True
        story.add_done_callback(lambda _: self.leave())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._is_handed_on:
            self.leave()
