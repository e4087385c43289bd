"""However many ask and follow, the upstream sees the watcher alone, and when they leave nothing is left of them.

`make test` asks for some seconds; `make soak` for the minute that is promised (REELGATE_SOAK=1).
"""

import asyncio
import gc
import os
import resource
import time
import tracemalloc
from pathlib import Path

import pytest

from tests.watch.test_watcher import looks, number_of, until
from tests.world import ALICE, PROMPT_S, SPEECHES, Clock, World, id_of, world

IS_SOAK = os.environ.get("REELGATE_SOAK") == "1"
CLIENTS, ASK_EVERY_S = 200, 0.1
FOR_S = 60.0 if IS_SOAK else 4.0
FOLLOWERS = 1_000
INTERVAL_S = 0.5
PACE = f"polling: {{min_interval_s: {INTERVAL_S}, max_interval_s: 2}}"
GONE_WITHIN_S = 10.0
DESCRIPTORS_EACH = 2  # of this process: the client's end and the gateway's


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def ask(it: World, word: str, dialect: str, until_s: float) -> list[tuple[float, str]]:
    """Poll in a fixed rhythm; when which status was told."""
    told = []
    while time.monotonic() < until_s:
        answer = await it.read(word, dialect)
        assert answer.status_code == 200
        told.append((time.monotonic(), SPEECHES[dialect].word(answer.json())))
        await asyncio.sleep(ASK_EVERY_S)
    return told


def test_two_hundred_who_poll_cause_no_look_and_read_the_same_truth(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, PACE, speed=1, clock=clock) as it:
            word = id_of(await it.create())
            began = time.monotonic()
            names = list(SPEECHES)
            asking = [
                asyncio.create_task(ask(it, word, names[number % len(names)], began + FOR_S))
                for number in range(CLIENTS)
            ]
            await asyncio.sleep(FOR_S / 2)
            clock.walk(60)  # and so it is finished
            changed_at, looks_before = time.monotonic(), looks(it)
            await until(lambda: looks(it) > looks_before)
            told = await asyncio.gather(*asking)
            elapsed_s = time.monotonic() - began
            assert looks(it) <= elapsed_s / INTERVAL_S + 2
            assert looks(it) <= 2 + elapsed_s  # in truth: a handful, which grows with the logarithm of the time
            finished = await it.parts.registry.get(number_of(word))
            assert finished is not None
            assert finished.finished_at is not None
            known_at = changed_at + (finished.finished_at - time.time()) + (time.monotonic() - changed_at)
            for answers, name in zip(told, names * CLIENTS, strict=False):
                over = SPEECHES[name].words[2]
                late = [said for at, said in answers if at > known_at + 20 * INTERVAL_S]
                assert set(late) <= {over}
                states = [said == over for _, said in answers]
                assert states == sorted(states)  # once finished, it stays so for everybody
                assert answers[-1][1] == over or not late

    asyncio.run(scenario())


class Followers:
    """Readers of a stream, with as little of their own as can be: a socket each."""

    def __init__(self, it: World, word: str) -> None:
        host, _, port = it.base_url.removeprefix("http://").partition(":")
        self._address, self._word = (host, int(port)), word
        self.writers: list[asyncio.StreamWriter] = []
        self.readers: list[asyncio.StreamReader] = []

    async def come(self, count: int) -> None:
        for start in range(0, count, 100):
            await asyncio.gather(*(self._one() for _ in range(start, min(start + 100, count))))

    async def _one(self) -> None:
        async with asyncio.timeout(PROMPT_S):
            reader, writer = await asyncio.open_connection(*self._address)
            head = f"GET /v1/tasks/{self._word}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ALICE}\r\n\r\n"
            writer.write(head.encode())
            assert (await reader.readline()).split()[1] == b"200"
        self.readers.append(reader)
        self.writers.append(writer)

    async def told(self, text: bytes) -> None:
        """Until each of them has been told this."""

        async def read(reader: asyncio.StreamReader) -> None:
            async with asyncio.timeout(PROMPT_S):
                await reader.readuntil(text)

        await asyncio.gather(*(read(reader) for reader in self.readers))

    def leave(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()
        self.readers.clear()


@pytest.fixture
def _room() -> None:
    needed = FOLLOWERS * DESCRIPTORS_EACH + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))


@pytest.mark.usefixtures("_room")
def test_a_thousand_who_follow_cause_no_look_and_leave_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, PACE, speed=1, clock=clock, on_socket=True) as it:
            word = id_of(await it.create())
            warm = Followers(it, word)  # what the first ones leave behind for good is made once
            await warm.come(100)
            await warm.told(b'"status":"pending"')
            warm.leave()
            before = await settled()
            tracemalloc.start()
            fds, began, looked = descriptors(), time.monotonic(), looks(it)
            memory, _ = tracemalloc.get_traced_memory()
            crowd = Followers(it, word)
            await crowd.come(FOLLOWERS)
            await crowd.told(b'"status":"pending"')
            assert descriptors() >= fds + FOLLOWERS * DESCRIPTORS_EACH
            clock.walk(10)
            await crowd.told(b'"status":"processing"')
            assert looks(it) - looked <= (time.monotonic() - began) / INTERVAL_S + 2
            crowd.leave()
            left_at = time.monotonic()
            while descriptors() > fds + 5 or len(asyncio.all_tasks()) > before + 5:
                await asyncio.sleep(0.05)
                assert time.monotonic() - left_at < GONE_WITHIN_S
            del crowd
            gc.collect()
            kept, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert kept - memory < 3_000_000  # three kilobytes each would be a leak; this is what caches may take
            assert dict(it.parts.memory.signals) == {}
            clock.walk(60)
            assert (await it.finish(word))["status"] == "completed"

    asyncio.run(scenario())


async def settled() -> int:
    """How many coroutines there are once no more of them end."""
    count = -1
    async with asyncio.timeout(PROMPT_S):
        while True:
            await asyncio.sleep(0.3)
            now = len(asyncio.all_tasks())
            if now == count:
                return now
            count = now
