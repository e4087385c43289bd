"""What each model can do and costs.

Rules are data: `models/*.yaml` lists every combination on sale as a line of its own, so a rule that two lists cannot
say ("10 s, but not at 1080P") cannot be got wrong. This file reads the lines and judges a request by them.
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any, TypeVar

from gateway.documents import read_yaml
from gateway.errors import Problem
from gateway.money import parse_micros
from gateway.structs import Struct, replace
from gateway.video import Mode, Offer, VideoRequest

# Which images a mode is made of: (those it needs, those it may have besides).
IMAGES: Mapping[Mode, tuple[frozenset[str], frozenset[str]]] = {
    Mode.TEXT: (frozenset(), frozenset()),
    Mode.IMAGE: (frozenset({"first_frame_image"}), frozenset()),
    # Without a first frame it is legal in the vendor's schema (FACTS 7.3); providers that cannot say it refuse it.
    Mode.FIRST_LAST: (frozenset({"last_frame_image"}), frozenset({"first_frame_image"})),
    Mode.SUBJECT: (frozenset({"subject_reference"}), frozenset()),
}
_IMAGE_WORDS = {
    "first_frame_image": "a first-frame image",
    "last_frame_image": "a last-frame image",
    "subject_reference": "a subject reference",
}
Value = TypeVar("Value", str, int)
_OTHER = "other"

# A name that no file has goes into logs, headers and bodies when it is forwarded: what a model could be called.
_UNKNOWN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


class Model(Struct, frozen=True):
    """One model of the catalog. `sold_by` names the providers whose documents list it."""

    name: str
    aliases: tuple[str, ...]
    sold_by: frozenset[str]
    prompt_characters_max: int
    prompt_required: frozenset[Mode]
    options: frozenset[str]
    camera_commands: bool
    """Documented to take camera commands (FACTS 4.4)."""
    default_resolution: str | None
    default_duration_s: int | None
    offers: tuple[Offer, ...]
    is_known: bool = True
    """False for a name that no file has: nothing of it can be judged, and it is sent as it is asked for."""

    @property
    def modes(self) -> frozenset[Mode]:
        return frozenset(offer.mode for offer in self.offers)


class Catalog:
    """The models, found by name or alias in any letter case.

    `forwards_unknown`: a name that is none of theirs is found, too, as a model of which nothing is known.
    """

    def __init__(self, models: Iterable[Model], *, forwards_unknown: bool = False) -> None:
        self.models = tuple(sorted(models, key=lambda model: model.name))
        self.forwards_unknown = forwards_unknown
        self._by_name: dict[str, Model] = {}
        for model in self.models:
            for name in (model.name, *model.aliases):
                if self._by_name.setdefault(name.casefold(), model) is not model:
                    raise ValueError(f"two models answer to {name!r}")

    @classmethod
    def shipped(
        cls, prices: Mapping[str, Mapping[str, int]] | None = None, *, forwards_unknown: bool = False
    ) -> "Catalog":
        """The models that come with the package; `prices` (`{model: {"768P/6": millionths}}`) override and add."""
        folder = files("gateway").joinpath("models")
        texts = [item.read_text("utf-8") for item in folder.iterdir() if item.name.endswith(".yaml")]
        models = [parse_model(read_yaml(text)) for text in texts]
        priced = (_priced(model, (prices or {}).get(model.name, {})) for model in models)
        return cls(priced, forwards_unknown=forwards_unknown)

    def find(self, name: str) -> Model | None:
        found = self._by_name.get(name.casefold())
        if found is None and self.forwards_unknown and _UNKNOWN_NAME.fullmatch(name):
            return _unknown(name)
        return found

    def names(self) -> tuple[str, ...]:
        return tuple(model.name for model in self.models)

    def label(self, name: str) -> str:
        """The model's own name, where it is one of ours; a client's word for one must never be a metric's label."""
        found = self._by_name.get(name.casefold())
        return _OTHER if found is None else found.name

    def label_of_resolution(self, name: str, resolution: str | None) -> str:
        """The resolution, where the model of this name is sold in it; as `label`."""
        if resolution is None:
            return "none"
        found = self._by_name.get(name.casefold())
        is_sold = found is not None and any(offer.resolution == resolution for offer in found.offers)
        return resolution if is_sold else _OTHER


def parse_model(data: Mapping[str, Any]) -> Model:
    """A model from the plain data of its YAML file."""
    offers = []
    for line in data["offers"]:
        for mode in line["modes"]:
            offers.append(
                Offer(
                    model=data["name"],
                    mode=Mode(mode),
                    resolution=line["resolution"],
                    duration_s=line["duration"],
                    price=parse_micros(line["price"]) if "price" in line else None,
                    unsaid=frozenset(line.get("unsaid", ())),
                )
            )
    return Model(
        name=data["name"],
        aliases=tuple(data["aliases"]),
        sold_by=frozenset(data["sold_by"]),
        prompt_characters_max=data["prompt_characters_max"],
        prompt_required=frozenset(Mode(mode) for mode in data["prompt_required"]),
        options=frozenset(data["options"]),
        camera_commands=data["camera_commands"],
        default_resolution=data["default"]["resolution"],
        default_duration_s=data["default"]["duration"],
        offers=tuple(offers),
    )


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a model's name fits one of the glob patterns, in any letter case."""
    folded = name.casefold()
    return any(fnmatchcase(folded, pattern.casefold()) for pattern in patterns)


