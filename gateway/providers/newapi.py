"""The new-api protocol (FACTS section 3), as new-api and the sites built on it speak it.

Behind it stands MiniMax, whose codes it hands on as text. There is no balance call in its documents.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway import errors, jsontext
from gateway.errors import Problem, Spent
from gateway.providers import base_resp
from gateway.providers.protocol import Funds, Site
from gateway.providers.reading import (
    CONTENT_REFUSED,
    FINE_CODES,
    canonical,
    has_error,
    make_look,
    members,
    missing,
    read_created,
    read_id,
    read_task,
)
from gateway.video import Look, Offer, Receipt, Status, VideoRequest
from gateway.wire import Call, Reply, Send

NAME = "newapi"
LINK_LIFE_S = 86_400  # FACTS 7.5: as long as the site's own upstream keeps it
REPORTS_PROGRESS = True  # FACTS 3.4; of some models in three steps only

# FACTS 3.4: the implementation's words, those of the TokensMind page, and both editions of the vendor's documents.
_STATUS: Mapping[str, Status] = {
    "not_start": Status.PENDING,
    "submitted": Status.PENDING,
    "queued": Status.PENDING,
    "preparing": Status.PENDING,
    "queueing": Status.PENDING,
    "in_progress": Status.PROCESSING,
    "processing": Status.PROCESSING,
    "success": Status.COMPLETED,
    "succeeded": Status.COMPLETED,
    "completed": Status.COMPLETED,
    "failure": Status.FAILED,
    "failed": Status.FAILED,
    "fail": Status.FAILED,
}
_NO_SUCH_TASK = "task_not_exist"  # with HTTP 400 (FACTS 3.5)
_VENDOR_CODES_FROM = 1000  # below are HTTP statuses, which some sites repeat in `code`
_VENDOR_PREFIX = "hailuo api error: "
# Refusals whose word says more than their status (router and relay of new-api): the token's money, a model that no
# channel of the token's group has, and faults in the site's own set-up of a model.
_BY_WORD: Mapping[str, tuple[str, type[errors.Refused]]] = {
    "insufficient_user_quota": ("H11", errors.KeyExhausted),
    "pre_consume_token_quota_failed": ("H11", errors.KeyExhausted),
    "model_not_found": ("H12", errors.KeyBarred),
    "invalid_api_platform": ("H14", errors.Misconfigured),
    "model_mapping_failed": ("H14", errors.Misconfigured),
    "model_price_error": ("H14", errors.Misconfigured),
}
_CANONICAL = {"duration": "duration_s", "seconds": "duration_s", "size": "resolution"}


def unsayable(request: VideoRequest) -> list[Problem]:
    """Only silence: new-api refuses a blank prompt in every mode (FACTS 3.2)."""
    if (request.prompt or "").strip():
        return []
    return [Problem("prompt", "the upstream needs a prompt that is not blank")]


def submission(request: VideoRequest, offer: Offer, site: Site) -> Call:
    """The canonical create (FACTS 3.2): whatever MiniMax alone knows stands in `metadata`.

    Images only there too: the classic adaptor ignores them elsewhere and makes a text-to-video of it (FACTS 3.3).
    """
    body: dict[str, Any] = {"model": offer.model, "prompt": request.prompt or ""}
    if offer.duration_s is not None and "duration" not in offer.unsaid:
        body["duration"] = offer.duration_s
    metadata: dict[str, Any] = {}
    for name in ("first_frame_image", "last_frame_image"):
        if (image := getattr(request, name)) is not None:
            metadata[name] = image
    if request.subject_reference is not None:
        metadata["subject_reference"] = [{"type": "character", "image": [request.subject_reference]}]
    if offer.resolution is not None and "resolution" not in offer.unsaid:
        metadata["resolution"] = offer.resolution
    metadata |= request.options()
    if request.hint_url is not None:
        metadata["callback_url"] = request.hint_url
    if metadata:
        body["metadata"] = metadata
    return Call("submit", "POST", f"{site.base_url}/v1/video/generations", jsontext.write(body))


async def submit(request: VideoRequest, offer: Offer, site: Site, send: Send, now: float) -> Receipt:
    """One POST; an id in its documented place without an error beside it is acceptance, whatever the status (H29)."""
    reply = await send(submission(request, offer, site))
    upstream_id = _read_created_id(read_created(reply))
    if upstream_id is not None:
        return Receipt(upstream_id)
    error = _judge(reply, now)
    error.param = canonical((error.param or "").removeprefix("metadata.") or None, _CANONICAL)
    raise error


async def poll(upstream_id: str, site: Site, send: Send) -> Look:
    """GET /v1/video/generations/{id}, in any of its documented shapes (FACTS 3.4)."""
    reply = await send(Call("poll", "GET", f"{site.base_url}/v1/video/generations/{quote(upstream_id, safe='')}"))
    if reply.status < 500 and _error(jsontext.read_object(reply.body)).get("code") == _NO_SUCH_TASK:
        raise missing(reply)
    body = read_task(reply)
    data = members(body.get("data"))
    task = data if data.get("status") else body
    error = members(task.get("error"))
    return make_look(
        task.get("status"),
        _STATUS,
        progress=task.get("progress"),
        links=(
            task.get("result_url"),
            task.get("url"),
            members(task.get("metadata")).get("url"),
            task.get("fail_reason"),  # where sites of before `result_url` keep the link of a success
        ),
        failure=(_failure_code(error.get("code")), error.get("message") or task.get("fail_reason")),
    )


async def locate(upstream_id: str, site: Site, send: Send) -> str | None:
    """The link stands in the task itself."""
    return (await poll(upstream_id, site, send)).link


def id_in_callback(body: Mapping[str, Any]) -> str | None:
    """None: the vendor behind the site calls, and knows the task by another id than the site gave us (FACTS 3.2)."""
    return None


async def balance(site: Site, send: Send) -> Funds | None:
    """None: the documents know no such call for a token."""
    return None


def _read_created_id(body: Mapping[str, Any]) -> str | None:
    """`task_id`, which both documented answers have, or the `id` beside it (FACTS 3.4). Both are words: the one number
    that is called `id` counts the site's own tasks, inside the answer to a look."""
    if has_error(body) or body.get("code") not in FINE_CODES:
        return None
    return read_id(body.get("task_id")) or read_id(body.get("id"))


def _failure_code(code: object) -> object:
    """The code of a failed task; MiniMax's own is handed on as a number here too (FACTS 3.3)."""
    return CONTENT_REFUSED if base_resp.read_code(code) in base_resp.CONTENT else code


def _judge(reply: Reply, now: float) -> errors.UpstreamError:
    """By MiniMax's code where one was handed on (FACTS 3.3), by new-api's own words, else by the status."""
    error = _error(jsontext.read_object(reply.body))
    code, message = error.get("code"), error.get("message")
    number = base_resp.read_code(code)
    is_vendors = number is not None and number >= _VENDOR_CODES_FROM and reply.status >= 400
    if isinstance(message, str):
        message = message.removeprefix(_VENDOR_PREFIX)
    verdict = base_resp.judge(reply, now, number if is_vendors else None, message, is_relayed=True)
    if verdict.spent is Spent.NO and isinstance(code, str) and code in _BY_WORD:
        row, refusal = _BY_WORD[code]
        return refusal(f"the upstream answered {code}", row=row, http_status=reply.status)
    return verdict


def _error(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Flat on the task routes, inside `error` where it comes from the door (FACTS 3.5)."""
    return members(body.get("error")) or body
