"""Keep every finished film, while its link lives: fetch it once, check it, and serve it from here ever after.

Without an archive nothing is fetched; then the films that are finished and will be gone with their links are only
counted, for whoever watches `results_expiring`.
"""

import asyncio
import logging

from gateway import ids
from gateway.archive import ArchiveFailed, Spoilt
from gateway.errors import GatewayError
from gateway.flows import content
from gateway.parts import Parts
from gateway.video import Task

log = logging.getLogger("reelgate.keeping")

EVERY_S, TIDY_EVERY_S = 2.0, 60.0
AT_ONCE = 4  # films of some ten megabytes: enough to keep up with a team, too few to crowd out its downloads
LEASE_S = 3_700.0  # the door to films allows an hour; then another process may try
FIRST_RETRY_S, RETRY_MAX_S = 10.0, 1_800.0
LINK_LIFE_S = 86_400.0  # what is promised for a link (FACTS 7.5); a film that could not be fetched by then is gone
DROPPED_AT_ONCE = 100


async def run(parts: Parts) -> None:
    """Keep what is finished, until cancelled."""
    tidied_at, under_way = 0.0, set[asyncio.Task[bool]]()

    async def step() -> None:
        nonlocal tidied_at
        under_way.update(await begin_due(parts, AT_ONCE - len(under_way)))
        if parts.clock() - tidied_at >= TIDY_EVERY_S:
            tidied_at = parts.clock()
            await drop_expired(parts)
            await parts.registry.forget_films(parts.clock() - LINK_LIFE_S)
        if not under_way:
            await asyncio.sleep(EVERY_S)
            return
        done, _ = await asyncio.wait(under_way, timeout=EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        under_way.difference_update(done)

    await parts.stories.repeat(step)


async def begin_due(parts: Parts, places: int) -> list[asyncio.Task[bool]]:
    """Begin to fetch what is due now, as far as there are places; each tells whether the film was kept. One whose host
    is slow keeps its own place, and nobody else's."""
    if parts.archive is None or parts.stories.is_draining or places == 0:
        return []
    claimed = await parts.registry.claim_films(parts.clock(), lease_s=LEASE_S, limit=places)
    return [parts.stories.start(_keep(task, tries, parts), may_be_cut=True) for task, tries in claimed]


async def drop_expired(parts: Parts) -> int:
    """Let go of what was kept for long enough; returns how many films."""
    keep_s, archive = parts.settings.keep_s, parts.archive
    if archive is None or keep_s is None:
        return 0
    dropped, before = 0, parts.clock() - keep_s
    while late := await parts.registry.expired_films(before, limit=DROPPED_AT_ONCE):
        for task_id in late:
            try:
                await archive.drop(ids.word(task_id))
            except ArchiveFailed as error:
                log.warning("the archive keeps more than it should: %s", error)
                return dropped
            await parts.registry.lose_film(task_id)
            dropped += 1
    return dropped


async def _keep(task: Task, tries: int, parts: Parts) -> bool:
    assert parts.archive is not None  # noqa: S101  # asked by the only caller
    name = ids.word(task.id)
    try:
        async with content.from_upstream(task, content.WHOLE, parts) as film:
            told = film.headers.get(b"content-length", b"")
            length = int(told) if told.isdigit() else None
            byte_count = await parts.archive.keep(name, film.chunks, length)
    except (GatewayError, ArchiveFailed, Spoilt) as error:
        again_s = min(RETRY_MAX_S, FIRST_RETRY_S * 2 ** min(tries, 10))
        log.warning("the film of task %s was not kept, and is tried again in %.0f s: %s", name, again_s, error)
        await parts.registry.put_film_off(task.id, parts.clock() + again_s)
        return False
    await parts.registry.film_kept(task.id, byte_count, parts.clock())
    return True
