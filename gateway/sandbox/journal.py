"""Requests received, so that a test can see what really reached the upstream. No key is shown (CONTRACT 6).

All of them: those within a protocol have its name for a `provider`; fetched films, and paths that are not there, have
none. Only what asks the sandbox about itself (`control.py`) is left out: reading the log would fill it.
"""

import json
from collections import deque
from typing import Any

from gateway.sandbox.accounts import mask_key, name_key
from gateway.sandbox.calls import Call

REQUESTS_MAX = 100_000
# An uploaded image would fill the memory a few hundred times sooner than the requests do.
_TEXT_CHARACTERS_MAX = 4096
_BODY_BYTES_MAX = 65_536
_SECRET_HEADERS = ("authorization", "proxy-authorization", "x-api-key", "cookie")


class Journal:
    """The last requests, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=REQUESTS_MAX)

    def open(self, call: Call, now: float) -> dict[str, Any]:
        """Write a request down. Its `status` stays None until a status line is sent."""
        entry = {
            "time": now,
            "provider": call.protocol or None,
            "method": call.method,
            "path": call.whole_path,
            "query": _hide(call.query, call.key),
            "headers": {name: _hide_header(name, value, call.key) for name, value in call.headers.items()},
            "json": _read_json(call.body),
            "body_bytes": len(call.body),
            "key": None if call.key is None else mask_key(call.key),
            "key_id": None if call.key is None else name_key(call.key),
            "status": None,
        }
        self._entries.append(entry)
        return entry

    def entries(self) -> list[dict[str, Any]]:
        return list(self._entries)

    def clear(self) -> None:
        self._entries.clear()


def shorten(value: object) -> object:
    """A JSON value with overlong texts cut: an inline image says little that its beginning does not."""
    if isinstance(value, str) and len(value) > _TEXT_CHARACTERS_MAX:
        return f"{value[:100]}… ({len(value)} characters)"
    if isinstance(value, list):
        return [shorten(item) for item in value]
    if isinstance(value, dict):
        return {name: shorten(item) for name, item in value.items()}
    return value


def _hide_header(name: str, value: str, key: str | None) -> str:
    if name == "authorization" and key is not None:
        return f"Bearer {mask_key(key)}"
    # A credential of another kind opens nothing here, and is still nothing to show.
    return mask_key(value) if name in _SECRET_HEADERS else _hide(value, key)


def _hide(text: str, key: str | None) -> str:
    # A key of a few letters is part of many words; the test that uses one has nothing to hide.
    return text if key is None or len(key) <= 4 else text.replace(key, mask_key(key))


def _read_json(body: bytes) -> object:
    """The body with overlong texts cut; None where it is no JSON, or too much to keep."""
    try:
        content = shorten(json.loads(body))
        return content if len(json.dumps(content)) <= _BODY_BYTES_MAX else None
    except (ValueError, RecursionError):
        return None
