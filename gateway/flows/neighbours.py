"""What the processes at one storage tell each other about upstreams, and hear of each other.

What one learns of a key, a 429 or a refused credential, is written down when it is learnt, never while a create waits
for it, and read by everybody once a second; so is what everybody has in flight and has submitted in the last minute.
`max_tasks` and `rpm` of an upstream key therefore hold over all processes but for what they do within the same second:
so many creates can each find the same place free. A gateway that is alone gets its own counts put right by the same
reading, whatever storage failure or bug left them wrong, and finds its rests again after a restart.
"""

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
from contextlib import suppress

from gateway import ids
from gateway.errors import StorageDown
from gateway.parts import Desk, Parts
from gateway.store import NameUnknown
from gateway.video import Route

log = logging.getLogger("reelgate.neighbours")

EVERY_S = 1.0  # the others learn of a rest within 2 s (CONTRACT section 7), slow reads and writes included
# What is learnt together is told together: keys that are all refused at once are one transaction, and no flood of
# refusals makes more than a dozen of them a second.
GATHER_S = 0.08
NAMED_MAX = 20  # tasks in one line of the log


async def begin(parts: Parts) -> None:
    """Know what storage knows before the first create, and say what it knows of keys that are gone."""
    parts.upstreams.mark_credentials(await parts.registry.secret("credentials"))
    for sentence in missing_keys(await _listen(parts), parts):
        log.warning(sentence)


async def run(parts: Parts) -> None:
    """Tell and hear, until cancelled."""
    await parts.stories.repeat(lambda: _pass(parts))


async def end(parts: Parts) -> None:
    """Say the last words, for whoever is started next."""
    with suppress(StorageDown):  # said to nobody: a rest is learnt again, at the price of a refusal
        await _tell(parts)


async def sync(parts: Parts) -> None:
    """Tell what is new here, and hear how things stand. Raises StorageDown."""
    await _tell(parts)
    await _listen(parts)


async def recover(route: Route, account: str, desk: Desk) -> int:
    """A person says that a key is good again: whatever was learnt of it and of its account is over, for every process.

    Returns how many rests that ends. Raises StorageDown.
    """
    ended = await desk.rests.end(route, account, desk.clock())
    log.info("the key %s of %s is to be used again", route.key_id, route.upstream)
    return ended


async def recover_here(route: Route, parts: Parts) -> int:
    """`recover` at a running gateway, which uses the key again at once. Raises NameUnknown."""
    account = parts.upstreams.account_of(route)
    if account is None:
        raise NameUnknown(f"there is no key {route.key_id} of an upstream {route.upstream}")
    await _tell(parts)
    ended = await recover(route, account, parts)
    await _listen(parts)
    return ended


def missing_keys(in_flight: Mapping[int, Route], parts: Parts) -> list[str]:
    """One sentence for each key that tasks were submitted with and that is not configured any more."""
    left: dict[Route, list[int]] = {}
    for task_id, route in sorted(in_flight.items()):
        if not parts.upstreams.has_key(route):
            left.setdefault(route, []).append(task_id)
    return [missing_key(route.upstream, route.key_id, len(tasks), tasks) for route, tasks in left.items()]


def missing_key(upstream: str, key_id: str, count: int, tasks: Iterable[int] = ()) -> str:
    """What is to be done about tasks whose key is gone, for the person who runs the gateway."""
    words = [ids.word(task_id) for task_id in tasks]
    more = f" and {len(words) - NAMED_MAX} more" if len(words) > NAMED_MAX else ""
    named = f" ({', '.join(words[:NAMED_MAX])}{more})" if words else ""
    return (
        f"upstreams: {upstream} has no key {key_id} any more, and tasks in flight that were sent with it: "
        f"{count}{named}; nobody can ask what became of them. Put the key back under its id, with `draining: true`, "
        "until they are over"
    )


async def _pass(parts: Parts) -> None:
    with suppress(StorageDown):  # the sweep says so, and this must not rest any longer for it
        await sync(parts)
    # Not all processes in step, and never later than every EVERY_S.
    await parts.upstreams.news(within_s=EVERY_S * random.uniform(0.8, 1.0))  # noqa: S311 - spreads, guards nothing
    await asyncio.sleep(GATHER_S)


async def _tell(parts: Parts) -> None:
    learnt = parts.upstreams.untold()
    if not learnt:
        return
    try:
        await parts.rests.keep(learnt)
    except StorageDown:
        log.warning("%d rests of upstreams and keys are not in storage yet: it does not answer", len(learnt))
        raise
    parts.upstreams.told(learnt)


async def _listen(parts: Parts) -> Mapping[int, Route]:
    with parts.upstreams.hearing() as hear:
        standing = await parts.rests.standing(parts.clock(), parts.upstreams.limited())
        hear(standing)
    return standing.in_flight
