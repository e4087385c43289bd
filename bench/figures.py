"""The figures, in the order in which they are measured. A figure that fails says so; the others go on."""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from statistics import median

from bench import growth, ledger, overload, rivals, schedules, streams
from bench.laboratory import Laboratory
from bench.load import Order, Round, RoundFailed
from bench.plan import POLLING_S_MAX, QUICK, SETTLE_S, Plan
from bench.processes import Server, ServerFailed
from bench.rows import Pairs, Row, added_row, processor_row, tail_row, throughput_row

_MIB = 1 << 20
_MANY = 64
_CREATE_CONNECTIONS = (16, _MANY)

KEYS, FEW_KEYS, SCRAPE_MS_MAX = 1_000, 10, 20
FORWARDED_POLL_RATIO_MIN, FORWARDED_CREATE_RATIO_MIN = 0.3, 0.04
POLL_US_MAX = 40
FORWARDED_POLL_ADDED_MS_MAX, FORWARDED_CREATE_ADDED_MS_MAX = 0.1, 1.0
_FEW, _SOME = 16, 4
_LITELLM_ROUND_S = 6
_SETTLE_LOOKS_MAX = 40
WATCHED_AFTER_S = 6.0  # `watch.CLAIM_EVERY_S`, and a second
POLL_RATIO_MIN, CREATE_RATIO_MIN = 0.6, 0.5
POLL_ADDED_MS_MAX, CREATE_ADDED_MS_MAX = 0.2, 1.5
RSS_MIB_MAX, GROWTH_MIB_MAX, START_S_MAX = 80, 1, 0.6


def measure(lab: Laboratory, plan: Plan, only: Collection[str], *, on_step: Callable[[str], None]) -> list[Row]:
    """The rows of these steps, in the order of `STEPS`."""
    rows: list[Row] = []
    for name, step in STEPS.items():
        if name not in only:
            continue
        on_step(name)
        try:
            rows.extend(step(lab, plan))
        except (RoundFailed, ServerFailed, OSError) as error:
            rows.append(Row(name, failed=str(error)))
    return rows


