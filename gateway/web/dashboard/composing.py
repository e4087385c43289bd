"""A request of the house as the body that a client of a dialect would send, and the curl line that sends it.

The playground shows people how their own client would say what they chose, and sends exactly that. A dialect's own
reader reads the body again, so whatever is wrong is told under the dialect's names; `field_of` finds the way back.
"""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from gateway import jsontext
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Action
from gateway.errors import InvalidRequest, Problem
from gateway.video import VideoRequest

SHOWN_CHARACTERS_MAX = 120  # of an inline image: its beginning says what it is

# Canonical field → where each dialect has it. A number is a place in a list.
_PLACES: Mapping[str, Mapping[str, tuple[str | int, ...]]] = {
    "evolink": {
        "resolution": ("quality",),
        "duration_s": ("duration",),
        "first_frame_image": ("image_urls", 0),
        "last_frame_image": ("image_urls", 1),
        "prompt_optimizer": ("model_params", "prompt_optimizer"),
        "fast_pretreatment": ("model_params", "fast_pretreatment"),
    },
    "toapis": {
        "resolution": ("resolution",),
        "duration_s": ("duration",),
        "first_frame_image": ("image_urls", 0),
        "last_frame_image": ("metadata", "last_frame_image"),
        "prompt_optimizer": ("metadata", "prompt_optimizer"),
        "fast_pretreatment": ("metadata", "fast_pretreatment"),
        "aigc_watermark": ("metadata", "aigc_watermark"),
    },
    "newapi": {
        "resolution": ("metadata", "resolution"),
        "duration_s": ("duration",),
        "first_frame_image": ("metadata", "first_frame_image"),
        "last_frame_image": ("metadata", "last_frame_image"),
        "subject_reference": ("metadata", "subject_reference"),
        "prompt_optimizer": ("metadata", "prompt_optimizer"),
        "fast_pretreatment": ("metadata", "fast_pretreatment"),
        "aigc_watermark": ("metadata", "aigc_watermark"),
    },
    "openai": {
        "resolution": ("metadata", "resolution"),
        "duration_s": ("seconds",),
        "first_frame_image": ("input_reference", "image_url"),
        "last_frame_image": ("metadata", "last_frame_image"),
        "subject_reference": ("metadata", "subject_reference"),
        "prompt_optimizer": ("metadata", "prompt_optimizer"),
        "fast_pretreatment": ("metadata", "fast_pretreatment"),
        "aigc_watermark": ("metadata", "aigc_watermark"),
    },
    "minimax": {
        "resolution": ("resolution",),
        "duration_s": ("duration",),
        "first_frame_image": ("first_frame_image",),
        "last_frame_image": ("last_frame_image",),
        "subject_reference": ("subject_reference",),
        "prompt_optimizer": ("prompt_optimizer",),
        "fast_pretreatment": ("fast_pretreatment",),
        "aigc_watermark": ("aigc_watermark",),
    },
}
# What is written otherwise than in the house, by all of them and by one; OpenAI's numbers are words.
_SHAPES: Mapping[str, Callable[[Any], Any]] = {
    "subject_reference": lambda image: [{"type": "character", "image": [image]}],
}
_OWN_SHAPES: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {"openai": {"duration_s": str}}
_WORDS = {
    "subject_reference": "a subject reference",
    "aigc_watermark": "a watermark",
}


def compose(request: VideoRequest, dialect: str) -> dict[str, Any]:
    """The body that says this request in a dialect. Raises InvalidRequest, under canonical names, for what it lacks."""
    body: dict[str, Any] = {"model": request.model}
    problems: list[Problem] = []
    if request.prompt is not None:
        body["prompt"] = request.prompt
    for name, value in _said(request).items():
        place = _PLACES[dialect].get(name)
        if place is None:
            problems.append(
                Problem(name, f"{dialect} has no word for {_WORDS.get(name, name)}; choose another dialect")
            )
        elif not _put(body, place, _shaped(name, value, dialect)):
            problems.append(Problem(name, f"{dialect} cannot name this image without a first frame"))
    if problems:
        raise InvalidRequest.of(problems)
    return body


def path_of(dialect: str) -> str:
    """Where the dialect's clients send it, below the prefix that pins the dialect."""
    (path,) = (item.path for item in DIALECTS[dialect].ENDPOINTS if item.action is Action.CREATE)
    return f"/{dialect}{path}"


def field_of(dialect: str, param: str) -> str:
    """The canonical field behind a dialect's own name for it, or behind a list or object that holds it."""
    for name, place in _PLACES[dialect].items():
        spelt = _spelt(place)
        if param == spelt or spelt.startswith((f"{param}.", f"{param}[")):
            return name
    return param


def curl(base_url: str, dialect: str, body: Mapping[str, Any]) -> str:
    """The line that sends this body, for a POSIX shell with the key in `$KEY`. Inline images are shortened."""
    return " \\\n  ".join(
        (
            f"curl {shlex.quote(base_url + path_of(dialect))}",
            '-H "Authorization: Bearer $KEY"',
            '-H "Content-Type: application/json"',
            f"-d {shlex.quote(jsontext.write(shortened(body)).decode())}",
        )
    )


def shortened(value: Any) -> Any:
    """The same, with every inline image cut to its beginning: megabytes that nobody reads."""
    if isinstance(value, Mapping):
        return {name: shortened(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if isinstance(value, str) and value[:5].lower() == "data:" and len(value) > SHOWN_CHARACTERS_MAX:
        return f"{value[:SHOWN_CHARACTERS_MAX]}…"
    return value


def _said(request: VideoRequest) -> dict[str, Any]:
    """What the request says beside model and prompt; a default needs no saying."""
    names = ("resolution", "duration_s", "first_frame_image", "last_frame_image", "subject_reference")
    said = {name: value for name in names if (value := getattr(request, name)) is not None}
    return said | request.options()


def _shaped(name: str, value: Any, dialect: str) -> Any:
    if name == "resolution":
        return DIALECTS[dialect].spell(name, value)
    shape = {**_SHAPES, **_OWN_SHAPES.get(dialect, {})}.get(name)
    return value if shape is None else shape(value)


def _put(body: dict[str, Any], place: tuple[str | int, ...], value: Any) -> bool:
    """Whether there is such a place; a list has none after a gap."""
    match place:
        case (str(name),):
            body[name] = value
        case (str(name), str(inner)):
            body.setdefault(name, {})[inner] = value
        case (str(name), int(index)):
            items = body.get(name, [])
            if len(items) != index:
                return False
            body[name] = [*items, value]
    return True


def _spelt(place: tuple[str | int, ...]) -> str:
    name, *inner = place
    return str(name) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in inner)
