"""The film itself: where a caller finds it, and its bytes, unbuffered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway import links
from gateway.dialects.speaking import View
from gateway.errors import LookFailed, NotReady, ResultExpired
from gateway.parts import Parts
from gateway.upstreams import Film
from gateway.video import Status, Task

UPSTREAM_LINK_LIFE_S = 86_400  # EvoLink, ToAPIs and new-api sites keep a film for a day (FACTS 7.5)
_GONE = frozenset({401, 403, 404, 410})
_PASSED_ON = frozenset({200, 206, 416})


def view(task: Task, base_url: str, parts: Parts) -> View:
    """Where the film is: at the upstream's own link, or at a signed one below `base_url`."""
    if task.status is not Status.COMPLETED or task.link is None:
        return View()
    if not has_gateway_link(parts):
        return View(task.link, int((task.finished_at or task.created_at) + UPSTREAM_LINK_LIFE_S))
    expires_at = int(parts.clock()) + parts.settings.link_ttl_s
    return View(base_url + links.signed_path(task.id, expires_at, parts.settings.link_secret), expires_at)


def has_gateway_link(parts: Parts) -> bool:
    """`auto` passes an upstream's link on where it is public and lives a day, as every provider's here does."""
    return parts.settings.links == "gateway"


@asynccontextmanager
async def film(task: Task, byte_range: str | None, parts: Parts) -> AsyncIterator[Film]:
    """The finished film, or the asked range of it. Raises NotReady, ResultExpired, or LookFailed."""
    if task.status is not Status.COMPLETED:
        raise NotReady(f"there is no film: the task is {task.status.value}", param="id")
    if task.link is None:
        raise ResultExpired("the film is no longer kept", param="id")
    async with parts.upstreams.film(task.link, byte_range=byte_range) as found:
        if found.status in _GONE:
            raise ResultExpired("the upstream no longer keeps the film", param="id")
        if found.status not in _PASSED_ON:
            raise LookFailed(f"the film's host answered {found.status}", row="P", http_status=found.status)
        yield found
