"""Where a request's body ends, by its length or by its chunks (RFC 9112, 6 and 7.1)."""

import re
from typing import Protocol

from gateway.errors import InvalidRequest
from gateway.serving.framing import END, Head, judge_trailers, judge_trailers_begun
from gateway.serving.limits import Limits

# A size of eight digits is four gigabytes: nothing here sends a piece so large. Extensions are read over.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8}+)(;[\t\x20-\x7e\x80-\xff]*+)?\r\n")
_SIZE_BEGUN = re.compile(rb"[0-9A-Fa-f]{1,8}+(?:;[\t\x20-\x7e\x80-\xff]*+)?\r?")
_SIZE_LINE_BYTES_MAX = 256
# What stands around chunks may be as much as a head, and a quarter of what is in them: who sends a body byte by byte
# buys a lot of work with little.
_FRAMING_BYTES_FREE = 65_536
_FRAMING_SHARE = 4


class Incoming(Protocol):
    """A body on its way in."""

    is_whole: bool

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """What of `data` is the body's, and what comes after its end. Raises GatewayError."""


def incoming(head: Head, limits: Limits) -> Incoming | None:
    """The body that a head announces."""
    if head.fields.is_chunked:
        return Chunked(limits)
    return Measured(head.fields.length) if head.fields.length else None


class Measured:
    """A body of a length that was said."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.is_whole = length == 0

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        piece, rest = (data, b"") if len(data) <= self.left else (data[: self.left], data[self.left :])
        self.left -= len(piece)
        self.is_whole = self.left == 0
        return piece, rest


class Chunked:
    """A body in chunks."""

    def __init__(self, limits: Limits) -> None:
        self.is_whole = False
        self._limits = limits
        self._held = b""  # of a line, or of trailers, that are not whole
        self._seen = 0  # so many bytes of held trailers were looked at: they may come one by one
        self._left = 0
        self._is_after_chunk = False
        self._is_at_trailers = False
        self._data_bytes = self._framing_bytes = 0

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        if self._held:
            data = self._held + data
        at, pieces = 0, []
        while at < len(data) and not self.is_whole:
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                self._left -= len(piece)
                self._data_bytes += len(piece)
                used = len(piece)
            elif self._is_after_chunk:
                used = self._end_of_chunk(data, at)
            elif self._is_at_trailers:
                used = self._trailers(data, at)
            else:
                used = self._size(data, at)
            if used == 0:
                break
            at += used
        rest = data[at:]
        self._held = b"" if self.is_whole else rest
        return b"".join(pieces), rest if self.is_whole else b""

    def _size(self, data: bytes, at: int) -> int:
        line = _SIZE.match(data, at, at + _SIZE_LINE_BYTES_MAX)
        if line is None:
            if len(data) - at >= _SIZE_LINE_BYTES_MAX or _SIZE_BEGUN.fullmatch(data, at) is None:
                raise InvalidRequest("the size of a chunk must be hexadecimal digits on a line of their own")
            return 0
        used = line.end() - at
        self._framing_bytes += used + 2
        if self._framing_bytes > _FRAMING_BYTES_FREE + self._data_bytes // _FRAMING_SHARE:
            raise InvalidRequest("the chunks of the body are too small, or say too much beside their size")
        self._left = int(line[1], 16)
        self._is_after_chunk, self._is_at_trailers = self._left > 0, self._left == 0
        return used

    def _end_of_chunk(self, data: bytes, at: int) -> int:
        if not data.startswith(b"\r\n", at):
            if data[at:] == b"\r":
                return 0
            raise InvalidRequest("a chunk is not as long as its size says")
        self._is_after_chunk = False
        return 2

    def _trailers(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self.is_whole = True
            return 2
        end = data.find(END, at + max(0, self._seen - len(END) + 1))
        if end < 0 or end + len(END) - at > self._limits.header_bytes:
            begun = data[at:]
            judge_trailers_begun(begun, self._seen, self._limits.header_bytes)
            self._seen = len(begun)
            return 0
        judge_trailers(data[at : end + len(END)], self._limits.header_fields)
        self.is_whole = True
        return end + len(END) - at
