"""Finds what answers a path: by its segments where the template is plain, else by Starlette's router.

Nearly every request is a poll of a plain path, and the router would try one pattern after the other for it.
"""

from collections.abc import Mapping
from typing import Any

from starlette.routing import Match, Route, Router
from starlette.types import Receive, Scope, Send

from gateway.errors import GatewayError
from gateway.headers import HeaderList
from gateway.web.exchange import Exchange
from gateway.web.surface import Surface, Whole, nothing_more

_ID = "{id}"
_ANY, _HERE = 0, 1  # keys that no segment of a path can be
_FOUND = "reelgate.surface"  # in a scope, which comes again with the next request of the same bytes


class Dispatch:
    """An ASGI application. `plain` are templates of whole segments, some of them `{id}`; a literal one goes first.
    `nowhere` speaks for paths that are none, `vital` are those that are answered however many connections there are."""

    def __init__(
        self, plain: Mapping[str, Surface], otherwise: Router, *, nowhere: Surface, vital: frozenset[str]
    ) -> None:
        self.plain = plain
        self.vital = vital
        self._nowhere = nowhere
        self._otherwise = otherwise
        self._tree: dict[str | int, Any] = {}
        for template, app in plain.items():
            node = self._tree
            for segment in template.split("/")[1:]:
                node = node.setdefault(_ANY if segment == _ID else segment, {})
            node[_HERE] = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            app, spelling = self._find(scope["path"])
            if app is not None:
                scope["path_params"] = {"id": spelling}
                await app(scope, receive, send)
                return
        await self._otherwise(scope, receive, send)

    def at_once(self, scope: Scope) -> Whole | None:
        """The answer where one is at hand; the server asks for it before it makes a task for the request."""
        app: Surface | None = scope.get(_FOUND)
        if app is None:
            app, spelling = self._find(scope["path"])
            if app is None:
                return None
            scope[_FOUND], scope["path_params"] = app, {"id": spelling}
        return app.at_once(scope)

    def refuse(self, error: GatewayError, method: str | None, path: str | None, headers: HeaderList) -> Whole:
        """What the server answers where it refuses a request of which so much is known."""
        scope = {"type": "http", "method": method or "GET", "path": path or "", "headers": headers}
        return self._surface(scope).refuse(Exchange(scope, nothing_more), error)

    def _surface(self, scope: Scope) -> Surface:
        found, _ = self._find(scope["path"])
        if found is not None:
            return found
        for route in self._otherwise.routes:
            if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL:
                return route.endpoint if isinstance(route.endpoint, Surface) else self._nowhere
        return self._nowhere

    def _find(self, path: str) -> tuple[Surface | None, str]:
        node, spelling = self._tree, ""
        for segment in path.split("/")[1:]:
            inner = node.get(segment)
            if inner is None and segment:
                inner, spelling = node.get(_ANY), segment
            if inner is None:
                return None, ""
            node = inner
        return node.get(_HERE), spelling


def is_plain(template: str) -> bool:
    """Whether a template is of whole segments and needs no converter."""
    return "{" not in template.replace(_ID, "")
