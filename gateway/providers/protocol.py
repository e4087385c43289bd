"""What every provider can be asked. A module satisfies this by having these names; only `send` reaches a socket."""

from collections.abc import Mapping
from typing import Any, Protocol

from gateway.errors import Problem
from gateway.structs import Struct
from gateway.video import Look, Offer, Receipt, VideoRequest
from gateway.wire import Call, Send


class Site(Struct, frozen=True):
    """Where an upstream lives. `files_url` takes uploads where the provider has them."""

    base_url: str
    files_url: str | None = None


class Funds(Struct, frozen=True):
    """What a free balance call says of a key, in the provider's own unit; None is unlimited."""

    remaining: float | None

    @property
    def is_empty(self) -> bool:
        return self.remaining is not None and self.remaining <= 0


class Provider(Protocol):
    """A protocol that an upstream speaks."""

    NAME: str
    LINK_LIFE_S: int
    """How long a link to a finished film lives; shorter than a day, and callers get a link of the gateway instead."""
    REPORTS_PROGRESS: bool
    """Whether its answers say how far a task is."""

    def unsayable(self, request: VideoRequest) -> list[Problem]:
        """What this protocol cannot express of a canonical request, under canonical field names."""

    def submission(self, request: VideoRequest, offer: Offer, site: Site) -> Call:
        """The one canonical call for a request, exactly as it is sent but for the key. An upstream that can call back
        is told where (`hint_url`), never where the caller wants to be called (FACTS 7.2)."""

    async def submit(self, request: VideoRequest, offer: Offer, site: Site, send: Send, now: float) -> Receipt:
        """Order the video once, after free uploads where its images need them. Raises Refused (surely nothing bought)
        or InDoubt."""

    async def poll(self, upstream_id: str, site: Site, send: Send) -> Look:
        """Look at a task. Raises LookFailed when nothing was learnt."""

    async def locate(self, upstream_id: str, site: Site, send: Send) -> str | None:
        """A fresh link to a finished film; None when the upstream no longer keeps it. Raises LookFailed."""

    def id_in_callback(self, body: Mapping[str, Any]) -> str | None:
        """The id that a callback of this protocol gives its task, in the documented place; None where it names none
        that this upstream could be asked about."""

    async def balance(self, site: Site, send: Send) -> Funds | None:
        """What the key has left, by a free call; None when the answer cannot be read or the key is refused."""
