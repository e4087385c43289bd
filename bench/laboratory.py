"""The set-up of a run: a folder on the checkout's own disk, the fixed upstream, and how the servers are started."""

import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench.load import Order, Wrk
from bench.machine import Cores
from bench.processes import Server, free_port, running
from gateway.bounds import Most

# Beside the code and not in the system's folder for such things, which may be memory where an fsync costs nothing.
_BUILD = Path(__file__).parent.parent / "build"
_NOWHERE = Path(os.devnull)

# No look is ever due: `hot` polls are those that are answered from memory.
_CONFIG = """\
storage: {{url: "sqlite:///{database}"}}
upstreams:
  - {{name: fixed, provider: evolink, base_url: "{upstream}", keys: [{{id: main, value: upstream-secret}}]}}
virtual_keys: [{{id: bench, value: {key}}}{more}]
polling: {{min_interval_s: 3600, max_interval_s: 7200}}
passthrough: {{upstream: fixed}}
bounds: {{creates: {creates}}}
"""


@dataclass(frozen=True, slots=True)
class Laboratory:
    """What every figure needs."""

    folder: Path
    cores: Cores
    upstream: Server
    wrk: Wrk
    key: str
    numbers: Iterator[int]

    def gateway(
        self,
        *,
        logs: bool = True,
        keys: int = 1,
        database: Path | None = None,
        upstream: str | None = None,
        creates: int = Most.creates,
    ) -> AbstractContextManager[Server]:
        """A gateway with a new database, or this one, and so many virtual keys, of which all but the first have a
        budget; with `logs` its log is a file, else the null device. It goes to the fixed upstream, or to this one, and
        has places for so many `creates`."""
        number, port = next(self.numbers), free_port()
        config = self.folder / f"config-{number}.yaml"
        database = database or self.folder / f"bench-{number}.db"
        budget = "{amount: 50, period: 30d}"
        more = "".join(f", {{id: bench-{n}, value: {self.key_of(n)}, budget: {budget}}}" for n in range(1, keys))
        upstream = upstream or self.upstream.base_url
        told = _CONFIG.format(database=database, upstream=upstream, key=self.key, more=more, creates=creates)
        config.write_text(told, "utf-8")
        command = [sys.executable, "-m", "gateway", "serve", "-c", str(config), "--port", str(port)]
        log = self.folder / f"gateway-{number}.log" if logs else _NOWHERE
        return running("gateway", command, port, cores={self.cores.subject}, ready="/healthz", log=log)

    def route(self, body: bytes) -> AbstractContextManager[Server]:
        """The bare Starlette app that answers this body."""
        file = self.folder / "body.json"
        file.write_bytes(body)
        return self._yardstick("bare Starlette", "route", str(file), ready="/v1/tasks/any")

    def forwarder(self, client: str) -> AbstractContextManager[Server]:
        """The bare forwarder to the fixed upstream, by `httpx`, by `paid_call`, the gateway's own client, or `durable`,
        between two commits."""
        targets = [f"{self.upstream.base_url}/v1/videos/generations"]
        if client == "durable":
            targets.append(str(self.folder / f"yardstick-{next(self.numbers)}.db"))
        return self._yardstick(f"bare forwarder, {client}", client, *targets, ready="/")

    def key_of(self, number: int) -> str:
        """The virtual key of this number, of a gateway that has so many."""
        return f"{self.key}-{number}"

    def create_order(self, key: str | None = None) -> Order:
        """The create that is measured: everything a caller usually says, and a camera command."""
        body = {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "A lighthouse at dusk, waves breaking on the rocks below it [Static shot]",
            "quality": "768p",
            "duration": 6,
            "model_params": {"prompt_optimizer": True},
        }
        headers = {**self._headers(key or self.key), "Content-Type": "application/json"}
        return Order("POST", "/v1/videos/generations", headers, json.dumps(body))

    def poll_order(self, gateway: Server) -> Order:
        """The poll that is measured: a task that the gateway has looked at once, so that it runs and is in memory."""
        order = self.create_order()
        body = None if order.body is None else order.body.encode()
        task = json.loads(gateway.request("POST", order.path, body=body, headers=order.headers))
        path = f"/v1/tasks/{task['id']}"
        gateway.request("GET", path, headers=self.headers)
        return Order("GET", path, self.headers)

    def upstream_calls(self) -> dict[str, int]:
        """How many calls the upstream has had: `creates` and `others`."""
        calls: dict[str, int] = json.loads(self.upstream.request("GET", "/counts"))
        return calls

    @property
    def headers(self) -> dict[str, str]:
        """What every request of a caller carries."""
        return self._headers(self.key)

    def _headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def _yardstick(self, name: str, kind: str, *targets: str, ready: str) -> AbstractContextManager[Server]:
        port = free_port()
        command = [sys.executable, "-m", "bench.yardsticks", kind, str(port), *targets]
        log = self.folder / f"{kind}.log"
        return running(name, command, port, cores={self.cores.subject}, ready=ready, log=log)


@contextmanager
def laboratory(cores: Cores, wrk: str) -> Iterator[Laboratory]:
    """Set everything up, move this process out of the subject's way, and leave nothing behind."""
    os.sched_setaffinity(0, cores.others)
    _BUILD.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=_BUILD) as path:
            folder, port = Path(path), free_port()
            command = [sys.executable, "-m", "bench.upstream", str(port)]
            log = folder / "upstream.log"
            with running("upstream", command, port, cores=cores.others, ready="/counts", log=log) as upstream:
                key = f"sk-rg-bench-{secrets.token_hex(8)}"
                yield Laboratory(folder, cores, upstream, Wrk(wrk, folder), key, count(1))
    finally:
        with suppress(OSError):  # somebody else's things are in it
            _BUILD.rmdir()
