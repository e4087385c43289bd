"""WebP: a RIFF file whose first chunk has the size, in one of three forms (RFC 9649).

`VP8 ` is a lossy picture, `VP8L` a lossless one, `VP8X` the canvas of everything else: alpha, animation, metadata.
"""

from collections.abc import Callable

from gateway.images.findings import Finding, Flaw, Format, Header, Unreadable
from gateway.images.intake import Intake, Steps

_PIXELS_END = 2**32  # of a canvas


def read(intake: Intake) -> Steps[Finding]:
    """The header of a file that begins like a WebP: RIFF, length, WEBP, then chunk name, chunk length, chunk."""
    lead = yield from intake.take(20)
    form = _FORMS.get(lead[12:16])
    if form is None:
        return Unreadable(Flaw.CORRUPT, "its first chunk is not a WebP picture")
    count, read_size = form
    chunk_bytes = int.from_bytes(lead[16:20], "little")
    chunk = yield from intake.take(count)
    size = read_size(chunk) if chunk_bytes >= count else None
    if size is None or 0 in size:
        return Unreadable(Flaw.CORRUPT, f"its {lead[12:16].decode().strip()} header makes no sense")
    return Header(Format.WEBP, *size)


def _lossy(chunk: bytes) -> tuple[int, int] | None:
    """A frame tag of three bytes, a start code, then width and height of 14 bits each, a scale above them."""
    is_shown_key_frame = chunk[0] & 0b10001 == 0b10000
    if not is_shown_key_frame or chunk[3:6] != b"\x9d\x01\x2a":
        return None
    return int.from_bytes(chunk[6:8], "little") & 0x3FFF, int.from_bytes(chunk[8:10], "little") & 0x3FFF


def _lossless(chunk: bytes) -> tuple[int, int] | None:
    """A signature, then width - 1 and height - 1 of 14 bits each, an alpha bit and three bits of version 0."""
    bits = int.from_bytes(chunk[1:5], "little")
    if chunk[0] != 0x2F or bits >> 29:
        return None
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _canvas(chunk: bytes) -> tuple[int, int] | None:
    """Flags, three reserved bytes, then width - 1 and height - 1 of 24 bits each."""
    width, height = int.from_bytes(chunk[4:7], "little") + 1, int.from_bytes(chunk[7:10], "little") + 1
    return (width, height) if width * height < _PIXELS_END else None


# Chunk name → how many of its bytes are needed, and who reads them.
_FORMS: dict[bytes, tuple[int, Callable[[bytes], tuple[int, int] | None]]] = {
    b"VP8 ": (10, _lossy),
    b"VP8L": (5, _lossless),
    b"VP8X": (10, _canvas),
}
