"""How a process ends, so that nobody who asks is sent away without an answer.

    SIGUSR1   leave: ready no more, every answer closes its connection, all else goes on, creates too; after
              `server.leave_s`, when load balancers have noticed, nothing is accepted any more; then stop
    retire    the same in a fleet, where another worker has this one's place: nothing is accepted from now on
    SIGTERM   stop: no new creates, what runs is finished, out within 30 s (CONTRACT section 5); so do SIGINT, and
              SIGHUP, which a terminal sends when it is closed and which would end a process at once (the parent of a
              fleet takes it for a wish to replace all workers; whoever meant that here is told in the log)
    again     hurry: nobody waits for what runs; what is known is written down

Whoever leaves closes no connection but with an answer that says so: one that is closed while its client is already
speaking answers nothing. What is left when nobody has said anything for a while is closed by the stop.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol

from gateway.serving.server import Server

log = logging.getLogger("reelgate.serving")

LEFT_QUIET_S = 2.0  # whoever uses its connection at all has used it by then, and was told to open another
LEFT_WITHIN_S = 30.0  # after that; for downloads that were under way
HURRY_WITHIN_S = 2.0  # a disk that hangs must not hold whoever was told twice
_LOOK_S = 0.05
_FAILED = 1
_HUNG_UP = (
    "SIGHUP stops this process, as when its terminal is closed; only the parent of several (server.workers: 2 or more) "
    "takes it for a wish to reload"
)


class Told(Protocol):
    """What has to know that the end is near."""

    def leave(self) -> None: ...
    def stop_creates(self) -> None: ...
    def hurry(self) -> None: ...


class Ending:
    """The end of one process, whoever brings it about. `told` is told first."""

    def __init__(self, server: Server, told: Told, leave_s: float) -> None:
        self._server = server
        self._told = told
        self._leave_s = leave_s
        self._leaving: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Hear signals from now on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` asks not to be told
            loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGUSR1, self.leave)

    def leave(self) -> None:
        """Send everybody elsewhere, and stop when that is done."""
        self._leave(self._leave_s)

    def retire(self) -> None:
        """The same where connections already go elsewhere."""
        self._server.stop_accepting()
        self._leave(0.0)

    def stop(self) -> None:
        """Finish what runs; the second time, do not even that."""
        if self._server.should_exit:
            self._hurry()
            return
        self._told.stop_creates()
        self._server.say_goodbye()
        self._server.stop_accepting()
        self._server.should_exit = True

    def _hang_up(self) -> None:
        log.warning(_HUNG_UP)
        self.stop()

    def _leave(self, leave_s: float) -> None:
        if self._leaving is None and not self._server.should_exit:
            self._told.leave()
            self._server.say_goodbye()
            self._leaving = asyncio.create_task(self._left(leave_s))

    async def _left(self, leave_s: float) -> None:
        await asyncio.sleep(leave_s)
        self._server.stop_accepting()
        await asyncio.sleep(max(0.0, LEFT_QUIET_S - leave_s))
        await _until(lambda: not self._server.is_busy, LEFT_WITHIN_S)
        if not self._server.should_exit:
            self.stop()

    def _hurry(self) -> None:
        self._told.hurry()
        self._server.force_exit = True
        watchdog = threading.Timer(HURRY_WITHIN_S, os._exit, (_FAILED,))
        watchdog.daemon = True
        watchdog.start()


async def _until(is_so: Callable[[], bool], within_s: float) -> None:
    until = time.monotonic() + within_s
    while not is_so() and time.monotonic() < until:  # noqa: ASYNC110 - uvicorn tells nobody when an answer is over
        await asyncio.sleep(_LOOK_S)
