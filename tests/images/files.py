"""Pictures for the tests: real ones, written by Pillow, and headers put together by hand."""

import io
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from PIL import Image, ImageCms

LARGE, TINY = (331, 457), (61, 47)


def encode(mode: str, size: tuple[int, int], kind: str, **options: Any) -> bytes:
    """A picture with something in it, as Pillow writes it."""
    out = io.BytesIO()
    _picture(mode, size).save(out, kind, **options)
    return out.getvalue()


def _picture(mode: str, size: tuple[int, int]) -> Image.Image:
    return Image.radial_gradient("L").resize(size).convert(mode)


@cache
def real_files(size: tuple[int, int] = LARGE) -> dict[str, bytes]:
    """One picture in many ways; the name says how."""
    return {**dict(_jpegs(size)), **dict(_pngs(size)), **dict(_webps(size))}


def _jpegs(size: tuple[int, int]) -> Iterator[tuple[str, bytes]]:
    thumbnail = encode("RGB", (160, 120), "JPEG")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    yield "jpeg", encode("RGB", size, "JPEG")
    yield "jpeg grey", encode("L", size, "JPEG")
    yield "jpeg cmyk", encode("CMYK", size, "JPEG")
    yield "jpeg progressive", encode("RGB", size, "JPEG", progressive=True)
    yield "jpeg with restarts", encode("RGB", size, "JPEG", restart_marker_blocks=4)
    yield "jpeg without subsampling", encode("RGB", size, "JPEG", subsampling=0, optimize=True)
    yield "jpeg with comment", encode("RGB", size, "JPEG", comment=b"\xff\xc0 not a frame" * 4_000)
    yield "jpeg with profile", encode("RGB", size, "JPEG", icc_profile=srgb)
    yield "jpeg with a profile of 300 KB", encode("RGB", size, "JPEG", icc_profile=b"\xff\xc0\xff\xda" * 75_000)
    yield "jpeg with thumbnail", encode("RGB", size, "JPEG", exif=exif(thumbnail=thumbnail))
    for orientation in range(1, 9):
        yield f"jpeg with orientation {orientation}", encode("RGB", size, "JPEG", exif=exif(orientation))
    yield "jpeg with preview behind", encode("RGB", size, "MPO", save_all=True, append_images=[_picture("RGB", TINY)])


def _pngs(size: tuple[int, int]) -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        yield f"png {mode}", encode(mode, size, "PNG")
    yield "png interlaced", interlaced_png(*size)
    yield "png with profile", encode("RGB", size, "PNG", icc_profile=b"profile" * 50_000, exif=exif(6))
    yield "png animated", encode("RGB", size, "PNG", save_all=True, append_images=[_picture("L", size)])


def _webps(size: tuple[int, int]) -> Iterator[tuple[str, bytes]]:
    yield "webp", encode("RGB", size, "WEBP")
    yield "webp lossless", encode("RGB", size, "WEBP", lossless=True)
    yield "webp alpha", encode("RGBA", size, "WEBP")
    yield "webp lossless alpha", encode("RGBA", size, "WEBP", lossless=True)
    yield "webp with metadata", encode("RGB", size, "WEBP", icc_profile=b"profile" * 50_000, exif=exif(6))
    yield "webp animated", encode("RGB", size, "WEBP", save_all=True, append_images=[_picture("L", size)])


def exif(orientation: int = 1, thumbnail: bytes = b"") -> bytes:
    """An EXIF block with one entry, and behind it, as cameras do, a second directory with the thumbnail."""
    first = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 26)
    place = 8 + len(first) + 2 + 2 * 12 + 4
    second = struct.pack(">HHHIIHHIII", 2, 0x0201, 4, 1, place, 0x0202, 4, 1, len(thumbnail), 0)
    return b"Exif\0\0MM\0*" + struct.pack(">I", 8) + first + (second + thumbnail if thumbnail else bytes(6))


def interlaced_png(width: int, height: int) -> bytes:
    """A black picture in Adam7 order, which Pillow reads and does not write."""
    rows = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        across, down = max(0, -(-(width - x) // dx)), max(0, -(-(height - y) // dy))
        rows += bytes(down * (1 + across)) if across else b""
    return png_header(width, height, interlace=1) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def png_header(width: int, height: int, *, depth: int = 8, colour: int = 0, interlace: int = 0) -> bytes:
    """The first 33 bytes of a PNG."""
    data = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", data)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb_png(width: int, height: int) -> bytes:
    """A PNG that says any size in 65 bytes."""
    return png_header(width, height) + _chunk(b"IDAT", zlib.compress(b"")) + _chunk(b"IEND", b"")


def jpeg_segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(data)) + data


def jpeg_frame(width: int, height: int, *, marker: int = 0xC0, components: int = 3) -> bytes:
    """A frame header."""
    return jpeg_segment(marker, struct.pack(">BHHB", 8, height, width, components) + b"\x01\x11\x00" * components)


def webp(kind: bytes, chunk: bytes) -> bytes:
    """A WebP of one chunk."""
    chunk = kind + struct.pack("<I", len(chunk)) + chunk
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def lossy(width: int, height: int) -> bytes:
    return b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)


def lossless(width: int, height: int) -> bytes:
    return b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14)


def canvas(width: int, height: int) -> bytes:
    return bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
