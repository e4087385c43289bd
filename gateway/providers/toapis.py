"""The ToAPIs protocol (FACTS section 2). It has stood in three generations: the newest is written, all are read."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway import jsontext
from gateway.errors import Problem
from gateway.providers.protocol import Funds, Site
from gateway.providers.reading import (
    FINE_CODES,
    canonical,
    has_error,
    items,
    make_look,
    members,
    read_created,
    read_id,
    read_number,
    read_task,
)
from gateway.providers.verdicts import judge
from gateway.video import Look, Offer, Receipt, Status, VideoRequest
from gateway.wire import Call, Send

NAME = "toapis"
LINK_LIFE_S = 86_400  # FACTS 2.2
REPORTS_PROGRESS = True  # FACTS 2.2

# FACTS 2.2. `submitted` stands in the page's table where its samples say `queued`.
_STATUS: Mapping[str, Status] = {
    "queued": Status.PENDING,
    "submitted": Status.PENDING,
    "in_progress": Status.PROCESSING,
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
}
# The pages of these models require the prompt beside an image too, the page of 02 does not (FACTS 2.1).
_PROMPT_NEEDED = "hailuo-2.3"
_UNLIMITED = -1  # FACTS 2.4
_CANONICAL = {
    "duration": "duration_s",
    "image_urls": "first_frame_image",
    "metadata.last_frame_image": "last_frame_image",
    "metadata.prompt_optimizer": "prompt_optimizer",
    "metadata.fast_pretreatment": "fast_pretreatment",
    "metadata.aigc_watermark": "aigc_watermark",
}


def unsayable(request: VideoRequest) -> list[Problem]:
    """ToAPIs has no subject reference, takes images by address only, no last frame alone, and 2.3 only with words."""
    problems = []
    if request.subject_reference is not None:
        problems.append(Problem("subject_reference", "no upstream here takes a subject reference"))
    for name in ("first_frame_image", "last_frame_image"):
        image = getattr(request, name)
        if image is not None and image[:5].casefold() == "data:":
            problems.append(Problem(name, "the upstream takes images by http(s) address only"))
    if request.last_frame_image is not None and request.first_frame_image is None:
        problems.append(Problem("first_frame_image", "a last-frame image needs a first-frame image beside it"))
    if _PROMPT_NEEDED in request.model.casefold() and not (request.prompt or "").strip():
        problems.append(Problem("prompt", "the upstream needs a prompt that is not blank for this model"))
    return problems


def submission(request: VideoRequest, offer: Offer, site: Site) -> Call:
    """The canonical create (FACTS 2.1). Resolution and duration are always said, so that what is bought is what was
    priced; options only where they differ from the documented default."""
    body: dict[str, Any] = {"model": offer.model}
    if request.prompt:
        body["prompt"] = request.prompt
    if offer.duration_s is not None and "duration" not in offer.unsaid:
        body["duration"] = offer.duration_s
    if offer.resolution is not None and "resolution" not in offer.unsaid:
        body["resolution"] = offer.resolution
    if request.first_frame_image is not None:
        body["image_urls"] = [request.first_frame_image]
    metadata: dict[str, Any] = {}
    if request.last_frame_image is not None:
        metadata["last_frame_image"] = request.last_frame_image
    metadata |= request.options()
    if metadata:
        body["metadata"] = metadata
    return Call("submit", "POST", f"{site.base_url}/v1/videos/generations", jsontext.write(body))


async def submit(request: VideoRequest, offer: Offer, site: Site, send: Send, now: float) -> Receipt:
    """One POST; an id in its documented place without an error beside it is acceptance, whatever the status (H29)."""
    reply = await send(submission(request, offer, site))
    upstream_id = _read_created_id(read_created(reply))
    if upstream_id is not None:
        return Receipt(upstream_id)
    error = judge(reply, now)
    error.param = canonical(error.param, _CANONICAL)
    raise error


async def poll(upstream_id: str, site: Site, send: Send) -> Look:
    """GET /v1/videos/generations/{id} (FACTS 2.2)."""
    body = read_task(
        await send(Call("poll", "GET", f"{site.base_url}/v1/videos/generations/{quote(upstream_id, safe='')}"))
    )
    result, error = members(body.get("result")), members(body.get("error"))
    return make_look(
        body.get("status"),
        _STATUS,
        progress=body.get("progress"),
        # The page contradicts itself: its body has the link in `result.data[]`, its samples read `url` off the whole
        # answer, which they call `result` (FACTS 2.2). Inside `result` is where that name misleads to.
        links=[*(members(film).get("url") for film in items(result.get("data"))), body.get("url"), result.get("url")],
        failure=(error.get("code"), error.get("message")),
    )


async def locate(upstream_id: str, site: Site, send: Send) -> str | None:
    """The link stands in the task itself."""
    return (await poll(upstream_id, site, send)).link


def id_in_callback(body: Mapping[str, Any]) -> str | None:
    """None: it is never told where to call. An address must be of the same origin as the one that is set for the token
    at their site, which is not known here, and a create with any other may be refused (FACTS 2.4)."""
    return None


async def balance(site: Site, send: Send) -> Funds | None:
    """GET /v1/balance (FACTS 2.4): a token it does not know is answered with HTTP 200 and `success: false`."""
    reply = await send(Call("balance", "GET", f"{site.base_url}/v1/balance"))
    body = jsontext.read_object(reply.body)
    remaining = read_number(body.get("remain_balance"))
    if reply.status != 200 or not reply.is_whole or body.get("success") is not True:
        return None
    if body.get("unlimited_quota") is True or remaining == _UNLIMITED:
        return Funds(None)
    return None if remaining is None else Funds(remaining)


def _read_created_id(body: Mapping[str, Any]) -> str | None:
    """`id` (FACTS 2.1), or `data[0].task_id` of the oldest generation."""
    if has_error(body) or body.get("code") not in FINE_CODES:
        return None
    tasks = items(body.get("data"))
    return read_id(body.get("id")) or (read_id(members(tasks[0]).get("task_id")) if len(tasks) == 1 else None)
