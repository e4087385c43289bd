"""Stars for a secret of ours that somebody else's text quotes.

An upstream's error may quote the key that it was called with, and an echo quotes all that was sent: as it came, or as
JSON writers spell it. Some write a slash as `\\/`, some an ampersand or an angle bracket as `\\u0026` or `\\u003C`, and
any of them may do so with whatever is neither letter nor digit (RFC 8259, 7).
"""

import re
from collections.abc import AsyncIterator
from functools import lru_cache

_SHORT_ESCAPES = '"\\/'
_SPELLING_BYTES_MAX = len(rb"\u0026")


class Mask:
    """Covers one secret, which is printable ASCII (`config/values.py`), in every spelling."""

    def __init__(self, secret: str) -> None:
        self._plain = secret.encode()
        characters = tuple(map(_spellings, secret))
        each = (b"|".join(map(re.escape, spellings)) for spellings in characters)
        self._whole = re.compile(b"".join(b"(?:%b)" % spellings for spellings in each))
        self._first = re.compile(b"[%b]" % re.escape(b"".join({spelling[:1] for spelling in characters[0]})))
        self._bytes_max = sum(max(map(len, spellings)) for spellings in characters)
        self._characters = tuple((spellings, _beginnings(spellings)) for spellings in characters)

    def is_needed(self, text: bytes) -> bool:
        """Whether the secret stands there."""
        # Most texts are told by looking for two plain words, which is many times as fast: only escapes need more.
        return self._plain in text or (b"\\" in text and self._whole.search(text) is not None)

    def cover(self, text: bytes) -> bytes:
        """The text with three stars for each, which tell nobody how long it is."""
        return self._whole.sub(b"***", text) if self.is_needed(text) else text

    async def cover_each(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same number of bytes, because a length was told. What may be the beginning of one waits for its end,
        and nothing else does."""
        held = b""
        async for chunk in chunks:
            text = held + chunk
            if self.is_needed(text):
                text = self._whole.sub(_stars, text)
            cut = self._open_end(text)
            held = text[cut:]
            if cut:
                yield text[:cut]
        if held:
            yield held

    def _open_end(self, text: bytes) -> int:
        """Where the end of a text begins that may be the beginning of a secret; its length where none is."""
        begin = max(0, len(text) - self._bytes_max + 1)
        starts = (found.start() for found in self._first.finditer(text, begin))
        return next((start for start in starts if self._goes_on(text, start)), len(text))

    def _goes_on(self, text: bytes, at: int) -> bool:
        """Whether all that stands from there on is the beginning of a secret."""
        for spellings, beginnings in self._characters:
            rest = text[at : at + _SPELLING_BYTES_MAX]
            if rest in beginnings:
                return True
            if not rest.startswith(spellings):
                return False
            at += len(next(filter(rest.startswith, spellings)))
        return False


@lru_cache(maxsize=256)  # more keys than a gateway has, and making one takes as long as a small request
def mask_of(secret: str) -> Mask:
    """The mask of a secret, made once."""
    return Mask(secret)


def _spellings(character: str) -> tuple[bytes, ...]:
    """How a character may be written, the longest first: a backslash itself is the beginning of its escapes."""
    if character.isalnum():
        return (character.encode(),)
    escapes = [rf"\u{ord(character):04x}", rf"\u{ord(character):04X}"]
    if character in _SHORT_ESCAPES:
        escapes.append(f"\\{character}")
    return tuple(spelling.encode() for spelling in dict.fromkeys([*escapes, character]))


def _beginnings(spellings: tuple[bytes, ...]) -> frozenset[bytes]:
    return frozenset(spelling[:length] for spelling in spellings for length in range(len(spelling)))


def _stars(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])
