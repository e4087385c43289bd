"""What happens to the gateway and to its upstream, and when: in parts of the whole run.

The gateway is restarted and killed between the first sixth, with which the end is compared, and the middle, so that
the one of the end has lived for as long as it can.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

import httpx

from tests.soak.callers import Callers
from tests.soak.stage import ADMIN_KEY

STANDSTILL_S = 4.0
QUIET_S, QUIET_MAX_S = 3.0, 40.0


class Mishaps:
    """What happened, with the times in which no answer could be expected."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._stage = callers.stage
        self.log: list[str] = []
        self.outages: list[tuple[float, float]] = []
        """From and until, on the clock that only runs forward."""

    def plan(self) -> Sequence[tuple[float, Callable[[], Awaitable[None]]]]:
        """When what happens, as a part of the run."""
        return (
            (0.18, self.gateway_is_restarted),
            (0.22, self.upstream_is_restarted),
            (0.26, self.gateway_is_killed),
            (0.30, self.upstream_stands_still),
            (0.34, self.gateway_is_restarted),
            (0.38, self.gateway_is_killed),
            (0.42, self.gateway_is_killed),
            (0.52, self.upstream_stands_still),
            (0.60, self.upstream_is_restarted),
            (0.72, self.upstream_stands_still),
        )

    async def happen(self, run_s: float) -> None:
        """All of it in its time."""
        started = time.monotonic()
        for part, mishap in self.plan():
            await asyncio.sleep(max(0.0, started + part * run_s - time.monotonic()))
            began = time.monotonic()
            await mishap()
            words = mishap.__name__.replace("_", " ")
            self.log.append(f"{began - started:7.1f} s: {words} ({time.monotonic() - began:.1f} s)")

    def is_out(self, at: float) -> bool:
        """Whether answers of this moment say nothing of the gateway."""
        return any(since <= at <= until for since, until in self.outages)

    async def gateway_is_restarted(self) -> None:
        await self._while_away(signal.SIGTERM, expected=0)

    async def gateway_is_killed(self) -> None:
        await self._while_away(signal.SIGKILL, expected=-signal.SIGKILL)

    async def upstream_stands_still(self) -> None:
        """It takes connections, and says nothing for a while."""
        began = time.monotonic()
        self._stage.sandbox.tell(signal.SIGSTOP)
        await asyncio.sleep(STANDSTILL_S)
        self._stage.sandbox.tell(signal.SIGCONT)
        self.outages.append((began, time.monotonic() + 2))

    async def upstream_is_restarted(self) -> None:
        """It forgets everything, so first it is noted what it sold; nobody may buy between that and its end."""
        began, callers = time.monotonic(), self._callers
        callers.is_paused = True
        await self._admin("freeze")
        await self._until_quiet()
        await self._stage.note_bought()
        await self._stage.sandbox.end()
        await self._stage.sandbox.start()
        await self._admin("unfreeze")
        callers.is_paused = False
        self.outages.append((began, time.monotonic() + 2))

    async def _while_away(self, number: signal.Signals, *, expected: int) -> None:
        began, gateway = time.monotonic(), self._stage.gateway
        await self._stage.note_bought()
        self._callers.is_away = True
        try:
            status = await gateway.end(number)
            if status != expected:
                self._callers.wrong.append(f"the gateway ended with {status} after {number.name}")
            await self._stage.audit()
            await gateway.start()
        finally:
            self._callers.is_away = False
        self.outages.append((began, time.monotonic() + 2))

    async def _until_quiet(self) -> None:
        """Until the upstream has sold nothing for a while, or that while is long enough for whatever hangs."""
        until, sold = time.monotonic() + QUIET_MAX_S, -1
        while time.monotonic() < until:
            await self._stage.note_bought()
            if len(self._stage.bought) == sold and not await self._creates_under_way():
                return
            sold = len(self._stage.bought)
            await asyncio.sleep(QUIET_S)

    async def _creates_under_way(self) -> bool:
        async with httpx.AsyncClient(base_url=self._stage.gateway.base_url, trust_env=False, timeout=60) as http:
            lines = (await http.get("/metrics")).text.splitlines()
        return 'reelgate_under_way{what="creates"} 0.0' not in lines

    async def _admin(self, word: str) -> None:
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        async with httpx.AsyncClient(base_url=self._stage.gateway.base_url, trust_env=False, timeout=60) as http:
            answer = await http.post(f"/admin/{word}", headers=headers)
        if answer.status_code != 200:
            self._callers.wrong.append(f"{word}: {answer.status_code}")
