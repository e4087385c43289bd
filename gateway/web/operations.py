"""Routes for the person who runs the gateway and for the machines that watch it."""

from gateway import __version__, jsontext
from gateway.errors import StorageDown
from gateway.parts import Parts
from gateway.web.exchange import Answer, Exchange

_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


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
        counts = await self._parts.registry.state_counts()
        self._parts.metrics.count_tasks({state.value: count for state, count in counts.items()})
        self._parts.metrics.count_expiring(await self._parts.registry.films_due())
        money = await self._parts.books.balances(*self._parts.admission.owners(), self._parts.clock())
        self._parts.metrics.count_money(*money)
        return Answer(200, self._parts.metrics.exposition(), content_type=_METRICS_TYPE)

    async def _storage_is_writable(self) -> bool:
        try:
            await self._parts.database.probe()
        except StorageDown:
            return False
        return True
