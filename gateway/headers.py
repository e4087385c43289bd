"""The header fields of a message: as pairs, and as the lines that are sent."""

from collections.abc import Iterable

HeaderList = list[tuple[bytes, bytes]]


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """One line for each. Raises ValueError for a header that is more than one line, because a client would read the
    second as another header, or as another answer."""
    each = [b"%b: %b\r\n" % header for header in headers]
    text = b"".join(each)
    if text.count(b"\n") != len(each) or text.count(b"\r") != len(each):
        raise ValueError("a header of an answer has a line break")
    return text
