"""Virtual keys and teams: what each may spend and has spent; keys are made, shown once, and revoked here.

A key that was just made stands on the very page that answers the form, and nowhere else: no address holds it, no
browser keeps the page, and reading it again asks for another key.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.dialects import DIALECTS
from gateway.errors import GatewayError, InvalidRequest
from gateway.flows import callers, overview
from gateway.parts import Parts
from gateway.periods import PERIODS
from gateway.store import NameTaken, NameUnknown
from gateway.virtual_keys import Issued, read_key, read_team, read_team_change
from gateway.web.dashboard.pages import NotThere, Page, Role, Visit, problems_of
from gateway.web.exchange import Answer

PATH, TEAMS_PATH = "/dashboard/keys", "/dashboard/teams"
LISTED_MAX = 100
STATES = ("active", "expired", "revoked")
_DONE = {
    "revoked": "The key opens nothing any more, in this process at once and in all others within seconds.",
    "team": "The team is there.",
    "budget": "The team has its new budget, from the next create on.",
}


def pages(parts: Parts) -> Sequence[Page]:
    """The list with its forms, and what they send."""
    desk = KeyDesk(parts)
    return (
        Page(path=PATH, entry="Keys and teams", read={Role.OPERATOR: desk.list}, write={Role.OPERATOR: desk.create}),
        Page(path=f"{PATH}/{{id}}/revoke", write={Role.OPERATOR: desk.revoke}),
        Page(path=TEAMS_PATH, write={Role.OPERATOR: desk.create_team}),
        Page(path=f"{TEAMS_PATH}/{{id}}", write={Role.OPERATOR: desk.update_team}),
    )


class KeyDesk:
    """Handlers of the pages of keys and teams."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, visit: Visit) -> Answer:
        """Every key and team, or those that are looked for."""
        return await self._page(visit, looked_for=visit.said, done=_DONE.get(visit.said.get("done", "")))

    async def create(self, visit: Visit) -> Answer:
        """The one answer that holds the key itself."""
        try:
            wanted = read_key(_key_said(visit.said), dialects=tuple(DIALECTS), now=self._parts.clock())
            issued, text = await callers.create_key(wanted, self._parts)
        except (InvalidRequest, NameTaken) as error:
            return await self._page(visit, status=_status(error), key_form=visit.said, key_problems=_problems(error))
        return await self._page(visit, status=201, made=issued.key.id, secret=text.reveal())

    async def revoke(self, visit: Visit) -> Answer:
        try:
            await callers.revoke_key(visit.exchange.path_param("id"), self._parts)
        except NameUnknown as error:
            raise NotThere(str(error)) from None
        except NameTaken as error:
            raise InvalidRequest(str(error)) from None
        return visit.go(f"{PATH}?done=revoked")

    async def create_team(self, visit: Visit) -> Answer:
        try:
            await callers.create_team(read_team(_team_said(visit.said)), self._parts)
        except (InvalidRequest, NameTaken) as error:
            return await self._page(visit, status=_status(error), team_form=visit.said, team_problems=_problems(error))
        return visit.go(f"{PATH}?done=team")

    async def update_team(self, visit: Visit) -> Answer:
        name = visit.exchange.path_param("id")
        try:
            await callers.update_team(
                read_team_change({"budget": None, **_team_said(visit.said), "id": name}), self._parts
            )
        except (InvalidRequest, NameTaken) as error:
            said = {"id": name, **visit.said}
            return await self._page(visit, status=_status(error), change_form=said, change_problems=_problems(error))
        except NameUnknown as error:
            raise NotThere(str(error)) from None
        return visit.go(f"{PATH}?done=budget")

    async def _page(self, visit: Visit, *, status: int = 200, **values: Any) -> Answer:
        looked_for: Mapping[str, Any] = values.pop("looked_for", {})
        now = self._parts.clock()
        found = [item for item in self._parts.admission.issued() if _is_looked_for(item, now, looked_for)]
        first = _first(looked_for.get("first"))
        nothing: Mapping[str, Any] = {
            **dict.fromkeys(("done", "made", "secret")),
            **{f"{name}_{what}": {} for name in ("key", "team", "change") for what in ("form", "problems")},
        }
        return visit.page(
            "keys.html",
            status=status,
            keys=await overview.keys(self._parts, found[first : first + LISTED_MAX]),
            count=len(found),
            first=first,
            listed=LISTED_MAX,
            looked_for={"name": looked_for.get("name", ""), "state": looked_for.get("state", STATES[0])},
            states=STATES,
            teams=await overview.teams(self._parts),
            dialects=tuple(DIALECTS),
            periods=PERIODS,
            currency=self._parts.settings.currency,
            **{**nothing, **values},
        )


def _is_looked_for(item: Issued, now: float, said: Mapping[str, Any]) -> bool:
    """By part of its name or its team's, and by its state; at first, those that open something."""
    part, state = str(said.get("name", "")).strip().lower(), said.get("state", STATES[0])
    is_named = not part or part in item.key.id.lower() or part in (item.key.team or "").lower()
    return is_named and state in ("", overview.key_state(item, now))


def _first(said: Any) -> int:
    return int(said[:9]) if isinstance(said, str) and said.isascii() and said.isdigit() else 0


def _key_said(said: Mapping[str, Any]) -> dict[str, Any]:
    """A form as the admin API would be told: what was left empty was not said, and numbers are numbers."""
    filled = {name: value for name, value in _filled(said).items() if name not in ("amount", "period", "models")}
    for name in ("rpm", "max_tasks"):
        if name in filled:
            filled[name] = _whole(filled[name])
    if "passthrough" in filled:
        filled["passthrough"] = filled["passthrough"] == "on"
    if models := said.get("models", "").replace(",", " ").split():
        filled["models"] = models
    return {"id": "", **filled, **_budget_said(said)}


def _team_said(said: Mapping[str, Any]) -> dict[str, Any]:
    filled = {name: value for name, value in _filled(said).items() if name not in ("amount", "period")}
    return {"id": "", **filled, **_budget_said(said)}


def _budget_said(said: Mapping[str, Any]) -> dict[str, Any]:
    """An amount and its stretch of time are one field everywhere else."""
    amount = said.get("amount", "").strip()
    return {"budget": {"amount": amount, "period": said.get("period") or None}} if amount else {}


def _filled(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.strip() for name, value in said.items() if value.strip()}


def _whole(text: str) -> int | str:
    """The number, or what cannot be one, for whoever says why."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def _problems(error: InvalidRequest | NameTaken) -> Mapping[str, str]:
    return problems_of(error) if isinstance(error, GatewayError) else {"id": str(error)}


def _status(error: InvalidRequest | NameTaken) -> int:
    return error.status if isinstance(error, GatewayError) else 409
