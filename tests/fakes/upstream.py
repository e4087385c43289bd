"""An upstream that misbehaves on purpose: raw bytes on loopback sockets, and a memory of all that reached it.

Nothing here knows HTTP beyond what is written out by hand, so that no library mends what a test breaks. Each POST
meets the next behaviour of the script; a POST that nobody expected buys a video, so that it shows in the count.
"""

import asyncio
import gzip
import itertools
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

ID = b"$ID"  # stands in a behaviour's bytes for the id that the fake gives out next
HTML = b"<!doctype html><html><head><title>Sorry</title></head><body><h1>Something went wrong</h1></body></html>"
PRIVATE = "req-internal-7f3e"  # stands in every error envelope, and must never reach a client
_TLS_HELLO = b"\x16"
_HEAD_WITHIN_S = 60.0
_END_WITHIN_S = 30.0
_FULL_AFTER_S = 0.5  # loopback takes a connection at once, or not at all
_arrivals = itertools.count()  # one order for everything that reaches any fake of a test

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived."""

    arrival: int
    connection: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def prompt(self) -> str:
        return str(json.loads(self.body)["prompt"])


class Line:
    """One connection, seen from the upstream's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, closing: asyncio.Event) -> None:
        self.reader = reader
        self._writer = writer
        self._closing = closing
        self.is_over = False

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def pause(self, seconds: float) -> bool:
        """Wait, but not longer than the fake lives; whether it still does."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return not self._closing.is_set()

    async def hang(self) -> None:
        """Say nothing for as long as the fake lives."""
        await self._closing.wait()
        self.is_over = True

    async def reset(self) -> None:
        """RST instead of FIN."""
        await asyncio.sleep(0.02)  # what was sent must be read before the reset overtakes it
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        self.is_over = True

    async def finish(self) -> None:
        """FIN."""
        self.is_over = True
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


Play = Callable[[Line, bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one request meets. `play` gets the connection and the id to give out."""

    play: Play
    buys: bool = False
    """A video comes of it, whatever is answered."""
    reads: bool = True
    """The request is read first; else the connection is played with as soon as it is there."""


class FakeUpstream:
    """Counts what it sold and remembers who asked, on one loopback port."""

    def __init__(self, script: Iterable[Behaviour] = ()) -> None:
        self.script = deque(script)
        self.looks: deque[Behaviour] = deque()
        self.credits: float | None = 1000.0
        self.on_post: Callable[[Received], None] = lambda received: None
        self.sales: list[Received] = []
        """The requests that led to a video."""
        self.connections = 0
        self.requests: list[Received] = []
        self.surprises: list[str] = []
        """What went wrong in the fake itself."""
        self._ids = itertools.count(1)
        self._news = asyncio.Event()
        self._closing = asyncio.Event()
        self._serving: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        self._closing.set()
        if self._serving:
            _, late = await asyncio.wait(self._serving, timeout=_END_WITHIN_S)
            for task in late:
                task.cancel()
        await self._server.wait_closed()
        assert not self.surprises, self.surprises

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def accepted(self) -> int:
        """How many videos were really bought here."""
        return len(self.sales)

    @property
    def posts(self) -> list[Received]:
        return [request for request in self.requests if request.method == "POST"]

    @property
    def gets(self) -> list[Received]:
        return [request for request in self.requests if request.method == "GET"]

    @property
    def keys_used(self) -> list[str]:
        """The credential of every POST, in order."""
        return [post.key for post in self.posts]

    @property
    def has_reused_connection(self) -> bool:
        """Whether two POSTs came on one connection."""
        used = [post.connection for post in self.posts]
        return len(set(used)) < len(used)

    async def wait_for_posts(self, count: int, within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s):
            while len(self.posts) < count:
                self._news.clear()
                await self._news.wait()

    def new_id(self) -> str:
        return f"task-unified-1757169743-{self.port}-{next(self._ids):06}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self.connections += 1
        line = Line(reader, writer, self._closing)
        try:
            await self._converse(line, self.connections)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the gateway went away, as it may
        except Exception as error:
            self.surprises.append(repr(error))
        finally:
            await line.finish()

    async def _converse(self, line: Line, connection: int) -> None:
        if self.script and not self.script[0].reads:
            await self.script.popleft().play(line, b"")
            return
        while not line.is_over:
            received = await self._receive(line, connection)
            if received is None:
                return
            self.requests.append(received)
            self._news.set()
            if received.method == "POST":
                self.on_post(received)
                behaviour = self.script.popleft() if self.script else accept()
            elif received.path == "/v1/credits":
                behaviour = funds(self.credits)
            else:
                behaviour = self.looks.popleft() if self.looks else look("processing", progress=50)
            if behaviour.buys:
                self.sales.append(received)
            await behaviour.play(line, self.new_id().encode())

    async def _receive(self, line: Line, connection: int) -> Received | None:
        first = await line.reader.read(1)
        if not first:
            return None
        if first == _TLS_HELLO:  # a web server's answer to a TLS hello on its plain port
            await line.reader.read(65_536)
            await line.send(response(400, b"plain HTTP is spoken here"))
            return None
        head = first + await asyncio.wait_for(line.reader.readuntil(b"\r\n\r\n"), _HEAD_WITHIN_S)
        start, *fields = head[:-4].decode("latin-1").split("\r\n")
        method, path, _ = start.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (item.partition(":") for item in fields)}
        body = await line.reader.readexactly(int(headers.get("content-length", "0")))
        return Received(next(_arrivals), connection, method, path, headers, body)


