"""The MiniMax protocol, V1 (FACTS section 4): errors inside HTTP 200, and a film that has to be asked for by file id.

Everything that a canonical request can hold can be said here. There is no balance call and no list of tasks.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway import jsontext
from gateway.errors import LookFailed, Problem
from gateway.providers import base_resp
from gateway.providers.protocol import Funds, Site
from gateway.providers.reading import (
    CONTENT_REFUSED,
    canonical,
    has_error,
    make_look,
    members,
    missing,
    read_created,
    read_id,
    read_link,
    read_task,
)
from gateway.video import Look, Offer, Receipt, Status, VideoRequest
from gateway.wire import Call, Reply, Send

NAME = "minimax"
LINK_LIFE_S = 3_600  # FACTS 4.1
REPORTS_PROGRESS = False  # FACTS 7.4: it has no percentage

# FACTS 4.1 for the query, 4.6 for the callback's words; `Failed` is what the vendor's own client tests for.
_STATUS: Mapping[str, Status] = {
    "preparing": Status.PENDING,
    "queueing": Status.PENDING,
    "processing": Status.PROCESSING,
    "success": Status.COMPLETED,
    "fail": Status.FAILED,
    "failed": Status.FAILED,
}
_FAIL = "Fail"
_NO_SUCH_TASK = re.compile(
    r"(?:invalid|unknown|no such) task[ _]?id|task(?:[ _]?id)? (?:is |was |does )?not (?:found|exist)", re.IGNORECASE
)
# What files/retrieve says of a file that will never come: it is not known, or was withheld (FACTS 4.5).
_NO_FILE = frozenset({base_resp.BAD_CALL}) | base_resp.CONTENT
_CANONICAL = {"duration": "duration_s"}


def unsayable(request: VideoRequest) -> list[Problem]:
    """Nothing: these fields are where the canonical ones come from (FACTS 4.2)."""
    return []


def submission(request: VideoRequest, offer: Offer, site: Site) -> Call:
    """The canonical create (FACTS 4.2). Resolution and duration are always said, unless the offer has them unsaid;
    options only where they differ from the documented default."""
    body: dict[str, Any] = {"model": offer.model}
    if request.prompt:
        body["prompt"] = request.prompt
    for name in ("first_frame_image", "last_frame_image"):
        if (image := getattr(request, name)) is not None:
            body[name] = image
    if request.subject_reference is not None:
        body["subject_reference"] = [{"type": "character", "image": [request.subject_reference]}]
    if offer.duration_s is not None and "duration" not in offer.unsaid:
        body["duration"] = offer.duration_s
    if offer.resolution is not None and "resolution" not in offer.unsaid:
        body["resolution"] = offer.resolution
    body |= request.options()
    if request.hint_url is not None:
        body["callback_url"] = request.hint_url
    return Call("submit", "POST", f"{site.base_url}/v1/video_generation", jsontext.write(body))


async def submit(request: VideoRequest, offer: Offer, site: Site, send: Send, now: float) -> Receipt:
    """One POST. An id is acceptance even beside a `base_resp` that complains: the looks decide (H2)."""
    reply = await send(submission(request, offer, site))
    created = read_created(reply)
    upstream_id = read_id(created.get("task_id"), may_be_number=True)
    if upstream_id is not None and not has_error(created):
        return Receipt(upstream_id)
    code, message = base_resp.read(jsontext.read_object(reply.body))
    if reply.status >= 300 and code not in base_resp.LISTED:
        code = None  # the status line is proof enough, or is not
    error = base_resp.judge(reply, now, code, message)
    error.param = canonical(error.param, _CANONICAL)
    raise error


async def poll(upstream_id: str, site: Site, send: Send) -> Look:
    """GET /v1/query/video_generation, and on success GET /v1/files/retrieve for the link (FACTS 4.1)."""
    address = f"{site.base_url}/v1/query/video_generation?task_id={quote(upstream_id, safe='')}"
    body = _read_query(await send(Call("poll", "GET", address)))
    code, message = base_resp.read(body)
    word = body.get("status") or (_FAIL if code in base_resp.CONTENT else None)
    failure = (CONTENT_REFUSED if code in base_resp.CONTENT else None, message if code else None)
    look = make_look(word, _STATUS, failure=failure)
    file_id = read_id(body.get("file_id"), may_be_number=True)
    if look.status is not Status.COMPLETED or file_id is None:
        return look
    return Look(Status.COMPLETED, link=await _retrieve(file_id, site, send))


async def locate(upstream_id: str, site: Site, send: Send) -> str | None:
    """Links live an hour, so query and retrieve are made anew."""
    return (await poll(upstream_id, site, send)).link


def id_in_callback(body: Mapping[str, Any]) -> str | None:
    """Its body is that of a query (FACTS 4.6)."""
    return read_id(body.get("task_id"), may_be_number=True)


async def balance(site: Site, send: Send) -> Funds | None:
    """None: the vendor documents no such call."""
    return None


def _read_query(reply: Reply) -> Mapping[str, Any]:
    """The body of a query that teaches something. Raises LookFailed for all others."""
    body = jsontext.read_object(reply.body)
    code, message = base_resp.read(body)
    if reply.status < 500 and reply.is_whole and code:
        says_so = isinstance(message, str) and _NO_SUCH_TASK.search(message)
        if says_so or (code == base_resp.BAD_CALL and not body.get("status")):
            raise missing(reply)
    if code in base_resp.KEY_TROUBLE:
        raise LookFailed(f"the look was answered with code {code}", row=f"M{code}", http_status=reply.status)
    return read_task(reply)


async def _retrieve(file_id: str, site: Site, send: Send) -> str | None:
    """A fresh link to a file; None when there is none to be had. Raises LookFailed when that was not said."""
    address = f"{site.base_url}/v1/files/retrieve?file_id={quote(file_id, safe='')}"
    reply = await send(Call("locate", "GET", address))
    body = jsontext.read_object(reply.body)
    code, _ = base_resp.read(body)
    if reply.status == 404 or (reply.status < 500 and reply.is_whole and code in _NO_FILE):
        return None
    file = members(read_task(reply).get("file"))
    if code or not file:
        raise LookFailed(f"the file was asked for and code {code} came back", row="P", http_status=reply.status)
    return read_link((file.get("download_url"), file.get("backup_download_url")), may_be_bare=True)
