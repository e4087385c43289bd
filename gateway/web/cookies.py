"""The cookies that a browser sends back. Ours are plain words, so nothing is unquoted."""

from gateway.web.exchange import Exchange

_CHARACTERS_MAX = 8_192


def cookie(exchange: Exchange, name: str) -> str | None:
    """The cookie of this name; None where there is none, or more than one that disagree."""
    found = set()
    for said in exchange.all_headers(b"cookie"):
        for pair in said[:_CHARACTERS_MAX].split(";"):
            key, equals, value = pair.strip().partition("=")
            if equals and key == name:
                found.add(value)
    return found.pop() if len(found) == 1 else None