# --- places where no connection comes about ---------------------------------------------------------------------


@contextmanager
def closed_port() -> Iterator[str]:
    """An address where connections are refused: the port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def full_backlog() -> Iterator[str]:
    """An address where connections hang: the queue of those who wait to be accepted is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(512):  # how many fit is the kernel's secret
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(_FULL_AFTER_S)
            try:
                waiting.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            raise AssertionError("this kernel's backlog has no end")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


UNKNOWN_HOST = "http://upstream.reelgate.invalid"  # RFC 6761: no such name, ever


def invalid_names_fail(real: Callable[..., Any]) -> Callable[..., Any]:
    """`socket.getaddrinfo` that asks nobody about .invalid, as RFC 6761 tells resolvers to."""

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if isinstance(name, str) and name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **options)

    return getaddrinfo


# --- bytes --------------------------------------------------------------------------------------------------------


def response(status: int, body: bytes = b"", headers: Headers = (), *, is_framed: bool = True) -> bytes:
    """A whole answer. Without framing the end of the connection is the end of the body."""
    lines = [f"HTTP/1.1 {status:03} {_reason(status)}"]
    if is_framed and status != 204:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def accepted_body(**fields: Any) -> bytes:
    """The answer to a create as documented, with what the test says otherwise."""
    body = {
        "created": 1757169743,
        "id": ID.decode(),
        "model": "MiniMax-Hailuo-2.3",
        "object": "video.generation.task",
        "progress": 0,
        "status": "pending",
        "task_info": {"can_cancel": True, "estimated_time": 30, "video_duration": 6},
        "type": "video",
        "usage": {"billing_rule": "per_second", "credits_reserved": 28.0, "user_group": "default"},
    }
    return json.dumps(body | fields).encode()


def error_body(message: str = "something is wrong", code: str = "some_code", **fields: Any) -> bytes:
    """The documented error envelope."""
    return json.dumps({"error": {"code": code, "message": message, "trace": PRIVATE, **fields}}).encode()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Whatever"


# --- behaviours ---------------------------------------------------------------------------------------------------


def answer(status: int, body: bytes = b"", headers: Headers = (), *, buys: bool = False) -> Behaviour:
    """A whole answer, on a connection that stays open for more."""

    async def play(line: Line, new_id: bytes) -> None:
        await line.send(response(status, body.replace(ID, new_id), headers))

    return Behaviour(play, buys)


def accept(**fields: Any) -> Behaviour:
    """Sold: the documented answer."""
    return answer(200, accepted_body(**fields), [("Content-Type", "application/json")], buys=True)


def accept_as(upstream_id: str) -> Behaviour:
    """Sold under an id of the test's choice."""
    return accept(id=upstream_id)


def slowly(seconds: float, then: Behaviour) -> Behaviour:
    """The request is read, and answered only after a while."""

    async def play(line: Line, new_id: bytes) -> None:
        if await line.pause(seconds):
            await then.play(line, new_id)

    return Behaviour(play, then.buys)


def gated(gate: asyncio.Event, then: Behaviour) -> Behaviour:
    """The request is read, and answered when the test says so."""

    async def play(line: Line, new_id: bytes) -> None:
        await asyncio.wait_for(gate.wait(), 60)
        await then.play(line, new_id)

    return Behaviour(play, then.buys)


