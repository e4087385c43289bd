"""The first page: for the operator the whole gateway at a glance, for the holder of a virtual key its own part."""

from collections.abc import Sequence

from gateway.flows import board
from gateway.parts import Parts
from gateway.web.dashboard.pages import Page, Role, Visit
from gateway.web.exchange import Answer


def pages(parts: Parts) -> Sequence[Page]:
    """`/dashboard` itself."""

    async def whole(visit: Visit) -> Answer:
        return visit.page("overview.html", board=await board.board(parts))

    return [Page(path="/dashboard", entry="Overview", read={Role.OPERATOR: whole})]
