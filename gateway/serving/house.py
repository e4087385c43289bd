"""What the connections of one server have in common: the application and what it offers, the limits, the places."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from starlette.types import ASGIApp
from uvicorn.server import ServerState

from gateway import jsontext
from gateway.errors import GatewayError
from gateway.headers import HeaderList, lines
from gateway.serving.limits import Limits
from gateway.serving.places import Places
from gateway.serving.turns import Turns

Said = tuple[int, bytes, bytes]
"""Status, lines of the headers, and body of a whole answer; they say nothing of its length, its date or the connection.
"""

AtOnce = Callable[[dict[str, Any]], Said | None]
"""An application's `at_once`: the answer to a GET or HEAD without a body that needs no waiting, made from its scope, or
None where it does need some. A request that says the same bytes as the one before it comes in the same scope, so what
the application adds to that it finds again."""


class Refuse(Protocol):
    """An application's `refuse`: an error in the words of whoever asked. There is no method and no path where the
    request could not be read as far, and there may be no headers."""

    def __call__(self, error: GatewayError, method: str | None, path: str | None, headers: HeaderList) -> Said: ...


class House:
    """One per server. What an application offers beside ASGI is taken where it is there: `at_once`, `refuse`, and
    `vital`, the paths that are answered even when there is no place."""

    def __init__(self, app: ASGIApp, limits: Limits, places: Places) -> None:
        self.app = app
        self.limits = limits
        self.places = places
        self.turns = Turns()
        self.is_leaving = False
        """Every answer closes its connection."""
        self.at_once: AtOnce | None = getattr(app, "at_once", None)
        self.vital: frozenset[str] = getattr(app, "vital", frozenset())
        self.refuse: Refuse = getattr(app, "refuse", _refuse_plainly)
        self._date_headers: list[tuple[bytes, bytes]] | None = None
        self._date = b""

    def date(self, state: ServerState) -> bytes:
        """The lines of every answer, which uvicorn makes anew each second."""
        if state.default_headers is not self._date_headers:
            self._date_headers = state.default_headers
            self._date = b"".join(b"%b: %b\r\n" % header for header in self._date_headers)
        return self._date


def _refuse_plainly(error: GatewayError, method: str | None, path: str | None, headers: HeaderList) -> Said:
    body: Mapping[str, Any] = {"error": {"code": error.code, "message": error.message}}
    said = [(b"content-type", b"application/json"), (b"x-request-id", secrets.token_hex(12).encode())]
    if error.retry_after is not None:
        said.append((b"retry-after", b"%d" % error.retry_after))
    return error.status, lines(said), jsontext.write(body)