def bytes_then(data: bytes, end: str, *, buys: bool) -> Behaviour:
    """The request is read, these very bytes are sent, and then `reset`, `finish` or `hang`."""

    async def play(line: Line, new_id: bytes) -> None:
        await line.send(data.replace(ID, new_id))
        await getattr(line, end)()

    return Behaviour(play, buys)


def reset_unread() -> Behaviour:
    """RST after the connection came about, before anything was read."""

    async def play(line: Line, new_id: bytes) -> None:
        await line.reset()

    return Behaviour(play, reads=False)


def finish_unread() -> Behaviour:
    """FIN after the connection came about, before anything was read."""

    async def play(line: Line, new_id: bytes) -> None:
        await line.finish()

    return Behaviour(play, reads=False)


def silent_from_the_start() -> Behaviour:
    """The connection comes about, and then nothing: no TLS handshake either."""

    async def play(line: Line, new_id: bytes) -> None:
        await line.hang()

    return Behaviour(play, reads=False)


def tls_without_certificate() -> Behaviour:
    """A TLS server that ends every handshake with an alert, because it has no certificate to show."""

    async def play(line: Line, new_id: bytes) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(await line.reader.read(65_536))
        with suppress(ssl.SSLError):
            tls.do_handshake()
        await line.send(outgoing.read())
        await line.finish()

    return Behaviour(play, reads=False)


def drip(start: bytes, rest: bytes, every_s: float, *, buys: bool) -> Behaviour:
    """Each byte comes in time, the whole of them never."""

    async def play(line: Line, new_id: bytes) -> None:
        await line.send(start.replace(ID, new_id))
        for index in range(len(rest)):
            if not await line.pause(every_s):
                return
            await line.send(rest[index : index + 1])

    return Behaviour(play, buys)


def chunked(body: bytes, *, buys: bool, size: int = 16, is_ended: bool = True) -> Behaviour:
    """A body in chunks; without its end the connection just closes."""

    async def play(line: Line, new_id: bytes) -> None:
        data = body.replace(ID, new_id)
        await line.send(response(200, b"", [("Transfer-Encoding", "chunked")], is_framed=False))
        for at in range(0, len(data), size):
            chunk = data[at : at + size]
            await line.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if is_ended:
            await line.send(b"0\r\n\r\n")
        else:
            await line.finish()

    return Behaviour(play, buys)


def compressed(status: int, body: bytes, *, buys: bool, keep: float = 1.0, level: int = 0) -> Behaviour:
    """A gzip body although nobody asked for one, of which only the first part (`keep`) is sent."""

    async def play(line: Line, new_id: bytes) -> None:
        data = gzip.compress(body.replace(ID, new_id), level)
        data = data[: int(len(data) * keep)]
        await line.send(response(status, data, [("Content-Encoding", "gzip")]))

    return Behaviour(play, buys)


def look(status: str, *, progress: Any = 0, results: Any = None, **fields: Any) -> Behaviour:
    """The answer to a poll as documented."""
    body = {"object": "video.generation.task", "progress": progress, "status": status, "type": "video", **fields}
    if results is not None:
        body["results"] = results
    return answer(200, json.dumps(body).encode(), [("Content-Type", "application/json")])


def funds(remaining: float | None) -> Behaviour:
    """The answer to a question for credits; None: the credential is refused."""
    if remaining is None:
        return answer(401, error_body("no such token"))
    token = {"remaining_credits": remaining, "unlimited_credits": False, "used_credits": 0}
    user = {"remaining_credits": 0, "unlimited_credits": True, "used_credits": 0}
    return answer(200, json.dumps({"data": {"token": token, "user": user}, "success": True}).encode())


# --- what must hold of all fakes of a test together ---------------------------------------------------------------


def bought(*fakes: FakeUpstream) -> int:
    """How many videos were sold altogether."""
    return sum(len(fake.sales) for fake in fakes)


def assert_nothing_bought_twice(*fakes: FakeUpstream) -> None:
    """For every prompt at most one sale, and no POST after it, at whichever upstream; and no connection used twice."""
    sold: dict[str, int] = {}
    for sale in (sale for fake in fakes for sale in fake.sales):
        assert sale.prompt not in sold, f"{sale.prompt!r} was bought twice"
        sold[sale.prompt] = sale.arrival
    for post in (post for fake in fakes for post in fake.posts):
        assert post.arrival <= sold.get(post.prompt, post.arrival), f"{post.prompt!r} was sent again after it was sold"
    assert not any(fake.has_reused_connection for fake in fakes)
