"""JPEG: segments one after another until the frame header, which has the size (ITU-T T.81, annex B).

Everything before the frame header is jumped over by its length, so a thumbnail inside an EXIF segment is never taken
for the picture. Junk and fill bytes between segments are let pass, as decoders do.
"""

import re

from gateway.images.findings import Finding, Flaw, Format, Header, Unreadable
from gateway.images.intake import Intake, Steps

# Segments before the frame: an ICC profile has at most 255, and nothing else comes near. It bounds the reader's work.
SEGMENTS_MAX = 1_000

_MARKER = re.compile(rb"\xff[^\x00\xff]")  # FF 00 is an escaped FF, FF FF a fill byte
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # three of the row are tables and an extension
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # no length follows: TEM, RSTn, SOI
_RESERVED = frozenset(range(0x02, 0xC0))
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA


def read(intake: Intake) -> Steps[Finding]:
    """The header of a file that begins like a JPEG."""
    yield from intake.skip(2)
    for _ in range(SEGMENTS_MAX):
        yield from intake.skip_to(_MARKER)
        marker = (yield from intake.take(2))[1]
        if marker in _BARE:
            continue
        if marker in (_END_OF_IMAGE, _START_OF_SCAN) or marker in _RESERVED:
            return Unreadable(Flaw.CORRUPT, "the size is missing where a JPEG must have it")
        length = int.from_bytes((yield from intake.take(2)), "big")
        if marker in _FRAMES:
            return (yield from _frame(intake, length))
        yield from intake.skip(max(0, length - 2))  # the length counts itself, or is nonsense that decoders overlook
    return Unreadable(Flaw.CORRUPT, f"it has more than {SEGMENTS_MAX} segments before its size")


def _frame(intake: Intake, length: int) -> Steps[Finding]:
    """Precision, height, width, and how many components follow, of three bytes each."""
    frame = yield from intake.take(6)
    height, width, components = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    if length != 8 + 3 * components or components == 0:
        return Unreadable(Flaw.CORRUPT, "the frame header has the wrong length")
    if width == 0 or height == 0:
        # The height may come later, after all rows; no common decoder takes such a file.
        return Unreadable(Flaw.CORRUPT, f"the frame header says {width} x {height} pixels")
    return Header(Format.JPEG, width, height)
