"""The EvoLink protocol (FACTS section 1).

Its creates take images by address only, so an image that came as a data URL is uploaded to its file host first. That
call is free: whatever way it fails, nothing was bought.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from gateway import errors, jsontext
from gateway.errors import Problem
from gateway.providers.protocol import Funds, Site
from gateway.providers.reading import (
    canonical,
    has_error,
    items,
    make_look,
    members,
    read_created,
    read_id,
    read_link,
    read_number,
    read_task,
)
from gateway.providers.verdicts import judge
from gateway.structs import replace
from gateway.video import Look, Offer, Receipt, Status, VideoRequest
from gateway.wire import Call, Reply, Send

NAME = "evolink"
LINK_LIFE_S = 86_400  # FACTS 1.4
REPORTS_PROGRESS = True  # FACTS 1.4

# FACTS 1.4. `cancelled` stands in the callback text of seed-003 and in no enum; nobody here cancels, so it is an end.
_STATUS: Mapping[str, Status] = {
    "pending": Status.PENDING,
    "processing": Status.PROCESSING,
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "cancelled": Status.FAILED,
}
_WITH_CALLBACKS, _CALLBACK_CHARACTERS_MAX = "MiniMax-Hailuo-02", 2048  # FACTS 1.2
_ABOUT_THE_IMAGE = (errors.BadCall, errors.CallTooLarge, errors.ContentRejected)
# The caller's canonical field behind a field this protocol complains about (H9).
_CANONICAL = {
    "quality": "resolution",
    "duration": "duration_s",
    "image_urls": "first_frame_image",
    "image_urls[1]": "last_frame_image",
    "model_params.prompt_optimizer": "prompt_optimizer",
    "model_params.fast_pretreatment": "fast_pretreatment",
}


def unsayable(request: VideoRequest) -> list[Problem]:
    """EvoLink has no watermark, no subject reference, and no last frame alone (FACTS 1.2)."""
    problems = []
    if request.aigc_watermark:
        problems.append(Problem("aigc_watermark", "no upstream here can add this watermark; leave it out"))
    if request.subject_reference is not None:
        problems.append(Problem("subject_reference", "no upstream here takes a subject reference"))
    if request.last_frame_image is not None and request.first_frame_image is None:
        problems.append(Problem("first_frame_image", "a last-frame image needs a first-frame image beside it"))
    return problems


def submission(request: VideoRequest, offer: Offer, site: Site) -> Call:
    """The canonical create. Resolution and duration are always said, so that what is bought is what was priced;
    options only where they differ from the documented default. An image without an address yet shows as a remark."""
    body: dict[str, Any] = {"model": offer.model}
    if request.prompt:
        body["prompt"] = request.prompt
    images = [
        f"(upload of {name})" if _is_data_url(image) else image
        for name in ("first_frame_image", "last_frame_image")
        if (image := getattr(request, name)) is not None
    ]
    if images:
        body["image_urls"] = images
    if offer.resolution is not None and "resolution" not in offer.unsaid:
        body["quality"] = offer.resolution.lower()
    if offer.duration_s is not None and "duration" not in offer.unsaid:
        body["duration"] = offer.duration_s
    params = {}
    if not request.prompt_optimizer:
        params["prompt_optimizer"] = False
    if request.fast_pretreatment:
        params["fast_pretreatment"] = True
    if params:
        body["model_params"] = params
    if request.hint_url is not None and _takes_callbacks(offer.model, request.hint_url):
        body["callback_url"] = request.hint_url
    return Call("submit", "POST", f"{site.base_url}/v1/videos/generations", jsontext.write(body))


async def submit(request: VideoRequest, offer: Offer, site: Site, send: Send, now: float) -> Receipt:
    """Uploads where there are data URLs, then one POST; an id in its documented place without an error beside it is
    acceptance, whatever the status (H29)."""
    first = await _address("first_frame_image", request.first_frame_image, site, send, now)
    last = await _address("last_frame_image", request.last_frame_image, site, send, now)
    request = replace(request, first_frame_image=first, last_frame_image=last)
    reply = await send(submission(request, offer, site))
    receipt = _read_receipt(reply)
    if receipt is not None:
        return receipt
    error = judge(reply, now)
    error.param = canonical(error.param, _CANONICAL)
    raise error


async def poll(upstream_id: str, site: Site, send: Send) -> Look:
    """GET /v1/tasks/{id} (FACTS 1.4)."""
    body = read_task(await send(Call("poll", "GET", f"{site.base_url}/v1/tasks/{quote(upstream_id, safe='')}")))
    error = members(body.get("error"))
    return make_look(
        body.get("status"),
        _STATUS,
        progress=body.get("progress"),
        # Newer answers also have `result_data`.
        links=[
            *items(body.get("results")),
            *(members(film).get("video_url") for film in items(body.get("result_data"))),
        ],
        failure=(error.get("code"), error.get("message")),
    )


async def locate(upstream_id: str, site: Site, send: Send) -> str | None:
    """The link stands in the task itself."""
    return (await poll(upstream_id, site, send)).link


def id_in_callback(body: Mapping[str, Any]) -> str | None:
    """Its body is that of a query (FACTS 1.6)."""
    return read_id(body.get("id"))


async def balance(site: Site, send: Send) -> Funds | None:
    """GET /v1/credits: the token's own credits, or the account's where the token is unlimited (FACTS 1.6)."""
    reply = await send(Call("balance", "GET", f"{site.base_url}/v1/credits"))
    data = members(jsontext.read_object(reply.body).get("data"))
    token, user = members(data.get("token")), members(data.get("user"))
    if reply.status != 200 or not reply.is_whole or not token:
        return None
    limited = [holder for holder in (token, user) if holder and holder.get("unlimited_credits") is not True]
    amounts = [read_number(holder.get("remaining_credits")) for holder in limited]
    known = [amount for amount in amounts if amount is not None]
    return None if len(known) < len(amounts) else Funds(min(known, default=None))


def _takes_callbacks(model: str, url: str) -> bool:
    """Only the page of Hailuo 02 has the field, for https to the outside alone; a create is not risked (FACTS 1.2)."""
    place = urlsplit(url)
    try:
        is_outside = ip_address(place.hostname or "").is_global
    except ValueError:
        is_outside = "." in (place.hostname or "")
    return model == _WITH_CALLBACKS and place.scheme == "https" and is_outside and len(url) <= _CALLBACK_CHARACTERS_MAX


async def _address(name: str, image: str | None, site: Site, send: Send, now: float) -> str | None:
    """Where an image is, after its upload if it came as a data URL (FACTS 1.6). Raises Refused, whatever goes wrong."""
    if image is None or not _is_data_url(image):
        return image
    if site.files_url is None:
        raise errors.Misconfigured("no files_url is configured to upload images to", row="U")
    url = f"{site.files_url.rstrip('/')}/api/v1/files/upload/base64"
    try:
        reply = await send(Call("upload", "POST", url, jsontext.write({"base64_data": image})))
    except errors.Refused:
        raise
    except errors.UpstreamError as error:
        raise errors.Unreachable("an image could not be uploaded", row=f"U-{error.row}") from None
    return _read_upload(reply) or _refuse(name, reply, now)


def _read_upload(reply: Reply) -> str | None:
    """The address in an answer to an upload (FACTS 1.6)."""
    body = jsontext.read_object(reply.body)
    if not 200 <= reply.status < 300 or not reply.is_whole or body.get("success") is False:
        return None
    return read_link([members(body.get("data")).get("file_url")])


def _refuse(name: str, reply: Reply, now: float) -> NoReturn:
    """A failed upload by its row, which may speak for the key; where the row is doubt, the file host was at fault."""
    body = jsontext.read_object(reply.body)
    said = body.get("code")
    if body.get("success") is False and isinstance(said, int) and 400 <= said < 600 and 200 <= reply.status < 300:
        reply = replace(reply, status=said)  # its envelope repeats the status, and its errors are nowhere documented
    error = judge(reply, now)
    if not isinstance(error, errors.Refused):
        error = errors.Overloaded("an image could not be uploaded", row=error.row, http_status=reply.status)
    error.row = f"U-{error.row}"
    error.param = name if isinstance(error, _ABOUT_THE_IMAGE) else None
    raise error


def _read_receipt(reply: Reply) -> Receipt | None:
    body = read_created(reply)
    upstream_id = read_id(body.get("id"))
    if upstream_id is None or has_error(body):
        return None
    return Receipt(upstream_id, read_number(members(body.get("usage")).get("credits_reserved")))


def _is_data_url(image: str) -> bool:
    return image[:5].casefold() == "data:"
