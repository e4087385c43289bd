"""Formats that are known and not taken, by their first bytes: who sends one is helped by hearing its name."""

LEAD_BYTES = 16  # what has to be seen to know a stranger, or one of ours

# Where the mark stands → mark → name. An ISO media file says at its eighth byte what it is.
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
    (8, b"avif", "AVIF"),
    (8, b"avis", "AVIF"),
    (8, b"hei", "HEIC"),
    (8, b"hev", "HEIC"),
    (8, b"mif1", "HEIF"),
    (8, b"msf1", "HEIF"),
    (4, b"ftyp", "MP4 or QuickTime"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\x00\x00\x01\x00", "ICO"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
)
# The same for texts, after blanks and a byte order mark, in any letter case.
_TEXTS = ((b"<svg", "SVG"), (b"<?xml", "SVG or other XML"), (b"<!doctype html", "HTML"), (b"<html", "HTML"))
_BLANKS = b"\xef\xbb\xbf \t\r\n"


def name_of(lead: bytes) -> str | None:
    """What a file is that begins so, if it is a known stranger."""
    for at, mark, name in _MARKS:
        if lead.startswith(mark, at):
            return name
    text = lead.lstrip(_BLANKS).lower()
    return next((name for mark, name in _TEXTS if text.startswith(mark)), None)
