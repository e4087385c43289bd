"""What the client routes share: finding the caller's task, where its film is, and the headers that tell of it."""

import math

from gateway import ids
from gateway.dialects.speaking import View
from gateway.errors import InvalidRequest, UnknownTask
from gateway.flows import content, poll
from gateway.flows.outlook import Outlook, outlook
from gateway.headers import HeaderList
from gateway.money import render_micros
from gateway.parts import Parts
from gateway.video import Caller, Task
from gateway.web.auth import Doorkeeper
from gateway.web.exchange import Exchange

# `openai-poll-after-ms` must parse as an integer, and is read once for a whole wait (FACTS 5.3).
_POLL_AFTER_MIN_MS, _POLL_AFTER_MAX_MS = 1_000, 10_000


class Tasks:
    """Tasks as the surface sees them."""

    def __init__(self, parts: Parts, doorkeeper: Doorkeeper, *, public_url: str | None) -> None:
        self._parts = parts
        self._doorkeeper = doorkeeper
        self._public_url = public_url

    def admit(self, exchange: Exchange) -> Caller:
        """The caller of a request. Raises Unauthenticated."""
        return self._doorkeeper.admit(exchange)

    async def find(self, exchange: Exchange, caller: Caller, query_id: str | None) -> Task:
        """The task the request is about, as it stands now. Raises UnknownTask or InvalidRequest."""
        number = _named(exchange, query_id)
        exchange.task = task = await poll.read(number, caller, self._parts, exchange.waiting)
        return task

    def known(self, exchange: Exchange, caller: Caller, query_id: str | None) -> Task | None:
        """The same where memory alone says it; None where something has to be asked. Raises as `find` does."""
        exchange.task = task = poll.known(_named(exchange, query_id), caller, self._parts)
        return task

    def judge_again(self, task: Task, exchange: Exchange) -> None:
        """While somebody waited for news of the task, his key may have been revoked, or the task deleted, which is 404
        from then on (CONTRACT section 4). Raises Unauthenticated or UnknownTask."""
        if not self.admit(exchange).may_see(task):
            raise UnknownTask("there is no such task")

    def view(self, task: Task, exchange: Exchange) -> View:
        """Where the film is, for this caller."""
        return content.view(task, self._public_url or exchange.base_url(), self._parts)

    def headers(self, task: Task) -> HeaderList:
        """What is told of a task beside its state, to whoever may ask again."""
        headers = headers_of(task)
        return headers if task.is_final else headers + _poll_headers(outlook(task, self._parts))


def headers_of(task: Task, *, is_for_caller: bool = True) -> HeaderList:
    """What every answer about a task tells of it, an error too. Whoever comes without a key, by a signed link that is
    made to be handed on, learns which task it is, and not what it cost and where."""
    headers: HeaderList = [(b"x-reelgate-task-id", ids.word(task.id).encode())]
    if not is_for_caller:
        return headers
    headers.append((b"x-reelgate-attempts", b"%d" % task.attempts))
    if task.upstream:  # a task that waits has none yet
        headers.append((b"x-reelgate-upstream", task.upstream.encode()))
    if task.price is not None:
        headers.append((b"x-reelgate-price", f"{render_micros(task.price)} {task.currency}".encode()))
    return headers


def _named(exchange: Exchange, query_id: str | None) -> int:
    """The number of the task that the path, or the query's `query_id`, names in either spelling."""
    spelling = exchange.path_param("id") if query_id is None else exchange.query().get(query_id)
    if not spelling:
        raise InvalidRequest.at(query_id or "id", "is required, as a parameter of the query")
    number = ids.number_of(spelling)
    if number is None:
        raise UnknownTask("there is no such task", param=query_id)
    return number


def _poll_headers(likely: Outlook) -> HeaderList:
    """When asking again is worth it: once, and for a client that asks in a fixed rhythm."""
    after_ms = min(_POLL_AFTER_MAX_MS, max(_POLL_AFTER_MIN_MS, math.ceil(likely.pause_s * 1000)))
    return [(b"openai-poll-after-ms", b"%d" % after_ms), (b"retry-after", b"%d" % max(1, math.ceil(likely.news_in_s)))]
