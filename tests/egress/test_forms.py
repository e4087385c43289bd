"""The proof: whatever an address looks like, and wherever it is said, nothing inside is connected to.

Every form is tried at every place that takes an address, with a door that has nothing opened and with one that has a
network opened which none of them is in. The recorder hears every connection of the process and allows one: to the
socket that plays the public host.
"""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

import pytest
import uvloop

from gateway.egress import Kind, Reason
from gateway.egress.policies import POLICIES
from tests.egress.forms import FORMS, INSIDE_NAMES, INSIDE_V4, spellings
from tests.egress.recorder import Recorder
from tests.egress.world import PLACES, PUBLIC, Internet, Names, door, film, place_of, post, probe, refusal, vet_callback
from tests.passthrough.upstream import Upstream, Visit

OPENED = {"nothing opened": (), "a network opened": (ip_network("10.99.0.0/16"), ip_network("fd99::/16"))}
# What a header of an answer can carry: the rest never arrives.
REDIRECTS = tuple(form for form in FORMS if form.isprintable() and form.isascii() and form.strip() == form != "")
REDIRECT_CODES = (301, 302, 303, 307, 308)


def the_names() -> Names:
    """Names that lead inside, two public hosts, and nobody else."""
    known = {name: [addresses] for name, addresses in INSIDE_NAMES.items()}
    return Names({**known, "cdn.example": [[PUBLIC]], "front.example": [[PUBLIC]]})


def kind_of(place: str) -> Kind:
    return Kind.CALLBACK if "callback" in place else Kind.FILM if place == "film" else Kind.IMAGE


def test_the_table_is_as_long_as_promised() -> None:
    assert len(FORMS) == len(set(FORMS)) >= 400
    assert len(REDIRECTS) >= 400


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
@pytest.mark.parametrize("place", PLACES)
def test_no_form_of_an_address_leads_inside(run, recorder: Recorder, place: str, opened: Sequence[Any]) -> None:
    async def story() -> None:
        guarded = door(opened=opened, resolve=the_names().resolve)
        with recorder.only() as heard:
            refusals = [await refusal(PLACES[place](guarded, form)) for form in FORMS]
        assert heard.forbidden == []
        assert {error.message for error in refusals} == {POLICIES[kind_of(place)].sentence}
        # None of them was refused because we were busy, or by luck of what is reachable from here.
        assert {error.reason for error in refusals} <= REFUSED_BEFORE_CONNECTING

    run(story)


REFUSED_BEFORE_CONNECTING = {Reason.FORM, Reason.SCHEME, Reason.PORT, Reason.NAME, Reason.ADDRESS}


@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
@pytest.mark.parametrize("place", ["image probe", "film"])
def test_no_redirect_leads_inside(run, recorder: Recorder, place: str, opened: Sequence[Any]) -> None:
    async def story() -> None:
        async with Upstream(redirecting) as front:
            internet = Internet({(PUBLIC, 80): front.url})
            guarded = door(opened=opened, resolve=the_names().resolve, network=internet)
            with recorder.only(place_of(front)) as heard:
                refusals = [
                    await refusal(PLACES[place](guarded, f"http://front.example/{number}"))
                    for number in range(len(REDIRECTS))
                ]
            assert heard.forbidden == []
            # A relative one leads to the front itself, which then has nothing more to say.
            assert {error.reason for error in refusals} <= REFUSED_BEFORE_CONNECTING | {Reason.REDIRECT}
            assert set(internet.asked) == {(PUBLIC, 80)}
            assert len(heard.allowed) >= len(REDIRECTS)

    run(story)


async def redirecting(visit: Visit) -> None:
    """Sends whoever asks for /N to the Nth form, and whoever followed a relative one round in a circle."""
    number = visit.target.removeprefix("/")
    form = REDIRECTS[int(number)] if number.isdigit() and int(number) < len(REDIRECTS) else "/again"
    code = REDIRECT_CODES[len(form) % len(REDIRECT_CODES)]
    await visit.answer(code, b"", [("Location", form)])


def test_a_callback_follows_no_redirect_at_all(run, recorder: Recorder) -> None:
    async def story() -> None:
        async with Upstream(redirecting) as front:
            networks = [ip_network("127.0.0.0/8")]
            guarded = door(opened=networks, resolve=the_names().resolve)
            with recorder.only(place_of(front)) as heard:
                for number in range(0, len(REDIRECTS), 7):
                    status = await guarded.post(f"{front.url}/{number}", b"{}", {})
                    assert status in REDIRECT_CODES
            assert heard.forbidden == []
            assert len(front.visits) == len(heard.allowed) == len(range(0, len(REDIRECTS), 7))

    run(story)


