"""What goes through the door, on real sockets: the first bytes of an image, a callback, a film."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_network
from typing import Any

import httpcore
import pytest

from gateway.egress import EgressRefused, Kind, Reason
from gateway.egress.policies import POLICIES
from tests.egress.recorder import Recorder
from tests.egress.world import (
    ALSO_PUBLIC,
    PLACES,
    PUBLIC,
    Internet,
    Names,
    Posing,
    door,
    film,
    names,
    place_of,
    post,
    probe,
    read,
    refusal,
    vet_callback,
    vet_image,
)
from tests.passthrough.upstream import Headers, Upstream, Visit

LOOPBACK = [ip_network("127.0.0.0/8")]
SECRET = "Bearer sk-up-secret"


def says(status: int = 200, body: bytes = b"", headers: Headers = ()) -> Callable[[Visit], Awaitable[None]]:
    async def play(visit: Visit) -> None:
        await visit.read()
        await visit.answer(status, body, headers)

    return play


def leads(**routes: str) -> Callable[[Visit], Awaitable[None]]:
    """`/a` leads where `a` says; whatever else is asked for is an image."""

    async def play(visit: Visit) -> None:
        location = routes.get(visit.target[1:])
        await (visit.answer(200, b"image") if location is None else visit.answer(302, b"", [("Location", location)]))

    return play


# --- images ---------------------------------------------------------------------------------------------------------


def test_an_image_is_asked_for_by_its_first_bytes_and_nothing_of_us_is_told(run) -> None:
    async def story() -> None:
        part = says(206, b"0123456789", [("Content-Range", "bytes 0-9/12345"), ("ETag", '"v1"'), ("X-A", "b")])
        async with Upstream(part) as host:
            guarded = door(resolve=names(cdn_example=PUBLIC).resolve, network=Internet({(PUBLIC, 80): host.url}))
            async with guarded.probe("http://CDN.example/a%20b.png?x=1&y#f", bytes_max=10) as answer:
                assert (answer.status, answer.content_length, answer.content_range) == (206, 10, (0, 9, 12345))
                assert (answer.etag, answer.last_modified) == (b'"v1"', None)
                assert answer.headers[b"x-a"] == b"b"
                assert await read(answer) == b"0123456789"
            (visit,) = host.visits
            assert (visit.method, visit.target) == ("GET", "/a%20b.png?x=1&y")
            assert dict(visit.headers) == {
                "host": "cdn.example",
                "user-agent": "reelgate",
                "accept": "*/*",
                "accept-encoding": "identity",
                "connection": "close",
                "range": "bytes=0-9",
            }

    run(story)


def test_a_cached_image_is_asked_about_by_its_validator(run) -> None:
    async def story() -> None:
        async with Upstream(says(304, headers=[("Last-Modified", "Fri, 20 Nov 2026 20:00:00 GMT")])) as host:
            guarded = door(opened=LOOPBACK)
            asked = {"If-None-Match": '"v1"', "Range": "bytes=5-", "Host": "other.example", "Accept-Encoding": "gzip"}
            async with guarded.probe(host.url, bytes_max=10, headers=asked) as answer:
                assert answer.status == 304
                assert answer.last_modified == b"Fri, 20 Nov 2026 20:00:00 GMT"
            (visit,) = host.visits
            assert visit.header("if-none-match") == '"v1"'
            # What the door itself decides, nobody else does.
            assert visit.header("range") == "bytes=0-9"
            assert visit.header("host") == host.url.removeprefix("http://")
            assert visit.header("accept-encoding") == "identity"

    run(story)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("bytes 0-9/*", (0, 9, None)),
        ("bytes 5-9/10", (5, 9, 10)),
        ("bytes */10", None),
        ("bytes 0-9", None),
        ("bytes 0-9/-1", None),
        ("bytes 0-9/1" + "0" * 30, None),
        ("octets 0-9/10", None),
        ("", None),
    ],
)
def test_what_a_host_says_of_a_range_is_read_or_ignored(run, told: str, found: Any) -> None:
    async def story() -> None:
        host = Upstream(says(206, b"0123456789", [("Content-Range", told)]))
        async with host, door(opened=LOOPBACK).probe(host.url, bytes_max=10) as answer:
            assert answer.content_range == found

    run(story)


def test_an_image_without_a_length_has_none(run) -> None:
    async def chunked(visit: Visit) -> None:
        await visit.start()
        await visit.chunk(b"one")
        await visit.chunk(b"two")
        await visit.chunk(b"")

    async def story() -> None:
        async with Upstream(chunked) as host, door(opened=LOOPBACK).probe(host.url, bytes_max=100) as answer:
            assert (answer.content_length, answer.content_range, await read(answer)) == (None, None, b"onetwo")

    run(story)


def test_a_host_that_ignores_the_range_is_left_as_soon_as_enough_is_read(run) -> None:
    async def endless(visit: Visit) -> None:
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        try:
            while True:
                await visit.say(b"x" * 65536)
        except ConnectionError:
            visit.left.set()

    async def story() -> None:
        async with Upstream(endless) as host:
            async with door(opened=LOOPBACK).probe(host.url, bytes_max=100_000) as answer:
                first = await anext(answer.chunks)
                assert first + await read(answer) == b"x" * 100_000
            async with door(opened=LOOPBACK).probe(host.url, bytes_max=100_000) as answer:
                await anext(answer.chunks)
            assert await anext(answer.chunks, None) is None  # what is over is over
            async with asyncio.timeout(10):
                await (await host.visit()).left.wait()

    run(story)


# --- redirects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [probe, film])
def test_three_redirects_are_followed_and_a_fourth_is_not(run, place: Callable[..., Awaitable[None]]) -> None:
    async def story() -> None:
        chain = leads(d="/c", c="//also.example/b", b="a?x", a="http://cdn.example/image")
        async with Upstream(chain) as host:
            known = names(cdn_example=PUBLIC, also_example=ALSO_PUBLIC)
            network = Internet({(PUBLIC, 80): host.url, (ALSO_PUBLIC, 80): host.url})
            guarded = door(resolve=known.resolve, network=network)
            await place(guarded, "http://cdn.example/c")
            assert [(visit.header("host"), visit.target) for visit in host.visits] == [
                ("cdn.example", "/c"),
                ("also.example", "/b"),
                ("also.example", "/a?x"),
            ]
            assert known.asked == ["cdn.example", "also.example", "also.example"]
            host.visits.clear()
            await place(guarded, "http://cdn.example/a")
            assert len(host.visits) == 2

    run(story)


@pytest.mark.parametrize(("start", "visits"), [("three", 4), ("four", 4)])
def test_the_fourth_redirect_is_one_too_many(run, start: str, visits: int) -> None:
    async def story() -> None:
        async with Upstream(leads(four="/three", three="/two", two="/one", one="/image")) as host:
            guarded = door(opened=LOOPBACK)
            if start == "three":
                await probe(guarded, f"{host.url}/{start}")
            else:
                assert (await refusal(probe(guarded, f"{host.url}/{start}"))).reason is Reason.REDIRECT
            assert len(host.visits) == visits

    run(story)


def test_a_redirect_to_nowhere_is_an_answer(run) -> None:
    async def story() -> None:
        async with Upstream(says(302)) as host, door(opened=LOOPBACK).probe(host.url, bytes_max=1) as answer:
            assert answer.status == 302

    run(story)


def test_credentials_of_a_film_stay_at_the_place_they_are_for(run) -> None:
    async def story() -> None:
        async with Upstream(leads(a="/b", b="http://cdn.example/c", c="http://up.example/d")) as host:
            known = names(up_example=PUBLIC, cdn_example=ALSO_PUBLIC)
            network = Internet({(PUBLIC, 80): host.url, (ALSO_PUBLIC, 80): host.url})
            headers = {"Authorization": SECRET, "Cookie": "a=b", "Range": "bytes=1-2"}
            guarded = door(resolve=known.resolve, network=network)
            async with guarded.film("http://up.example/a", headers=headers) as answer:
                assert answer.status == 200
            assert [visit.header("authorization") for visit in host.visits] == [SECRET, SECRET, None, None]
            assert [visit.header("cookie") for visit in host.visits] == ["a=b", "a=b", None, None]
            assert {visit.header("range") for visit in host.visits} == {"bytes=1-2"}

    run(story)


# --- films ----------------------------------------------------------------------------------------------------------


def test_a_film_is_streamed_as_it_comes(run) -> None:
    async def slowly(visit: Visit) -> None:
        await visit.start(206, [("Content-Range", "bytes 0-5/6")])
        for piece in (b"one", b"two"):
            await visit.chunk(piece)
            await visit.left.wait()
            visit.left.clear()
        await visit.chunk(b"")

    async def story() -> None:
        host, guarded = Upstream(slowly), door(opened=LOOPBACK)
        async with host, guarded.film(host.url, headers={"range": "bytes=0-5"}) as answer:
            visit = await host.visit()
            assert visit.header("range") == "bytes=0-5"
            for piece in (b"one", b"two"):
                assert await anext(answer.chunks) == piece
                visit.left.set()
            assert await anext(answer.chunks, None) is None

    run(story)


def test_an_upstreams_own_place_need_not_be_public_and_no_other_one_is_opened_by_it(run, recorder: Recorder) -> None:
    async def story() -> None:
        async with Upstream(leads(inside="http://127.0.0.1/", other="http://up.example:1/")) as host:
            port = place_of(host)[1]
            known = names(up_example="127.0.0.1")
            guarded, own = door(resolve=known.resolve), f"http://UP.example:{port}/v1"
            with recorder.only(place_of(host)) as heard:
                async with guarded.film(f"http://up.example:{port}/film", own=own) as answer:
                    assert await read(answer) == b"image"
                for name, reason in (("inside", Reason.ADDRESS), ("other", Reason.PORT)):
                    async with asyncio.timeout(10):
                        with pytest.raises(EgressRefused) as caught:
                            async with guarded.film(f"http://up.example:{port}/{name}", own=own):
                                pass
                    assert caught.value.reason is reason
                # Not without being told so, not from a place that only looks like it, and not for a caller's address.
                for url, belongs in (
                    (f"http://up.example:{port}/film", None),
                    (f"http://up.example:{port}/film", "not an address"),
                    (f"http://up.example:{port}/film", f"https://up.example:{port}"),
                    (f"http://up.example:{port}/film", "http://up.example"),
                    (f"http://up.example.:{port}/film", own),
                    (f"http://up.example:{port}@127.0.0.1/film", own),
                ):
                    with pytest.raises(EgressRefused):
                        async with guarded.film(url, own=belongs):
                            pass
                await refusal(probe(guarded, f"http://up.example:{port}/film"))
            assert heard.forbidden == []
            assert len(heard.allowed) == 3

    run(story)


# --- callbacks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 204, 302, 404, 410, 500])
def test_a_callback_is_posted_and_its_status_told(run, status: int) -> None:
    async def story() -> None:
        async with Upstream(says(status, headers=[("Location", "http://127.0.0.1:1/")])) as host:
            headers = {"Content-Type": "application/json", "webhook-id": "msg_1"}
            assert await door(opened=LOOPBACK).post(f"{host.url}/hook?a=b", b'{"a": 1}', headers) == status
            (visit,) = host.visits
            assert (visit.method, visit.target, visit.body) == ("POST", "/hook?a=b", b'{"a": 1}')
            assert visit.header("content-type") == "application/json"
            assert visit.header("webhook-id") == "msg_1"
            assert visit.header("content-length") == "8"

    run(story)


def test_nobody_reads_what_a_callback_is_answered(run) -> None:
    async def endless(visit: Visit) -> None:
        await visit.read()
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\nContent-Encoding: br\r\n\r\n")
        await visit.is_left()

    async def story() -> None:
        async with Upstream(endless) as host:
            assert await door(opened=LOOPBACK).post(host.url, b"{}", {}) == 200
            async with asyncio.timeout(10):
                await (await host.visit()).left.wait()

    run(story)


# --- networks that the operator opened ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_an_opened_network_opens_any_port_and_plain_http_and_exactly_what_it_names(
    run, recorder: Recorder, place: str
) -> None:
    async def story() -> None:
        async with Upstream() as host:
            port = place_of(host)[1]
            known = Names(
                {
                    "inside.example": [["127.0.0.1"]],
                    "mapped.example": [["::ffff:127.0.0.1"]],
                    "minio": [["127.0.0.1"]],
                    "outside.example": [["127.0.0.2"]],
                    "both.example": [["127.0.0.1", "127.0.0.2"]],
                    "half-public.example": [["127.0.0.1", PUBLIC]],
                    "localhost": [["127.0.0.1", "::1"]],
                }
            )
            guarded = door(opened=[ip_network("127.0.0.1/32")], resolve=known.resolve)
            with recorder.only(place_of(host)) as heard:
                for name in ("127.0.0.1", "[::ffff:127.0.0.1]", "inside.example", "mapped.example", "minio"):
                    await PLACES[place](guarded, f"http://{name}:{port}/")
                came = len(host.visits)
                for name in (
                    "127.0.0.2",
                    "outside.example",
                    "both.example",
                    "half-public.example",
                    "localhost",
                    "[::1]",
                ):
                    error = await refusal(PLACES[place](guarded, f"http://{name}:{port}/"))
                    assert error.reason in (Reason.PORT, Reason.SCHEME, Reason.ADDRESS)
            assert heard.forbidden == []
            assert len(host.visits) == came == (0 if "at create" in place else 5)

    run(story)


@pytest.mark.parametrize(
    ("place", "url", "reason"),
    [
        (post, "http://cdn.example/", Reason.SCHEME),
        (vet_callback, "http://cdn.example/", Reason.SCHEME),
        (post, "https://cdn.example:8443/", Reason.PORT),
        (probe, "http://cdn.example:443/", Reason.PORT),
        (probe, "https://cdn.example:80/", Reason.PORT),
        (film, "http://cdn.example:8080/", Reason.PORT),
        (vet_image, "https://cdn/", Reason.NAME),
        (vet_image, "https://cdn.internal/", Reason.NAME),
    ],
)
@pytest.mark.parametrize("opened", [(), LOOPBACK], ids=["nothing opened", "loopback opened"])
def test_a_public_host_is_used_on_its_usual_port_and_callbacks_over_tls(
    run, opened: Sequence[Any], place: Callable[..., Awaitable[None]], url: str, reason: Reason
) -> None:
    async def story() -> None:
        known = names(cdn_example=PUBLIC, cdn=PUBLIC, cdn_internal=PUBLIC)
        network = Internet()
        assert (await refusal(place(door(opened=opened, resolve=known.resolve, network=network), url))).reason is reason
        assert network.asked == []
        assert bool(known.asked) is bool(opened)  # where no answer could help, nobody is asked

    run(story)


@pytest.mark.parametrize(
    ("kind", "url", "most"),
    [(Kind.CALLBACK, "https://cdn.example/", 2048), (Kind.IMAGE, "https://cdn.example/", 8192)],
)
def test_an_address_may_be_as_long_as_the_rule_says(run, kind: Kind, url: str, most: int) -> None:
    async def story() -> None:
        guarded = door(resolve=names(cdn_example=PUBLIC).resolve)
        await guarded.vet(url.ljust(most, "a"), kind)
        assert (await refusal(guarded.vet(url.ljust(most + 1, "a"), kind))).reason is Reason.FORM

    run(story)


# --- what is told, and to whom --------------------------------------------------------------------------------------


async def reset(visit: Visit) -> None:
    pass


async def nonsense(visit: Visit) -> None:
    await visit.say(b"SSH-2.0-OpenSSH_9.6 " + visit.target.encode() + b"\r\n\r\n")


async def switching(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")


async def overlong(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 200_000)
    await visit.is_left()


async def truncated(visit: Visit) -> None:
    await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")


FAULTS = {
    "reset": (reset, Reason.BROKEN),
    "nonsense": (nonsense, Reason.BROKEN),
    "switching": (switching, Reason.BROKEN),
    "overlong": (overlong, Reason.BROKEN),
    "truncated": (truncated, Reason.BROKEN),
    "gzip": (says(200, b"x", [("Content-Encoding", "gzip")]), Reason.ENCODED),
    "no status": (says(999), Reason.BROKEN),
}
EMPTY = Names({"empty.example": [[]]})
PATH = "/token-in-the-path?token=in-the-query"


@pytest.mark.parametrize("place", [probe, film])
def test_the_caller_hears_one_sentence_and_the_log_the_reason_and_the_place(
    run, caplog: pytest.LogCaptureFixture, place: Callable[..., Awaitable[None]]
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story() -> None:
        kind = Kind.IMAGE if place is probe else Kind.FILM
        errors: list[EgressRefused] = []

        async def attempt(url: str, reason: Reason, logged: str, **parts: Any) -> None:
            errors.append(await refusal(place(door(**parts), url)))
            assert errors[-1].reason is reason
            said = [record.getMessage() for record in caplog.records if record.name == "reelgate.egress"]
            assert len(said) == len(errors)
            assert said[-1].startswith(f"{kind.value}: {logged} was not used: {reason.value}")
            assert len(said[-1]) < 400

        for play, reason in FAULTS.values():
            async with Upstream(play) as host:
                url = host.url
                await attempt(url + PATH, reason, url, opened=LOOPBACK)
        await attempt(url + PATH, Reason.UNREACHABLE, url, opened=LOOPBACK)  # nobody listens there any more
        await attempt("https://10.0.0.1" + PATH, Reason.ADDRESS, "https://10.0.0.1")
        await attempt("https://10.0.0.1:6379" + PATH, Reason.PORT, "https://10.0.0.1:6379")
        await attempt("https://no.example" + PATH, Reason.UNRESOLVED, "https://no.example", resolve=names().resolve)
        await attempt("https://empty.example" + PATH, Reason.UNRESOLVED, "https://empty.example", resolve=EMPTY.resolve)
        await attempt("https://user:password@cdn.example" + PATH, Reason.FORM, "an unreadable address")
        await attempt("https://cdn.example/\x1b[31m\n", Reason.FORM, "an unreadable address")
        await attempt("https://vault" + PATH, Reason.NAME, "https://vault")
        await attempt("gopher://cdn.example" + PATH, Reason.SCHEME, "an unreadable address")

        assert {str(error) for error in errors} == {error.message for error in errors} == {POLICIES[kind].sentence}
        for error in errors:
            assert error.__cause__ is None
            assert error.__suppress_context__
            assert vars(error).keys() == {"message", "reason"}

    run(story)
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name == "reelgate.egress")
    assert not any(word in ours for word in ("token", "password", "user", "\x1b"))


@pytest.mark.parametrize(("url", "level"), [("https://10.0.0.1/", "WARNING"), ("https://a b/", "INFO")])
def test_an_attempt_to_get_inside_is_a_warning(run, caplog: pytest.LogCaptureFixture, url: str, level: str) -> None:
    caplog.set_level(logging.DEBUG)

    async def story() -> None:
        await refusal(probe(door(), url))

    run(story)
    assert [record.levelname for record in caplog.records if record.name == "reelgate.egress"] == [level]


def test_a_mistake_of_the_reader_is_not_taken_for_one_of_the_host(run) -> None:
    async def story() -> None:
        async with Upstream(says(200, b"x")) as host:
            with pytest.raises(ConnectionError, match="my own"):
                async with door(opened=LOOPBACK).probe(host.url, bytes_max=1):
                    raise ConnectionError("my own")

    run(story)


# --- the socket -----------------------------------------------------------------------------------------------------


def test_a_connection_that_leads_elsewhere_is_closed_before_a_byte_is_sent(run) -> None:
    class Misled(httpcore.AsyncNetworkBackend):
        def __init__(self, real: tuple[str, int], peer: Any) -> None:
            self.real, self.peer = real, peer

        async def connect_tcp(self, host: str, port: int, **options: Any) -> httpcore.AsyncNetworkStream:
            return Posing(await httpcore.AnyIOBackend().connect_tcp(*self.real), self.peer)

    async def story() -> None:
        came: asyncio.Queue[bytes] = asyncio.Queue()

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await came.put(await reader.read())
            writer.close()

        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        real = server.sockets[0].getsockname()
        for peer in (real, (PUBLIC, 81), (ALSO_PUBLIC, 80), (f"::ffff:{PUBLIC}", 80), None, "/run/socket"):
            guarded = door(resolve=names(cdn_example=PUBLIC).resolve, network=Misled(real, peer))
            assert (await refusal(probe(guarded, "http://cdn.example/"))).reason is Reason.PEER
            assert await came.get() == b""
        server.close()
        await server.wait_closed()

    run(story)


def test_proxies_of_the_environment_are_not_asked(run, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Upstream() as host, Upstream() as proxy:
            for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            guarded = door(opened=LOOPBACK)
            with recorder.only(place_of(host)) as heard:
                for place in (probe, film, post):
                    await place(guarded, host.url)
            assert heard.forbidden == []
            assert len(host.visits) == 3

    run(story)


def test_every_exchange_has_a_connection_of_its_own_and_none_stays_open(run, recwarn: pytest.WarningsRecorder) -> None:
    async def story() -> None:
        async with Upstream(leads(a="/b")) as host:
            guarded = door(opened=LOOPBACK)
            for place in (probe, film, post):
                for path in ("", "/a"):
                    await place(guarded, host.url + path)
            async with guarded.film(host.url + "/a") as answer:
                await anext(answer.chunks)
            async with guarded.probe(host.url, bytes_max=1):
                pass
            for number in range(len(host.visits)):
                async with asyncio.timeout(10):
                    await (await host.visit(number)).is_left()
            assert len(host.visits) == 3 + 5 + 2 + 1

    run(story)
    gc.collect()
    assert list(recwarn) == []
