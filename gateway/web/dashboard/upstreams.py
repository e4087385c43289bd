"""Upstream keys: how each stands, until when and why, and what a person can do: say that one is good again, and stop or
take creates altogether."""

from collections.abc import Sequence

from gateway.flows import callers, neighbours, overview
from gateway.parts import Parts
from gateway.store import NameUnknown
from gateway.video import Route
from gateway.web.dashboard.pages import NotThere, Page, Role, Visit
from gateway.web.exchange import Answer

PATH = "/dashboard/upstreams"
_DONE = {
    "recovered": "The key is used again, here at once and in all other processes within seconds.",
    "frozen": "No creates are taken any more, and what waits in the queue is not sent. What runs is finished.",
    "unfrozen": "Creates are taken again.",
}


def pages(parts: Parts) -> Sequence[Page]:
    """The list, and what its buttons send."""

    async def show(visit: Visit) -> Answer:
        return visit.page(
            "upstreams.html",
            upstreams=await overview.upstreams(parts),
            frozen_since=parts.admission.frozen_since,
            done=_DONE.get(visit.said.get("done", "")),
        )

    async def recover(visit: Visit) -> Answer:
        try:
            await neighbours.recover_here(Route(visit.said.get("upstream", ""), visit.said.get("key", "")), parts)
        except NameUnknown as error:
            raise NotThere(str(error)) from None
        return visit.go(f"{PATH}?done=recovered")

    async def freeze(visit: Visit) -> Answer:
        await callers.freeze(parts)
        return visit.go(f"{PATH}?done=frozen")

    async def unfreeze(visit: Visit) -> Answer:
        await callers.unfreeze(parts)
        return visit.go(f"{PATH}?done=unfrozen")

    return (
        Page(path=PATH, entry="Upstream keys", read={Role.OPERATOR: show}),
        Page(path=f"{PATH}/recover", write={Role.OPERATOR: recover}),
        Page(path=f"{PATH}/freeze", write={Role.OPERATOR: freeze}),
        Page(path=f"{PATH}/unfreeze", write={Role.OPERATOR: unfreeze}),
    )
