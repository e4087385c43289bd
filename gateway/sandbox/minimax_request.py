"""What a create may say to MiniMax itself (FACTS 4.2, 4.3)."""

from collections.abc import Callable
from random import Random
from typing import Any

from gateway.sandbox import hailuo
from gateway.sandbox.choosing import find_offer, read_model, read_prompt
from gateway.sandbox.fields import Fields
from gateway.sandbox.sales import Sales
from gateway.sandbox.tasks import Order

NAME = "minimax"


def read_order(body: dict[str, Any], sales: Sales, make_id: Callable[[Random, float], str]) -> Order:
    """The order in a body, or a refusal that says what is wrong with it."""
    fields = Fields(body)
    fields.refuse_unknown(("model", "prompt", *hailuo.FIELDS))
    model = read_model(fields, sales, NAME)
    mode = hailuo.read_mode(fields, model)
    prompt = read_prompt(fields, model, mode, is_required=mode in model.prompt_required)
    resolution = fields.read("resolution", str, "a string")
    offer = find_offer(model, mode, resolution, fields.read("duration", int, "an integer"))
    hailuo.check_extras(fields, model)
    return Order(NAME, offer, prompt, body, make_id)
