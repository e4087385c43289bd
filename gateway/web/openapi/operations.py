"""Every operation that the document tells of, from the lists that the routes are made of."""

from collections.abc import Iterator
from typing import NamedTuple

from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Action, Endpoint
from gateway.web.paths import CONTENT_PATH, EVENTS_PATH, MODELS_PATH, claims


class Operation(NamedTuple):
    """One method of one path of the clients'."""

    id: str
    path: str
    method: str
    kind: str
    """What it does: an action, or `events`, or `models`."""
    speakers: tuple[str, ...]
    """Whose path it is; none where every dialect may be spoken there."""
    endpoint: Endpoint

    @property
    def dialects(self) -> tuple[str, ...]:
        """All that may be spoken there."""
        return self.speakers or tuple(DIALECTS)


def operations() -> Iterator[Operation]:
    """Those of the dialects first, each with and without its prefix; then what all of them share."""
    for path, methods in claims().items():
        for method, claim in methods.items():
            speakers = tuple(name for name, _ in claim)
            endpoint = claim[0][1]
            word = "shared" if len(speakers) > 1 else speakers[0]
            prefixed = "_prefixed" if path != endpoint.path else ""
            action = endpoint.action.value
            yield Operation(f"{word}{prefixed}_{action}", path, method, action, speakers, endpoint)
    for prefix in ("", *(f"/{name}" for name in DIALECTS)):
        speakers = (prefix[1:],) if prefix else ()
        word = f"{prefix[1:]}_prefixed" if prefix else "any"
        content = Endpoint(Action.CONTENT, "GET", CONTENT_PATH)
        events = Endpoint(Action.READ, "GET", EVENTS_PATH)
        models = Endpoint(Action.OTHER, "GET", MODELS_PATH)
        yield Operation(f"{word}_film", prefix + CONTENT_PATH, "GET", "content", speakers, content)
        yield Operation(f"{word}_film_head", prefix + CONTENT_PATH, "HEAD", "content", speakers, content)
        yield Operation(f"{word}_events", prefix + EVENTS_PATH, "GET", "events", speakers, events)
        yield Operation(f"{word}_models", prefix + MODELS_PATH, "GET", "models", speakers, models)
