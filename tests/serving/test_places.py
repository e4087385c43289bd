"""How many connections there may be, and who is answered when there are as many."""

import asyncio
import resource
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.serving import connection, server
from gateway.serving.limits import Limits
from gateway.serving.places import SPARE, Place, Places, places
from tests.serving.payloads import CHUNKED, HOST, get, post
from tests.serving.raw import connected
from tests.world import World, world

FULL = 5
CONFIG = f"server: {{limits: {{connections: {FULL}}}}}"
VITAL = (b"/healthz", b"/readyz", b"/metrics", b"/health", b"/health/readiness")


def ask(path: bytes) -> bytes:
    return get(line=b"GET " + path + b" HTTP/1.1\r\n")


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def has_room(it: World) -> None:
    """Wait until those who left are known to have."""
    for _ in range(500):
        if (await it.http.get("/v1/tasks/x")).status_code == 401:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nobody's place was given back")


def test_beyond_the_bound_only_health_and_metrics_are_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            it = await stack.enter_async_context(world(tmp_path, CONFIG, on_socket=True))
            lines = [await stack.enter_async_context(connected(it.base_url)) for _ in range(FULL)]
            for line in lines:
                await line.send(get())
                assert (await line.answer()) is not None
            for sent in (ask(b"/v1/tasks/x"), ask(b"/"), post(CHUNKED), b"POST /healthz HTTP/1.1\r\n" + HOST + b"\r\n"):
                async with connected(it.base_url) as late:
                    await late.send(sent)
                    (answer,) = await late.answers()
                    is_health = sent.startswith(b"POST /healthz")
                    assert (answer.status, answer.headers["connection"]) == (405 if is_health else 503, "close")
                    assert is_health or answer.headers["retry-after"] == "1"
            for path in VITAL:
                async with connected(it.base_url) as probe:
                    await probe.send(ask(path) + ask(path))
                    (answer,) = await probe.answers()
                    assert (answer.status, answer.headers["connection"]) == (200, "close")
            async with connected(it.base_url) as silent:
                (answer,) = await silent.answers()
                assert answer.status == 503
            for line in lines:
                await line.send(get())
                kept = await line.answer()
                assert kept is not None
                assert kept.status == 200

    asyncio.run(story())


def test_a_place_that_is_left_is_there_for_the_next(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG, on_socket=True) as it:
            for _ in range(4 * FULL):
                async with connected(it.base_url) as line:
                    await line.send(ask(b"/v1/tasks/x"))
                    answer = await line.answer()
                    assert answer is not None
                    assert answer.status == 401
            async with AsyncExitStack() as stack:
                for _ in range(FULL):
                    await stack.enter_async_context(connected(it.base_url))
                async with connected(it.base_url) as late:
                    await late.send(ask(b"/v1/tasks/x"))
                    assert [answer.status for answer in await late.answers()] == [503]
            await has_room(it)

    asyncio.run(story())


def test_a_crowd_beyond_all_places_is_refused_and_goes(tmp_path: Path) -> None:
    crowd = FULL + 2 * SPARE

    async def story() -> None:
        async with world(tmp_path, CONFIG, on_socket=True) as it:
            async with AsyncExitStack() as stack:
                lines = [await stack.enter_async_context(connected(it.base_url)) for _ in range(crowd)]
                answers = await asyncio.gather(*(line.answers() for line in lines[FULL:]))
                assert all([answer.status for answer in found] == [503] for found in answers)
            await has_room(it)
            said = (await it.http.get("/metrics")).text
            assert 'reelgate_errors_total{fault="gateway",reason="crowded"}' in said

    asyncio.run(story())


def test_those_who_are_told_to_go_hold_few_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come, and however slowly they read: beyond a few they are closed as soon as they are told."""
    parting, more = 3, 50
    monkeypatch.setattr(server, "places", lambda limits: Places(limits.connections, parting))
    monkeypatch.setattr(connection, "_SPARE_S", 600.0)  # nobody goes by himself
    most = FULL + SPARE + parting

    async def story() -> None:
        async with world(tmp_path, CONFIG, on_socket=True) as it, AsyncExitStack() as stack:
            before = open_descriptors()
            lines = [await stack.enter_async_context(connected(it.base_url)) for _ in range(most + more)]
            answers = await asyncio.gather(*(line.answers() for line in lines[FULL + SPARE :]))
            assert all([answer.status for answer in found] == [503] for found in answers)
            for _ in range(500):
                if open_descriptors() - before - len(lines) == most:
                    break
                await asyncio.sleep(0.02)
            assert open_descriptors() - before - len(lines) == most

    asyncio.run(story())


def test_places_are_counted() -> None:
    few = Places(2, 1)
    taken = [few.take() for _ in range(2 + SPARE + 2)]
    assert taken == [*[Place.OWN] * 2, *[Place.SPARE] * SPARE, Place.PARTING, Place.NONE]
    few.leave(Place.NONE)
    assert few.take() is Place.NONE
    few.leave(Place.OWN)
    few.leave(Place.SPARE)
    few.leave(Place.PARTING)
    assert [few.take() for _ in range(4)] == [Place.OWN, Place.SPARE, Place.PARTING, Place.NONE]


def test_who_is_refused_makes_room_for_the_next_who_may_ask_for_health() -> None:
    few = Places(0, 1)
    assert [few.take() for _ in range(SPARE)] == [Place.SPARE] * SPARE
    assert few.part(Place.SPARE) is Place.PARTING
    assert few.part(few.take()) is Place.NONE, "only so many part at leisure"
    assert few.take() is Place.SPARE


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "size"),
    [
        (1_024, 1_048_576, 13_505, 10_000),
        (1_024, resource.RLIM_INFINITY, 13_505, 10_000),
        (1_024, 4_096, 4_096, 2_944),
        (65_536, 65_536, None, 10_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 10_000),
        (64, 64, 64, 1),
    ],
)
def test_there_are_no_more_places_than_the_process_may_open(
    soft: int, hard: int, raised: int | None, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: told.append((kind, pair)))
    found = places(Limits())
    assert told == ([] if raised is None else [(resource.RLIMIT_NOFILE, (raised, hard))])
    assert [found.take() for _ in range(size + 1)] == [*[Place.OWN] * size, Place.SPARE]
