"""What a create may say to new-api (FACTS 3.2).

The generic fields that its Hailuo adaptor quietly drops (`image`, `images`, `input_reference`, `size`, …) are refused
here: dropped, they make a paid video of something else than was asked for.
"""

import re
from collections.abc import Callable
from random import Random
from typing import Any

from gateway.sandbox import hailuo
from gateway.sandbox.calls import Refusal
from gateway.sandbox.choosing import find_offer, read_model, read_prompt
from gateway.sandbox.fields import Fields
from gateway.sandbox.sales import Sales
from gateway.sandbox.tasks import Order

NAME = "newapi"

_DIGITS = re.compile("[0-9]{1,4}")
_FIELDS = ("model", "prompt", "duration", "metadata")


def read_order(body: dict[str, Any], sales: Sales, make_id: Callable[[Random, float], str]) -> Order:
    """The order in a body, or a refusal that says what is wrong with it."""
    fields = Fields(body)
    fields.refuse_unknown(_FIELDS)
    if not body.get("model"):
        raise Refusal(400, "model is required", param="model", code="missing_model")
    model = read_model(fields, sales, NAME)
    metadata = fields.read_object("metadata")
    metadata.refuse_unknown(hailuo.FIELDS)
    mode = hailuo.read_mode(metadata, model)
    prompt = read_prompt(fields, model, mode, is_required=True)
    duration_s = _read_duration(fields)
    says_duration = fields
    if "duration" in metadata.values:
        # `metadata` is laid over the whole request upstream, so what it says of the duration is what counts.
        duration_s = metadata.read("duration", int, "an integer")
        says_duration = metadata
    resolution = metadata.read("resolution", str, "a string")
    params = ("metadata.resolution", says_duration.name("duration"))
    offer = find_offer(model, mode, resolution, duration_s, params=params)
    hailuo.check_extras(metadata, model)
    return Order(NAME, offer, prompt, body, make_id)


def _read_duration(fields: Fields) -> int | None:
    """An integer, or a string of digits."""
    said = fields.values.get("duration")
    if isinstance(said, str) and _DIGITS.fullmatch(said):
        return int(said)
    duration_s: int | None = fields.read("duration", int, "an integer")
    return duration_s
