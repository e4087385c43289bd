"""A text that does not print.

A secret leaves this class by one door, `reveal()`, so that whoever lets one out can be found by searching for that
word. Every way in which Python turns objects into text or bytes by itself shows only that there is a secret.
"""

import hashlib
import hmac
from typing import Any, NoReturn, SupportsIndex

_SHOWN = "Secret(***)"


class Secret:
    """Holds a text that repr, str, format, copies and serialisers never show. Equal in constant time; not hashable."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that sends or compares it."""
        return self._text

    def digest(self) -> str:
        """SHA-256 of the text in hex: what may be stored and compared where the text itself may not be kept."""
        return hashlib.sha256(self._bytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    # A hash of the text would be one more way to learn about it.
    __hash__ = None  # type: ignore[assignment] # this is how Python spells "not hashable"

    def __repr__(self) -> str:
        return _SHOWN

    def __format__(self, spec: str) -> str:
        return _SHOWN

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a Secret is not pickled: it would be written down in the clear")

    def _bytes(self) -> bytes:
        # The environment hands out bytes that are not UTF-8 as lone surrogates; they go back to what they were.
        return self._text.encode("utf-8", "surrogateescape")
