"""Routes for the person who runs the gateway and for the machines that watch it."""

import asyncio

from gateway import __version__, jsontext
from gateway.errors import StorageDown
from gateway.metrics import Metrics
from gateway.parts import Parts
from gateway.store import Totals
from gateway.web.exchange import Answer, Exchange

_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
STORAGE_WITHIN_S = 5.0  # Prometheus gives up a scrape after ten seconds, and would learn nothing of this process


class Operations:
    """Health, readiness and metrics. None of them calls an upstream or asks for a key."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def health(self, exchange: Exchange) -> Answer:
        """The process is alive."""
        return Answer(200, jsontext.write({"status": "ok", "version": __version__}))

    async def readiness(self, exchange: Exchange) -> Answer:
        """Creates can be taken: storage is writable, a key is usable, and no shutdown is under way.

        A freeze is said and no reason to send nobody here: polls and films go on.
        """
        checks = {
            "storage": await self._storage_is_writable(),
            "keys": self._parts.upstreams.any_key_usable(),
            "accepting": not self._parts.stories.is_draining,
        }
        is_ready, is_frozen = all(checks.values()), self._parts.admission.is_frozen
        status = ("frozen" if is_frozen else "ready") if is_ready else "not ready"
        said = {"status": status, "checks": checks, "frozen": is_frozen}
        return Answer(200 if is_ready else 503, jsontext.write(said))

    async def metrics(self, exchange: Exchange) -> Answer:
        """What happened in this process, and how things stand in storage as far as it answers: whoever watches must see
        most where something is wrong."""
        metrics, admission = self._parts.metrics, self._parts.admission
        try:
            async with asyncio.timeout(STORAGE_WITHIN_S):
                found = await self._parts.books.totals(*admission.owners(), self._parts.clock())
        except (StorageDown, TimeoutError):
            metrics.storage_is_down()
        else:
            _tell(found, metrics, self._parts.clock())
        metrics.freeze(admission.is_frozen)
        return Answer(200, metrics.exposition(), content_type=_METRICS_TYPE)

    async def _storage_is_writable(self) -> bool:
        try:
            await self._parts.database.probe()
        except StorageDown:
            return False
        return True


def _tell(found: Totals, metrics: Metrics, now: float) -> None:
    metrics.storage_is_up()
    metrics.count_tasks(found.tasks)
    metrics.count_holds(found.held, now)
    metrics.count_expiring(found.films_due, 0.0 if found.films_due_since is None else now - found.films_due_since)
    metrics.count_money(found.keys, found.teams)
