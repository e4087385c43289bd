"""The fixed upstream: EvoLink's create and poll as fast as Python answers, so that it is never what is measured.

Run as `python -m bench.upstream PORT`. Every create gets a fresh id, every poll the same unfinished task; `/counts`
says how many of each there were. `/v1/videos` is answered in OpenAI's shape, `/v1/events/N` with so many server-sent
events of which each is a segment of its own, `/v1/bytes/N` with so many bytes.
"""

import asyncio
import itertools
import json
import re
import secrets
import sys
from collections.abc import Callable, Coroutine
from typing import cast

import uvloop

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_COUNTS = b"GET /counts "
_STREAM = re.compile(rb"GET /v1/(events|bytes)/([0-9]{1,10}) ")
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_PIECE = bytes(1 << 18)
EVENT_EVERY_S = 0.002  # as fast as a language model talks to a few dozen listeners at once
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

_CREATED = (
    '{{"created":1767225600,"id":"task-unified-{id}","model":"MiniMax-Hailuo-2.3","object":"video.generation.task",'
    '"progress":0,"status":"pending","task_info":{{"can_cancel":true,"estimated_time":120,"video_duration":6}},'
    '"type":"video","usage":{{"billing_rule":"per_second","credits_reserved":28,"user_group":"default"}}}}'
)
_OPENAI = (
    '{{"id":"video_{id}","object":"video","model":"sora-2","status":"queued","progress":0,"created_at":1767225600,'
    '"seconds":"6","size":"1280x720"}}'
)
_RUNNING = (
    b'{"created":1767225600,"id":"task-unified","model":"MiniMax-Hailuo-2.3","object":"video.generation.task",'
    b'"progress":42,"status":"processing","task_info":{"can_cancel":true},"type":"video"}'
)


class Counts:
    """What was asked since the start, and the source of ids."""

    def __init__(self) -> None:
        self.creates = 0
        self.others = 0
        self._ids = itertools.count(1)
        self._run = secrets.token_hex(4)

    def answer(self, head: bytes) -> bytes:
        """The body for a request with this head."""
        if head.startswith(b"POST "):
            self.creates += 1
            shape = _OPENAI if head.startswith(b"POST /v1/videos ") else _CREATED
            return shape.format(id=f"{self._run}-{next(self._ids)}").encode()
        if head.startswith(_COUNTS):
            return json.dumps({"creates": self.creates, "others": self.others}).encode()
        self.others += 1
        return _RUNNING


class Connection(asyncio.Protocol):
    """One connection: whole requests in, one answer each out."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._received = b""
        self._transport: asyncio.WriteTransport
        self._streams: set[asyncio.Task[None]] = set()
        self._has_room = asyncio.Event()
        self._has_room.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's are none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (size := _request_size(self._received)) is not None:
            head, self._received = self._received[:size], self._received[size:]
            stream = _STREAM.match(head)
            if stream is not None:
                self._start(self._events if stream[1] == b"events" else self._bytes, int(stream[2]))
            else:
                body = self._counts.answer(head)
                self._transport.write(_HEAD % len(body) + body)

    def pause_writing(self) -> None:
        """The reader is slower."""
        self._has_room.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._has_room.set()

    def _start(self, stream: Callable[[int], Coroutine[None, None, None]], size: int) -> None:
        task = asyncio.get_running_loop().create_task(stream(size))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _events(self, count: int) -> None:
        self._transport.write(_STREAM_HEAD)
        for number in range(count):
            await asyncio.sleep(EVENT_EVERY_S)
            event = b'data: {"choices":[{"delta":{"content":"word %d"}}]}\n\n' % number
            self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))
        self._transport.write(b"0\r\n\r\n")

    async def _bytes(self, size: int) -> None:
        self._transport.write(_HEAD % size)
        for start in range(0, size, len(_PIECE)):
            await self._has_room.wait()
            self._transport.write(_PIECE[: size - start])


def _request_size(received: bytes) -> int | None:
    """How many bytes the first request has; None while it is incomplete."""
    end = received.find(_END)
    if end < 0:
        return None
    size = end + len(_END)
    head = received[:end].lower()
    at = head.find(_LENGTH)
    if at >= 0:
        size += int(head[at + len(_LENGTH) :].partition(b"\r\n")[0])
    return size if len(received) >= size else None


async def _serve(port: int) -> None:
    counts = Counts()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(counts), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        uvloop.run(_serve(int(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit()
