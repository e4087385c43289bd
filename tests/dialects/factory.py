"""One task in every state, and the smallest helpers to look at a request."""

from collections.abc import Mapping
from typing import Any

from gateway.dialects import evolink, minimax, newapi, openai, toapis
from gateway.dialects.speaking import Dialect
from gateway.video import Failure, Mode, State, Task, VideoRequest

# Every dialect there is a module of, whether the registry lists it yet or not.
SPOKEN: Mapping[str, Dialect] = {
    "evolink": evolink,
    "toapis": toapis,
    "newapi": newapi,
    "openai": openai,
    "minimax": minimax,
}

ID = 123456789012345678
WORD = "video_03dmv9ek31wte"
LINK = "https://files.example.com/film.mp4"
FAILURE = Failure("generation_failed", "the film came out empty")

REQUEST = VideoRequest(
    model="MiniMax-Hailuo-2.3", prompt="a lighthouse at dusk", resolution="768P", duration_s=6, dialect="evolink"
)

# What storage would know besides, in each state. The times are not whole, because clocks are not.
STATES: dict[str, dict[str, Any]] = {
    "queued": {"state": State.QUEUED},
    "opened": {"state": State.OPENED},
    "unconfirmed": {"state": State.UNCONFIRMED},
    "waiting": {"state": State.RUNNING, "started_at": 1757169745.9},
    "generating": {"state": State.RUNNING, "generating": True, "progress": 50, "started_at": 1757169745.9},
    "completed": {
        "state": State.COMPLETED,
        "progress": 97,
        "link": LINK,
        "started_at": 1757169745.9,
        "finished_at": 1757169800.2,
    },
    "failed": {
        "state": State.FAILED,
        "progress": 50,
        "failure": FAILURE,
        "started_at": 1757169745.9,
        "finished_at": 1757169800.2,
    },
    "refused": {"state": State.REFUSED, "failure": FAILURE, "finished_at": 1757169800.2},
}


def make_task(name: str = "waiting", **other: Any) -> Task:
    """A task in one of STATES."""
    known: dict[str, Any] = {
        "id": ID,
        "caller": "alice",
        "team": None,
        "dialect": "evolink",
        "request": REQUEST,
        "fingerprint": "0" * 64,
        "mode": Mode.TEXT,
        "price": 280000,
        "currency": "USD",
        "upstream": "evolink",
        "key_id": "main",
        "created_at": 1757169743.7,
    }
    return Task(**{**known, **STATES[name], **other})


def parse(dialect: str, body: dict[str, Any]) -> VideoRequest:
    return SPOKEN[dialect].parse(body)


def understood(dialect: str, body: dict[str, Any]) -> dict[str, Any]:
    """The canonical fields that a body sets, after making sure that it has no problem."""
    request = parse(dialect, body)
    assert request.problems == ()
    unsaid = VideoRequest().canonical()
    return {name: value for name, value in request.canonical().items() if value != unsaid[name]}


def problems(dialect: str, body: dict[str, Any]) -> list[tuple[str, str]]:
    """(param, message) of every problem of a body that is otherwise in order."""
    return [(problem.param, problem.message) for problem in parse(dialect, body).problems]


def params(dialect: str, body: dict[str, Any]) -> list[str]:
    return [param for param, _ in problems(dialect, body)]


def with_field(path: str, value: Any) -> dict[str, Any]:
    """A body in which only the model and one field are said: `metadata.resolution` → {"metadata": {…}}."""
    where, _, name = path.rpartition(".")
    field: dict[str, Any] = {where: {name: value}} if where else {name: value}
    return {"model": "MiniMax-Hailuo-02", **field}
