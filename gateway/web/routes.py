"""All routes in one place, made from the dialects' own lists."""

from collections import defaultdict
from collections.abc import Callable, Mapping

from starlette.routing import BaseRoute, Route

from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Action
from gateway.errors import UnknownRoute
from gateway.metrics import METHODS, Metrics
from gateway.web.exchange import Answer, Exchange, Handler
from gateway.web.operations import Operations
from gateway.web.surface import Surface
from gateway.web.videos import Videos

CONTENT_PATH = "/v1/videos/{id}/content"
MODELS_PATH = "/v1/models"
_HEALTH = ("/healthz", "/health", "/health/liveliness")
_READINESS = ("/readyz", "/health/readiness")


def build_routes(videos: Videos, operations: Operations, metrics: Metrics, *, default_dialect: str) -> list[BaseRoute]:
    """Every path of the gateway; the last one answers for all that is not there."""
    routes = _Routes(metrics, default_dialect)
    for path, claims in _claims().items():
        handlers = {method: _handler(videos, action, speakers) for (method, action), speakers in claims.items()}
        action = next(action for _, action in claims)
        speakers = next(iter(claims.values()))
        routes.add(path, handlers, action, speakers)
    for prefix in ("", *(f"/{name}" for name in DIALECTS)):
        speakers = [prefix[1:]] if prefix else []
        film = videos.film(speakers)
        routes.add(prefix + CONTENT_PATH, {"GET": film, "HEAD": film}, Action.CONTENT, speakers)
        routes.add(prefix + MODELS_PATH, {"GET": videos.models}, Action.OTHER, speakers)
    for path in _HEALTH:
        routes.add(path, {"GET": operations.health, "HEAD": operations.health})
    for path in _READINESS:
        routes.add(path, {"GET": operations.readiness, "HEAD": operations.readiness})
    routes.add("/metrics", {"GET": operations.metrics})
    routes.add("/{path:path}", dict.fromkeys(METHODS, _not_there), template="unknown")
    return routes.all


def _claims() -> Mapping[str, dict[tuple[str, Action], list[str]]]:
    """Path → (method, action) → the dialects that speak it there; a prefixed path has exactly one."""
    claims: dict[str, dict[tuple[str, Action], list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, dialect in DIALECTS.items():
        for endpoint in dialect.ENDPOINTS:
            for path in (endpoint.path, f"/{name}{endpoint.path}"):
                claims[path][endpoint.method, endpoint.action].append(name)
    return claims


def _handler(videos: Videos, action: Action, speakers: list[str]) -> Handler:
    if action is Action.CREATE:
        return videos.create(tuple(speakers))
    (speaker,) = speakers  # only creates share a path
    return videos.read(speaker) if action is Action.READ else videos.credits(speaker)


class _Routes:
    def __init__(self, metrics: Metrics, default_dialect: str) -> None:
        self._metrics = metrics
        self._default_dialect = default_dialect
        self.all: list[BaseRoute] = []

    def add(
        self,
        path: str,
        handlers: Mapping[str, Handler],
        action: Action = Action.OTHER,
        speakers: list[str] | None = None,
        *,
        template: str | None = None,
    ) -> None:
        surface = Surface(
            template or path,
            handlers,
            action=action,
            dialect=self._dialect_of_errors(tuple(speakers or ())),
            metrics=self._metrics,
        )
        self.all.append(Route(path, surface))

    def _dialect_of_errors(self, speakers: tuple[str, ...]) -> Callable[[Exchange], str]:
        """What an error speaks before the dialect of its request is known."""
        likely = speakers or tuple(DIALECTS)
        otherwise = self._default_dialect if self._default_dialect in likely else likely[0]

        def dialect(exchange: Exchange) -> str:
            if len(speakers) == 1:
                return speakers[0]
            told = exchange.header(b"x-reelgate-dialect")
            return told if told is not None and told in DIALECTS else otherwise

        return dialect


async def _not_there(exchange: Exchange) -> Answer:
    raise UnknownRoute("there is no such path here")
