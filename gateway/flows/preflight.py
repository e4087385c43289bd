"""Everything that can be known to be wrong before money is spent; spends nothing, and sends nothing upstream.

All problems of a request come in one answer, in the caller's own field names and spellings. Addresses that the request
names are asked about through the guarded door, all at the same time; a request that names none costs no more than the
comparisons here.
"""

import asyncio
from collections.abc import Collection

from gateway.camera import Linted, lint
from gateway.catalog import Model, filled_in, in_all, judge, matches
from gateway.dialects import DIALECTS
from gateway.egress import EgressRefused, Kind, Reason
from gateway.errors import InvalidRequest, ModelNotAllowed, Problem, UnknownModel
from gateway.flows.pictures import FIELDS, is_link, judge_pictures
from gateway.money import render_micros
from gateway.parts import Rules
from gateway.structs import Struct, replace
from gateway.video import Caller, Offer, VideoRequest

MAX_PRICE = "x-reelgate-max-price"  # the caller's own field, although it is a header
CALLBACK_URL_CHARACTERS_MAX = 2048  # provider page seed-003

_IMAGES = frozenset(FIELDS)


class Checked(Struct, frozen=True):
    """A request that may be sent: canonical, with the offer it asks for."""

    request: VideoRequest
    model: Model
    offer: Offer
    warnings: tuple[str, ...] = ()


class Draft(Struct, frozen=True):
    """A request, judged as far as that goes without asking anybody."""

    request: VideoRequest
    model: Model
    offer: Offer | None
    problems: tuple[Problem, ...]
    """Ours; those of its reader are the request's own."""
    warnings: tuple[str, ...]
    sound: VideoRequest | None
    """The request with its defaults filled in, where nothing is wrong with it so far."""

    @property
    def images(self) -> list[str]:
        """The canonical fields in which it brings or names a picture."""
        return [name for name in FIELDS if getattr(self.request, name) is not None]

    @property
    def asks(self) -> bool:
        """Whether others are to be asked about it, which takes its time."""
        return self.request.callback_url is not None or bool(self.images)


async def preflight(request: VideoRequest, caller: Caller, parts: Rules, *, price_max: int | None = None) -> Checked:
    """Judge a request by the catalog, its images and addresses, the upstreams, the caller's rights, and the most it may
    cost (millionths).

    Raises InvalidRequest, UnknownModel, ModelNotAllowed, or Crowded where too many addresses are asked about already.
    """
    return await check(draft(request, caller, parts), caller, parts, price_max=price_max)


def draft(request: VideoRequest, caller: Caller, parts: Rules) -> Draft:
    """The first half of pre-flight, which asks nobody. Raises InvalidRequest, UnknownModel, ModelNotAllowed."""
    model = _find_model(request, parts)
    if not matches(model.name, caller.models):
        raise ModelNotAllowed(f"this key may not use {model.name}", param=request.param("model"))
    offer, problems = _judge(request, model)
    linted = _lint(request, model, parts)
    request = replace(request, prompt=linted.prompt) if linted.prompt != (request.prompt or "") else request
    problems += linted.problems
    sound = filled_in(request, offer) if offer is not None and not (problems or request.problems) else None
    return Draft(request, model, offer, tuple(problems), linted.warnings, sound)


async def check(drafted: Draft, caller: Caller, parts: Rules, *, price_max: int | None = None) -> Checked:
    """The second half: what has to be asked, and whether anybody can take it. Raises InvalidRequest, Crowded."""
    request, offer = drafted.request, drafted.offer
    problems, warnings = [*drafted.problems], [*drafted.warnings]
    images = drafted.images if parts.settings.images != "off" else []
    if images or request.callback_url is not None:
        spoken_of = {problem.param for problem in problems}
        asked = [name for name in images if name not in spoken_of]
        addresses = sum(is_link(getattr(request, name)) for name in asked) + (request.callback_url is not None)
        with parts.bounds.probes.take(caller.key_id, addresses):
            more, said = await _judge_addresses(request, asked, parts)
        problems += more
        warnings += said
    filled = drafted.sound
    if filled is not None and not problems:
        problems += parts.upstreams.unsayable(filled, drafted.model)
    if problems or offer is None or filled is None:
        raise InvalidRequest.of(_all_problems(request, problems))
    if offer.price is None and caller.has_budget:
        message = f"{offer.model} has no price here, so this key, whose money is counted, cannot order it"
        raise InvalidRequest.at(request.param("model"), message)
    if price_max is not None:
        _judge_price(offer, price_max, parts)
    return Checked(filled, drafted.model, offer, tuple(warnings))


