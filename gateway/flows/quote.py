"""The dry run: everything a create would do up to the moment of spending, told instead of done."""

from typing import Any

from gateway import jsontext, tracing
from gateway.errors import BudgetSpent, Draining, Frozen, QueueFull, TooFast
from gateway.flows.carry import place_in_queue
from gateway.flows.preflight import Checked, preflight
from gateway.money import render_micros
from gateway.parts import Parts, Rules
from gateway.store import Wait
from gateway.structs import Struct
from gateway.video import Caller, State, VideoRequest


class Quote(Struct, frozen=True):
    """What would be sent, where and for how much (CONTRACT sections 4 and 7), and why there."""

    body: dict[str, Any]
    why: str
    budget_left: int | None = None
    """What the caller could still order, in millionths; None without a budget."""


async def quote(request: VideoRequest, caller: Caller, parts: Parts, price_max: int | None) -> Quote:
    """The quote for a create. Raises what the create would, and changes nothing."""
    with tracing.span("preflight"):
        checked = await preflight(request, caller, parts, price_max=price_max)
    if parts.stories.is_draining:
        raise Draining("the gateway is shutting down", retry_after=5)
    if parts.admission.is_frozen:
        raise Frozen("creates are frozen by whoever runs this gateway")
    wait = _place(checked, parts)
    await parts.registry.judge_limits(caller, parts.clock())
    budget_left = await _judge_budget(checked, caller, parts)
    if wait is not None:
        await _judge_queue(wait, parts)
    return tell(checked, parts, budget_left=budget_left)


def tell(checked: Checked, rules: Rules, *, budget_left: int | None = None) -> Quote:
    """The quote for a request that passed pre-flight. Raises Unavailable where no upstream could take it."""
    name, _ = rules.upstreams.foresee(checked.request, checked.model)
    call = rules.upstreams.call_for(checked.request, checked.offer, name)
    price = checked.offer.price
    body = {
        "valid": True,
        "mode": checked.offer.mode.value,
        "model": checked.offer.model,
        "upstream": name,
        "price": None if price is None else render_micros(price),
        "currency": rules.settings.currency,
        "warnings": list(checked.warnings),
        "upstream_request": {"method": call.method, "url": call.url, "body": jsontext.read(call.body or b"null")},
    }
    return Quote(body, rules.upstreams.why(checked.request, checked.model, name), budget_left)


def _place(checked: Checked, parts: Parts) -> Wait | None:
    """How this video would have to wait, None where there is a key for it. Raises TooFast where nothing may wait,
    Unavailable where time alone does not help."""
    _, full = parts.upstreams.foresee(checked.request, checked.model)
    if full is None and parts.memory.line.is_before(checked.model.name):
        full = TooFast("others wait for a key already", retry_after=1)
    return None if full is None else place_in_queue(checked, full, parts)


async def _judge_budget(checked: Checked, caller: Caller, parts: Parts) -> int | None:
    """What the caller, or its team, has left: the smaller of the two. Raises BudgetSpent where that does not pay."""
    if not caller.has_budget:
        return None
    own, team = await parts.registry.balances(caller, parts.clock())
    price, left = checked.offer.price or 0, []
    for word, balance in (("this key", own), ("this key's team", team)):
        if balance.remaining is None:
            continue
        if balance.remaining < price:
            has = f"{word} has {render_micros(balance.remaining)} left of its budget"
            raise BudgetSpent(f"{has}, and this video costs {render_micros(price)}")
        left.append(balance.remaining)
    return min(left, default=None)


async def _judge_queue(wait: Wait, parts: Parts) -> None:
    """Raises QueueFull where all its places are taken."""
    count = (await parts.registry.state_counts()).get(State.QUEUED, 0)
    if count >= wait.places:
        raise QueueFull(f"{count} tasks wait for a key already", retry_after=wait.retry_after)
