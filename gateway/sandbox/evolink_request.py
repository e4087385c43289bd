"""What a create may say to EvoLink (FACTS 1.2). The first broken rule is the answer, by the field's own name."""

import ipaddress
from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from urllib.parse import urlsplit

from gateway.sandbox.calls import Refusal
from gateway.sandbox.sales import Model, Offer, Sales
from gateway.sandbox.tasks import Order

NAME = "evolink"

# `callback_url` stands on the page of 02 alone, and is taken for every model: the pages of the others are older.
_FIELDS = ("model", "prompt", "image_urls", "quality", "duration", "model_params", "callback_url")
_MODES = ("t2v", "i2v", "flf")  # by the number of images
_MODE_WORDS: Mapping[str, str] = {
    "t2v": "text-to-video (no image)",
    "i2v": "image-to-video (one image)",
    "flf": "first-and-last-frame (two images)",
}
_CALLBACK_CHARACTERS_MAX = 2048


def read_order(body: dict[str, Any], sales: Sales, make_id: Callable[[Random, float], str]) -> Order:
    """The order in a body, or a refusal that says what is wrong with it."""
    _refuse_unknown(body, _FIELDS, None)
    model = _read_model(body, sales)
    mode = _read_mode(body, model)
    prompt = _read_prompt(body, model, mode)
    offer = _read_offer(body, model, mode)
    _check_params(body, model)
    _check_callback(body)
    return Order(NAME, offer, prompt, body, make_id)


def _read_model(body: dict[str, Any], sales: Sales) -> Model:
    name = _read(body, "model", str, "a string")
    model = None if name is None else sales.find(name, NAME)
    if model is None:
        raise _bad("model", f"{_quote(name)} is not a model", sales.names(NAME))
    return model


def _read_mode(body: dict[str, Any], model: Model) -> str:
    images = _read(body, "image_urls", list, "an array of URLs") or []
    for position, image in enumerate(images):
        if not isinstance(image, str) or not _is_web_address(image):
            raise _bad(f"image_urls[{position}]", "must be an http or https URL; inline images are not taken")
    modes = [mode for mode in _MODES if model.offers_in(mode)]
    if len(images) >= len(_MODES) or _MODES[len(images)] not in modes:
        allowed = [_MODE_WORDS[mode] for mode in modes]
        raise _bad("image_urls", f"{model.name} does not take {len(images)} images", allowed)
    return _MODES[len(images)]


def _read_prompt(body: dict[str, Any], model: Model, mode: str) -> str:
    prompt = _read(body, "prompt", str, "a string") or ""
    if len(prompt) > model.prompt_characters_max:
        raise _bad("prompt", f"has {len(prompt)} characters; at most {model.prompt_characters_max} are allowed")
    if not prompt.strip() and mode in model.prompt_required:
        raise _bad("prompt", f"is required for {_MODE_WORDS[mode]}")
    return prompt


def _read_offer(body: dict[str, Any], model: Model, mode: str) -> Offer:
    quality = _read(body, "quality", str, "a string")
    resolution = model.default_resolution if quality is None else quality.upper()
    duration_s = _read(body, "duration", int, "an integer")
    if duration_s is None:
        duration_s = model.default_duration_s
    offers = model.offers_in(mode)
    fitting = [offer for offer in offers if offer.resolution == resolution]
    if not fitting or (quality is not None and quality != quality.lower()):
        allowed = sorted({str(offer.resolution).lower() for offer in offers})
        raise _bad("quality", f"{_quote(quality)} is not offered by {model.name} for {_MODE_WORDS[mode]}", allowed)
    for offer in fitting:
        if offer.duration_s == duration_s:
            return offer
    lengths = [str(offer.duration_s) for offer in fitting]
    raise _bad("duration", f"{duration_s} is not offered by {model.name} at {str(resolution).lower()}", lengths)


def _check_params(body: dict[str, Any], model: Model) -> None:
    params = _read(body, "model_params", dict, "an object") or {}
    options = sorted(model.options - {"aigc_watermark"})  # not to be said in this protocol (FACTS 1.2)
    _refuse_unknown(params, options, "model_params")
    for name in params:
        if not isinstance(params[name], bool):
            raise _bad(f"model_params.{name}", "must be a boolean")


def _check_callback(body: dict[str, Any]) -> None:
    """HTTPS, not too long, and not inward. The address is never called: that needs a public one (FACTS 1.6)."""
    url = _read(body, "callback_url", str, "a string")
    if url is None:
        return
    if len(url) > _CALLBACK_CHARACTERS_MAX:
        raise _bad("callback_url", f"has {len(url)} characters; at most {_CALLBACK_CHARACTERS_MAX} are allowed")
    parts = _split(url)
    if parts is None or parts[0] != "https":
        raise _bad("callback_url", "must be an https URL")
    if _is_inward(parts[1]):
        raise _bad("callback_url", "must not lead to an internal address")


def _read(fields: dict[str, Any], name: str, kind: type, words: str) -> Any:
    """A field of a type, or None where it is not said. JSON's null is a value, and of no type that is taken here."""
    if name not in fields:
        return None
    value = fields[name]
    # Python's booleans are integers, JSON's are not.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _bad(name, f"must be {words}")
    return value


def _refuse_unknown(fields: dict[str, Any], known: tuple[str, ...] | list[str], parent: str | None) -> None:
    for name in fields:
        if name not in known:
            param = name if parent is None else f"{parent}.{name}"
            raise _bad(param, "is not a field of this request", known)


def _is_web_address(url: str) -> bool:
    parts = _split(url)
    return parts is not None and parts[0] in ("http", "https")


def _is_inward(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def _split(url: str) -> tuple[str, str] | None:
    """Scheme and host in lower case; None where there is no host."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return None if host is None else (parts.scheme, host)


def _quote(value: str | None) -> str:
    return "nothing" if value is None else repr(value[:100])


def _bad(param: str, rule: str, allowed: tuple[str, ...] | list[str] = ()) -> Refusal:
    ending = f"; allowed: {', '.join(allowed)}" if allowed else ""
    return Refusal(400, f"{param}: {rule}{ending}", param=param)
