"""What server and application say to each other beside ASGI: header fields as pairs and as the lines that are sent, and
since when a request is here."""

from collections.abc import Iterable

HeaderList = list[tuple[bytes, bytes]]

BEGAN = "reelgate.began"
"""In an ASGI scope: when the head of the request was there (`perf_counter`), which may be some turns of the event loop
before it is answered."""
GATHERS = "reelgate.gathers"
"""In an ASGI scope: a call that asks for the body in large pieces from then on. A body that is wanted as a whole wakes
nobody for each byte that a slow client sends of it."""


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """One line for each. Raises ValueError for a header that is more than one line, because a client would read the
    second as another header, or as another answer."""
    each = [b"%b: %b\r\n" % header for header in headers]
    text = b"".join(each)
    if text.count(b"\n") != len(each) or text.count(b"\r") != len(each):
        raise ValueError("a header of an answer has a line break")
    return text
