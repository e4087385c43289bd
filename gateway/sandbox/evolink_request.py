"""What a create may say to EvoLink (FACTS 1.2). The first broken rule is the answer, by the field's own name."""

from collections.abc import Callable
from random import Random
from typing import Any

from gateway.sandbox.addresses import check_image, check_strict_callback
from gateway.sandbox.choosing import MODE_WORDS, find_offer, read_model, read_prompt
from gateway.sandbox.fields import Fields, refuse_field
from gateway.sandbox.sales import Model, Sales
from gateway.sandbox.tasks import Order

NAME = "evolink"

# `callback_url` stands on the page of 02 alone, and is taken for every model: the pages of the others are older.
_FIELDS = ("model", "prompt", "image_urls", "quality", "duration", "model_params", "callback_url")
_MODES = ("t2v", "i2v", "flf")  # by the number of images


def read_order(body: dict[str, Any], sales: Sales, make_id: Callable[[Random, float], str]) -> Order:
    """The order in a body, or a refusal that says what is wrong with it."""
    fields = Fields(body)
    fields.refuse_unknown(_FIELDS)
    model = read_model(fields, sales, NAME)
    mode = _read_mode(fields, model)
    prompt = read_prompt(fields, model, mode, is_required=mode in model.prompt_required)
    offer = find_offer(
        model,
        mode,
        fields.read("quality", str, "a string"),
        fields.read("duration", int, "an integer"),
        params=("quality", "duration"),
        spell=str.lower,
    )
    params = fields.read_object("model_params")
    options = sorted(model.options - {"aigc_watermark"})  # not to be said in this protocol (FACTS 1.2)
    params.refuse_unknown(options)
    params.check_switches(options)
    check_strict_callback(fields)
    return Order(NAME, offer, prompt, body, make_id)


def _read_mode(fields: Fields, model: Model) -> str:
    images = fields.read("image_urls", list, "an array of URLs") or []
    for position, image in enumerate(images):
        check_image(image, f"image_urls[{position}]", inline=False)
    modes = [mode for mode in _MODES if model.offers_in(mode)]
    if len(images) >= len(_MODES) or _MODES[len(images)] not in modes:
        allowed = [MODE_WORDS[mode] for mode in modes]
        raise refuse_field("image_urls", f"{model.name} does not take {len(images)} images", allowed)
    return _MODES[len(images)]
