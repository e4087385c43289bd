"""What only the kernel knows of a connection."""

import asyncio
import fcntl
import os
import socket
import struct
import termios

_INT = struct.Struct("i")
_AT_ONCE = struct.pack("ii", 1, 0)


def unacknowledged_bytes(transport: asyncio.Transport) -> int:
    """How much of what was written the client's side has not taken yet; Linux tells (`man 7 tcp`, SIOCOUTQ)."""
    fd = transport.get_extra_info("socket").fileno()
    if fd < 0:
        return 0
    try:
        found: int = _INT.unpack(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(_INT.size)))[0]
    except OSError:
        return 0
    return found


def reset(transport: asyncio.Transport) -> None:
    """End a connection so that the kernel, too, forgets what was still to be sent: a client that reads a byte a second
    would hold the memory of it for hours."""
    fd = transport.get_extra_info("socket").fileno()
    if fd >= 0:
        with socket.socket(fileno=os.dup(fd)) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
