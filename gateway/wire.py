"""How the house talks to the outside: a call, its reply, and the function that exchanges one for the other.

Providers compose calls and read replies; only `upstreams.py` owns a socket. A call never carries the key: `send`
adds it, so that no provider can log or lose one.
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from functools import cache

from gateway.structs import Struct, field


class Call(Struct, frozen=True):
    """One request to an upstream, without its credential. `body` is JSON text, or None for a GET.

    `operation` is one of the closed set of `upstream_requests_total{operation}`.
    """

    operation: str
    method: str
    url: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Reply(Struct, frozen=True):
    """What came back. `is_whole` is False when the connection died, or the cap was reached, inside the body."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    is_whole: bool = True


Send = Callable[[Call], Awaitable[Reply]]


@cache
def trust() -> ssl.SSLContext:
    """Whom this machine trusts, for every connection that is encrypted. Read for the first of them: it takes as long as
    a tenth of a start."""
    return ssl.create_default_context()


class CallRecord(Struct, frozen=True):
    """One finished call, for metrics and logs. `outcome` is a word of a closed set: `2xx`, or an error's code."""

    upstream: str
    key_id: str
    operation: str
    outcome: str
    duration_s: float
