"""The steady probes, and a sample of the gateway's process every ten seconds.

Each probe of the gateway is paired with the same request to a bare server, at the same moment and from the same client:
what makes both slower is the machine.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from tests.soak.callers import MODEL, SPEECHES, Callers
from tests.soak.mishaps import Mishaps
from tests.soak.stage import ALICE

PROBE_EVERY_S, CREATE_EVERY_S, WATCH_EVERY_S, SAMPLE_EVERY_S = 0.1, 1.0, 1.0, 10.0
WATCHED = ("/healthz", "/readyz", "/metrics")


@dataclass(frozen=True)
class Sample:
    """Ten seconds: how the process stands, and how it answered. Times in milliseconds; None where nothing was asked."""

    at_s: float
    process: int
    """The how manieth gateway it is."""
    age_s: float
    rss_mib: float
    descriptors: int
    threads: int
    database_mib: float
    poll_p50: float | None
    poll_p99: float | None
    bare_p50: float | None
    bare_p99: float | None
    create_p50: float | None
    create_p99: float | None
    watch_p50: float | None
    watch_max: float | None

    def row(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Probes:
    """Answers since the last sample, by what was asked, in milliseconds."""

    callers: Callers
    mishaps: Mishaps
    samples: list[Sample] = field(default_factory=list)
    _times: dict[str, list[float]] = field(default_factory=dict)
    _process: tuple[int, float] = (0, 0.0)
    _hot: str | None = None

    async def measure(self, started: float) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as self._http, asyncio.TaskGroup() as probes:
            probes.create_task(self._repeat(PROBE_EVERY_S, self._poll))
            probes.create_task(self._repeat(CREATE_EVERY_S, self._create))
            probes.create_task(self._repeat(WATCH_EVERY_S, self._watch))
            probes.create_task(self._sample_on(started))

    async def _repeat(self, every_s: float, probe: Any) -> None:
        while True:
            await asyncio.sleep(every_s)
            if not self.callers.is_away and not self.callers.is_paused:
                try:
                    await probe()
                except httpx.TransportError as error:
                    if not self.callers.is_away and not self.mishaps.is_out(time.monotonic()):
                        self.callers.wrong.append(f"probe: {error!r}")

    async def _poll(self) -> None:
        if self._hot is None:
            return
        gateway, bare = self.callers.stage.gateway.base_url, self.callers.stage.yardstick.base_url
        path, headers = f"/v1/tasks/{self._hot}", {"authorization": f"Bearer {ALICE}"}
        await self._timed("poll", gateway + path, headers)
        await self._timed("bare", bare + path, headers)

    async def _create(self) -> None:
        path, _, said = SPEECHES["evolink"]
        self.callers.ordered += 1
        body = {"model": MODEL, "prompt": f"soak {self.callers.ordered} probe", **said}
        began = time.monotonic()
        headers = {"authorization": f"Bearer {ALICE}"}
        answer = await self._http.post(self.callers.stage.gateway.base_url + path, json=body, headers=headers)
        if answer.status_code == 200:
            self._note("create", began)
            word = answer.headers["x-reelgate-task-id"]
            self.callers.told[word] = body["prompt"]
            self._hot = word

    async def _watch(self) -> None:
        for path in WATCHED:
            await self._timed("watch", self.callers.stage.gateway.base_url + path, {})

    async def _timed(self, what: str, url: str, headers: Mapping[str, str]) -> None:
        began = time.monotonic()
        answer = await self._http.get(url, headers=headers)
        self._note(what, began)
        if answer.status_code >= 500 and not self.mishaps.is_out(began) and not self.callers.is_away:
            self.callers.wrong.append(f"probe {what}: {answer.status_code} {answer.text[:200]}")

    def _note(self, what: str, began: float) -> None:
        if not self.callers.is_away and not self.mishaps.is_out(began):
            self._times.setdefault(what, []).append((time.monotonic() - began) * 1_000)

    async def _sample_on(self, started: float) -> None:
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            gateway = self.callers.stage.gateway
            if self.callers.is_away or gateway.process is None or gateway.process.returncode is not None:
                continue
            if self._process[0] != gateway.pid:
                self._process = (gateway.pid, time.monotonic())
            self.samples.append(self._sample(gateway.pid, time.monotonic() - started))

    def _sample(self, pid: int, at_s: float) -> Sample:
        times, self._times = self._times, {}
        polls, bare, creates, watch = (sorted(times.get(what, [])) for what in ("poll", "bare", "create", "watch"))
        folder = self.callers.stage.folder
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return Sample(
            at_s=round(at_s, 1),
            process=self.callers.stage.gateway.starts,
            age_s=round(time.monotonic() - self._process[1], 1),
            rss_mib=int(status["VmRSS"].split()[0]) / 1024,
            descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
            threads=int(status["Threads"]),
            database_mib=sum(file.stat().st_size for file in folder.glob("reelgate.db*")) / (1 << 20),
            poll_p50=_quantile(polls, 0.5),
            poll_p99=_quantile(polls, 0.99),
            bare_p50=_quantile(bare, 0.5),
            bare_p99=_quantile(bare, 0.99),
            create_p50=_quantile(creates, 0.5),
            create_p99=_quantile(creates, 0.99),
            watch_p50=_quantile(watch, 0.5),
            watch_max=watch[-1] if watch else None,
        )


def _quantile(ordered: list[float], part: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3) if ordered else None


def typical(samples: list[Sample], name: str) -> float | None:
    """The median of what these samples say of one thing."""
    said = [value for sample in samples if (value := getattr(sample, name)) is not None]
    return median(said) if said else None
