"""The client routes of videos: create, read, list, delete, credits, and the models there are."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter

from gateway import ids, jsontext
from gateway.bounds import Place
from gateway.dialects import DIALECTS
from gateway.dialects.speaking import FormDialect, Lister, View
from gateway.errors import GatewayError, InvalidRequest
from gateway.flows import content, poll, queue, wait
from gateway.flows.outlook import Outlook, outlook
from gateway.flows.quote import Quote, quote
from gateway.flows.submit import submit
from gateway.headers import HeaderList
from gateway.money import render_micros
from gateway.parts import Parts
from gateway.structs import Struct, replace
from gateway.video import Caller, State, Task
from gateway.web.body import is_form, read_body
from gateway.web.choice import choose_dialect
from gateway.web.exchange import Answer, Exchange, Handler, Ready, ReadyHandler
from gateway.web.surface import has_left, unless_left
from gateway.web.tasks import Tasks, headers_of
from gateway.web.waiting import WAITING_HEADERS, tagged, unless_known, wanted_wait_s
from gateway.web.wishes import read_wishes

LIST_LIMIT, LIST_LIMIT_MAX = 20, 100
_SAME_LINK_PART = 0.25  # of a link's life, in which one link is as good as the next
# A proxy that finds the headers too long (some take 4 KiB in all) answers 502 for a video that was bought.
WARNINGS_BYTES_MAX = 2_000


class CreateSettings(Struct, frozen=True):
    """What creates go by, beside the flows' own settings."""

    default_dialect: str = "evolink"
    answer_within_s: float = 8.0
    body_bytes_max: int = 32 << 20
    body_within_s: float = 30.0


