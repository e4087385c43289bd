"""The dry run: everything a create would do up to the moment of spending, told instead of done."""

from typing import Any

from gateway import jsontext
from gateway.flows.preflight import preflight
from gateway.money import render_micros
from gateway.parts import Parts
from gateway.video import Caller, VideoRequest


async def quote(
    request: VideoRequest, caller: Caller, parts: Parts, price_max: int | None
) -> tuple[dict[str, Any], str]:
    """What would be sent, where, and for how much (CONTRACT sections 4 and 7); and why there. Raises what the create
    would."""
    checked = await preflight(request, caller, parts, price_max=price_max)
    route = parts.upstreams.choose(checked.request, checked.model)
    parts.upstreams.unused(route)
    call = parts.upstreams.call_for(checked.request, checked.offer, route)
    price = checked.offer.price
    body = {
        "valid": True,
        "mode": checked.offer.mode.value,
        "model": checked.offer.model,
        "upstream": route.upstream,
        "price": None if price is None else render_micros(price),
        "currency": parts.settings.currency,
        "warnings": list(checked.warnings),
        "upstream_request": {"method": call.method, "url": call.url, "body": jsontext.read(call.body or b"null")},
    }
    return body, parts.upstreams.why(checked.request, checked.model, route)
