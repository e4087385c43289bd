"""Routes for the person who runs the gateway and for the machines that watch it.

They answer at once whatever storage does: what storage is asked for them is under way once at most, and an answer that
takes longer than `WITHIN_S` is for the next one who asks. Until then the last one counts.
"""

import time

from gateway import __version__, jsontext
from gateway.errors import StorageDown
from gateway.metrics import Metrics
from gateway.parts import Parts
from gateway.siblings import Siblings
from gateway.store import Totals
from gateway.stories import Question
from gateway.web.exchange import Answer, Exchange, Ready

_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
# Of the tenth of a second in which these answer, under full load too, where the rest goes by before they have their
# turns. An idle disk needs a few milliseconds.
WITHIN_S = 0.02
SILENT_FOR_S = 10.0  # a disk that is only slow (a checkpoint, a backup beside us) has answered by then


class Operations:
    """Health, readiness and metrics. None of them calls an upstream or asks for a key."""

    def __init__(self, parts: Parts, siblings: Siblings | None = None) -> None:
        """`siblings` are the other workers on this port; their counts are told with one's own."""
        self._parts = parts
        self._probe = Question(self._write, parts.stories)
        self._figures = Question(self._count, parts.stories)
        self._counted_at = time.monotonic()
        self._siblings = siblings

    async def health(self, exchange: Exchange) -> Answer:
        """What `health_at_once` says."""
        return self.health_at_once(exchange).answer

    def health_at_once(self, exchange: Exchange) -> Ready:
        """The process is alive. One that is about to end says so: load balancers go by it, since this asks nothing of
        storage or of keys, without which tasks are still read."""
        status = "leaving" if self._parts.stories.is_leaving else "ok"
        return Ready.of(Answer(200, jsontext.write({"status": status, "version": __version__})))

    async def readiness(self, exchange: Exchange) -> Answer:
        """Creates can be taken: storage is writable, a key is usable and at most busy, and no shutdown is under way.

        A freeze is said and no reason to send nobody here: polls and films go on.
        """
        checks = {
            "storage": await self._storage_is_writable(),
            "keys": self._parts.upstreams.takes_creates(self._parts.catalog.models),
            "accepting": not self._parts.stories.is_leaving,
        }
        is_ready, is_frozen = all(checks.values()), self._parts.admission.is_frozen
        status = ("frozen" if is_frozen else "ready") if is_ready else "not ready"
        said = {"status": status, "checks": checks, "frozen": is_frozen}
        return Answer(200 if is_ready else 503, jsontext.write(said))

    async def metrics(self, exchange: Exchange) -> Answer:
        """What happened in this process, and how things stand in storage as far as it answers: whoever watches must see
        most where something is wrong."""
        metrics = self._parts.metrics
        try:
            await self._figures.answer(WITHIN_S)
        except StorageDown:
            metrics.storage_is_down()
        if self._figures.waits_s >= SILENT_FOR_S:
            metrics.storage_is_down()
        metrics.count_age(time.monotonic() - self._counted_at)
        metrics.freeze(self._parts.admission.is_frozen)
        families = None if self._siblings is None else await self._siblings.totals()
        return Answer(200, metrics.exposition(families), content_type=_METRICS_TYPE)

    async def _storage_is_writable(self) -> bool:
        """As the last write found it, while one more is on its way to the disk and not overdue."""
        try:
            if await self._probe.answer(WITHIN_S):
                return True
        except StorageDown:
            return False
        return self._parts.database.is_writable and self._probe.waits_s < SILENT_FOR_S

    async def _write(self) -> bool:
        await self._parts.database.probe()
        return True

    async def _count(self) -> None:
        found = await self._parts.books.totals(*self._parts.admission.owners(), self._parts.clock())
        self._counted_at = time.monotonic()
        _tell(found, self._parts.metrics, self._parts.clock())


def _tell(found: Totals, metrics: Metrics, now: float) -> None:
    metrics.storage_is_up()
    metrics.count_tasks(found.tasks)
    metrics.count_holds(found.held, now)
    metrics.count_expiring(found.films_due, 0.0 if found.films_due_since is None else now - found.films_due_since)
    metrics.count_money(found.keys, found.teams)
