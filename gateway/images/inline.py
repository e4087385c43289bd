"""Pictures that come inside the request, as data URLs; uploaded files are made into data URLs at the door.

The address must be `data:image/…;base64,` and strict base64: padded, without blanks or line breaks, in the standard
alphabet, no bits left over. Decoders differ in what they forgive, and what one of them would forgive is paid for and
lost at the next. What type it declares does not matter, many clients say `image/jpeg` of everything.

The size is known from the length of the text, before anything is decoded; then the text is checked in pieces, so that
no copy of it is made, and only as much is decoded as the header needs.
"""

import base64
import re
import string

from gateway.errors import Problem
from gateway.images.findings import Finding
from gateway.images.reader import HeaderReader
from gateway.images.rules import judge, judge_bytes

_PREFIX = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)
_ALPHABET = (string.ascii_letters + string.digits + "+/").encode()
# The last four characters, where the padding is: its unused bits are zero.
_LAST = re.compile(r"[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==")
_PIECE_CHARACTERS = 256 * 1024  # a multiple of four; where the header stands as a rule


def judge_inline(param: str, url: str) -> list[Problem]:
    """Every rule that the picture in a data URL breaks."""
    prefix = _PREFIX.match(url)
    if prefix is None:
        return [Problem(param, "a data URL must begin with data:image/…;base64,")]
    start = prefix.end()
    byte_count = (len(url) - start) // 4 * 3 - url.count("=", max(start, len(url) - 2))
    if problems := judge_bytes(param, byte_count):
        return problems  # a text of that length is not looked at any further
    if not _is_strict(url, start):
        return [Problem(param, "the data URL is not strict base64: standard alphabet, padded, without blanks")]
    return judge(param, _find(url, start), byte_count)


def _is_strict(url: str, start: int) -> bool:
    if start == len(url):
        return True  # nothing, which is not an image either
    last = len(url) - 4
    if (len(url) - start) % 4 or not url.isascii() or not _LAST.fullmatch(url, last):
        return False
    return not any(
        url[at : min(at + _PIECE_CHARACTERS, last)].encode("ascii").translate(None, _ALPHABET)
        for at in range(start, last, _PIECE_CHARACTERS)
    )


def _find(url: str, start: int) -> Finding:
    reader = HeaderReader()
    for at in range(start, len(url), _PIECE_CHARACTERS):
        finding = reader.feed(base64.b64decode(url[at : at + _PIECE_CHARACTERS]))
        if finding is not None:
            return finding
    return reader.finish()
