"""The gateway's own OpenAPI document, of what this gateway offers. It is public, and holds nothing that is not."""

import asyncio
from typing import TYPE_CHECKING

from gateway import jsontext
from gateway.dialects import DIALECTS
from gateway.errors import InvalidRequest
from gateway.parts import Rules
from gateway.web.exchange import Answer, Exchange
from gateway.web.waiting import tagged, unless_known

if TYPE_CHECKING:
    from gateway.web.openapi import Terms


class Document:
    """The handler of the document, which is made when it is first asked for, and then kept."""

    def __init__(self, rules: Rules, *, default_dialect: str, has_admin: bool, public_url: str | None) -> None:
        self._rules = rules
        self._default_dialect = default_dialect
        self._has_admin = has_admin
        self._server_url = public_url or "/"  # as it stands in the document: the address that was asked
        self._made: dict[str | None, Answer] = {}

    async def tell(self, exchange: Exchange) -> Answer:
        """All of it, or with `?dialect=` what a client of one dialect needs."""
        name = exchange.query().get("dialect")
        if name is not None and name not in DIALECTS:
            raise InvalidRequest.at("dialect", "this is not a dialect", *DIALECTS)
        if name not in self._made:
            self._made[name] = await asyncio.to_thread(self._make, name)  # others are answered meanwhile
        return unless_known(self._made[name], exchange)

    def _make(self, name: str | None) -> Answer:
        from gateway.web.openapi import document, of_dialect  # start and memory do without it

        told = document(
            terms(
                self._rules,
                default_dialect=self._default_dialect,
                has_admin=self._has_admin,
                server_url=self._server_url,
            )
        )
        body = jsontext.write(told if name is None else of_dialect(told, name))
        return tagged(Answer(200, body), body)


def terms(rules: Rules, *, default_dialect: str, has_admin: bool, server_url: str) -> "Terms":
    """What a gateway that goes by these rules offers."""
    from gateway.web.openapi import Terms

    return Terms(
        models=tuple(rules.upstreams.on_sale(rules.catalog.models)),
        takes_any_model=rules.catalog.forwards_unknown,
        default_dialect=default_dialect,
        has_admin=has_admin,
        server_url=server_url,
    )
