"""What a body orders: the rules about model, prompt and offer that every protocol shares, by its own field names."""

from collections.abc import Callable, Mapping

from gateway.sandbox.fields import Fields, quote, refuse_field
from gateway.sandbox.sales import Model, Offer, Sales

MODE_WORDS: Mapping[str, str] = {
    "t2v": "text-to-video (no image)",
    "i2v": "image-to-video (one image)",
    "flf": "first-and-last-frame (two images)",
    "s2v": "subject-to-video (one subject)",
}


def read_model(fields: Fields, sales: Sales, seller: str) -> Model:
    name = fields.read("model", str, "a string")
    model = None if name is None else sales.find(name, seller)
    if model is None:
        raise refuse_field("model", f"{quote(name)} is not a model", sales.names(seller))
    return model


def read_prompt(fields: Fields, model: Model, mode: str, *, is_required: bool) -> str:
    prompt: str = fields.read("prompt", str, "a string") or ""
    if len(prompt) > model.prompt_characters_max:
        raise refuse_field("prompt", f"has {len(prompt)} characters; at most {model.prompt_characters_max} are allowed")
    if not prompt.strip() and is_required:
        raise refuse_field("prompt", f"is required for {MODE_WORDS[mode]}")
    return prompt


def find_offer(
    model: Model,
    mode: str,
    resolution: str | None,
    duration_s: int | None,
    *,
    params: tuple[str, str] = ("resolution", "duration"),
    spell: Callable[[str], str] = str,
) -> Offer:
    """The offer for what was said; what was not is the model's default. `spell` is how resolutions are written."""
    offers = model.offers_in(mode)
    spelled = [(None if offer.resolution is None else spell(offer.resolution), offer) for offer in offers]
    if resolution is None and model.default_resolution is not None:
        resolution = spell(model.default_resolution)
    fitting = [offer for spelling, offer in spelled if spelling == resolution]
    if not fitting:
        allowed = sorted({spelling for spelling, _ in spelled if spelling is not None})
        rule = f"{quote(resolution)} is not offered by {model.name} for {MODE_WORDS[mode]}"
        raise refuse_field(params[0], rule, allowed)
    if duration_s is None:
        duration_s = model.default_duration_s
    for offer in fitting:
        if offer.duration_s == duration_s:
            return offer
    lengths = [str(offer.duration_s) for offer in fitting if offer.duration_s is not None]
    raise refuse_field(params[1], f"{duration_s} is not offered by {model.name} at {resolution}", lengths)
