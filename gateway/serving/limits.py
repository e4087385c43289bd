"""What one connection may weigh and how long it may hold its place (CONTRACT section 5, HTTP limits)."""

from gateway.structs import Struct


class Limits(Struct, frozen=True):
    """The size and the time of a create's body are kept where creates are known, in `gateway/web/body.py`."""

    header_bytes: int = 65_536
    """Of the whole head: request line, fields, and the empty line after them."""
    header_fields: int = 100
    header_s: float = 10.0
    """From the first byte of a head to its last; and from the connection to its first byte."""
    idle_s: float = 75.0
    """Between an answer and the next request; and for a client to take an answer that is whole."""
    connections: int = 10_000
    """Open at once in this process."""