def test_every_spelling_of_loopback_misses_a_listener_that_waits_there(run, recorder: Recorder) -> None:
    """The same without a recorder: a real socket that nobody comes to."""

    async def story() -> None:
        async with Upstream() as here:
            port = place_of(here)[1]
            guarded = door(resolve=the_names().resolve)
            hosts = [*spellings("127.0.0.1"), *spellings("0.0.0.0"), "localhost", "loopback.attacker.example"]
            for host in hosts:
                for scheme in ("http", "https"):
                    for place in PLACES.values():
                        await refusal(place(guarded, f"{scheme}://{host}:{port}/"))
            assert here.visits == []

    run(story)


@pytest.mark.parametrize("place", PLACES)
def test_no_form_leads_inside_under_the_event_loop_that_serves(recorder: Recorder, place: str) -> None:
    """uvloop connects without Python's sockets, so there the loop itself is listened to."""
    connections: list[Any] = []

    class Listening(uvloop.Loop):
        async def create_connection(self, factory: Any, *args: Any, **options: Any) -> Any:
            connections.append(args)
            raise PermissionError("a test forbids every connection")

        async def sock_connect(self, sock: Any, address: Any) -> None:
            connections.append(address)
            raise PermissionError("a test forbids every connection")

    async def story() -> None:
        guarded = door(resolve=the_names().resolve)
        for form in FORMS:
            await refusal(PLACES[place](guarded, form))

    with asyncio.Runner(loop_factory=Listening) as runner, recorder.only() as heard:
        runner.run(story())
    assert connections == heard.forbidden == []


# --- the recorders themselves ---------------------------------------------------------------------------------------


def test_the_recorder_hears_a_door_with_a_hole(run, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the judgement every place connects, and is heard."""
    monkeypatch.setattr("gateway.egress.door.is_public", lambda address: True)

    async def story() -> None:
        guarded = door(resolve=the_names().resolve)
        for place in ("image probe", "film", "callback"):
            with recorder.only() as heard:
                assert (await refusal(PLACES[place](guarded, "https://127.0.0.1/"))).reason is Reason.UNREACHABLE
            assert heard.forbidden == [("127.0.0.1", 443)]

    run(story)


def test_uvloop_is_heard_too(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.egress.door.is_public", lambda address: True)
    connections: list[Any] = []

    class Listening(uvloop.Loop):
        async def create_connection(self, factory: Any, *args: Any, **options: Any) -> Any:
            connections.append(args)
            raise PermissionError("a test forbids every connection")

    async def story() -> None:
        await refusal(probe(door(), "https://127.0.0.1/"))

    with asyncio.Runner(loop_factory=Listening) as runner:
        runner.run(story())
    assert connections == [("127.0.0.1", 443)]


# --- names that change their mind -----------------------------------------------------------------------------------


def rebinding(*then: str) -> Names:
    """A name that is public at first, and then is not."""
    return Names({"rebind.example": [[PUBLIC], *[[address] for address in then]]})


@pytest.mark.parametrize("inside", [*INSIDE_V4, "::1", "::ffff:127.0.0.1", "fd00::1", "64:ff9b::7f00:1"])
def test_a_name_is_looked_up_once_and_what_was_judged_is_connected_to(run, recorder: Recorder, inside: str) -> None:
    async def story() -> None:
        async with Upstream() as host:
            for place in (probe, film):
                known = rebinding(inside)
                internet = Internet({(PUBLIC, 80): host.url})
                guarded = door(resolve=known.resolve, network=internet)
                with recorder.only(place_of(host)) as heard:
                    await place(guarded, "http://rebind.example/image.png")
                    assert known.asked == ["rebind.example"]
                    assert internet.asked == [(PUBLIC, 80)]
                    # The next exchange starts anew, and finds out.
                    assert (await refusal(place(guarded, "http://rebind.example/"))).reason is Reason.ADDRESS
                assert heard.forbidden == []

    run(story)


@pytest.mark.parametrize("inside", INSIDE_V4)
def test_a_callback_that_was_public_at_create_is_judged_again_when_it_is_due(
    run, recorder: Recorder, inside: str
) -> None:
    async def story() -> None:
        guarded = door(resolve=rebinding(inside).resolve)
        with recorder.only() as heard:
            await vet_callback(guarded, "https://rebind.example/hook")
            assert (await refusal(post(guarded, "https://rebind.example/hook"))).reason is Reason.ADDRESS
        assert heard.forbidden == []

    run(story)


def test_a_redirect_to_its_own_name_is_looked_up_anew(run, recorder: Recorder) -> None:
    async def circling(visit: Visit) -> None:
        await visit.answer(302, b"", [("Location", "http://rebind.example/again")])

    async def story() -> None:
        async with Upstream(circling) as host:
            for place in (probe, film):
                known = rebinding("127.0.0.1")
                guarded = door(resolve=known.resolve, network=Internet({(PUBLIC, 80): host.url}))
                with recorder.only(place_of(host)) as heard:
                    assert (await refusal(place(guarded, "http://rebind.example/"))).reason is Reason.ADDRESS
                assert known.asked == ["rebind.example", "rebind.example"]
                assert (heard.allowed, heard.forbidden) == ([place_of(host)], [])

    run(story)
