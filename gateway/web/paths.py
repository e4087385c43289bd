"""The paths there are: the gateway's own, and those that the dialects list."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Endpoint

CONTENT_PATH = "/v1/videos/{id}/content"
EVENTS_PATH = "/v1/tasks/{id}/events"
MODELS_PATH = "/v1/models"
HEALTH_PATHS = ("/healthz", "/health", "/health/liveliness")
READINESS_PATHS = ("/readyz", "/health/readiness")
METRICS_PATH = "/metrics"
DOCUMENT_PATH = "/openapi.json"
# Whoever watches the gateway is answered when nobody else can be.
VITAL = frozenset({*HEALTH_PATHS, *READINESS_PATHS, METRICS_PATH})
# Below these, what is not offered is said to be so, in the words of whose path it is (CONTRACT section 4).
_ROOTS: Mapping[str, str] = {
    "/v1/videos": "openai",
    "/v1/video": "newapi",
    "/v1/tasks": "evolink",
    "/v1/query": "minimax",
    "/v1/video_generation": "minimax",
}
# Of OpenAI's own, what stands where a task's id would (FACTS 5.2).
BESIDE_IDS = ("/v1/videos/characters", "/v1/videos/edits", "/v1/videos/extensions")

Claim = Sequence[tuple[str, Endpoint]]
"""The dialects that list one method of one path, each with its endpoint."""


def claims() -> Mapping[str, Mapping[str, Claim]]:
    """Path → method → who claims it; a prefixed path has exactly one claimant."""
    found: dict[str, dict[str, list[tuple[str, Endpoint]]]] = defaultdict(lambda: defaultdict(list))
    for name, dialect in DIALECTS.items():
        for endpoint in dialect.ENDPOINTS:
            for path in (endpoint.path, f"/{name}{endpoint.path}"):
                found[path][endpoint.method].append((name, endpoint))
    return found


def roots() -> Iterator[tuple[str, str]]:
    """Every path below which nothing is passed on, with whose it is; below a prefix, only the dialect's own."""
    yield from _ROOTS.items()
    for name, dialect in DIALECTS.items():
        paths = [f"{endpoint.path}/" for endpoint in dialect.ENDPOINTS]
        yield from ((f"/{name}{root}", name) for root in _ROOTS if any(path.startswith(f"{root}/") for path in paths))
