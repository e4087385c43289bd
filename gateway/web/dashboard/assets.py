"""Style, script and icon: read once, named with their digest in pages, and kept by browsers for as long as that is
the same."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from gateway.structs import Struct
from gateway.web.dashboard.rendering import SAFE
from gateway.web.exchange import Answer, Exchange
from gateway.web.waiting import unless_known

FOLDER = Path(__file__).parent / "static"
PATH = "/dashboard/static"
_TYPES: Mapping[str, bytes] = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_FOR_EVER, _ASK_FIRST = b"public, max-age=31536000, immutable", b"no-cache"


class Asset(Struct, frozen=True):
    """One file."""

    body: bytes
    content_type: bytes
    digest: str


class Assets:
    """All files of the folder, in memory: together they are smaller than one picture."""

    def __init__(self) -> None:
        self._by_name = {path.name: _read(path) for path in FOLDER.iterdir() if path.suffix in _TYPES}

    def link(self, name: str) -> str:
        """Where a page finds a file as it is now."""
        return f"{PATH}/{name}?v={self._by_name[name].digest}"

    def answer(self, exchange: Exchange) -> Answer | None:
        """The file that the path names, if there is one. To everybody: there is nothing in it but what is published."""
        asset = self._by_name.get(exchange.path_param("id"))
        if asset is None:
            return None
        is_this = exchange.query().get("v") == asset.digest
        headers = [
            *SAFE,
            (b"cache-control", _FOR_EVER if is_this else _ASK_FIRST),
            (b"etag", b'"%s"' % asset.digest.encode()),
        ]
        return unless_known(Answer(200, asset.body, headers, asset.content_type), exchange)


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], hashlib.blake2s(body, digest_size=12).hexdigest())
