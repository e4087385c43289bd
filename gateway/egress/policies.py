"""What an address of each kind may be, and what an exchange with it may take. Data."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from gateway.egress.refusals import Reason
from gateway.structs import Struct


class Kind(StrEnum):
    """What an address is for."""

    IMAGE = "image"
    CALLBACK = "callback"
    FILM = "film"


class Policy(Struct, frozen=True):
    """What an address of one kind may be, and what an exchange with it may take."""

    schemes: Collection[str]
    """Others only to networks that the operator opened."""
    characters_max: int
    redirects_max: int
    total_s: float
    pause_s: float
    """For one step: an answer's head with all redirects before it, or the next bytes of its body."""
    bytes_max: int
    beyond: Reason | None
    """What more bytes than that mean; None: nothing, they are not wanted."""
    at_once_max: int
    sentence: str
    """What the caller hears, whatever the reason."""


_WEB = ("http", "https")
POLICIES: Mapping[Kind, Policy] = {
    Kind.IMAGE: Policy(
        schemes=_WEB,
        characters_max=8192,  # signed links with a session token have some 2,000
        redirects_max=3,
        total_s=5.0,
        pause_s=5.0,
        bytes_max=1 << 20,  # a header that needs more is not one
        beyond=None,
        at_once_max=64,
        sentence=(
            "the address could not be used: it must be an http or https address of a public host, on the usual port "
            "and without credentials, and it must answer with the image"
        ),
    ),
    Kind.CALLBACK: Policy(
        schemes=("https",),
        characters_max=2048,  # FACTS 1.2
        redirects_max=0,
        total_s=10.0,  # FACTS 1.6
        pause_s=10.0,
        bytes_max=0,  # the status is all that counts
        beyond=None,
        at_once_max=64,
        sentence=(
            "the address could not be used: it must be an https address of a public host, on the usual port and "
            "without credentials"
        ),
    ),
    Kind.FILM: Policy(
        schemes=_WEB,
        characters_max=8192,
        redirects_max=3,  # a storage front or two
        total_s=3600.0,  # for whoever watches while it loads
        pause_s=60.0,
        bytes_max=1 << 30,  # the longest film sold has some 100 MB
        beyond=Reason.SIZE,
        at_once_max=256,
        sentence="the film could not be fetched",
    ),
}
