"""The door of one protocol: reads the request, writes it down, finds who answers it, and delivers the answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from starlette.types import Message, Receive, Scope, Send

from gateway.sandbox.calls import Answer, Call, Refusal
from gateway.sandbox.delivery import Line, deliver
from gateway.sandbox.sandbox import Sandbox

# The largest file that the file host takes, 100 MB (FACTS 1.6), in base64, and some room for the words around it.
BODY_BYTES_MAX = 140 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a method and a path. `refuse` puts a refusal into the envelope that this route is documented with."""

    method: str
    path: re.Pattern[str]
    answer: Callable[[Sandbox, Call], Answer]
    refuse: Callable[[Refusal], Answer]

    @classmethod
    def at(
        cls, method: str, path: str, answer: Callable[[Sandbox, Call], Answer], refuse: Callable[[Refusal], Answer]
    ) -> "Route":
        """`path` is a pattern; its named groups become the call's `path_words`."""
        return cls(method, re.compile(path), answer, refuse)


@dataclass(frozen=True, slots=True)
class Protocol:
    """One provider's protocol. `refuse` is for what belongs to no route."""

    name: str
    routes: tuple[Route, ...]
    refuse: Callable[[Refusal], Answer]


class Front:
    """An ASGI application below the prefix of its protocol."""

    def __init__(self, protocol: Protocol, sandbox: Sandbox) -> None:
        self._protocol = protocol
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        if body is None:
            return
        call = read_call(self._protocol.name, scope, body)
        noting = write_down(call, self._sandbox, send)
        await deliver(self._answer(call), Line(scope, receive, noting, self._sandbox.speed))

    def _answer(self, call: Call) -> Answer:
        if len(call.body) > BODY_BYTES_MAX:
            return self._protocol.refuse(Refusal(413, f"the body is larger than {BODY_BYTES_MAX} bytes"))
        other_methods = []
        for route in self._protocol.routes:
            match = route.path.fullmatch(call.path)
            if match is None:
                continue
            if route.method == call.method:
                return _ask(route, self._sandbox, replace(call, path_words=match.groupdict()))
            other_methods.append(route.method)
        if other_methods:
            return self._protocol.refuse(Refusal(405, f"this path takes {' and '.join(other_methods)} only"))
        return self._protocol.refuse(Refusal(404, f"there is nothing at {call.path}"))


def write_down(call: Call, sandbox: Sandbox, send: Send) -> Send:
    """Open the call's entry in the journal; what sends its answer, and notes the status there."""
    entry = sandbox.journal.open(call, sandbox.now())

    async def note(message: Message) -> None:
        if message["type"] == "http.response.start":
            entry["status"] = message["status"]
        await send(message)

    return note


def _ask(route: Route, sandbox: Sandbox, call: Call) -> Answer:
    try:
        return route.answer(sandbox, call)
    except Refusal as refusal:
        return route.refuse(refusal)


async def read_body(receive: Receive) -> bytes | None:
    """The whole body; one byte too many where it is too large; None where the client left while sending."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= BODY_BYTES_MAX:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if size <= BODY_BYTES_MAX else bytes(BODY_BYTES_MAX + 1)


def read_call(protocol: str, scope: Scope, body: bytes) -> Call:
    """The request below this protocol's prefix; an empty one has none."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Call(
        protocol=protocol,
        method=scope["method"],
        path=scope["path"].removeprefix(f"/{protocol}" if protocol else ""),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        base_url=f"{scope['scheme']}://{headers.get('host', 'sandbox')}",
    )
