"""Time, bytes and company: every exchange ends, on a clock that jumps."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address

import pytest

from gateway.egress import Door, EgressRefused, Kind, Reason
from gateway.egress.policies import POLICIES
from gateway.egress.urls import IPAddress
from gateway.structs import replace
from tests.egress.memory import OK, Network, Script, now, run, says, silence
from tests.egress.world import ALSO_PUBLIC, PUBLIC, Names, door, film, names, post, probe, refusal, vet_image

NAME = "https://cdn.example/"
LONG = OK + b"Content-Length: 9999999999\r\n\r\n"


def door_to(script: Callable[[], Script], **how: object) -> tuple[Door, Network]:
    network = Network(script, **how)  # type: ignore[arg-type]
    return door(resolve=names(cdn_example=PUBLIC).resolve, network=network), network


@pytest.mark.parametrize(
    ("place", "ends_at"), [(probe, 5.0), (post, 10.0), (film, 60.0)], ids=["image", "callback", "film"]
)
@pytest.mark.parametrize(
    "script",
    [
        silence,
        partial(says, b"H", every_s=0.7, endless=b"x"),
        partial(says, b"HTTP/1.1 100 Continue\r\n\r\n", every_s=0.7, endless=b"HTTP/1.1 100 Continue\r\n\r\n"),
        partial(says, OK, every_s=0.7, endless=b"x: y\r\n"),
    ],
    ids=["silence", "a drip", "provisional answers", "headers"],
)
def test_an_answer_that_never_begins_ends_at_the_deadline(
    place: Callable[[Door, str], Awaitable[None]], ends_at: float, script: Callable[[], Script]
) -> None:
    async def story() -> None:
        guarded, network = door_to(script)
        assert (await refusal(place(guarded, NAME))).reason is Reason.TIMEOUT
        assert now() == ends_at
        assert all(stream.is_closed for stream in network.streams)

    run(story)


@pytest.mark.parametrize(
    ("place", "every_s", "ends_at"),
    [(probe, 0.3, 5.0), (film, 59.0, 3600.0), (film, 61.0, 61.0)],
    ids=["image", "film", "film that stands still"],
)
def test_a_body_that_drips_ends_at_the_deadline(
    place: Callable[[Door, str], Awaitable[None]], every_s: float, ends_at: float
) -> None:
    async def body() -> Script:
        await asyncio.sleep(1 if every_s > 60 else 0)
        yield LONG + b"x"
        while True:
            await asyncio.sleep(every_s)
            yield b"x"

    async def story() -> None:
        guarded, network = door_to(body)
        assert (await refusal(place(guarded, NAME))).reason is Reason.TIMEOUT
        assert now() == ends_at
        assert network.streams[0].is_closed

    run(story)


def test_all_redirects_share_one_deadline() -> None:
    async def story() -> None:
        answer = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
        guarded, network = door_to(lambda: says(answer, every_s=1.9))
        assert (await refusal(probe(guarded, NAME))).reason is Reason.TIMEOUT
        assert now() == 5.0
        assert [stream.is_closed for stream in network.streams] == [True, True, True]

    run(story)


@pytest.mark.parametrize("place", [probe, post, film, vet_image])
def test_a_name_server_has_three_seconds(place: Callable[[Door, str], Awaitable[None]]) -> None:
    async def never(name: str) -> tuple[IPAddress, ...]:
        await asyncio.Event().wait()
        raise AssertionError

    async def story() -> None:
        error = await refusal(place(door(resolve=never, network=Network(silence)), NAME))
        assert (error.reason, now()) == (Reason.UNRESOLVED, 3.0)

    run(story)


def test_an_address_that_does_not_answer_gives_way_to_the_next() -> None:
    async def story() -> None:
        known = Names({"cdn.example": [["2606:4700::1", PUBLIC, ALSO_PUBLIC]]})
        network = Network(lambda: says(OK + b"Content-Length: 2\r\n\r\nhi"), dead=("2606:4700::1",))
        await probe(door(resolve=known.resolve, network=network), NAME)
        assert network.asked == ["2606:4700::1", PUBLIC]
        assert now() == 2.0

    run(story)


def test_only_so_many_addresses_are_tried() -> None:
    async def story() -> None:
        dead = tuple(f"93.184.215.{number}" for number in range(50))

        async def resolve(name: str) -> tuple[IPAddress, ...]:
            return tuple(ip_address(text) for text in dead)

        network = Network(silence, dead=dead)
        error = await refusal(post(door(resolve=resolve, network=network), NAME))
        assert (error.reason, now(), len(network.asked)) == (Reason.UNREACHABLE, 6.0, 3)

    run(story)


@pytest.mark.parametrize(("place", "kind"), [(probe, Kind.IMAGE), (post, Kind.CALLBACK), (film, Kind.FILM)])
def test_only_so_many_exchanges_run_at_once_and_each_gives_its_place_back(
    place: Callable[[Door, str], Awaitable[None]], kind: Kind
) -> None:
    async def story() -> None:
        most = POLICIES[kind].at_once_max
        guarded, network = door_to(silence)
        for round_number in (1, 2):
            waiting = [asyncio.create_task(place(guarded, NAME)) for _ in range(most + 1)]
            await asyncio.sleep(1)
            assert len(network.streams) == round_number * most
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert all(stream.is_closed for stream in network.streams)

    run(story)


def test_who_finds_no_place_in_time_is_told_the_same_as_everybody() -> None:
    async def story() -> None:
        guarded, _ = door_to(silence)
        most = POLICIES[Kind.IMAGE].at_once_max
        first = [asyncio.create_task(refusal(probe(guarded, NAME))) for _ in range(most)]
        second = [asyncio.create_task(refusal(probe(guarded, NAME))) for _ in range(3)]
        busy = await asyncio.gather(*second)
        assert [error.reason for error in busy] == [Reason.BUSY] * 3
        assert {error.message for error in busy} == {error.message for error in await asyncio.gather(*first)}
        assert now() == 5.0

    run(story)


def test_one_kind_does_not_take_the_places_of_another() -> None:
    async def story() -> None:
        guarded, network = door_to(silence)
        films = [asyncio.create_task(film(guarded, NAME)) for _ in range(POLICIES[Kind.FILM].at_once_max)]
        await asyncio.sleep(1)
        assert (await refusal(probe(guarded, NAME))).reason is Reason.TIMEOUT
        assert len(network.streams) == len(films) + 1
        for task in films:
            task.cancel()
        await asyncio.gather(*films, return_exceptions=True)

    run(story)


def test_an_address_is_vetted_at_create_although_every_place_is_taken() -> None:
    async def story() -> None:
        guarded, _ = door_to(silence)
        posts = [asyncio.create_task(post(guarded, NAME)) for _ in range(POLICIES[Kind.CALLBACK].at_once_max + 5)]
        await asyncio.sleep(1)
        await guarded.vet(NAME, Kind.CALLBACK)
        assert now() == 1.0
        for task in posts:
            task.cancel()
        await asyncio.gather(*posts, return_exceptions=True)

    run(story)


@pytest.mark.parametrize("after_s", [1.0, 5.0], ids=["its caller leaves", "its time is over"])
def test_a_handshake_that_never_ends_leaves_no_connection_behind(after_s: float) -> None:
    async def story() -> None:
        guarded, network = door_to(silence, greets=False)
        attempt = asyncio.create_task(probe(guarded, NAME))
        await asyncio.sleep(after_s - 0.5)
        if after_s < 5:
            attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        assert network.streams[0].is_closed

    run(story)


def test_an_image_ends_where_its_reader_has_seen_enough() -> None:
    async def story() -> None:
        guarded, network = door_to(lambda: says(LONG, endless=b"x" * 1000))
        async with guarded.probe(NAME, bytes_max=2500) as answer:
            assert [len(chunk) async for chunk in answer.chunks] == [1000, 1000, 500]
        async with guarded.probe(NAME, bytes_max=2500) as answer:
            assert await anext(answer.chunks) == b"x" * 1000
        async with guarded.probe(NAME, bytes_max=1 << 40) as answer:
            assert sum([len(chunk) async for chunk in answer.chunks]) == 1 << 20
        assert [stream.is_closed for stream in network.streams] == [True, True, True]
        assert b"\r\nrange: bytes=0-2499\r\n" in network.streams[0].sent
        assert b"\r\nrange: bytes=0-1048575\r\n" in network.streams[2].sent

    run(story)


@pytest.mark.parametrize(("size", "reason"), [(3000, None), (3001, Reason.SIZE)])
def test_a_film_that_is_too_long_breaks_off_instead_of_ending(
    monkeypatch: pytest.MonkeyPatch, size: int, reason: Reason | None
) -> None:
    monkeypatch.setitem(POLICIES, Kind.FILM, replace(POLICIES[Kind.FILM], bytes_max=3000))

    async def story() -> None:
        head = OK + b"Content-Length: %d\r\n\r\n" % size
        guarded, _ = door_to(lambda: says(head, b"x" * 1000, b"x" * 1000, b"x" * 1000, b"x" * (size - 3000)))
        seen, found = 0, None
        try:
            async with guarded.film(NAME) as answer:
                async for chunk in answer.chunks:
                    seen += len(chunk)
        except EgressRefused as error:
            found = error.reason
        assert (seen, found) == (3000, reason)

    run(story)
