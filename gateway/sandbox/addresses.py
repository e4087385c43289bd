"""Addresses that a request names. None is ever called: the rules about them are all that is simulated."""

import base64
import binascii
import ipaddress
import re
from urllib.parse import urlsplit

from gateway.sandbox.fields import Fields, refuse_field

_CALLBACK_CHARACTERS_MAX = 2048  # FACTS 1.2
# What the models take (FACTS 4.2), as far as a data URL says it; official clients say image/jpeg of everything.
_DATA_URL = re.compile(r"data:image/(?:jpe?g|png|webp);base64,", re.IGNORECASE)
_IMAGE_BYTES_MAX = 20 * 1024 * 1024 - 1  # "less than 20 MB" (FACTS 4.2)


def check_image(image: object, param: str, *, inline: bool) -> None:
    """A web address, or where `inline` images are taken a data URL of strict base64."""
    if inline and isinstance(image, str) and image[:5].lower() == "data:":
        _check_data_url(image, param)
    elif not isinstance(image, str) or not _is_web_address(image):
        ending = " or a data URL" if inline else "; inline images are not taken"
        raise refuse_field(param, f"must be an http or https URL{ending}")


def check_callback(fields: Fields) -> None:
    """A web address, where a protocol's documents say no more than that."""
    url = fields.read("callback_url", str, "a string")
    if url is not None and not _is_web_address(url):
        raise refuse_field(fields.name("callback_url"), "must be an http or https URL")


def check_strict_callback(fields: Fields) -> None:
    """HTTPS, not too long, and not inward (FACTS 1.2)."""
    url, param = fields.read("callback_url", str, "a string"), fields.name("callback_url")
    if url is None:
        return
    if len(url) > _CALLBACK_CHARACTERS_MAX:
        raise refuse_field(param, f"has {len(url)} characters; at most {_CALLBACK_CHARACTERS_MAX} are allowed")
    parts = _split(url)
    if parts is None or parts[0] != "https":
        raise refuse_field(param, "must be an https URL")
    if _is_inward(parts[1]):
        raise refuse_field(param, "must not lead to an internal address")


def _check_data_url(image: str, param: str) -> None:
    prefix = _DATA_URL.match(image)
    if prefix is None:
        raise refuse_field(param, "must be a data URL of a JPEG, PNG or WebP image in base64")
    try:
        data = base64.b64decode(image[prefix.end() :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise refuse_field(param, f"is not base64: {error}") from error
    if not 0 < len(data) <= _IMAGE_BYTES_MAX:
        raise refuse_field(param, f"the image has {len(data)} bytes; 1 to {_IMAGE_BYTES_MAX} are taken")


def _is_web_address(url: str) -> bool:
    parts = _split(url)
    return parts is not None and parts[0] in ("http", "https")


def _is_inward(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def _split(url: str) -> tuple[str, str] | None:
    """Scheme and host in lower case; None where there is no host."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return None if host is None else (parts.scheme, host)
