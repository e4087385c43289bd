"""Pictures that a request brings, judged by their first bytes; no pixel is ever decoded.

What the upstreams ask of a picture (FACTS 1.2 and 4.2, CONTRACT section 7): JPEG, PNG or WebP, fewer than 20 MiB, a
short edge of more than 300 pixels, an aspect ratio from 2:5 to 5:2. The format is what the bytes say: names and types
are wrong too often, several official clients label every data URL `image/jpeg`.

Width and height stand in the header, as a rule within the first 256 KiB. The reader takes bytes in pieces of any size,
keeps next to nothing of them and gives up after 1 MiB, or after as many parts as no real header has. So its work is
bounded whatever it is fed, and it gives the same finding however the bytes were cut.

Sizes are those stored. An EXIF orientation that turns the picture swaps width and height, and every rule here reads the
same both ways, so it cannot change a verdict and is not looked for.

Pure: bytes in, findings out. Where bytes come from is `egress.py`'s business, what follows from a finding pre-flight's.
"""

from gateway.images.findings import Finding, Flaw, Format, Header, Unreadable
from gateway.images.inline import judge_inline
from gateway.images.reader import HEAD_BYTES_MAX, HeaderReader
from gateway.images.rules import BYTES_END, judge

__all__ = [
    "BYTES_END",
    "HEAD_BYTES_MAX",
    "Finding",
    "Flaw",
    "Format",
    "Header",
    "HeaderReader",
    "Unreadable",
    "judge",
    "judge_inline",
]
