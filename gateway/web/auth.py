"""Who asks: a virtual key, presented as bearer token or `x-api-key`. A key in the query string opens nothing."""

import hashlib
import hmac
from collections.abc import Mapping

from gateway.errors import InvalidRequest, Unauthenticated
from gateway.video import Caller
from gateway.web.exchange import Exchange


class Doorkeeper:
    """Knows virtual keys by the SHA-256 of their text, so that no key is kept."""

    def __init__(self, callers: Mapping[str, Caller], *, anyone: Caller | None) -> None:
        """`anyone` is whom every bearer token stands for on a gateway without virtual keys (CONTRACT section 3)."""
        self._callers = dict(callers)
        self._anyone = anyone

    def admit(self, exchange: Exchange) -> Caller:
        """The caller of a request, also noted in the exchange. Raises Unauthenticated."""
        token = _presented(exchange)
        caller = self._anyone or self._find(token)
        if caller is None:
            raise Unauthenticated("this key is not known; ask whoever runs the gateway for one")
        exchange.caller = caller
        return caller

    def _find(self, token: str) -> Caller | None:
        digest = hashlib.sha256(token.encode("latin-1")).hexdigest()
        for known, caller in ((digest, self._callers.get(digest)),):
            if caller is not None and hmac.compare_digest(known, digest):
                return caller
        return None


def _presented(exchange: Exchange) -> str:
    tokens = set()
    if b"authorization" in exchange.headers:
        for value in exchange.all_headers(b"authorization"):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                tokens.add(token.strip())
    if b"x-api-key" in exchange.headers:
        tokens.update(value.strip() for value in exchange.all_headers(b"x-api-key") if value.strip())
    if len(tokens) > 1:
        raise InvalidRequest.at("authorization", "the request carries two credentials that disagree; send one")
    if not tokens:
        raise Unauthenticated("send a virtual key as `Authorization: Bearer KEY`")
    return str(tokens.pop())
