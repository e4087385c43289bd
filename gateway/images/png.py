"""PNG: the first chunk has the size, and a checksum (PNG specification, sections 5 and 11.2)."""

import zlib

from gateway.images.findings import Finding, Flaw, Format, Header, Unreadable
from gateway.images.intake import Intake, Steps

_HEADER_BYTES = 33  # signature 8, chunk length 4, chunk type 4, data 13, checksum 4
_BEGINNING = b"\x00\x00\x00\x0dIHDR"
_SIZE_MAX = 2**31 - 1
# Colour type → bits per sample.
_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}


def read(intake: Intake) -> Steps[Finding]:
    """The header of a file that begins like a PNG."""
    header = yield from intake.take(_HEADER_BYTES)
    if header[8:16] != _BEGINNING:
        return Unreadable(Flaw.CORRUPT, "its first chunk is not a PNG header")
    if zlib.crc32(header[12:29]) != int.from_bytes(header[29:33], "big"):
        return Unreadable(Flaw.CORRUPT, "the checksum of its header is wrong")
    width, height = int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
    if not (0 < width <= _SIZE_MAX and 0 < height <= _SIZE_MAX):
        return Unreadable(Flaw.CORRUPT, f"its header says {width} x {height} pixels")
    depth, colour, compression, filtering, interlace = header[24:29]
    if depth not in _DEPTHS.get(colour, ()) or compression or filtering or interlace > 1:
        return Unreadable(Flaw.CORRUPT, "its header names a kind of PNG that does not exist")
    return Header(Format.PNG, width, height)
