"""A gateway that has more to do than it can: how soon it refuses what does not fit, and says how it is."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median, quantiles

from bench.laboratory import Laboratory
from bench.load import Order
from bench.plan import Plan
from bench.processes import Server, ServerFailed
from bench.rows import Row

REFUSED_MS_MAX, VITAL_MS_MAX = 50, 100
VITAL = ("/healthz", "/readyz", "/metrics")
_PLACES, _HELD = 25, 20  # one caller may hold four fifths of the places
_REFUSED, _CARRIED = 64, 512
_ROUNDS_S = 3  # longer than others: a tail needs many
_LOOK_EVERY_S = 0.02
_HELD_WITHIN_S = 5.0


def rows(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """Creates that find no place, creates that all find one, and what is answered whatever happens beside both."""
    seconds = plan.round_s * _ROUNDS_S
    order = lab.create_order()
    with _silent() as upstream, lab.gateway(upstream=upstream, creates=_PLACES) as gateway, _holding(gateway, order):
        with _looking(gateway) as looks:
            done = lab.wrk.fire(gateway, order, connections=_REFUSED, seconds=seconds, are_refused=True)
        if _metric(gateway, 'reelgate_overload_refusals_total{what="creates"}') < done.requests:
            raise ServerFailed(f"{gateway.name} did not refuse all creates for want of a place")
        p50_ms, p99_ms = done.p50_us / 1000, done.p99_us / 1000
        yield Row(
            f"a create without a place, {_REFUSED} connections, p99",
            f"{p99_ms:.1f} ms",
            compared=f"p50 {p50_ms:.1f} ms, {done.per_s:,.0f}/s",
            goal=f"< {REFUSED_MS_MAX} ms",
            met=p99_ms < REFUSED_MS_MAX,
            raw={"round": done, "goal": REFUSED_MS_MAX},
        )
        yield _vital_row("  health and metrics meanwhile, p99", looks)
    with lab.gateway() as gateway:
        lab.wrk.fire(gateway, order, connections=_CARRIED, seconds=plan.warm_up_s)
        with _looking(gateway) as looks:
            done = lab.wrk.fire(gateway, order, connections=_CARRIED, seconds=seconds)
        yield Row(f"creates, {_CARRIED} connections", f"{done.per_s:,.0f}/s", raw={"round": done})
        yield _vital_row("  health and metrics meanwhile, p99", looks)


def _vital_row(name: str, looks: Sequence[float]) -> Row:
    worst_ms, p99_ms = max(looks) * 1000, quantiles(looks, n=100)[-1] * 1000
    return Row(
        name,
        f"{p99_ms:.0f} ms",
        compared=f"p50 {median(looks) * 1000:.0f} ms, worst of {len(looks)}: {worst_ms:.0f} ms",
        goal=f"< {VITAL_MS_MAX} ms",
        met=p99_ms < VITAL_MS_MAX,
        raw={"seconds": list(looks), "goal": VITAL_MS_MAX},
    )


def _metric(gateway: Server, series: str) -> float:
    """What it says now; nothing of what it does not name."""
    lines = gateway.request("GET", "/metrics").decode().splitlines()
    return next((float(line.removeprefix(series)) for line in lines if line.startswith(f"{series} ")), 0.0)


@contextmanager
def _silent() -> Iterator[str]:
    """An upstream that takes connections and answers nothing: the kernel does that by itself."""
    with socket.create_server(("127.0.0.1", 0), backlog=2 * _PLACES) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _holding(gateway: Server, order: Order) -> Iterator[None]:
    """As many creates under way as the caller may have, none of which ends by itself."""
    sockets = [socket.create_connection(("127.0.0.1", gateway.port), timeout=10) for _ in range(_HELD)]
    try:
        for one in sockets:
            one.sendall(order.on_the_wire())
        until = time.monotonic() + _HELD_WITHIN_S
        while _metric(gateway, 'reelgate_under_way{what="creates"}') != _HELD:
            if time.monotonic() > until:
                raise ServerFailed(f"{gateway.name} does not hold {_HELD} creates")
            time.sleep(_LOOK_EVERY_S)
        yield
    finally:
        for one in sockets:
            one.close()


@contextmanager
def _looking(gateway: Server) -> Iterator[list[float]]:
    """Ask for what is vital, each on a connection of its own, until the end of the block; the seconds of each."""
    took: list[float] = []
    ended = threading.Event()
    failed: list[OSError | ServerFailed] = []

    def look() -> None:
        while not ended.is_set():
            for path in VITAL:
                started = time.perf_counter()
                try:
                    gateway.request("GET", path)
                except (OSError, ServerFailed) as error:
                    failed.append(error)
                    return
                took.append(time.perf_counter() - started)
            ended.wait(_LOOK_EVERY_S)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield took
    finally:
        ended.set()
        looking.join(timeout=30)
    if failed:
        raise failed[0]
