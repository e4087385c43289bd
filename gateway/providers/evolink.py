"""The EvoLink protocol (FACTS section 1)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway import jsontext
from gateway.errors import LookFailed, Problem
from gateway.providers.protocol import Funds, Site
from gateway.providers.verdicts import fit_to_show, judge
from gateway.video import Failure, Look, Offer, Receipt, Status, VideoRequest
from gateway.wire import Call, Reply, Send

NAME = "evolink"
LINK_LIFE_S = 86_400  # FACTS 1.4

UPSTREAM_ID_CHARACTERS_MAX = 256  # H4: longer is no id

# FACTS 1.4. `cancelled` stands in the callback text of seed-003 and in no enum; nobody here cancels, so it is an end.
_STATUS: Mapping[str, Status] = {
    "pending": Status.PENDING,
    "processing": Status.PROCESSING,
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "cancelled": Status.FAILED,
}
# The caller's canonical field behind a field this protocol complains about (H9).
_CANONICAL = {"quality": "resolution", "duration": "duration_s", "image_urls": "first_frame_image"}


def unsayable(request: VideoRequest) -> list[Problem]:
    """EvoLink has no watermark and no subject reference, takes images by address only, and no last frame alone."""
    problems = []
    if request.aigc_watermark:
        problems.append(Problem("aigc_watermark", "no upstream here can add this watermark; leave it out"))
    if request.subject_reference is not None:
        problems.append(Problem("subject_reference", "no upstream here takes a subject reference"))
    for name in ("first_frame_image", "last_frame_image"):
        image = getattr(request, name)
        if image is not None and image[:5].casefold() == "data:":
            problems.append(Problem(name, "the upstream takes images by http(s) address only"))
    if request.last_frame_image is not None and request.first_frame_image is None:
        problems.append(Problem("first_frame_image", "a last-frame image needs a first-frame image beside it"))
    return problems


def submission(request: VideoRequest, offer: Offer, site: Site) -> Call:
    """The canonical create. Resolution and duration are always said, so that what is bought is what was priced;
    options only where they differ from the documented default."""
    body: dict[str, Any] = {"model": offer.model}
    if request.prompt:
        body["prompt"] = request.prompt
    images = [image for image in (request.first_frame_image, request.last_frame_image) if image is not None]
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
    return Call("submit", "POST", f"{site.base_url}/v1/videos/generations", jsontext.write(body))


async def submit(request: VideoRequest, offer: Offer, site: Site, send: Send, now: float) -> Receipt:
    """One POST; an id in its documented place without an error beside it is acceptance, whatever the status (H29)."""
    reply = await send(submission(request, offer, site))
    receipt = _read_receipt(reply)
    if receipt is not None:
        return receipt
    error = judge(reply, now)
    error.param = _CANONICAL.get((error.param or "").partition("[")[0], error.param)
    raise error


async def poll(upstream_id: str, site: Site, send: Send) -> Look:
    """GET /v1/tasks/{id}."""
    reply = await send(Call("poll", "GET", f"{site.base_url}/v1/tasks/{quote(upstream_id, safe='')}"))
    if reply.status == 404:
        raise LookFailed("the upstream does not know the task", row="P404", http_status=404, is_missing=True)
    body = jsontext.read_object(reply.body)
    word = body.get("status")
    if not 200 <= reply.status < 300 or not reply.is_whole or not isinstance(word, str):
        raise LookFailed(f"the look was answered with {reply.status}", row="P", http_status=reply.status)
    status = _STATUS.get(word.casefold())
    return Look(
        status=status or Status.PROCESSING,
        progress=_read_progress(body.get("progress")),
        link=_read_link(body) if status is Status.COMPLETED else None,
        failure=_read_failure(body) if status is Status.FAILED else None,
        strange=None if status is not None else word[:64],
    )


async def locate(upstream_id: str, site: Site, send: Send) -> str | None:
    """The link stands in the task itself."""
    return (await poll(upstream_id, site, send)).link


async def balance(site: Site, send: Send) -> Funds | None:
    """GET /v1/credits: the token's own credits, or the account's where the token is unlimited (FACTS 1.6)."""
    reply = await send(Call("balance", "GET", f"{site.base_url}/v1/credits"))
    data = jsontext.read_object(reply.body).get("data")
    if reply.status != 200 or not isinstance(data, dict):
        return None
    token, user = (_object(data.get(name)) for name in ("token", "user"))
    amounts: list[object] = [
        holder.get("remaining_credits") for holder in (token, user) if holder.get("unlimited_credits") is not True
    ]
    return Funds(min((float(amount) for amount in amounts if isinstance(amount, int | float)), default=None))


def _read_receipt(reply: Reply) -> Receipt | None:
    if reply.is_whole:
        body = jsontext.read_object(reply.body)
    elif 200 <= reply.status < 300:
        body = jsontext.read_prefix(reply.body)  # T10, T12: the id may have arrived before the connection died
    else:
        return None
    upstream_id = body.get("id")
    if body.get("error") is not None or not isinstance(upstream_id, str):
        return None
    if not upstream_id.strip() or len(upstream_id) > UPSTREAM_ID_CHARACTERS_MAX:
        return None
    reserved = _object(body.get("usage")).get("credits_reserved")
    return Receipt(upstream_id, float(reserved) if isinstance(reserved, int | float) else None)


def _read_progress(value: object) -> int | None:
    """A whole percentage from a number or from text such as `"50%"`; None from anything else."""
    if isinstance(value, str):
        value = int(digits) if (digits := value.strip().removesuffix("%")).isdecimal() else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(100, max(0, int(value)))


def _read_link(body: Mapping[str, Any]) -> str | None:
    """The first of `results`; newer answers also have `result_data[].video_url`."""
    results = body.get("results")
    candidates: list[object] = list(results) if isinstance(results, list) else []
    data = body.get("result_data")
    candidates += [_object(item).get("video_url") for item in data] if isinstance(data, list) else []
    for link in candidates:
        if isinstance(link, str) and link.startswith(("https://", "http://")):
            return link
    return None


def _read_failure(body: Mapping[str, Any]) -> Failure:
    error = _object(body.get("error"))
    code, message = error.get("code"), error.get("message")
    return Failure(
        code=code if isinstance(code, str) and 0 < len(code) <= 64 else "generation_failed",
        message=fit_to_show(message) if isinstance(message, str) else "the upstream could not make this video",
    )


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