def _lint(request: VideoRequest, model: Model, parts: Rules) -> Linted:
    """The prompt with its camera commands put right; one that is refused for its length is not looked at."""
    prompt = request.prompt or ""
    if len(prompt) > model.prompt_characters_max:
        return Linted(prompt)
    return lint(prompt, model=model.name, takes_commands=model.camera_commands, policy=parts.settings.camera_commands)


def _judge(request: VideoRequest, model: Model) -> tuple[Offer | None, list[Problem]]:
    prompt_required = DIALECTS[request.dialect].prompt_required(model.name)
    mode_is_known = not (_unread(request) & _IMAGES)
    return judge(request, model, prompt_required=prompt_required, mode_is_known=mode_is_known)


def _find_model(request: VideoRequest, parts: Rules) -> Model:
    if not request.model:
        wrong = [Problem("model", "a model is required"), *_wrong_for_all(request, parts)]
        raise InvalidRequest.of(_all_problems(request, wrong))
    model = parts.catalog.find(request.model)
    if model is None:
        raise _unknown_model(request, "this model is not known here", _wrong_for_all(request, parts), parts)
    if not parts.upstreams.sellers(model):
        # It has rules of its own, and for whatever is chosen instead of it others hold.
        raise _unknown_model(request, f"no upstream configured here sells {model.name}", [], parts)
    return model


def _unknown_model(request: VideoRequest, message: str, more: list[Problem], parts: Rules) -> UnknownModel:
    names = tuple(model.name for model in parts.upstreams.on_sale(parts.catalog.models))
    problems = [Problem(request.param("model"), message, names), *_all_problems(request, more)]
    return UnknownModel(message, param=request.param("model"), problems=problems)


def _wrong_for_all(request: VideoRequest, parts: Rules) -> list[Problem]:
    """What is wrong whichever of the models on sale is meant: all problems come in one answer, also where the model is
    one of them."""
    return in_all([_judge(request, model)[1] for model in parts.upstreams.on_sale(parts.catalog.models)])


def _all_problems(request: VideoRequest, found: list[Problem]) -> list[Problem]:
    """The reader's problems and ours, without ours about what could not even be read."""
    unread = _unread(request) - DIALECTS[request.dialect].LACKS
    own = (_in_callers_words(problem, request) for problem in found if problem.param not in unread)
    return list(dict.fromkeys([*request.problems, *own]))


def _unread(request: VideoRequest) -> set[str]:
    """The canonical fields that the caller said something of, and that could not be read."""
    return {name for name in request.params if any(_covers(bad.param, request.param(name)) for bad in request.problems)}


def _in_callers_words(problem: Problem, request: VideoRequest) -> Problem:
    dialect = DIALECTS[request.dialect]
    if problem.param in dialect.LACKS:
        return Problem(request.param("model"), f"{problem.message}, and the {dialect.NAME} dialect has no field for it")
    allowed = tuple(dialect.spell(problem.param, value) for value in problem.allowed)
    return replace(problem, param=request.param(problem.param), allowed=allowed)


def _covers(unread: str, param: str) -> bool:
    """Whether a problem at `unread` (`metadata`, `image_urls[1]`) makes one at `param` pointless."""
    outer = unread.partition("[")[0]
    return param == outer or param.startswith((outer + ".", outer + "["))


async def _judge_addresses(
    request: VideoRequest, images: Collection[str], parts: Rules
) -> tuple[list[Problem], list[str]]:
    """What is wrong with images and callback, all asked at the same time; and what there is to say of them."""
    if request.callback_url is None:
        return await judge_pictures(request, images, parts)
    (problems, warnings), of_callback = await asyncio.gather(
        judge_pictures(request, images, parts), _judge_callback(request.callback_url, parts)
    )
    return [*problems, *of_callback], warnings


async def _judge_callback(url: str, parts: Rules) -> list[Problem]:
    """A callback address (seed-003): HTTPS, public, of bounded length."""
    if len(url) > CALLBACK_URL_CHARACTERS_MAX:
        return [Problem("callback_url", f"the address is longer than {CALLBACK_URL_CHARACTERS_MAX} characters")]
    try:
        await parts.door.vet(url, Kind.CALLBACK)
    except EgressRefused as refused:
        if refused.reason is Reason.BUSY:
            raise parts.bounds.probes.refuse() from None
        return [Problem("callback_url", refused.message)]
    return []


def _judge_price(offer: Offer, price_max: int, parts: Rules) -> None:
    """A video without a price could cost anything, so no limit allows it."""
    if offer.price is None:
        raise InvalidRequest.at(MAX_PRICE, f"{offer.model} has no price here, so no limit on it can be kept")
    if offer.price > price_max:
        price, limit = render_micros(offer.price), render_micros(price_max)
        raise InvalidRequest.at(MAX_PRICE, f"this video costs {price} {parts.settings.currency}, more than {limit}")
