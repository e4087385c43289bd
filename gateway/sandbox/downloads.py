"""What is asked for outside of every protocol: films and uploaded images, which anyone may fetch who has the address
(FACTS 1.4, 1.6), and what is not there at all. All of it is written down, as inside the protocols."""

from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.sandbox.front import read_body, read_call, write_down
from gateway.sandbox.sales import Offer
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.tasks import Status, Task

_FILMS = Path(__file__).resolve().parent / "films"  # made by tools/make_films.py
_UNSAID = "720P"
# 768P and 1080P are documented, 720P is what the word means everywhere; nobody says what 512P is (FACTS 4.2).
_SIZES: Mapping[str, tuple[int, int]] = {
    "512P": (912, 512),
    "720P": (1280, 720),
    "768P": (1366, 768),
    "1080P": (1920, 1080),
}
_HEADERS: Mapping[str, str] = {"cache-control": "private, max-age=3600"}


class Outside:
    """An ASGI application for whatever belongs to no protocol."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._app = Starlette(routes=_routes(sandbox))  # of its own, so that its refusals pass through the journal too

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        if body is not None:
            await self._app(scope, receive, write_down(read_call("", scope, body), self._sandbox, send))


def _routes(sandbox: Sandbox) -> list[Route]:
    async def film(request: Request) -> Response:
        task = sandbox.tasks.find(request.path_params["task_id"])
        if task is None:
            return _missing(404, "there is no such film")
        return _film(task, sandbox.now(), task.link_dies_at)

    async def link(request: Request) -> Response:
        found = sandbox.links.find(request.path_params["word"])
        if found is None:
            return _missing(404, "there is no such link")
        return _film(found.task, sandbox.now(), found.dies_at)

    async def upload(request: Request) -> Response:
        found = sandbox.uploads.find(request.path_params["upload_id"], sandbox.now())
        if found is None:
            return _missing(404, "there is no such file")
        return Response(found.data, media_type=found.mime_type)

    return [
        Route("/films/{task_id}.mp4", film),
        Route("/links/{word}.mp4", link),
        Route("/uploads/{upload_id}/{name}", upload),
    ]


def film_url(base_url: str, task: Task) -> str:
    return f"{base_url}/films/{task.id}.mp4"


def link_url(base_url: str, word: str) -> str:
    return f"{base_url}/links/{word}.mp4"


def film_path(offer: Offer) -> Path:
    """The film of an offer's size and length; the one model that names neither makes 720P and 6 s."""
    return _FILMS / f"{offer.resolution or _UNSAID}-{offer.duration_s or 6}.mp4"


def film_size(offer: Offer) -> tuple[int, int]:
    """Its width and height."""
    return _SIZES[offer.resolution or _UNSAID]


def _film(task: Task, now: float, dies_at: float) -> Response:
    if task.status(now) is not Status.COMPLETED:
        return _missing(404, "there is no such film")
    if now >= dies_at:
        return _missing(410, "this link has expired")
    # Starlette's answer knows Range, If-Range and HEAD. The file is the same for every task of one offer.
    return FileResponse(film_path(task.order.offer), media_type="video/mp4", headers=_HEADERS)


def _missing(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status)
