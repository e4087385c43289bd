"""What the header of an MP4 says: how large its picture is, and how long it runs."""

import struct
from collections.abc import Iterator

# 768P and 1080P are documented, 720P is what the word means everywhere, 512P is what the sandbox makes (FACTS 4.2).
PIXELS = {"512P": (912, 512), "720P": (1280, 720), "768P": (1366, 768), "1080P": (1920, 1080), None: (1280, 720)}


def read_film(data: bytes) -> tuple[int, int, float]:
    """Width, height and seconds of an MP4."""
    assert data[4:8] == b"ftyp", f"no film: {data[:60]!r}"
    (movie,) = _boxes(data, b"moov")
    (header,) = _boxes(movie, b"mvhd")
    scale, length = struct.unpack(">IQ", header[20:32]) if header[0] else struct.unpack(">II", header[12:20])
    sizes = set()
    for track in _boxes(movie, b"trak"):
        (track_header,) = _boxes(track, b"tkhd")
        width, height = struct.unpack(">II", track_header[-8:])  # fixed point, 16 bits after it
        sizes.add((width >> 16, height >> 16))
    ((width, height),) = sizes - {(0, 0)}  # sound has no size
    return width, height, length / scale


def _boxes(data: bytes, name: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        size, kind = struct.unpack(">I4s", data[position : position + 8])
        start = 8
        if size == 1:
            (size,) = struct.unpack(">Q", data[position + 8 : position + 16])
            start = 16
        assert size >= start, "a box smaller than its own header"
        if kind == name:
            yield data[position + start : position + size]
        position += size
