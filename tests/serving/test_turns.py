"""Under full load a turn of the event loop stays short, and whoever comes anew is let in."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from starlette.types import Receive, Scope, Send

from gateway import serving
from gateway.headers import BEGAN
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

        def start(number: int) -> Callable[[], bool]:
            def begin() -> bool:
                begun.append((turn, number))
                return True

            return begin

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


def test_who_left_while_it_waited_takes_nobodys_turn_and_begins_nothing() -> None:
    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["path"])
        has_begun.set()
        await say(send, scope["raw_path"])

    async def story() -> None:
        with serving.bind("127.0.0.1", 0) as listener, sent(listener, *[b"/left"] * 200) as leavers:
            for one in leavers:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed with a reset
            async with serving.running(answers, listener, Limits()):
                loop = asyncio.get_running_loop()
                await has_begun.wait()
                for one in leavers:
                    one.close()
                with sent(listener, b"/here") as (here,):
                    async with asyncio.timeout(PROMPT_S):
                        assert (await loop.sock_recv(here, 1 << 16)).startswith(b"HTTP/1.1 200 ")

    begun, has_begun = list[str](), asyncio.Event()
    serving.run(story())
    assert begun[-1] == "/here"
    assert len(begun) < 150


def test_turns_are_kept_for_those_who_begin() -> None:
    async def story() -> None:
        turns, begun = Turns(begun_a_turn=2), list[int]()
        for _ in range(2):
            turns.begin(lambda: True)
        for _ in range(500):
            turns.begin(lambda: False)
        turns.begin(lambda: begun.append(1) or True)
        await asyncio.sleep(0)
        assert begun == [1]

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


def test_the_time_of_waiting_for_a_turn_is_time_of_the_request() -> None:
    """The scope says since when the request is here, and the wait is behind it by then."""

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        ages.append(time.perf_counter() - scope[BEGAN])
        work()
        await say(send, scope["raw_path"])

    async def story() -> None:
        with serving.bind("127.0.0.1", 0) as listener, sent(listener, *[b"/"] * 60) as newcomers:
            async with serving.running(answers, listener, Limits()), asyncio.timeout(PROMPT_S):
                for one in newcomers:
                    await asyncio.get_running_loop().sock_recv(one, 1 << 16)

    def work() -> None:
        time.sleep(0.002)

    ages: list[float] = []
    serving.run(story())
    assert len(ages) == 60
    assert max(ages) > BEGUN_A_TURN * 0.002, "who waits for a second turn waits at least for the first"
