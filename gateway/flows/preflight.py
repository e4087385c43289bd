"""Everything that can be known to be wrong before money is spent; spends nothing, sends nothing.

All problems of a request come in one answer, in the caller's own field names and spellings.
"""

import ipaddress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from gateway.catalog import Model, filled_in, judge, matches
from gateway.dialects import DIALECTS
from gateway.errors import InvalidRequest, ModelNotAllowed, Problem, UnknownModel
from gateway.money import render_micros
from gateway.parts import Parts
from gateway.video import Caller, Offer, VideoRequest

MAX_PRICE = "x-reelgate-max-price"  # the caller's own field, although it is a header
CALLBACK_URL_CHARACTERS_MAX = 2048  # provider page seed-003


_IMAGES = frozenset({"first_frame_image", "last_frame_image", "subject_reference"})


@dataclass(frozen=True, slots=True)
class Checked:
    """A request that may be sent: canonical, with the offer it asks for."""

    request: VideoRequest
    model: Model
    offer: Offer
    warnings: tuple[str, ...] = ()


async def preflight(request: VideoRequest, caller: Caller, parts: Parts, *, price_max: int | None = None) -> Checked:
    """Judge a request by the catalog, the upstreams, the caller's rights, and the most it may cost (millionths).

    Raises InvalidRequest, UnknownModel or ModelNotAllowed.
    """
    model = _find_model(request, parts)
    dialect = DIALECTS[request.dialect]
    mode_is_known = not (_unread(request) & _IMAGES)
    offer, problems = judge(
        request, model, prompt_required=dialect.prompt_required(model.name), mode_is_known=mode_is_known
    )
    problems += _judge_callback(request, parts)
    filled = None if offer is None else filled_in(request, offer)
    if filled is not None and not problems and not request.problems:
        problems += parts.upstreams.unsayable(filled, model)
    if not matches(model.name, caller.models):
        raise ModelNotAllowed(f"this key may not use {model.name}", param=request.param("model"))
    if problems or request.problems or offer is None or filled is None:
        raise InvalidRequest.of(_all_problems(request, problems))
    if offer.price is None and caller.has_budget:
        message = f"{offer.model} has no price here, so this key, whose money is counted, cannot order it"
        raise InvalidRequest.at(request.param("model"), message)
    if price_max is not None:
        _judge_price(offer, price_max, parts)
    return Checked(filled, model, offer, _warnings(request))


def _find_model(request: VideoRequest, parts: Parts) -> Model:
    if not request.model:
        raise InvalidRequest.of(_all_problems(request, [Problem("model", "a model is required")]))
    model = parts.catalog.find(request.model)
    on_sale = tuple(known.name for known in parts.catalog.models if parts.upstreams.sellers(known))
    if model is None:
        raise _unknown_model(request, "this model is not known here", on_sale)
    if model.name not in on_sale:
        raise _unknown_model(request, f"no upstream configured here sells {model.name}", on_sale)
    return model


def _unknown_model(request: VideoRequest, message: str, on_sale: tuple[str, ...]) -> UnknownModel:
    problems = [Problem(request.param("model"), message, on_sale), *request.problems]
    return UnknownModel(message, param=request.param("model"), problems=problems)


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


def _judge_callback(request: VideoRequest, parts: Parts) -> list[Problem]:
    """The form of a callback address (seed-003): HTTPS, public, of bounded length."""
    url = request.callback_url
    if url is None:
        return []
    if len(url) > CALLBACK_URL_CHARACTERS_MAX:
        return [Problem("callback_url", f"the address is longer than {CALLBACK_URL_CHARACTERS_MAX} characters")]
    rule = "the callback must be an https address of a public host, without credentials"
    try:
        target = urlsplit(url)
        host, _ = target.hostname, target.port
    except ValueError:
        return [Problem("callback_url", rule)]
    if not host or target.username is not None or not url.isascii() or not url.isprintable() or " " in url:
        return [Problem("callback_url", rule)]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        is_named_private = host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
        is_fine = target.scheme == "https" and not is_named_private
    else:
        is_opened = any(address in network for network in parts.settings.private_networks)
        is_fine = (
            is_opened if target.scheme == "http" else target.scheme == "https" and (is_opened or address.is_global)
        )
    return [] if is_fine else [Problem("callback_url", rule)]


def _judge_price(offer: Offer, price_max: int, parts: Parts) -> None:
    """A video without a price could cost anything, so no limit allows it."""
    if offer.price is None:
        raise InvalidRequest.at(MAX_PRICE, f"{offer.model} has no price here, so no limit on it can be kept")
    if offer.price > price_max:
        price, limit = render_micros(offer.price), render_micros(price_max)
        raise InvalidRequest.at(MAX_PRICE, f"this video costs {price} {parts.settings.currency}, more than {limit}")


def _warnings(request: VideoRequest) -> tuple[str, ...]:
    if request.callback_url is None:
        return ()
    field = request.param("callback_url")
    return (f"{field} is kept with the task, but this version sends no callbacks: poll the task instead",)
