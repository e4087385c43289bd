"""The film itself: where a caller finds it, and its bytes, unbuffered."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from gateway import ids, links
from gateway.archive import ArchiveFailed
from gateway.dialects.speaking import View
from gateway.egress import Answer as Film
from gateway.egress import EgressRefused
from gateway.errors import LookFailed, NotReady, ResultExpired
from gateway.parts import Parts
from gateway.structs import Struct, replace
from gateway.video import Status, Task

log = logging.getLogger("reelgate.content")

LASTING_S = 86_400  # what callers of every dialect but MiniMax's are promised for a link (FACTS 7.5)
_GONE = frozenset({401, 403, 404, 410})
_PASSED_ON = frozenset({200, 206, 416})


class Portion(Struct, frozen=True):
    """What is wanted of a film: a range of it, and of which film (RFC 9110, 13.1.5); of another one, all is wanted."""

    byte_range: str | None = None
    validator: str | None = None
    """The strong tag of the film, or when it was last modified, as its reader was told."""


WHOLE = Portion()


def view(task: Task, base_url: str, parts: Parts) -> View:
    """Where the film is: at the upstream's own link, or at a signed one below `base_url`."""
    if task.status is not Status.COMPLETED or task.link is None:
        return View()
    if not has_gateway_link(task, parts):
        return View(task.link, int((task.finished_at or task.created_at) + parts.upstreams.link_life_s(task)))
    expires_at = int(parts.clock()) + parts.settings.link_ttl_s
    return View(base_url + links.signed_path(task.id, expires_at, parts.settings.link_secret), expires_at)


def has_gateway_link(task: Task, parts: Parts) -> bool:
    """`auto` passes an upstream's link on where it is public and lives a day (FACTS 7.5), and else gives our own: where
    films are kept, a link that lives as long as they do."""
    if parts.settings.links == "auto":
        return parts.archive is not None or parts.upstreams.link_life_s(task) < LASTING_S
    return parts.settings.links == "gateway"


@asynccontextmanager
async def film(task: Task, portion: Portion, parts: Parts) -> AsyncIterator[Film]:
    """The finished film, or the asked part of it, kept or not. Raises NotReady, ResultExpired, or LookFailed.

    Its first bytes are here: a host that says a head and nothing more is an error that can still be told.
    """
    if task.status is not Status.COMPLETED:
        raise NotReady(f"there is no film: the task is {task.status.value}")
    kept = await _kept(task, portion, parts)
    if kept is not None:
        yield kept
        return
    async with from_upstream(task, portion, parts) as found:
        yield replace(found, chunks=await _begun(found.chunks))


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, the first of which has come. Raises what ended them before it did."""
    first = await anext(chunks, b"")

    async def begin() -> AsyncIterator[bytes]:
        if first:
            yield first
        async for chunk in chunks:
            yield chunk

    return begin()


async def _kept(task: Task, portion: Portion, parts: Parts) -> Film | None:
    """The film from the archive; None where it is not there, or the archive does not answer."""
    if parts.archive is None or not await parts.registry.film_is_kept(task.id):
        return None
    try:
        found = await parts.archive.read(ids.word(task.id), portion.byte_range, tag=portion.validator)
        if found is not None:
            return Film(found.status, found.headers, _told(await _begun(found.chunks)))
    except ArchiveFailed as error:
        log.warning("the archive does not answer for task %d: %s", task.id, error)
        return None
    log.error("task %d: the archive has lost the film", task.id)
    return None


@asynccontextmanager
async def from_upstream(task: Task, portion: Portion, parts: Parts) -> AsyncIterator[Film]:
    """The film of a completed task from where its upstream keeps it. Raises ResultExpired, or LookFailed.

    A link that died is located anew, once: some upstreams give out links of an hour to a film they keep for days.
    """
    async with AsyncExitStack() as stack:
        found = await _open(task, portion, stack, parts)
        if found is None:
            task = await _locate(task, parts)
            found = await _open(task, portion, stack, parts)
        if found is None:
            raise ResultExpired("the upstream no longer keeps the film")
        yield found


async def _open(task: Task, portion: Portion, stack: AsyncExitStack, parts: Parts) -> Film | None:
    """The film behind the task's link; None when that link is dead."""
    if task.link is None:
        return None
    credentials, own = parts.upstreams.film_access(task)
    async with AsyncExitStack() as opening:
        try:
            headers = {**credentials, **_asked(portion)}
            found = await opening.enter_async_context(parts.door.film(task.link, headers=headers, own=own))
        except EgressRefused as refused:
            raise LookFailed(refused.message, row="P") from None
        if found.status in _GONE:
            return None
        is_encoded = found.headers.get(b"content-encoding", b"identity") != b"identity"  # nobody asked for that
        if found.status not in _PASSED_ON or is_encoded:
            raise LookFailed(f"the film's host answered {found.status}", row="P", http_status=found.status)
        if found.status == 200 or _is_of(found, portion):
            chunks = await opening.enter_async_context(aclosing(_told(found.chunks)))
            await stack.enter_async_context(opening.pop_all())
            return replace(found, chunks=chunks)
    return await _open(task, WHOLE, stack, parts)


def _asked(portion: Portion) -> Mapping[str, str]:
    """The tags of a film are its host's, so it judges; most know how."""
    said = {"range": portion.byte_range, "if-range": portion.validator}
    return {name: value for name, value in said.items() if value is not None}


def _is_of(found: Film, portion: Portion) -> bool:
    """Whether a part, or that there is none such, is said of the film that was meant: some hosts say it of whatever
    they have."""
    own = (found.headers.get(b"etag"), found.headers.get(b"last-modified"))
    return portion.validator is None or portion.validator.encode() in own


async def _told(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in chunks:
            yield chunk
    except EgressRefused as refused:
        raise LookFailed(refused.message, row="P") from None
    except ArchiveFailed as error:
        raise LookFailed(f"the archive no longer answers: {error}", row="P") from None


async def _locate(task: Task, parts: Parts) -> Task:
    """Ask the upstream where the film is now. Raises ResultExpired when it does not know."""
    try:
        link = await parts.upstreams.locate(task)
    except LookFailed as failure:
        if not failure.is_missing:
            raise
        link = None
    if link is None or link == task.link:
        raise ResultExpired("the upstream no longer keeps the film")
    return parts.memory.keep(await parts.registry.relocate(task.id, link, now=parts.clock()))