def judge(
    request: VideoRequest, model: Model, *, prompt_required: bool, mode_is_known: bool = True
) -> tuple[Offer | None, list[Problem]]:
    """The offer a request asks for, or every rule of the model it breaks, under canonical field names.

    `prompt_required` is what the caller's dialect asks for on top of the model's own rule. Where an image could not be
    read, `mode_is_known` is False: then only what is wrong in every mode of the model is.
    """
    if not model.is_known:
        return Offer(model.name, request.mode, request.resolution, request.duration_s, price=None), []
    problems = [
        *_judge_images(request, model),
        *_judge_prompt(request, model, prompt_required),
        *_judge_options(request, model),
    ]
    offer, more = _find_offer(request, model, mode_is_known)
    return offer, [*problems, *more]


def in_all(found: Sequence[Sequence[Problem]]) -> list[Problem]:
    """The problems that a request has with every model, of those that it has with each: what is wrong with it whichever
    of them is meant."""
    by_field = [{problem.param: problem for problem in problems} for problems in found]
    fields = [name for name in by_field[0] if all(name in others for others in by_field)] if by_field else []
    return [_of_all([problems[name] for problems in by_field]) for name in fields]


def _of_all(problems: Sequence[Problem]) -> Problem:
    allowed = tuple(dict.fromkeys(value for problem in problems for value in problem.allowed))
    messages = {problem.message for problem in problems}
    message = messages.pop() if len(messages) == 1 else "no model here takes this"
    return Problem(problems[0].param, message, allowed)


def filled_in(request: VideoRequest, offer: Offer) -> VideoRequest:
    """The request with the offer's values where the caller said nothing: what is compared, stored and sent."""
    return replace(request, model=offer.model, resolution=offer.resolution, duration_s=offer.duration_s)


def price_key(offer: Offer) -> str:
    """How the configuration's `prices` name an offer of a model: `768P/6`, `-/-` where the model has no choice."""
    return f"{offer.resolution or '-'}/{offer.duration_s or '-'}"


def _unknown(name: str) -> Model:
    return Model(
        name=name,
        aliases=(),
        sold_by=frozenset(),
        prompt_characters_max=sys.maxsize,
        prompt_required=frozenset(),
        options=frozenset(),
        camera_commands=True,
        default_resolution=None,
        default_duration_s=None,
        offers=(),
        is_known=False,
    )


def _judge_images(request: VideoRequest, model: Model) -> list[Problem]:
    usable = frozenset().union(*(needed | optional for needed, optional in map(IMAGES.__getitem__, model.modes)))
    given = [name for name in _IMAGE_WORDS if getattr(request, name) is not None]
    problems = [
        Problem(name, f"{model.name} does not take {_IMAGE_WORDS[name]}; leave it out or choose another model")
        for name in given
        if name not in usable
    ]
    if not problems and request.mode not in model.modes:
        mode = min(model.modes, key=lambda mode: len(IMAGES[mode][0]))
        for name in sorted(IMAGES[mode][0] - set(given)):
            problems.append(Problem(name, f"{model.name} needs {_IMAGE_WORDS[name]}"))
    return problems


def _judge_prompt(request: VideoRequest, model: Model, dialect_requires: bool) -> list[Problem]:
    prompt = request.prompt or ""
    if len(prompt) > model.prompt_characters_max:
        rule = f"the prompt has {len(prompt)} characters; {model.name} takes at most {model.prompt_characters_max}"
        return [Problem("prompt", rule)]
    if not prompt.strip() and (dialect_requires or request.mode in model.prompt_required):
        return [Problem("prompt", "a prompt that is not blank is required here")]
    return []


def _judge_options(request: VideoRequest, model: Model) -> list[Problem]:
    return [
        Problem(name, f"{model.name} has no {name}; leave it out")
        for name in request.options()
        if name not in model.options
    ]


def _find_offer(request: VideoRequest, model: Model, mode_is_known: bool) -> tuple[Offer | None, list[Problem]]:
    """The line of the price list. A request in no mode of the model is judged by all of the model's lines."""
    lines = [offer for offer in model.offers if mode_is_known and offer.mode is request.mode] or list(model.offers)
    problems = []
    resolutions = _known(offer.resolution for offer in lines)
    durations = _known(offer.duration_s for offer in lines)
    if request.resolution is not None and request.resolution not in resolutions:
        problems.append(_not_on_offer("resolution", request, model, resolutions))
    if request.duration_s is not None and request.duration_s not in durations:
        problems.append(_not_on_offer("duration_s", request, model, durations))
    if problems:
        return None, problems
    resolution = request.resolution or model.default_resolution
    duration_s = request.duration_s or model.default_duration_s
    for offer in lines:
        if (offer.resolution, offer.duration_s) == (resolution, duration_s):
            return (offer if offer.mode is request.mode else None), []
    allowed = _known(offer.duration_s for offer in lines if offer.resolution == resolution)
    rule = f"{model.name} does not make {duration_s} s at {resolution}"
    return None, [Problem("duration_s", rule, allowed=tuple(str(value) for value in allowed))]


def _not_on_offer(name: str, request: VideoRequest, model: Model, allowed: Sequence[str | int]) -> Problem:
    word = "resolution" if name == "resolution" else "duration"
    if not allowed:
        return Problem(name, f"{model.name} has no {word} to choose; leave it out")
    where = f" in {request.mode} mode" if request.mode in model.modes else ""
    return Problem(name, f"{model.name} does not offer this {word}{where}", tuple(str(value) for value in allowed))


def _known(values: Iterable[Value | None]) -> list[Value]:
    """The distinct values, in the order of the price list."""
    return list(dict.fromkeys(value for value in values if value is not None))


def _priced(model: Model, prices: Mapping[str, int]) -> Model:
    offers = tuple(replace(offer, price=prices.get(price_key(offer), offer.price)) for offer in model.offers)
    return replace(model, offers=offers)
