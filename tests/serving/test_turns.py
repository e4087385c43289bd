"""Under full load a turn of the event loop stays short, and whoever comes anew is let in."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from starlette.types import Receive, Scope, Send

from gateway import serving
from gateway.serving import Limits
from gateway.serving.turns import BEGUN_A_TURN, Turns
from tests.serving.payloads import HOST, get
from tests.serving.test_connection import say
from tests.world import PROMPT_S

NEWCOMERS = 150
TURNS_MAX = 12


def test_so_many_begin_in_a_turn_and_the_others_after_them_in_their_order() -> None:
    async def story() -> None:
        turns, begun, turn = Turns(begun_a_turn=3), list[tuple[int, int]](), 0

        def start(number: int) -> Callable[[], None]:
            return lambda: begun.append((turn, number))

        for number in range(8):
            turns.begin(start(number))
        for turn in range(1, 4):
            await asyncio.sleep(0)
            if turn == 2:
                turns.begin(start(8))  # who comes later waits behind those who wait
        assert begun == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (1, 5), (2, 6), (2, 7), (2, 8)]
        await asyncio.sleep(0)
        turns.begin(start(9))
        assert begun[-1] == (3, 9)

    asyncio.run(story())


def test_whoever_has_to_wait_for_its_turn_is_answered_and_what_is_vital_waits_for_none() -> None:
    class Noting:
        vital = frozenset({"/vital"})

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(scope["path"])
            await say(send, scope["raw_path"])

    async def story() -> None:
        with serving.bind("127.0.0.1", 0) as listener, sent(listener, *[b"/slow"] * 60, b"/vital") as newcomers:
            async with serving.running(Noting(), listener, Limits()):
                for one in newcomers:
                    async with asyncio.timeout(PROMPT_S):
                        assert (await asyncio.get_running_loop().sock_recv(one, 1 << 16)).startswith(b"HTTP/1.1 200 ")

    begun: list[str] = []
    serving.run(story())
    assert begun.count("/slow") == 60
    assert begun.index("/vital") < 2 * BEGUN_A_TURN


def test_all_who_come_beside_one_another_are_let_in_where_a_turn_takes_long() -> None:
    """On the event loop that a gateway has, which by itself takes one connection in a turn."""

    class Counting:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise NotImplementedError

        def at_once(self, scope: Scope) -> tuple[int, bytes, bytes]:
            answered_in.append(turns)
            if len(answered_in) == NEWCOMERS:
                are_all_in.set()
            return 200, b"", b"now"

    async def story() -> None:
        loop = asyncio.get_running_loop()

        def be_slow() -> None:
            nonlocal turns
            turns += 1
            time.sleep(0.01)
            loop.call_soon(be_slow)

        with serving.bind("127.0.0.1", 0) as listener, sent(listener, *[b"/now"] * NEWCOMERS):
            async with serving.running(Counting(), listener, Limits()), asyncio.timeout(PROMPT_S):
                loop.call_soon(be_slow)
                await are_all_in.wait()

    turns, answered_in, are_all_in = 0, list[int](), asyncio.Event()
    serving.run(story())
    assert answered_in[-1] - answered_in[0] <= TURNS_MAX


@contextmanager
def sent(listener: socket.socket, *paths: bytes) -> Iterator[list[socket.socket]]:
    """Connections that wait to be taken, each with a request."""
    with ExitStack() as open_ones:
        found = []
        for path in paths:
            one = open_ones.enter_context(socket.create_connection(listener.getsockname()))
            one.sendall(get(HOST, line=b"GET " + path + b" HTTP/1.1\r\n"))
            one.setblocking(False)
            found.append(one)
        yield found
