"""Tasks: which there are, the whole story of one with its film, and the decisions that only a person can make.

Whoever runs the gateway sees all of them; a virtual key sees what `Caller.may_see` lets it see, and for everything else
there is no such task.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from gateway import ids
from gateway.errors import InvalidRequest, UnknownTask
from gateway.flows import decisions, overview, poll
from gateway.flows.outlook import outlook
from gateway.parts import Parts
from gateway.store import ReceiptTaken
from gateway.video import Money, State, Task
from gateway.web.dashboard.pages import NotThere, Page, Role, Visit, everyone, problems_of
from gateway.web.dashboard.timeline import timeline
from gateway.web.exchange import Answer, Stream
from gateway.web.films import streamed

PATH = "/dashboard/tasks"
SPANS = (("1h", "the last hour"), ("24h", "the last day"), ("7d", "the last week"), ("30d", "the last 30 days"))
_FILTERS = ("state", "caller", "team", "model", "upstream", "from", "to")
_OF_OPERATOR = ("caller", "team", "upstream")
_LOOK_AGAIN_MS = 2_000  # how often a page that shows an unfinished task asks anew; it costs one row

Decide = Callable[[int, Visit], Awaitable[Task]]


def pages(parts: Parts) -> Sequence[Page]:
    """The list, the story, the film, and a path for each decision."""
    desk = TaskDesk(parts)
    decide: Mapping[str, Decide] = {
        "adopt": lambda number, visit: decisions.adopt_here(number, _said(visit, "upstream_id"), parts),
        "release": lambda number, visit: decisions.release_here(number, _said(visit, "reason"), parts),
        "settle": lambda number, visit: decisions.settle_here(number, _said(visit, "reason"), parts),
    }
    return (
        Page(path=PATH, entry="Tasks", read=everyone(desk.list)),
        Page(path=f"{PATH}/{{id}}", read=everyone(desk.story)),
        Page(path=f"{PATH}/{{id}}/film", read=everyone(desk.film)),
        *(
            Page(path=f"{PATH}/{{id}}/{word}", write={Role.OPERATOR: desk.deciding(word, deed)})
            for word, deed in decide.items()
        ),
    )


class TaskDesk:
    """Handlers of the pages of tasks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, visit: Visit) -> Answer:
        """A page of tasks, the newest first. What cannot be read in the filters is said beside them."""
        known = _FILTERS if visit.viewer.caller is None else tuple(n for n in _FILTERS if n not in _OF_OPERATOR)
        said = {name: visit.said[name].strip() for name in (*known, "after") if visit.said.get(name, "").strip()}
        problems: Mapping[str, str] = {}
        page: dict[str, Any] = {"tasks": [], "next": None}
        try:
            page = await overview.page(self._parts, said, visit.viewer.caller)
        except InvalidRequest as error:
            problems = problems_of(error)
        filters = {name: value for name, value in said.items() if name != "after"}
        return visit.page(
            "tasks.html",
            tasks=page["tasks"],
            filters=filters,
            problems=problems,
            choices=self._choices(visit),
            is_first="after" not in said,
            first=_link(filters),
            older=None if page["next"] is None else _link({**filters, "after": page["next"]}),
        )

    async def story(self, visit: Visit) -> Answer:
        """Everything that happened to a task, and its film."""
        return await self._story(await self._find(visit), visit)

    async def film(self, visit: Visit) -> Stream:
        """The film, through this origin; with `download` as a file."""
        task = await self._find(visit)
        found = await streamed(task, visit.exchange, self._parts, is_download="download" in visit.said)
        found.headers.append((b"cache-control", b"private, no-cache"))  # not after the session's end
        return found

    def deciding(self, word: str, deed: Decide) -> Callable[[Visit], Awaitable[Answer]]:
        """The handler of one decision: the story anew, or with what is wrong beside the form."""

        async def handle(visit: Visit) -> Answer:
            task = await self._find(visit)
            try:
                await deed(task.id, visit)
            except (decisions.NothingToDecide, ReceiptTaken) as error:
                return await self._story(task, visit, status=409, problems={word: str(error)})
            except InvalidRequest as error:
                return await self._story(task, visit, status=400, problems={word: error.message})
            return visit.go(f"{PATH}/{ids.word(task.id)}")

        return handle

    async def _find(self, visit: Visit) -> Task:
        """The task of the path, as it stands. One that this viewer may not see is not there."""
        exchange = visit.exchange
        number = ids.number_of(exchange.path_param("id"))
        if number is None:
            raise NotThere("there is no such task")
        try:
            exchange.task = task = await poll.read(number, visit.viewer.caller, self._parts, exchange.waiting)
        except UnknownTask:
            raise NotThere("there is no such task") from None
        return task

    async def _story(
        self, task: Task, visit: Visit, *, status: int = 200, problems: Mapping[str, str] | None = None
    ) -> Answer:
        told = await self._parts.books.story(task.id)
        if told is None:
            raise NotThere("there is no such task")
        story = overview.story(told)
        is_operator = visit.viewer.role is Role.OPERATOR
        return visit.page(
            "task.html",
            status=status,
            story=story,
            events=timeline(story, is_operator=is_operator),
            decisions=_open_decisions(told.task) if is_operator else (),
            problems=problems or {},
            said=visit.said,
            **live(task, self._parts),
        )

    def _choices(self, visit: Visit) -> dict[str, Any]:
        """What can be asked for."""
        choices: dict[str, Any] = {
            "state": [*(state.value for state in State), overview.SUSPENSE],
            "model": list(self._parts.catalog.names()),
            "from": SPANS,
        }
        if visit.viewer.role is Role.OPERATOR:
            choices["caller"] = sorted({item.key.id for item in self._parts.admission.issued()})
            choices["team"] = sorted(team.id for team in self._parts.admission.teams())
            choices["upstream"] = sorted(upstream.name for upstream, _ in self._parts.upstreams.sights())
        return choices


def live(task: Task, parts: Parts) -> dict[str, Any]:
    """What the part of a page that follows a task shows: how it stands, how far it is, where its film is."""
    likely = outlook(task, parts)
    word = ids.word(task.id)
    return {
        "task": overview.task(task),
        "progress": 100 if task.state is State.COMPLETED else min(99, likely.progress),
        "is_estimate": likely.is_estimate,
        "expected_s": likely.expected_s,
        "link": f"{PATH}/{word}",
        "film": f"{PATH}/{word}/film" if task.state is State.COMPLETED else None,
        "again_ms": None if task.is_final else _LOOK_AGAIN_MS,
    }


def _open_decisions(task: Task) -> Sequence[str]:
    """What a person may say of this task now."""
    if task.money is Money.SUSPENDED:
        return ("adopt", "release", "settle")
    return ("adopt", "release") if task.state is State.UNCONFIRMED else ()


def _said(visit: Visit, name: str) -> str:
    return str(visit.said.get(name, "")).strip()


def _link(query: Mapping[str, str]) -> str:
    return f"{PATH}?{urlencode(query)}" if query else PATH
