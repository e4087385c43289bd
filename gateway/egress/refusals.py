"""Why the door stayed shut, or nothing came of going through it.

`Refusal` is raised inside this room and carries what the operator may read; the door turns it into `EgressRefused`,
which carries nothing that tells one address from another.
"""

from enum import StrEnum


class Reason(StrEnum):
    """A closed set, for logs and metrics. Never for the caller, to whom all of these are one."""

    FORM = "form"  # not an address that can only be read in one way
    SCHEME = "scheme"  # neither https nor, where it is allowed, http
    PORT = "port"  # not the usual one of its scheme
    NAME = "name"  # a name that only means something inside a network
    ADDRESS = "address"  # some answer to its name is not public
    OWN = "own"  # this gateway itself
    UNRESOLVED = "unresolved"  # its name has no address, or none in time
    UNREACHABLE = "unreachable"  # no connection came about
    TLS = "tls"  # no trusted one did
    PEER = "peer"  # the connection led elsewhere
    REDIRECT = "redirect"  # too many of them
    TIMEOUT = "timeout"  # not over in time
    BROKEN = "broken"  # the answer is no HTTP, or broke off
    ENCODED = "encoded"  # compressed, which nobody asked for
    SIZE = "size"  # more bytes than allowed
    BUSY = "busy"  # too many exchanges at once on our side


class Refusal(Exception):
    """Inside this room: a reason, and for the log what exactly it was."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason


class EgressRefused(Exception):
    """An address was refused, or could not be reached. `message` is fit for the caller, and the same for both."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
