"""Which path and method leads to which handler, made from the dialects' own lists."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from starlette.routing import BaseRoute, Route, Router

from gateway import tracing
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Action, Endpoint
from gateway.errors import InvalidRequest, UnknownRoute
from gateway.measures import METHODS
from gateway.metrics import Metrics
from gateway.web.dispatch import Dispatch, is_plain
from gateway.web.document import Document
from gateway.web.events import Events
from gateway.web.exchange import Answer, Exchange, Handler
from gateway.web.films import Films
from gateway.web.operations import Operations
from gateway.web.passthrough import PASSTHROUGH_DIALECT, Passthrough
from gateway.web.paths import (
    BESIDE_IDS,
    CONTENT_PATH,
    DOCUMENT_PATH,
    EVENTS_PATH,
    HEALTH_PATHS,
    METRICS_PATH,
    MODELS_PATH,
    READINESS_PATHS,
    VITAL,
    Claim,
    claims,
    roots,
)
from gateway.web.surface import Surface, Way
from gateway.web.traces import TracedSurface
from gateway.web.videos import Videos


def build_routes(
    videos: Videos,
    films: Films,
    events: Events,
    operations: Operations,
    passthrough: Passthrough,
    document: Document,
    metrics: Metrics,
    *,
    admin: Mapping[str, Mapping[str, Way]],
    default_dialect: str,
    look_again: Callable[[], Awaitable[None]],
) -> Dispatch:
    """Every path of the gateway; the last one answers for all that is not there."""
    ways: dict[str, dict[str, Way]] = defaultdict(dict)
    for prefix in ("", "/openai"):
        for path in BESIDE_IDS:
            ways[prefix + path] = dict.fromkeys(METHODS, Way(_not_offered, speakers=("openai",)))
    for path, methods in claims().items():
        for method, claim in methods.items():
            ways[path][method] = _way(videos, films, claim)
    for prefix in ("", *(f"/{name}" for name in DIALECTS)):
        speakers = (prefix[1:],) if prefix else ()
        film = Way(films.film(speakers), Action.CONTENT, speakers)
        ways[prefix + CONTENT_PATH].update(GET=film, HEAD=film)
        ways[prefix + EVENTS_PATH].update(GET=Way(events.events(speakers), Action.READ, speakers))
        ways[prefix + MODELS_PATH].update(GET=Way(passthrough.models(videos.models), Action.OTHER, speakers))
    for path in HEALTH_PATHS:
        ways[path] = dict.fromkeys(("GET", "HEAD"), Way(operations.health, at_once=operations.health_at_once))
    for path in READINESS_PATHS:
        ways[path] = dict.fromkeys(("GET", "HEAD"), Way(operations.readiness))
    ways[METRICS_PATH]["GET"] = Way(operations.metrics)
    ways[DOCUMENT_PATH] = dict.fromkeys(("GET", "HEAD"), Way(document.tell))
    for path, by_method in admin.items():
        ways[path].update(by_method)
    for path, speaker in roots():
        ways[path + "/{rest:path}"] = dict.fromkeys(METHODS, Way(_not_offered, speakers=(speaker,)))
    kind = TracedSurface if tracing.is_on() else Surface
    surface = partial(kind, metrics=metrics, default_dialect=default_dialect, look_again=look_again)
    surfaces = {path: surface(path, by_method) for path, by_method in ways.items()}
    nowhere = surface("unknown", dict.fromkeys(METHODS, Way(_not_there)))
    below = {name: surface("unknown", dict.fromkeys(METHODS, Way(_not_there, speakers=(name,)))) for name in DIALECTS}
    plain = {path: app for path, app in surfaces.items() if is_plain(path)}
    routes = [
        *(Route(path, app) for path, app in surfaces.items() if path not in plain),
        *(_passing(prefix, passthrough, surface) for prefix in ("", f"/{PASSTHROUGH_DIALECT}")),
        # Below a prefix it is said in its dialect that there is nothing.
        *(Route(f"/{name}{rest}", app) for name, app in below.items() for rest in ("", "/", "/{rest:anything}")),
        Route("/{path:path}", nowhere),
    ]
    return Dispatch(plain, Router(routes, redirect_slashes=False), nowhere=nowhere, vital=VITAL)


def _passing(prefix: str, passthrough: Passthrough, surface: Callable[..., Surface]) -> BaseRoute:
    """Whatever else is below /v1, under one name: what clients make of its paths is no label."""
    way = Way(passthrough.every_other(prefix), speakers=tuple(filter(None, [prefix[1:]])), says_retry=True)
    every_method = surface("/v1/{passthrough}", dict.fromkeys(METHODS, way), default_dialect=PASSTHROUGH_DIALECT)
    return Route(prefix + "/v1/{passthrough:anything}", every_method)


def _way(videos: Videos, films: Films, claim: Claim) -> Way:
    speakers = tuple(name for name, _ in claim)
    speaker, endpoint = claim[0]
    if len(claim) > 1 and any(other.action is not Action.CREATE for _, other in claim):
        raise ValueError(
            f"{endpoint.method} {endpoint.path} is claimed by {speakers}, and only creates can be told apart"
        )
    handler = _handler(videos, films, speakers, speaker, endpoint)
    at_once = videos.read_at_once(speaker, endpoint.query_id) if endpoint.action is Action.READ else None
    return Way(handler, endpoint.action, speakers, at_once=at_once)


def _handler(videos: Videos, films: Films, speakers: tuple[str, ...], speaker: str, endpoint: Endpoint) -> Handler:
    match endpoint.action:
        case Action.CREATE:
            return videos.create(speakers, takes_forms=endpoint.takes_forms)
        case Action.READ:
            return videos.read(speaker, endpoint.query_id)
        case Action.LIST:
            return videos.list(speaker)
        case Action.DELETE:
            return videos.delete(speaker, endpoint.query_id)
        case Action.FILE:
            return films.file(speaker, endpoint.query_id)
        case Action.CONTENT:
            return films.film(speakers, endpoint.query_id)
        case Action.CREDITS:
            return videos.credits(speaker)
        case Action.OTHER:
            raise ValueError(f"{endpoint.method} {endpoint.path} says nothing of what it is for")


async def _not_offered(exchange: Exchange) -> Answer:
    if exchange.scope["path"].endswith("/"):  # a slip of the pen, and no operation
        return await _not_there(exchange)
    raise InvalidRequest("not offered: there is no such operation on videos here")


async def _not_there(exchange: Exchange) -> Answer:
    raise UnknownRoute("there is no such path here")