class Videos:
    """Handlers of the client routes, each for the dialects that a path can be spoken in."""

    def __init__(self, parts: Parts, tasks: Tasks, settings: CreateSettings) -> None:
        self._parts = parts
        self._tasks = tasks
        self._settings = settings

    def create(self, speakers: Sequence[str], *, takes_forms: bool) -> Handler:
        """Order a video. `speakers` are the dialects that claim the path."""
        settings = self._settings

        async def handle(exchange: Exchange) -> Answer:
            caller = self._tasks.admit(exchange)
            bounds = self._parts.bounds
            with bounds.creates.take(caller.key_id) as place, bounds.body_bytes.take(caller.key_id, 0) as weight:
                return await create(exchange, caller, place, weight)

        async def create(exchange: Exchange, caller: Caller, place: Place, weight: Place) -> Answer:
            choose = partial(
                choose_dialect, exchange, speakers, pinned=caller.dialect, default=settings.default_dialect
            )
            exchange.dialect = choose(body={})  # what is wrong with the body itself is said in this one
            asked = read_wishes(exchange)
            body = await read_body(
                exchange,
                bytes_max=settings.body_bytes_max,
                within_s=settings.body_within_s,
                takes_forms=takes_forms,
                weight=weight,
            )
            exchange.dialect = choose(body=body)
            dialect = DIALECTS[exchange.dialect]
            if is_form(exchange) and isinstance(dialect, FormDialect):
                request = dialect.parse_form(body)
            else:
                request = dialect.parse(body)
            if asked.problems:
                request = replace(request, problems=(*asked.problems, *request.problems))
            if request.callback_url is not None:
                request = replace(request, reached_at=exchange.base_url())
            if asked.is_dry_run:
                quoted = await quote(request, caller, self._parts, asked.wishes.price_max)
                return Answer(200, jsontext.write(quoted.body), self._reasons(quoted))
            submission = submit(request, caller, self._parts, asked.wishes)
            submission.journey.listeners.append(partial(has_left, exchange))
            for held in (place, weight):
                held.hand_to(submission.outcome)
            try:
                waited_s = perf_counter() - exchange.started  # also for a body that came slowly, and for image hosts
                task = await submission.answer(max(0.0, settings.answer_within_s - waited_s))
            except GatewayError:
                if submission.opened.done():  # the error is about a task, which can be read
                    opened = submission.opened.result()
                    exchange.task = self._parts.memory.tasks.get(opened.id, opened)
                raise
            finally:
                exchange.waiting.total_s += submission.journey.waited_s()
            exchange.task = task
            headers = [*self._tasks.headers(task)]
            if submission.warnings:
                headers.append((b"x-reelgate-warnings", fit_for_header(submission.warnings)))
            if task.submission is not None:
                headers.append((b"x-should-retry", b"false"))
            if submission.is_replay:
                headers.append((b"idempotent-replayed", b"true"))
                task = as_first_told(task)
            return Answer(200, jsontext.write(dialect.render_created(task)), headers)

        return handle

    def read(self, speaker: str, query_id: str | None) -> Handler:
        """What became of a task."""

        async def handle(exchange: Exchange) -> Answer:
            exchange.dialect = speaker
            caller = self._tasks.admit(exchange)
            task = await self._tasks.find(exchange, caller, query_id)
            wait_s = wanted_wait_s(exchange)
            if wait_s is not None and not task.is_final:
                place = self._parts.bounds.waits.try_to_take(caller.key_id)
                if place is None:  # a preference, which need not be honoured (RFC 7240, 2)
                    wait_s = None
                else:
                    with place:
                        task = await self._awaited(task, wait_s, exchange)
            answer = self.rendered(task, speaker, exchange)
            if wait_s is not None:
                answer = replace(answer, headers=[*answer.headers, (b"preference-applied", b"wait=%d" % wait_s)])
            return unless_known(answer, exchange)

        return handle

    def read_at_once(self, speaker: str, query_id: str | None) -> ReadyHandler:
        """The same from memory: without a turn of the event loop, disk, upstream or lock. None where that is not
        enough, because something may have changed or the reader has wishes."""

        def handle(exchange: Exchange) -> Ready | None:
            if not exchange.headers.keys().isdisjoint(WAITING_HEADERS):
                return None
            exchange.dialect = speaker
            task = self._tasks.known(exchange, self._tasks.admit(exchange), query_id)
            return None if task is None else self._ready(task, speaker, exchange)

        return handle

    def list(self, speaker: str) -> Handler:
        """All tasks of the caller, whichever dialect made them."""
        dialect = _lister(speaker)

        async def handle(exchange: Exchange) -> Answer:
            exchange.dialect = speaker
            caller = self._tasks.admit(exchange)
            query = exchange.query()
            limit = _limit(query.get("limit"))
            order = query.get("order", "desc")
            if order not in ("asc", "desc"):
                raise InvalidRequest.at("order", "this is not an order", "asc", "desc")
            after = await self._after(query.get("after"), caller)
            found = await self._parts.registry.of_caller(caller, limit + 1, after=after, oldest_first=order == "asc")
            newest = [self._parts.memory.tasks.get(task.id, task) for task in found[:limit]]
            shown = [self._shown(task, exchange, outlook(task, self._parts)) for task in newest]
            return Answer(200, jsontext.write(dialect.render_list(shown, has_more=len(found) > limit)))

        return handle

    def delete(self, speaker: str, query_id: str | None) -> Handler:
        """Hide a task from its readers; one that waits is cancelled, one that runs runs on and is paid for."""
        dialect = _lister(speaker)

        async def handle(exchange: Exchange) -> Answer:
            exchange.dialect = speaker
            task = await self._tasks.find(exchange, self._tasks.admit(exchange), query_id)
            await queue.cancel(task, self._parts)
            hidden = self._parts.memory.keep(await self._parts.registry.hide(task.id))
            return Answer(200, jsontext.write(dialect.render_deleted(hidden)), headers_of(hidden))

        return handle

    def credits(self, speaker: str) -> Handler:
        """The caller's own money."""

        async def handle(exchange: Exchange) -> Answer:
            exchange.dialect = speaker
            caller = self._tasks.admit(exchange)
            own, teams = await self._parts.registry.balances(caller, self._parts.clock())
            return Answer(200, jsontext.write(DIALECTS[speaker].render_balance(own, teams)))

        return handle

    async def models(self, exchange: Exchange) -> Answer:
        """The catalog's models that some upstream here serves and this key may use, in OpenAI's list shape."""
        caller = self._tasks.admit(exchange)
        data = [
            {"id": model.name, "object": "model", "created": 0, "owned_by": "minimax"}
            for model in self._parts.upstreams.on_sale(self._parts.catalog.models, caller.models)
        ]
        return Answer(200, jsontext.write({"object": "list", "data": data}))

    def _reasons(self, quoted: Quote) -> HeaderList:
        headers: HeaderList = [(b"x-reelgate-upstream-reason", quoted.why.encode("ascii"))]
        if quoted.budget_left is not None:
            left = f"{render_micros(quoted.budget_left)} {self._parts.settings.currency}"
            headers.append((b"x-reelgate-budget-left", left.encode("ascii")))
        return headers

    async def _after(self, spelling: str | None, caller: Caller) -> int | None:
        if spelling is None:
            return None
        number = ids.number_of(spelling)
        task = None if number is None else await poll.find(number, self._parts)
        if task is None or not caller.owns(task):  # one that was deleted meanwhile has its place all the same
            raise InvalidRequest.at("after", "there is no such task to list after")
        return number

    async def _awaited(self, task: Task, wait_s: int, exchange: Exchange) -> Task:
        """The task as soon as its status is another one. A client that leaves meanwhile is waited for no longer. Raises
        Unauthenticated or UnknownTask where its right to the task ended meanwhile."""
        started = perf_counter()
        try:
            task = await unless_left(wait.for_status(task, wait_s, self._parts), exchange)
        finally:
            exchange.waiting.total_s += perf_counter() - started
        exchange.task = None  # an error tells nothing of it, to whoever may not see it any more
        self._tasks.judge_again(task, exchange)
        exchange.task = task
        return task

    def rendered(self, task: Task, speaker: str, exchange: Exchange) -> Answer:
        """The poll answer."""
        return self._ready(task, speaker, exchange).answer

    def _ready(self, task: Task, speaker: str, exchange: Exchange) -> Ready:
        """The poll answer, from memory while the task has not changed. A gateway link is signed anew for each."""
        if task.is_final and content.has_gateway_link(task, self._parts):
            answer = self._render(task, speaker, exchange, outlook(task, self._parts))
            return Ready.of(tagged(answer, self.state(task, speaker, exchange)))
        key = (task.id, speaker)
        entry = self._parts.memory.rendered.get(key)
        if entry is not None and entry[0] is task and self._parts.clock() < entry[1]:
            kept: Ready = entry[2]
            return kept
        likely = outlook(task, self._parts)
        answer = self._render(task, speaker, exchange, likely)
        ready = Ready.of(tagged(answer, answer.body))
        self._parts.memory.rendered[key] = (task, likely.good_until, ready)
        return ready

    def state(self, task: Task, speaker: str, exchange: Exchange) -> bytes:
        """What makes two answers about a task the same: what they say, but for a gateway's link, of which each has
        its own. A client that is told that nothing has changed keeps a link that is good for most of its life."""
        if not (task.is_final and content.has_gateway_link(task, self._parts)):
            return self.rendered(task, speaker, exchange).body
        period = int(self._parts.clock() // max(1.0, self._parts.settings.link_ttl_s * _SAME_LINK_PART))
        return jsontext.write([DIALECTS[speaker].render_task(task, View()), exchange.base_url(), period])

    def _render(self, task: Task, speaker: str, exchange: Exchange, likely: Outlook) -> Answer:
        body = DIALECTS[speaker].render_task(*self._shown(task, exchange, likely))
        return Answer(200, jsontext.write(body), self._tasks.headers(task))

    def _shown(self, task: Task, exchange: Exchange, likely: Outlook) -> tuple[Task, View]:
        """The task as callers see it: with what is likely of it."""
        view = self._tasks.view(task, exchange)
        if task.is_final:
            return task, view
        shown = replace(task, progress=likely.progress) if likely.is_estimate else task
        return shown, replace(view, expected_s=likely.expected_s, is_estimate=likely.is_estimate)


def as_first_told(task: Task) -> Task:
    """The task as its create was answered: a repeat gets the first answer, whatever has become of it since."""
    if task.submission is not None:
        return task
    return replace(task, state=State.RUNNING, generating=False, progress=0, failure=None, link=None, finished_at=None)


def fit_for_header(warnings: Sequence[str]) -> bytes:
    """As many warnings as `WARNINGS_BYTES_MAX` has room for, and how many more there are, as a JSON array in ASCII."""
    for kept in range(len(warnings), -1, -1):
        more = [] if kept == len(warnings) else [f"and {len(warnings) - kept} more; a dry run tells all"]
        told = jsontext.write_ascii([*warnings[:kept], *more])
        if len(told) <= WARNINGS_BYTES_MAX:
            break
    return told


def _lister(speaker: str) -> Lister:
    dialect = DIALECTS[speaker]
    if not isinstance(dialect, Lister):
        raise TypeError(f"{speaker} claims the endpoints of a list and cannot render one")
    return dialect


def _limit(text: str | None) -> int:
    if text is None:
        return LIST_LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= LIST_LIMIT_MAX:
        raise InvalidRequest.at("limit", f"must be a whole number from 1 to {LIST_LIMIT_MAX}")
    return int(text)
