"""The admin API: keys, teams, money and tasks, for whoever holds the admin key (CONTRACT section 5).

Without an admin key in the configuration none of these paths is there. No virtual key opens them, and the admin key
opens nothing else; whoever is logged in at the dashboard with it need not say it again. Bodies are small and read to
the letter, answers are kept by no cache, and every error is `{"error": {"code", "message", "param"}}`, with all
`problems` of a body beside them.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import Any

from gateway import ids, jsontext
from gateway.dialects import DIALECTS
from gateway.errors import (
    CallerError,
    GatewayError,
    InvalidRequest,
    Problem,
    Unauthenticated,
    UnknownTask,
)
from gateway.flows import board, callers, decisions, neighbours, overview
from gateway.headers import HeaderList
from gateway.parts import Parts
from gateway.secret import Secret
from gateway.store import NameTaken, NameUnknown, ReceiptTaken
from gateway.video import Balance, Route
from gateway.virtual_keys import read_key, read_team, read_team_change
from gateway.web.auth import presented
from gateway.web.body import read_body
from gateway.web.exchange import Answer, Exchange
from gateway.web.surface import Way

BODY_BYTES_MAX = 64 << 10  # a key with a hundred patterns of models has twenty
BODY_WITHIN_S = 10.0
_ADMIN = "admin"  # holds what is under way here: whoever has the admin key is one
_HEADERS: HeaderList = [(b"cache-control", b"no-store")]

Body = dict[str, Any]
Told = Callable[[Exchange], Awaitable[tuple[int, Any]]]


class Conflict(CallerError):
    """The name is taken, or the task is not where this could be done to it."""

    status = 409
    code = "conflict"


class NotFound(CallerError):
    """There is no key or team of this name."""

    status = 404
    code = "not_found"


_FOREIGN: Mapping[type[Exception], type[CallerError]] = {
    NameTaken: Conflict,
    NameUnknown: NotFound,
    decisions.NothingToDecide: Conflict,
    ReceiptTaken: Conflict,
}


class Admin:
    """Handlers of the admin paths."""

    def __init__(self, parts: Parts, admin_key: Secret, *, is_logged_in: Callable[[Exchange], Awaitable[bool]]) -> None:
        """`is_logged_in` is the dashboard's word for a request without any key."""
        self._parts = parts
        self._digest = admin_key.digest()
        self._is_logged_in = is_logged_in

    def ways(self) -> Mapping[str, Mapping[str, Way]]:
        """Path → method → what answers it."""
        return {
            path: {method: Way(self._guarded(told, method), refuse=refuse) for method, told in by_method.items()}
            for path, by_method in self._routes().items()
        }

    def _routes(self) -> Mapping[str, Mapping[str, Told]]:
        return {
            "/admin/keys": {"GET": self._keys, "POST": self._create_key},
            "/admin/keys/{id}": {"DELETE": self._revoke_key},
            "/admin/keys/{id}/revoke": {"POST": self._revoke_key},
            "/admin/teams": {"GET": self._teams, "POST": self._create_team, "PUT": self._update_team},
            "/admin/overview": {"GET": self._overview},
            "/admin/usage": {"GET": self._usage},
            "/admin/tasks": {"GET": self._tasks},
            "/admin/tasks/{id}": {"GET": self._task},
            "/admin/tasks/{id}/adopt": {"POST": self._adopt},
            "/admin/tasks/{id}/release": {"POST": self._release},
            "/admin/tasks/{id}/settle": {"POST": self._settle},
            "/admin/reconcile": {"POST": self._reconcile},
            "/admin/upstreams": {"GET": self._upstreams},
            "/admin/upstreams/{name}/keys/{id}/recover": {"POST": self._recover_key},
            "/admin/freeze": {"POST": self._freeze},
            "/admin/unfreeze": {"POST": self._unfreeze},
        }

    def _guarded(self, told: Told, method: str) -> Callable[[Exchange], Awaitable[Answer]]:
        # All there is to read here is lists and sums; what changes something must go on when many people look.
        place = self._parts.bounds.listings.take if method == "GET" else nullcontext

        async def handle(exchange: Exchange) -> Answer:
            if not await self._is_admin(exchange):
                raise Unauthenticated("send the admin key as `Authorization: Bearer KEY`")
            try:
                with place(_ADMIN):
                    status, answer = await told(exchange)
            except tuple(_FOREIGN) as error:
                raise _FOREIGN[type(error)](str(error)) from None
            return Answer(status, jsontext.write(answer), _HEADERS)

        return handle

    async def _is_admin(self, exchange: Exchange) -> bool:
        token = presented(exchange)
        if token is None:
            return await self._is_logged_in(exchange)
        # The same time whatever was presented: digests are compared, and all of them.
        return hmac.compare_digest(hashlib.sha256(token).hexdigest(), self._digest)

    # --- keys and teams ------------------------------------------------------------------------------------------

    async def _keys(self, exchange: Exchange) -> tuple[int, Any]:
        _fields_of_query(exchange)
        return 200, {"keys": await overview.keys(self._parts)}

    async def _create_key(self, exchange: Exchange) -> tuple[int, Any]:
        """The one answer that holds the key itself."""
        now = self._parts.clock()
        wanted = read_key(await _body(exchange), dialects=tuple(DIALECTS), now=now)
        issued, text = await callers.create_key(wanted, self._parts)
        unused = Balance(None if wanted.budget is None else wanted.budget.amount, 0, 0)
        return 201, {"key": text.reveal(), **overview.key(issued, unused, now)}

    async def _revoke_key(self, exchange: Exchange) -> tuple[int, Any]:
        await _no_body(exchange)
        revoked = await callers.revoke_key(exchange.path_param("id"), self._parts)
        return 200, {"id": revoked.key.id, "state": "revoked"}

    async def _teams(self, exchange: Exchange) -> tuple[int, Any]:
        _fields_of_query(exchange)
        return 200, {"teams": await overview.teams(self._parts)}

    async def _create_team(self, exchange: Exchange) -> tuple[int, Any]:
        team = read_team(await _body(exchange))
        await callers.create_team(team, self._parts)
        return 201, await self._team(team.id)

    async def _update_team(self, exchange: Exchange) -> tuple[int, Any]:
        team = read_team_change(await _body(exchange))
        await callers.update_team(team, self._parts)
        return 200, await self._team(team.id)

    async def _team(self, name: str) -> Any:
        return next((team for team in await overview.teams(self._parts) if team["id"] == name), {"id": name})

    # --- money and tasks -----------------------------------------------------------------------------------------

    async def _overview(self, exchange: Exchange) -> tuple[int, Any]:
        _fields_of_query(exchange)
        return 200, await board.board(self._parts)

    async def _usage(self, exchange: Exchange) -> tuple[int, Any]:
        return 200, await overview.usage(self._parts, exchange.query(), self._parts.settings.currency)

    async def _tasks(self, exchange: Exchange) -> tuple[int, Any]:
        return 200, await overview.page(self._parts, exchange.query())

    async def _task(self, exchange: Exchange) -> tuple[int, Any]:
        story = await self._parts.books.story(_number(exchange))
        if story is None:
            raise UnknownTask("there is no such task")
        return 200, overview.story(story)

    async def _adopt(self, exchange: Exchange) -> tuple[int, Any]:
        upstream_id = _one_text(await _body(exchange), "upstream_id")
        return 200, overview.task(await decisions.adopt_here(_number(exchange), upstream_id, self._parts))

    async def _release(self, exchange: Exchange) -> tuple[int, Any]:
        reason = _one_text(await _body(exchange), "reason")
        return 200, overview.task(await decisions.release_here(_number(exchange), reason, self._parts))

    async def _settle(self, exchange: Exchange) -> tuple[int, Any]:
        reason = _one_text(await _body(exchange), "reason")
        return 200, overview.task(await decisions.settle_here(_number(exchange), reason, self._parts))

    async def _reconcile(self, exchange: Exchange) -> tuple[int, Any]:
        await _no_body(exchange)
        return 200, overview.findings(await decisions.reconcile_here(self._parts))

    # --- the gateway itself --------------------------------------------------------------------------------------

    async def _upstreams(self, exchange: Exchange) -> tuple[int, Any]:
        _fields_of_query(exchange)
        return 200, {"upstreams": await overview.upstreams(self._parts)}

    async def _recover_key(self, exchange: Exchange) -> tuple[int, Any]:
        await _no_body(exchange)
        route = Route(exchange.path_param("name"), exchange.path_param("id"))
        ended = await neighbours.recover_here(route, self._parts)
        return 200, {"upstream": route.upstream, "key": route.key_id, "ended": ended}

    async def _freeze(self, exchange: Exchange) -> tuple[int, Any]:
        await _no_body(exchange)
        await callers.freeze(self._parts)
        return 200, self._frozen()

    async def _unfreeze(self, exchange: Exchange) -> tuple[int, Any]:
        await _no_body(exchange)
        await callers.unfreeze(self._parts)
        return 200, self._frozen()

    def _frozen(self) -> Any:
        return {"frozen": self._parts.admission.is_frozen, "since": self._parts.admission.frozen_since}


