"""What a create may say to ToAPIs, in the newest form of its page (FACTS 2.1)."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from gateway.sandbox.addresses import check_callback, check_image
from gateway.sandbox.choosing import find_offer, read_model, read_prompt
from gateway.sandbox.fields import Fields, refuse_field
from gateway.sandbox.sales import Model, Sales
from gateway.sandbox.tasks import Order

NAME = "toapis"

_FIELDS = ("model", "prompt", "duration", "resolution", "image_urls", "metadata")
_IMAGES_MAX = 1
# Their page requires a prompt with an image too; the page of 02 only without one (FACTS 2.1).
_PROMPT_ALWAYS = ("MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast")
# By whether there is a first frame, and whether there is a last one.
_MODES: Mapping[tuple[bool, bool], str] = {(False, False): "t2v", (True, False): "i2v", (True, True): "flf"}


def read_order(body: dict[str, Any], sales: Sales, make_id: Callable[[Random, float], str]) -> Order:
    """The order in a body, or a refusal that says what is wrong with it."""
    fields = Fields(body)
    fields.refuse_unknown(_FIELDS)
    model = read_model(fields, sales, NAME)
    metadata = _read_metadata(fields, model)
    mode = _read_mode(fields, metadata, model)
    is_required = mode in model.prompt_required or model.name in _PROMPT_ALWAYS
    prompt = read_prompt(fields, model, mode, is_required=is_required)
    resolution = fields.read("resolution", str, "a string")
    offer = find_offer(model, mode, resolution, fields.read("duration", int, "an integer"))
    return Order(NAME, offer, prompt, body, make_id)


def _read_metadata(fields: Fields, model: Model) -> Fields:
    """The extended parameters, all but the last frame checked."""
    metadata = fields.read_object("metadata")
    switches = sorted(model.options)
    frames = ["last_frame_image"] if model.offers_in("flf") else []
    metadata.refuse_unknown([*switches, "callback_url", *frames])
    metadata.check_switches(switches)
    check_callback(metadata)
    return metadata


def _read_mode(fields: Fields, metadata: Fields, model: Model) -> str:
    images = fields.read("image_urls", list, "an array of URLs") or []
    if len(images) > _IMAGES_MAX:
        raise refuse_field("image_urls", f"has {len(images)} images; at most {_IMAGES_MAX} is taken")
    for image in images:
        check_image(image, "image_urls[0]", inline=False)
    last = metadata.read("last_frame_image", str, "a string")
    if last is not None:
        check_image(last, "metadata.last_frame_image", inline=False)
    mode = _MODES.get((bool(images), last is not None))
    if mode is None:
        raise refuse_field("metadata.last_frame_image", "needs a first frame in image_urls")
    if not model.offers_in(mode):
        raise refuse_field("image_urls", f"is required for {model.name}")
    return mode
