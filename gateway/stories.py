"""Coroutines that the gateway owns, not a request: a client that leaves changes nothing about them (FAILURES T17)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from gateway.errors import GatewayError, StorageDown

log = logging.getLogger("reelgate.stories")

Result = TypeVar("Result")

FAILED_REST_S = 5.0  # after a pass that failed; what it failed on is rarely gone sooner


class Stories:
    """Starts coroutines, keeps them alive, and waits for them at shutdown."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._cut: set[asyncio.Task[Any]] = set()
        self._at_stop: list[Callable[[], None]] = []
        self.is_leaving = False
        """Clients are sent elsewhere: whoever waits or follows is told at once to come back, all else goes on."""
        self.is_draining = False
        self._stopped_at = 0.0
        self._hurry = asyncio.Event()

    def start(self, story: Coroutine[Any, Any, Result], *, may_be_cut: bool = False) -> asyncio.Task[Result]:
        """Begin a story. One that `may_be_cut` is lost without harm when the gateway ends: nobody waits for it then."""
        task = asyncio.get_running_loop().create_task(story)
        self._running.add(task)
        if may_be_cut:
            self._cut.add(task)
        task.add_done_callback(self._ended)
        return task

    def at_stop(self, tell: Callable[[], None]) -> None:
        """Whom to tell when the gateway is about to end."""
        self._at_stop.append(tell)

    async def repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run a background step again and again, until cancelled. The step says itself how long it rests."""
        while True:
            try:
                await step()
            except StorageDown as error:
                log.warning("a background pass waits for storage: %s", error.message)
                await asyncio.sleep(FAILED_REST_S)
            except Exception:  # it resolves what bugs leave behind, so no bug may end it
                log.exception("a background pass ended with a bug")
                await asyncio.sleep(FAILED_REST_S)

    def leave(self) -> None:
        """This process will end, and others are there: nobody is kept waiting here, and creates go on."""
        if not self.is_leaving:
            self.is_leaving = True
            for tell in self._at_stop:
                tell()

    def stop_creates(self) -> None:
        """From now on no new create begins; what runs is finished. The time that `drain` has begins here."""
        if not self.is_draining:
            self.is_draining = True
            self._stopped_at = time.monotonic()
            self.leave()

    def hurry(self) -> None:
        """Nobody waits for what runs: it reads as if the process had been killed, and the next start finds it."""
        self.stop_creates()
        self._hurry.set()

    async def drain(self, within_s: float) -> int:
        """Wait for what runs until `within_s` after the stop; returns how many were still running then."""
        self.stop_creates()
        for task in self._cut:
            task.cancel()
        if not self._running:
            return 0
        left_s = self._stopped_at + within_s - time.monotonic()
        hurrying = asyncio.create_task(self._hurry.wait())
        waiting = asyncio.create_task(asyncio.wait(set(self._running), timeout=max(0.0, left_s)))
        await asyncio.wait((hurrying, waiting), return_when=asyncio.FIRST_COMPLETED)
        for task in (hurrying, waiting):
            task.cancel()
        await asyncio.gather(hurrying, waiting, return_exceptions=True)
        return len(self._running)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        may_be_cut = task in self._cut
        self._cut.discard(task)
        if task.cancelled():
            if not may_be_cut:
                log.warning("a story was cancelled")
            return
        error = task.exception()
        if error is not None and not isinstance(error, GatewayError):
            log.error("a story ended with a bug", exc_info=error)


class Question(Generic[Result]):
    """What is asked again and again by people who cannot wait: under way once at most, and all of them join it."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, Result]], stories: Stories) -> None:
        self._ask = ask
        self._stories = stories
        self._under_way: asyncio.Task[Result] | None = None
        self._asked_at = 0.0

    async def answer(self, within_s: float) -> Result | None:
        """The answer, or None where it takes longer. Raises what the question raises. An answer that came before one
        asks is none."""
        if self._under_way is None or self._under_way.done():
            self._under_way = self._stories.start(self._ask(), may_be_cut=True)
            self._asked_at = time.monotonic()
        asked = self._under_way
        await asyncio.wait((asked,), timeout=within_s)
        return asked.result() if asked.done() and not asked.cancelled() else None

    @property
    def waits_s(self) -> float:
        """For how long there has been no answer; 0 where nothing is asked."""
        is_answered = self._under_way is None or self._under_way.done()
        return 0.0 if is_answered else time.monotonic() - self._asked_at