def refuse(error: GatewayError) -> Answer:
    """Every error of the admin paths."""
    said: dict[str, Any] = {"code": error.code, "message": error.message, "param": error.param}
    if error.problems:
        said["problems"] = [
            {"param": problem.param, "message": problem.message, "allowed": list(problem.allowed)}
            for problem in error.problems
        ]
    return Answer(error.status, jsontext.write({"error": said}), _HEADERS)


async def _body(exchange: Exchange) -> Body:
    _fields_of_query(exchange)
    return await read_body(exchange, bytes_max=BODY_BYTES_MAX, within_s=BODY_WITHIN_S, takes_forms=False)


async def _no_body(exchange: Exchange) -> None:
    """Nothing, or an object without fields."""
    length = exchange.header(b"content-length")
    if length in (None, "0") and exchange.header(b"transfer-encoding") is None:
        _fields_of_query(exchange)
        return
    _refuse_fields(await _body(exchange), ())


def _one_text(body: Body, name: str) -> str:
    _refuse_fields(body, (name,))
    value = body.get(name)
    if not isinstance(value, str):
        raise InvalidRequest.at(name, "is required, as a text")
    return value


def _fields_of_query(exchange: Exchange) -> None:
    """These paths have none."""
    _refuse_fields(exchange.query(), ())


def _refuse_fields(said: Mapping[str, Any], known: tuple[str, ...]) -> None:
    problems = [Problem(name, "there is no such field", known) for name in said if name not in known]
    if problems:
        raise InvalidRequest.of(problems)


def _number(exchange: Exchange) -> int:
    number = ids.number_of(exchange.path_param("id"))
    if number is None:
        raise UnknownTask("there is no such task")
    return number
