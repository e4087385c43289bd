"""Who asks: a virtual key, presented as bearer token or `x-api-key`. A key in the query string opens nothing."""

import hashlib
import hmac
from collections.abc import Callable, Mapping

from gateway.errors import InvalidRequest, Unauthenticated
from gateway.video import Caller
from gateway.web.exchange import Exchange


class Doorkeeper:
    """Knows virtual keys by the SHA-256 of their text, so that no key is kept."""

    def __init__(self, callers: Mapping[str, Caller], *, anyone: Caller | None, clock: Callable[[], float]) -> None:
        """`anyone` is whom every bearer token stands for on a gateway without virtual keys (CONTRACT section 3)."""
        self._callers = {digest: (digest, caller) for digest, caller in callers.items()}
        self._anyone = anyone
        self._clock = clock

    def admit(self, exchange: Exchange) -> Caller:
        """The caller of a request, also noted in the exchange. Raises Unauthenticated."""
        token = _presented(exchange)
        caller = self._anyone or self._find(token)
        if caller is None:
            raise Unauthenticated("this key is not known; ask whoever runs the gateway for one")
        if caller.expires_at is not None and self._clock() >= caller.expires_at:
            raise Unauthenticated("this key has expired; ask whoever runs the gateway for another")
        exchange.caller = caller
        return caller

    def _find(self, token: bytes) -> Caller | None:
        digest = hashlib.sha256(token).hexdigest()
        # The look-up's time tells of a digest's first bits at most, and nobody can steer a digest; the comparison of
        # all of it takes the same time whatever was presented.
        known, caller = self._callers.get(digest, ("", None))
        return caller if hmac.compare_digest(known, digest) else None


def _presented(exchange: Exchange) -> bytes:
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
    if not tokens:
        raise Unauthenticated("send a virtual key as `Authorization: Bearer KEY`")
    return tokens.pop()
