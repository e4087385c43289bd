"""Finds what answers a path: by its segments where the template is plain, else by Starlette's router.

Nearly every request is a poll of a plain path, and the router would try one pattern after the other for it.
"""

from collections.abc import Mapping
from typing import Any

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

_ID = "{id}"
_ANY, _HERE = 0, 1  # keys that no segment of a path can be


class Dispatch:
    """An ASGI application. `plain` are templates of whole segments, some of them `{id}`; a literal one goes first."""

    def __init__(self, plain: Mapping[str, ASGIApp], otherwise: Router) -> None:
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

    def _find(self, path: str) -> tuple[ASGIApp | None, str]:
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
