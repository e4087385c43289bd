"""What a form of the dashboard says, and that it came from a page of the very session that sends it."""

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway.bounds import Place
from gateway.web.body import read_body, read_fields
from gateway.web.dashboard.pages import Foreign
from gateway.web.exchange import Exchange

FIELD = "csrf"
HEADER = b"x-reelgate-csrf"  # as scripts say it
BYTES_MAX = 64 << 10
WITHIN_S = 10.0
_OWN_SITES = ("same-origin", "none")  # "none": a person repeated it, by hand


async def read_form(exchange: Exchange) -> dict[str, Any]:
    """The fields of a short form."""
    return dict(await read_fields(exchange, bytes_max=BYTES_MAX, within_s=WITHIN_S))


async def read_long_form(exchange: Exchange, *, bytes_max: int, within_s: float, weight: Place) -> dict[str, Any]:
    """The fields of a form that may hold files, counted in `weight`; a script may send it as JSON."""
    kind = (exchange.header(b"content-type") or "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return await read_form(exchange)
    return await read_body(exchange, bytes_max=bytes_max, within_s=within_s, takes_forms=True, weight=weight)


def require_own_origin(exchange: Exchange, public_url: str | None) -> None:
    """Browsers say where a request comes from: it must be a page of this gateway. Raises Foreign."""
    site = exchange.header(b"sec-fetch-site")
    if site is not None and site not in _OWN_SITES:
        raise Foreign("this form was sent by another site")
    origin = exchange.header(b"origin")
    if origin is None:
        return
    own = {exchange.header(b"host"), urlsplit(public_url or "").netloc or None}
    if origin == "null" or urlsplit(origin).netloc not in own:
        raise Foreign("this form was sent by another site")


def require_token(exchange: Exchange, said: Mapping[str, Any], token: str) -> None:
    """A form carries its session's token. Raises Foreign."""
    given = exchange.header(HEADER) or said.get(FIELD)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), token.encode()):
        raise Foreign("this form is not of this session; go back, load the page again and repeat it")
