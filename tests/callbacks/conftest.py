"""The databases of `tests/store`, of either kind."""

from tests.store.conftest import file, run, server, world

__all__ = ["file", "run", "server", "world"]
