"""Every other /v1 route: from ASGI to the flow and back, a chunk at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from time import perf_counter

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import Message, Receive

from gateway import jsontext
from gateway.errors import InvalidRequest
from gateway.flows import passthrough
from gateway.flows.passthrough import Body
from gateway.parts import Parts
from gateway.video import Caller
from gateway.web.choice import told_dialect
from gateway.web.exchange import Answer, Exchange, Handler, Stream
from gateway.web.surface import unless_left
from gateway.web.tasks import Tasks

PASSTHROUGH_DIALECT = "openai"  # what errors speak where nothing else is said: these routes are OpenAI's
# No request has a limit in all. A caller may pause for this long between two chunks of its body, and may take nothing
# of the answer for that long; then it is not worth an upstream's connection.
BODY_PAUSE_S = 60.0
STALL_S = 300.0


class Passthrough:
    """Handlers of all that is passed on, and of the list of models, which may ask the same upstream."""

    def __init__(self, parts: Parts, tasks: Tasks) -> None:
        self._parts = parts
        self._tasks = tasks

    def every_other(self, prefix: str) -> Handler:
        """Pass the request on, without the prefix that its path began with."""
        speakers = (prefix[1:],) if prefix else ()

        async def handle(exchange: Exchange) -> Stream:
            exchange.dialect = told_dialect(exchange, speakers) or PASSTHROUGH_DIALECT
            scope = exchange.scope
            target = passthrough.target_of(scope["raw_path"].removeprefix(prefix.encode()), scope["query_string"])
            passthrough.upstream_of(self._parts)
            caller = self._tasks.admit(exchange)
            passthrough.allow(caller)
            return await self._pass_on(exchange, target, caller)

        return handle

    def models(self, own: Handler) -> Handler:
        """The gateway's own models and, with `?upstream=true`, after them what else the passthrough upstream lists."""

        async def handle(exchange: Exchange) -> Answer | Stream:
            answer = await own(exchange)
            if not _wants_upstream(exchange) or exchange.caller is None or not isinstance(answer, Answer):
                return answer
            started = perf_counter()
            with self._parts.bounds.passthrough.take(exchange.caller.key_id):
                theirs = await unless_left(passthrough.list_models(exchange.caller, self._parts), exchange)
            exchange.waiting.total_s += perf_counter() - started
            merged = jsontext.read_object(answer.body)
            known = {model["id"] for model in merged["data"]}
            merged["data"] += [model for model in theirs if model["id"] not in known]
            return Answer(answer.status, jsontext.write(merged), answer.headers)

        return handle

    async def _pass_on(self, exchange: Exchange, target: bytes, caller: Caller) -> Stream:
        async with AsyncExitStack() as stack:
            stack.enter_context(self._parts.bounds.passthrough.take(caller.key_id))
            inbox = Inbox(exchange.receive)
            stack.push_async_callback(inbox.close)
            exchange.receive = inbox.receive
            headers = passthrough.headers_up(exchange.scope["headers"])
            body = _body(exchange, inbox)
            answering = passthrough.pass_on(exchange.method, target, headers, body, self._parts)
            started = perf_counter()
            try:
                passed = await unless_left(stack.enter_async_context(answering), exchange)
            finally:
                exchange.waiting.total_s += perf_counter() - started
            opened = stack.pop_all()
        status, headers = passthrough.handed_down(exchange.method, passed)
        return Stream(status, headers, passed.chunks, opened.aclose, stall_s=STALL_S)


class Inbox:
    """The only one who reads what a client sends, so that its leaving is noticed while its body is still on the way.

    Holds one chunk back for whoever takes the body, and one more that waits its turn: the rest stays with the client.
    """

    def __init__(self, receive: Receive) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
        self._left = asyncio.Event()
        self._is_over = False
        self._reading = asyncio.create_task(self._read(receive))

    async def receive(self) -> Message:
        """What is left for others to receive: that the client went."""
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk of the body. Nothing is lost when this wait is cancelled."""
        if self._is_over:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(BODY_PAUSE_S):
                chunk = await self._chunks.get()
        except TimeoutError:
            raise InvalidRequest.at("body", f"nothing of the body arrived for {BODY_PAUSE_S:g} s") from None
        if chunk is None:
            self._is_over = True
            raise StopAsyncIteration
        return chunk

    async def _read(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            if message.get("body"):
                await self._chunks.put(message["body"])
            if not message.get("more_body", False):
                await self._chunks.put(None)
                break
        else:
            self._left.set()
            return
        while (await receive())["type"] != "http.disconnect":
            pass
        self._left.set()


class _Anything(Convertor[str]):
    """The rest of a path, also where a line break is in it, over which Starlette's own `path` does not reach."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anything", _Anything())


def _body(exchange: Exchange, inbox: Inbox) -> Body | None:
    """What the request says of its body: None where it has none, so that none is sent."""
    length = exchange.header(b"content-length")
    if exchange.header(b"transfer-encoding") is not None:
        return Body(inbox, None)
    if length is None:
        return None
    if not length.isascii() or not length.isdigit():
        raise InvalidRequest.at("content-length", "must be a whole number")
    return Body(inbox, int(length))


def _wants_upstream(exchange: Exchange) -> bool:
    text = exchange.query().get("upstream", "false").lower()
    if text not in ("true", "false"):
        raise InvalidRequest.at("upstream", "must be true or false", "true", "false")
    return text == "true"
