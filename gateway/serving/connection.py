"""One connection: takes requests from its bytes one after the other, and sees that nobody holds a place for nothing.

A request is looked at only when the one before it is answered, so what is sent ahead waits as bytes, not as requests,
and the client is read no further once a head's worth of them waits. After an error of framing nothing is read any more:
what follows it could be anything.

Nobody has longer than: `header_s` for a head, from the connection or the head's first byte; `idle_s` between an answer
and the next head, in which the answer must also be taken. While a request is answered the time is the application's:
it alone knows a create, whose body has a limit, from a stream, which has none in all.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, cast

from uvicorn import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from gateway.deadline import Deadline
from gateway.errors import Crowded, GatewayError, TooSlow
from gateway.headers import BEGAN, GATHERS
from gateway.serving import answers, bodies, framing
from gateway.serving.framing import END, Head
from gateway.serving.house import House
from gateway.serving.places import Place
from gateway.serving.request import BODY_HELD_BYTES_MAX, Request
from gateway.serving.sockets import reset, unacknowledged_bytes

# Requests that one client sent ahead and that are answered at once, before others have their turn.
_REQUESTS_A_TURN = 16
# A client that is still sending when it is refused must have time to read why before the connection is reset.
_LINGER_S = 2.0
# A rest of a body that nobody wants is read to its end where it is this small; else the connection is closed.
_REST_BYTES_MAX = 65_536
# How long one that found no place is heard, in case it asks for health or metrics.
_SPARE_S = 0.04
_RETRY_AFTER_S = 1
# A thousand connections that came together are let go one after the other.
_SPREAD = 0.1
_KNOWN_BYTES_MAX = 4_096  # a head that is larger is not kept for comparison
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_AT_ONCE = frozenset({"GET", "HEAD"})
_CR = 0x0D


class Connection(asyncio.Protocol):
    """What uvicorn's server drives in place of its own protocols."""

    def __init__(
        self,
        house: House,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._house = house
        self._limits = house.limits
        self._state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int | None] | None = None
        self._place = Place.NONE
        self._rest = b""  # bytes that are not understood yet
        self._seen = 0  # so many of them were looked at
        self._is_head_begun = False
        self._is_line_skipped = False
        self._known: Head | None = None  # the last head
        self._known_scope: dict[str, Any] | None = None  # in which it asked for an answer that is there at once
        self._request: Request | None = None  # not answered yet
        self._incoming: bodies.Incoming | None = None  # the body on its way, also of a request that is answered
        self._is_over = False  # nothing is a request any more
        self._is_last = house.is_leaving  # the server shuts down
        self.has_spoken = False
        """Whether a request has come, or something that was to be one."""
        self._is_turn_due = False
        self._is_reading_paused = False
        self._drained: asyncio.Event | None = None  # while there is more to write than the client takes
        self._deadline = Deadline(self._loop, self._expire, spread=_SPREAD)

    # --- what the transport tells -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._state.connections.add(cast(Any, self))
        self._client, self._server = get_remote_addr(self._transport), get_local_addr(self._transport)
        self._place = self._house.places.take()
        if self._place in (Place.OWN, Place.SPARE):
            self._deadline.set(self._limits.header_s if self._place is Place.OWN else _SPARE_S)
        else:
            self.refuse(_crowded())

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(cast(Any, self))
        self._leave_place()
        self._is_over = True
        self._rest = b""
        self._known = self._known_scope = None
        self._deadline.cancel()
        if self._request is not None:
            self._request.leave()
            self._request = None
        self.resume_writing()

    def eof_received(self) -> None:
        """A client that stops sending has left: who waits for an answer keeps its side open."""

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._rest = self._rest + data if self._rest else data
        if not self._is_turn_due:
            self._go_on()
        self.regulate()

    def pause_writing(self) -> None:
        self._drained = asyncio.Event()

    def resume_writing(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
            self._go_on_soon()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer here, or is about to ask."""
        is_asking = self._request is not None or self._incoming is not None or bool(self._rest)
        return not self._is_over and (is_asking or not self.has_spoken)

    def take_leave(self) -> None:
        """The next answer, or the one under way, closes the connection."""
        self._is_last = True
        if self._request is not None:
            self._request.keeps_open = False

    def shutdown(self) -> None:
        """The server ends: what is begun is finished, and nothing after it."""
        self.take_leave()
        if self._request is not None:
            return
        if self._is_over or self._incoming is not None or not self._rest:
            self._close()

    # --- what a request asks for --------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def write_all(self, pieces: Iterable[bytes]) -> None:
        self._transport.writelines(pieces)

    async def drained(self) -> None:
        """Wait until the client took most of what was written."""
        if self._drained is not None:
            await self._drained.wait()

    def date(self) -> bytes:
        return self._house.date(self._state)

    def call_soon(self, step: Callable[[], object]) -> None:
        self._loop.call_soon(step)

    def can_go_on(self, request: Request) -> bool:
        """Whether another request can follow, as far as can be told when this one is answered: its body must end."""
        incoming = self._incoming
        if incoming is None:
            return True
        return not request.waits_for_word and isinstance(incoming, bodies.Measured) and incoming.left <= _REST_BYTES_MAX

    def finished(self, request: Request) -> None:
        """All of an answer is written."""
        self._request = None
        if not request.keeps_open or self._is_last or not self.can_go_on(request):
            self._close()
        else:
            self._deadline.set(self._limits.idle_s if self._incoming is None else _LINGER_S)
            self.regulate()
            self._go_on_soon()

    def refuse(self, error: GatewayError, head: Head | None = None, text: bytes = b"") -> None:
        """Answer with an error, and take nothing more from this client."""
        self.has_spoken = True
        line = (head.method, head.path) if head is not None else framing.line_of(text)
        method, path = line or (None, None)
        status, lines, body = self._house.refuse(error, method, path, head.fields.headers if head is not None else [])
        said = answers.head(status, lines, self.date(), answers.length(len(body)), answers.CLOSE)
        self._request = None
        self.write(said if method == "HEAD" else said + body)
        if self._place is Place.OWN:
            self._linger(_LINGER_S)
            return
        if self._place is Place.SPARE:  # it must not stand in the way of the next
            self._place = self._house.places.part(self._place)
        if self._place is Place.PARTING:
            self._linger(_SPARE_S)
        else:  # it may miss the reason: there are more of them than the process can keep open
            self._is_over = True
            self._transport.close()

    def abort(self) -> None:
        """End it at once, whatever was still to be written."""
        self._is_over = True
        self._transport.abort()

    def regulate(self) -> None:
        """Read on, or leave what comes with the client: bytes that wait here are bounded."""
        held = len(self._rest) + (self._request.held_bytes if self._request is not None else 0)
        is_much = held >= max(BODY_HELD_BYTES_MAX, self._limits.header_bytes) and not self._is_over
        if is_much != self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = is_much
            (self._transport.pause_reading if is_much else self._transport.resume_reading)()

    # --- from bytes to requests ---------------------------------------------------------------------------------

    def _go_on_soon(self) -> None:
        if self._rest and not self._is_turn_due:
            self._is_turn_due = True
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._is_turn_due = False
        self._go_on()
        if not self._is_over:
            self.regulate()

    def _go_on(self) -> None:
        """As far as the bytes reach, and until a request has to be waited for."""
        for _ in range(_REQUESTS_A_TURN):
            if not self._rest or self._is_over:
                return
            if self._incoming is not None:
                self._take_body(self._incoming)
            elif self._request is not None or self._drained is not None or not self._take_head():
                return
        self._go_on_soon()

    def _take_body(self, incoming: bodies.Incoming) -> None:
        request = self._request
        try:
            piece, self._rest = incoming.take(self._rest)
        except GatewayError as error:
            self._misframed(error, request)
            return
        if incoming.is_whole:
            self._incoming = None
        if request is not None:
            request.feed(piece, is_whole=incoming.is_whole)
        elif incoming.is_whole:
            self._deadline.set(self._limits.idle_s)

    def _misframed(self, error: GatewayError, request: Request | None) -> None:
        if request is None:  # answered already
            self._close()
            return
        request.leave()
        if request.is_begun:
            self.abort()
        else:
            self.refuse(error, request.head)

    def _take_head(self) -> bool:
        """Begin the next request; whether that could be done."""
        rest, limits = self._rest, self._limits
        if rest[0] == _CR and not self._is_line_skipped and rest[1:2] in (b"", b"\n"):
            return self._skip_empty_line()
        end = rest.find(END, self._seen) + len(END)
        if end < len(END) or end > limits.header_bytes:
            self._wait_for_head()
            return False
        self._is_head_begun = self._is_line_skipped = False
        self._seen = 0
        text = rest[:end]
        self._rest = rest[end:]
        try:
            head = framing.judge(text, limits.header_fields, self._known)
        except GatewayError as error:
            self.refuse(error, text=text)
            return False
        if head is not self._known:
            self._known, self._known_scope = (head if end <= _KNOWN_BYTES_MAX else None), None
        self._begin(head)
        return True

    def _skip_empty_line(self) -> bool:
        """Some clients end a body with one more line than they should; one is read over (RFC 9112, 2.2)."""
        if len(self._rest) > 1:
            self._rest = self._rest[2:]
            self._is_line_skipped = True
            return True
        self._wait_for_head()
        return False

    def _wait_for_head(self) -> None:
        if not self._is_head_begun:
            self._is_head_begun = True
            if self._place is Place.OWN:
                self._deadline.set(self._limits.header_s)
        try:
            framing.judge_begun(self._rest, self._seen, self._limits.header_bytes)
        except GatewayError as error:
            self.refuse(error, text=self._rest)
            return
        self._seen = max(0, len(self._rest) - len(END) + 1)

    def _begin(self, head: Head) -> None:
        house = self._house
        self.has_spoken = True
        keeps_open = head.keeps_open and not self._is_last
        if self._place is Place.SPARE:
            if head.has_body or head.path not in house.vital:
                self.refuse(_crowded(), head)
                return
            keeps_open = False
        self._state.total_requests += 1
        if house.at_once is not None and head.method in _AT_ONCE and not head.has_body:
            if self._known_scope is None:
                self._known_scope = self._scope(head)
            said = house.at_once(self._known_scope)
            if said is not None:
                self._answer(head, *said, keeps_open=keeps_open)
                return
        request = self._request = Request(self, head, keeps_open=keeps_open)
        self._incoming = bodies.incoming(head, self._limits)
        self._deadline.lift()
        if head.path in house.vital:
            self._start(request)
        else:
            house.turns.begin(partial(self._start, request))

    def _start(self, request: Request) -> bool:
        """Have it answered, where somebody still waits for that."""
        if request.is_gone:
            return False
        scope = {**self._scope(request.head), BEGAN: request.began_at, GATHERS: request.gather}
        answering = cast(Coroutine[Any, Any, None], self._house.app(scope, request.receive, request.send))
        task = self._loop.create_task(answering)
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)
        task.add_done_callback(request.ended)
        return True

    def _scope(self, head: Head) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": head.version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "method": head.method,
            "root_path": "",
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "headers": head.fields.headers.copy(),  # the next request may have the same
        }

    def _answer(self, head: Head, status: int, lines: bytes, body: bytes, *, keeps_open: bool) -> None:
        """Write an answer that was there at once."""
        option = answers.option(head.version, keeps_open=keeps_open)
        said = answers.head(status, lines, self.date(), answers.length(len(body)), option)
        self._transport.write(said if head.method == "HEAD" else said + body)
        if keeps_open:
            self._deadline.set(self._limits.idle_s)
        else:
            self._close()

    # --- how it ends --------------------------------------------------------------------------------------------

    def _expire(self) -> None:
        if self._is_over or unacknowledged_bytes(self._transport):
            self._is_over = True
            reset(self._transport)
        elif self._place is Place.SPARE:
            self.refuse(_crowded())
        elif self._rest and self._incoming is None:
            error = TooSlow(f"the head of the request did not arrive within {self._limits.header_s:g} s")
            self.refuse(error, text=self._rest)
        else:
            self._close()

    def _close(self) -> None:
        """After what was written is taken. Where more was sent than read, only the own side is closed at first: a reset
        would overtake the answer."""
        if self._rest or self._incoming is not None:
            self._linger(_LINGER_S)
            return
        self._is_over = True
        self._transport.close()
        self._deadline.set(self._limits.idle_s)

    def _linger(self, seconds: float) -> None:
        self._is_over = True
        self._rest, self._incoming = b"", None
        if not self._transport.is_closing():
            self.regulate()
            self._transport.write_eof()
            self._deadline.set(seconds)

    def _leave_place(self) -> None:
        self._house.places.leave(self._place)
        self._place = Place.NONE


def _crowded() -> Crowded:
    return Crowded("as many connections are open here as there may be", retry_after=_RETRY_AFTER_S)
