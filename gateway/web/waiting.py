"""What a reader says of how it waits, and what it has already: `Prefer: wait=N`, `If-None-Match`, `Last-Event-ID`.

What these headers cannot mean is ignored, as their standards say: a preference is a wish, and a tag that nobody gave
out matches nothing.
"""

import hashlib
import re

from gateway.structs import replace
from gateway.web.exchange import Answer, Exchange

WAIT_MAX_S = 60  # what proxies and clients on the way leave a silent connection alone for
WAITING_HEADERS = frozenset({b"prefer", b"if-none-match"})
"""What a poll may say of this."""
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:[;,]|$)', re.IGNORECASE)
_ETAG = b"etag"
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def wanted_wait_s(exchange: Exchange) -> int | None:
    """For how long the caller would like to wait for another status, within what is granted; None for not at all."""
    if b"prefer" not in exchange.headers:
        return None
    found = _WAIT.search(", ".join(exchange.all_headers(b"prefer")))
    return None if found is None else min(WAIT_MAX_S, int(found[1]))


def tagged(answer: Answer, state: bytes) -> Answer:
    """The answer under a tag that is the same as long as `state` is."""
    return replace(answer, headers=[*answer.headers, (_ETAG, b'W/"%s"' % tag_of(state).encode())])


def tag_of(state: bytes) -> str:
    """A word for this state, the same in every process."""
    return hashlib.blake2s(state, digest_size=12).hexdigest()


def unless_known(answer: Answer, exchange: Exchange) -> Answer:
    """The answer, or that it is the one which the caller has."""
    known = exchange.headers.get(b"if-none-match")
    if known is None:
        return answer
    own = next((value for name, value in answer.headers if name == _ETAG), b"").decode().removeprefix("W/")
    listed = known.decode("latin-1")
    if listed.strip() == "*" or own in _TAG.findall(listed):
        return replace(answer, status=304, body=b"")
    return answer
