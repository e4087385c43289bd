"""An answer's bytes: status line and headers, ready to be written in one piece with a body."""

from http import HTTPStatus

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE, _KEEP_ALIVE = b"connection: close\r\n", b"connection: keep-alive\r\n"
CHUNKED, LAST_CHUNK = b"transfer-encoding: chunked\r\n", b"0\r\n\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES = {status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(200, 600)}


def head(status: int, *lines: bytes) -> bytes:
    """Everything before the body, of whole lines."""
    return b"".join((_STATUS_LINES[status], *lines, b"\r\n"))


def length(body_bytes: int) -> bytes:
    return b"content-length: %d\r\n" % body_bytes


def option(version: str, *, keeps_open: bool) -> bytes:
    """What is said of the connection, where the version of HTTP does not say it by itself."""
    if not keeps_open:
        return CLOSE
    return _KEEP_ALIVE if version == "1.0" else b""
