"""Reading a body: bounded in bytes and time before anything is parsed.

The bytes of a body are counted in its `weight` while they come, so that all bodies together are bounded too.
"""

import asyncio
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from gateway import jsontext
from gateway.aside import aside
from gateway.bounds import Place
from gateway.errors import InvalidRequest, TooLarge
from gateway.web.exchange import Exchange
from gateway.web.forms import read_form
from gateway.web.surface import ClientGone

_JSON, _FORM = "application/json", "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"
FIELDS_MAX = 100  # of a page's form


async def read_body(
    exchange: Exchange,
    *,
    bytes_max: int,
    within_s: float,
    takes_forms: bool,
    weight: Place | None = None,
) -> dict[str, Any]:
    """The fields of a create, from JSON or, where the dialect takes them, a form.

    Raises InvalidRequest, TooLarge, or Crowded where the body does not fit beside all the others.
    """
    content_type = exchange.header(b"content-type") or _JSON
    kind = _kind(exchange)
    reads_form = takes_forms and kind == _FORM
    if not reads_form and kind != _JSON and not kind.endswith("+json"):
        allowed = (_JSON, _FORM) if takes_forms else (_JSON,)
        raise InvalidRequest.at("content-type", f"the body must be {' or '.join(allowed)}", *allowed)
    encoding = exchange.header(b"content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise InvalidRequest.at("content-encoding", "the body must be sent without compression", "identity")
    body = await _read(exchange, bytes_max, within_s, weight)
    parse = partial(_read_form, content_type=content_type) if reads_form else _read_json
    return await aside(len(body), partial(parse, body))


def is_form(exchange: Exchange) -> bool:
    """Whether the body says of itself that it is a multipart form."""
    return _kind(exchange) == _FORM


async def read_fields(exchange: Exchange, *, bytes_max: int, within_s: float) -> dict[str, str]:
    """The fields of a page's form, as browsers send it. Raises InvalidRequest, TooLarge."""
    if _kind(exchange) != _URLENCODED:
        raise InvalidRequest.at("content-type", f"the body must be {_URLENCODED}", _URLENCODED)
    body = await _read(exchange, bytes_max, within_s)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:  # UnicodeDecodeError is one
        raise InvalidRequest.at("body", "the form cannot be read") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise InvalidRequest.at("body", "a field of the form stands twice")
    return fields


def _kind(exchange: Exchange) -> str:
    return (exchange.header(b"content-type") or _JSON).partition(";")[0].strip().lower()


def _read_form(body: bytearray, content_type: str) -> dict[str, Any]:
    return read_form(bytes(body), content_type)


def _read_json(body: bytearray) -> dict[str, Any]:
    try:
        value = jsontext.read_strict(body)
    except jsontext.JsonError as error:
        raise InvalidRequest.at("body", str(error)) from None
    if not isinstance(value, dict):
        raise InvalidRequest.at("body", "the body must be a JSON object")
    return value


async def _read(exchange: Exchange, bytes_max: int, within_s: float, weight: Place | None = None) -> bytearray:
    length = exchange.header(b"content-length") or ""
    # ASCII, because "²" is a digit to Python; cut, because it refuses to read numbers of more than 4,300 digits.
    told = int(length[:19]) if length.isascii() and length.isdigit() else 0
    if told > bytes_max:
        raise _too_large(bytes_max)
    if weight is not None:
        weight.expect(told)
    exchange.gather()
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            while True:
                message = await exchange.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                piece = message.get("body", b"")
                body += piece
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
                if weight is not None:
                    weight.grow(len(piece))
                if not message.get("more_body", False):
                    return body  # a copy of 30 MB takes as long as twenty requests
    except TimeoutError:
        raise InvalidRequest.at("body", f"the body did not arrive within {within_s:g} s") from None


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(f"the body is larger than {bytes_max} bytes; give images by address", param="body")