def _schedules(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """Looks for each film, and how late its end is known."""
    yield from schedules.rows()


def _transactions(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """Creates with and without their transactions, on both kinds of database."""
    yield from ledger.rows(lab.folder, "quick" if plan is QUICK else "full")


def _starts(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """From the spawn of the command to its first answer, and the memory it has then."""
    seconds, sizes = [], []
    for _ in range(plan.starts):
        started = time.perf_counter()
        with lab.gateway() as gateway:
            seconds.append(time.perf_counter() - started)
            time.sleep(SETTLE_S)
            sizes.append(gateway.rss_bytes() / _MIB)
    start_s, size_mib = median(seconds), median(sizes)
    spread = f"({min(seconds):.2f}…{max(seconds):.2f})"
    raw = {"seconds": seconds, "goal": START_S_MAX}
    yield Row(
        "start to first answer", f"{start_s:.2f} s", "", spread, f"< {START_S_MAX} s", start_s < START_S_MAX, raw=raw
    )
    raw = {"mib": sizes, "goal": RSS_MIB_MAX}
    yield Row(
        "memory after start", f"{size_mib:.1f} MiB", "", "", f"< {RSS_MIB_MAX} MiB", size_mib < RSS_MIB_MAX, raw=raw
    )


def _polls(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """Polls of one running task that is in memory, beside a route that answers the same bytes."""
    with lab.gateway() as gateway:
        order = lab.poll_order(gateway)
        yield _growth(lab, plan, gateway, order)
        body = gateway.request("GET", order.path, headers=order.headers)
        with lab.route(body) as route:
            many = _pairs(lab, plan, gateway, route, order, _MANY)
            yield throughput_row("hot poll, 64 connections", many, ratio_min=POLL_RATIO_MIN)
            yield processor_row("  processor time each", many)
            one = _pairs(lab, plan, gateway, route, order, 1)
            yield added_row("hot poll, 1 connection, p50", one, added_ms_max=POLL_ADDED_MS_MAX)
            yield tail_row("  p99", one)
        # What a client would have of the upstream itself, if that were on this machine and nothing but fast.
        straight = _pairs(lab, plan, gateway, lab.upstream, order, _MANY)
        yield throughput_row("hot poll beside the upstream's own", straight)
        one = _pairs(lab, plan, gateway, lab.upstream, order, 1)
        yield added_row("  1 connection, p50", one)


def _creates(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """Creates, beside a forwarder that does nothing else: with httpx, and with the gateway's own client."""
    order = lab.create_order()
    with lab.gateway() as gateway, lab.forwarder("httpx") as forwarder:
        one = _pairs(lab, plan, gateway, forwarder, order, 1)
        yield added_row("create, 1 connection, p50", one, added_ms_max=CREATE_ADDED_MS_MAX)
        yield tail_row("  p99", one)
        for connections in _CREATE_CONNECTIONS:
            pairs = _pairs(lab, plan, gateway, forwarder, order, connections)
            yield throughput_row(f"create, {connections} connections", pairs, ratio_min=CREATE_RATIO_MIN)
            yield processor_row("  processor time each", pairs)
        with lab.forwarder("paid_call") as own:
            yield throughput_row(
                "create, 64 connections, its own client", _pairs(lab, plan, gateway, own, order, _MANY)
            )
        # How much of a create's time is neither parsing nor checks, keys, books of account or logs.
        with lab.forwarder("durable") as durable:
            one = _pairs(lab, plan, gateway, durable, order, 1)
            yield added_row("create, 1 connection, its own client, two commits", one)


def _beside_nginx(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """Polls and creates, beside nginx that forwards the same requests to the same upstream."""
    with lab.gateway() as gateway, rivals.nginx(lab) as nginx:
        kinds = (
            ("poll", lab.poll_order(gateway), FORWARDED_POLL_RATIO_MIN, POLL_US_MAX, FORWARDED_POLL_ADDED_MS_MAX),
            ("create", lab.create_order(), FORWARDED_CREATE_RATIO_MIN, None, FORWARDED_CREATE_ADDED_MS_MAX),
        )
        for kind, order, ratio_min, us_max, added_ms_max in kinds:
            many = _pairs(lab, plan, gateway, nginx, order, _MANY)
            yield throughput_row(f"{kind} beside nginx, 64 connections", many, ratio_min=ratio_min)
            yield processor_row("  processor time each", many, us_max=us_max)
            for connections in (1, _FEW):
                pairs = _pairs(lab, plan, gateway, nginx, order, connections)
                goal = added_ms_max if connections == 1 else None
                yield added_row(f"  {connections} connection(s), p50", pairs, added_ms_max=goal)
                yield tail_row("    p99", pairs)


def _beside_litellm(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """OpenAI's videos, created through LiteLLM's proxy as it comes."""
    started = time.perf_counter()
    with rivals.litellm(lab) as litellm, lab.gateway() as gateway:
        start_s = time.perf_counter() - started
        time.sleep(SETTLE_S)
        sizes = [server.rss_bytes() / _MIB for server in (gateway, litellm)]
        yield Row("memory beside LiteLLM", f"{sizes[0]:.0f} MiB", f"{sizes[1]:.0f} MiB, started in {start_s:.1f} s")
        orders = {
            gateway.name: rivals.openai_order(lab, "MiniMax-Hailuo-2.3"),
            litellm.name: rivals.openai_order(lab, "sora-2"),
        }
        # In a second it answers nobody.
        slowly = replace(plan, round_s=_LITELLM_ROUND_S, latency_round_s=_LITELLM_ROUND_S, warm_up_s=_LITELLM_ROUND_S)
        some = _pairs(lab, slowly, gateway, litellm, orders, _SOME)
        yield throughput_row(f"create beside LiteLLM, {_SOME} connections", some)
        yield processor_row("  processor time each", some)
        one = _pairs(lab, slowly, gateway, litellm, orders, 1)
        yield added_row("  1 connection, p50", one)


def _streams(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """Events and bytes that are passed on."""
    yield from streams.rows(lab, plan)


def _growth_of_cost(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """With much in storage, many keys, many who wait."""
    yield from growth.rows(lab, plan)


def _touches(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """The upstream's own count, and the kernel's account of the disk, before and after hot polls.

    The log goes to the null device here, because in a file it would be the only thing that is written.
    """
    with lab.gateway(logs=False) as gateway:
        order = lab.poll_order(gateway)
        gateway.request("GET", order.path, headers=order.headers)
        time.sleep(WATCHED_AFTER_S)  # the gateway notes once that it watches the task, and again much later
        calls, account = lab.upstream_calls(), gateway.io()
        polls = lab.wrk.fire(gateway, order, connections=_MANY, seconds=plan.round_s).requests
        more = {name: value - account[name] for name, value in gateway.io().items()}
        called = sum(lab.upstream_calls().values()) - sum(calls.values())
    note = f"in {polls:,} polls"
    yield Row("upstream calls of hot polls", str(called), "", note, "0", called == 0, raw={"polls": polls})
    disk = more["read_bytes"] + more["write_bytes"]
    calls_each = f"{note}; {more['syscw'] / polls:.2f} write calls each"
    yield Row("disk bytes of hot polls", str(disk), "", calls_each, "0", disk == 0, raw={"io": more})


def _scrapes(lab: Laboratory, plan: Plan) -> Iterator[Row]:
    """What Prometheus waits for where there are many virtual keys, each of which has ordered a film, and few."""
    order = Order("GET", "/metrics", {})
    with lab.gateway(keys=KEYS) as many, lab.gateway(keys=FEW_KEYS) as few:
        for gateway, keys in ((many, KEYS), (few, FEW_KEYS)):
            for number in range(1, keys):
                create = lab.create_order(lab.key_of(number))
                gateway.request("POST", create.path, body=(create.body or "").encode(), headers=create.headers)
        pairs = _pairs(lab, plan, many, few, order, 1)
        size = len(many.request("GET", order.path))
    ours, theirs = pairs.middle(lambda item: item.p50_us / 1000)
    worst, _ = pairs.middle(lambda item: item.p99_us / 1000)
    yield Row(
        f"scrape with {KEYS:,} virtual keys, p50",
        f"{ours:.1f} ms",
        f"{theirs:.1f} ms with {FEW_KEYS}",
        f"p99 {worst:.1f} ms, {size / 1000:,.0f} kB",
        f"< {SCRAPE_MS_MAX} ms",
        ours < SCRAPE_MS_MAX,
        raw={"pairs": pairs, "goal": SCRAPE_MS_MAX},
    )


def _growth(lab: Laboratory, plan: Plan, gateway: Server, order: Order) -> Row:
    """Resident memory before and after many polls, once the first ones have filled what is kept.

    All of them on one set of connections: the server keeps some 3 KiB of every connection there ever was, the bare
    Starlette app no less than the gateway, and rounds would count that in.
    """
    warm = lab.wrk.fire(gateway, order, connections=_MANY, seconds=plan.warm_s)
    seconds = min(POLLING_S_MAX, math.ceil(1.1 * plan.polls / warm.per_s))
    before = gateway.rss_bytes()
    polls = lab.wrk.fire(gateway, order, connections=_MANY, seconds=seconds).requests
    grown_mib = (gateway.rss_bytes() - before) / _MIB
    return Row(
        f"memory growth, {polls:,} polls",
        f"{grown_mib:+.2f} MiB",
        compared=f"after {warm.requests:,} to warm up",
        goal="< 1 MiB",
        met=grown_mib < GROWTH_MIB_MAX,
        raw={"polls": polls, "before_mib": before / _MIB, "grown_mib": grown_mib, "goal": GROWTH_MIB_MAX},
    )


def _pairs(
    lab: Laboratory,
    plan: Plan,
    gateway: Server,
    yardstick: Server,
    order: Order | Mapping[str, Order],
    connections: int,
) -> Pairs:
    """Rounds in turn, so that both sides see the same machine; one short round each to warm up. Where they are asked
    differently, there is an order for each name."""
    seconds = plan.latency_round_s if connections == 1 else plan.round_s
    ours, theirs = [], []
    asked = {server: order if isinstance(order, Order) else order[server.name] for server in (gateway, yardstick)}
    for server in (gateway, yardstick):
        _fire(lab, server, asked[server], connections, plan.warm_up_s)
    for _ in range(plan.rounds):
        ours.append(_fire(lab, gateway, asked[gateway], connections, seconds))
        theirs.append(_fire(lab, yardstick, asked[yardstick], connections, seconds))
    return Pairs(ours, theirs)


def _fire(lab: Laboratory, server: Server, order: Order, connections: int, seconds: int) -> Round:
    """A round, after which the upstream must have had one create for every answer, but for those cut off at its end."""
    before = lab.upstream_calls()["creates"]
    done = lab.wrk.fire(server, order, connections=connections, seconds=seconds)
    bought = _settled(lab) - before
    answered = done.requests if order.method == "POST" else 0
    if not answered <= bought <= answered + (connections if answered else 0):
        raise RoundFailed(f"{server.name}: {answered} creates were answered and {bought} were bought")
    return done


def _settled(lab: Laboratory) -> int:
    """The upstream's creates once no more of them come: a slow server works off what nobody waits for any longer."""
    creates = -1
    for _ in range(_SETTLE_LOOKS_MAX):
        time.sleep(SETTLE_S)
        now = lab.upstream_calls()["creates"]
        if now == creates:
            break
        creates = now
    return now


STEPS: Mapping[str, Callable[[Laboratory, Plan], Iterator[Row]]] = {
    "schedules": _schedules,
    "start": _starts,
    "polls": _polls,
    "touches": _touches,
    "creates": _creates,
    "transactions": _transactions,
    "scrapes": _scrapes,
    "nginx": _beside_nginx,
    "litellm": _beside_litellm,
    "streams": _streams,
    "overload": overload.rows,
    "growth": _growth_of_cost,
}
"""Everything that is measured, by the name that `--only` knows."""
