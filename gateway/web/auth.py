"""Who asks: a virtual key, presented as bearer token or `x-api-key`. A key in the query string opens nothing."""

import hashlib
import hmac
from collections.abc import Callable, Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.admission import Admission
from gateway.errors import InvalidRequest, Unauthenticated, UnknownKey
from gateway.video import Caller
from gateway.web.exchange import Exchange


class Doorkeeper:
    """Knows virtual keys by the SHA-256 of their text, so that no key is kept."""

    def __init__(self, admission: Admission, *, clock: Callable[[], float], own_hosts: Collection[str] = ()) -> None:
        """On a gateway without virtual keys every bearer token stands for `admission.anyone` (CONTRACT section 3). Such
        a gateway answers under this machine's own names and `own_hosts` only, so that no page of the web reaches it by
        a name that leads here."""
        self._admission = admission
        self._own_hosts = frozenset(own_hosts)
        self._clock = clock

    def admit(self, exchange: Exchange) -> Caller:
        """The caller of a request, also noted in the exchange. Raises Unauthenticated.

        UnknownKey is raised before anything was done, and asking again is worth it once storage was asked.
        """
        credential = exchange.said.credential
        if credential is None:
            token = presented(exchange)
            if token is None:
                raise Unauthenticated("send a virtual key as `Authorization: Bearer KEY`")
            credential = exchange.said.credential = hashlib.sha256(token).hexdigest()
        anyone = self._admission.anyone
        if anyone is not None:
            self._refuse_strangers_names(exchange)
        caller = anyone or self._find(credential)
        if caller is None:
            raise UnknownKey("this key is not known; ask whoever runs the gateway for one")
        if caller.has_expired(self._clock()):
            raise Unauthenticated("this key has expired; ask whoever runs the gateway for another")
        exchange.caller = caller
        return caller

    def _refuse_strangers_names(self, exchange: Exchange) -> None:
        """DNS rebinding: a page's own name is made to lead to this machine, and the page may then read answers."""
        for name in (b"host", b"origin"):
            value = exchange.header(name)
            if value is None:
                continue
            host = _hostname(value)
            if host is None or not (_is_this_machine(host) or host in self._own_hosts):
                message = "without virtual keys this gateway answers under this machine's own names only"
                raise Unauthenticated(f"{message}; configure a virtual key to use another")

    def _find(self, digest: str) -> Caller | None:
        # The look-up's time tells of a digest's first bits at most, and nobody can steer a digest; the comparison of
        # all of it takes the same time whatever was presented.
        known, caller = self._admission.callers.get(digest, ("", None))
        return caller if hmac.compare_digest(known, digest) else None


def presented(exchange: Exchange) -> bytes | None:
    """The credential of a request, if it has one. Raises InvalidRequest for two that disagree."""
    tokens: set[bytes] = set()
    for name, value in exchange.scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer":
                tokens.add(token.strip())
        elif name == b"x-api-key":
            tokens.add(value.strip())
    tokens.discard(b"")
    if len(tokens) > 1:
        raise InvalidRequest.at("authorization", "the request carries two credentials that disagree; send one")
    return tokens.pop() if tokens else None


def _hostname(value: str) -> str | None:
    """The host of a `Host` or `Origin` header."""
    try:
        return urlsplit(value if "://" in value else f"//{value}").hostname
    except ValueError:
        return None


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
