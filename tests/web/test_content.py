"""The film itself: its bytes and ranges, who may have it, links that carry their own right, and nothing kept back."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway import ids, links, sandbox
from gateway.dialects import DIALECTS
from tests.passthrough.upstream import Upstream, Visit
from tests.world import ALICE, BOB, PROMPT_S, SLOW, SPEECHES, World, bearer, error_of, id_of, world

FILM = (Path(sandbox.__file__).parent / "films" / "768P-6.mp4").read_bytes()
GATEWAY_LINKS = "results: {links: gateway}"
CHUNK = b"\0" * 4096


async def film(it: World, word: str, prefix: str = "", **headers: str) -> httpx.Response:
    return await it.http.get(f"{prefix}/v1/videos/{word}/content", headers={**bearer(ALICE), **headers})


@contextmanager
def nobody_listens(url: str) -> Iterator[None]:
    """Where somebody did until now; no other sandbox is given the port meanwhile."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", urlsplit(url).port or 0))
        yield


# --- bytes and ranges


def test_the_film_is_the_upstreams_byte_for_byte_by_every_path_and_spelling(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            for prefix in ("", "/evolink", "/toapis", "/newapi"):
                for spelling in (word, str(ids.number_of(word))):
                    answer = await film(it, spelling, prefix)
                    assert answer.status_code == 200
                    assert answer.content == FILM
                    assert answer.headers["content-type"] == "video/mp4"
                    assert answer.headers["content-length"] == str(len(FILM))
                    assert answer.headers["accept-ranges"] == "bytes"
                    assert answer.headers["x-reelgate-task-id"] == word
                    assert f'filename="{word}.mp4"' in answer.headers["content-disposition"]
                    assert answer.headers["x-content-type-options"] == "nosniff"
                    assert answer.headers["x-request-id"]

    asyncio.run(scenario())


def test_ranges_of_a_film_are_passed_on(tmp_path: Path) -> None:
    size = len(FILM)
    ranges = {
        "bytes=0-99": (FILM[:100], f"bytes 0-99/{size}"),
        "bytes=100-199": (FILM[100:200], f"bytes 100-199/{size}"),
        f"bytes={size - 1}-": (FILM[-1:], f"bytes {size - 1}-{size - 1}/{size}"),
        "bytes=-100": (FILM[-100:], f"bytes {size - 100}-{size - 1}/{size}"),
        f"bytes=0-{size * 2}": (FILM, f"bytes 0-{size - 1}/{size}"),
    }

    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            for asked, (content, told) in ranges.items():
                answer = await film(it, word, range=asked)
                assert answer.status_code == 206
                assert answer.headers["content-range"] == told
                assert answer.headers["content-length"] == str(len(content))
                assert answer.content == content

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_part_that_the_film_does_not_have_is_refused_with_what_there_is(dialect: str, tmp_path: Path) -> None:
    size = len(FILM)

    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            for asked in (f"bytes={size}-", f"bytes={size}-{size + 9}"):
                beyond = await film(it, word, f"/{dialect}", range=asked)
                assert beyond.status_code == 416
                assert beyond.headers["content-type"] == "application/json"
                assert beyond.headers["content-range"] == f"bytes */{size}"
                assert f"0-{size - 1}" in beyond.text
                if dialect == "minimax":
                    assert beyond.json()["base_resp"]["status_code"] == 2013
                    assert beyond.json()["problems"][0]["param"] == "range"
                else:
                    error = error_of(dialect, beyond)
                    assert (error["param"], error["problems"][0]["param"]) == ("range", "range")
                head = await it.http.head(
                    f"/{dialect}/v1/videos/{word}/content", headers={**bearer(ALICE), "range": asked}
                )
                assert (head.status_code, head.content) == (416, b"")
                assert head.headers["content-range"] == f"bytes */{size}"

    asyncio.run(scenario())


@pytest.mark.parametrize("on_socket", [False, True])
def test_a_range_of_another_film_than_this_one_is_answered_with_the_whole(on_socket: bool, tmp_path: Path) -> None:
    """RFC 9110, 13.1.5: a player that goes on where it left off would join two films."""

    async def scenario() -> None:
        async with world(tmp_path, on_socket=on_socket) as it:
            word = await it.finished_film()
            whole = await film(it, word)
            tag, date = whole.headers["etag"], whole.headers["last-modified"]
            for said in (tag, date):
                part = await film(it, word, **{"range": "bytes=0-9", "if-range": said})
                assert (part.status_code, part.content) == (206, FILM[:10]), said
            for said in ('"nomatch"', "Mon, 01 Sep 2025 10:00:00 GMT", f"W/{tag}", tag[1:-1], "nonsense", ""):
                for asked in ("bytes=0-9", f"bytes={len(FILM)}-"):
                    found = await film(it, word, **{"range": asked, "if-range": said})
                    assert (found.status_code, found.content) == (200, FILM), said
                    assert "content-range" not in found.headers
            twice = [*bearer(ALICE).items(), ("range", "bytes=0-9"), ("if-range", tag), ("if-range", tag)]
            assert (await it.http.get(f"/v1/videos/{word}/content", headers=twice)).status_code == 200
            assert (await film(it, word, **{"if-range": '"nomatch"'})).status_code == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("own", ['"now"', 'W/"then"', None])
def test_a_host_that_gives_a_part_of_whatever_it_has_is_asked_for_the_whole(own: str | None, tmp_path: Path) -> None:
    async def play(visit: Visit) -> None:
        await visit.read()
        headers = [] if own is None else [("etag", own)]
        if visit.method == "POST" or "film" not in visit.target:
            await visit.answer(200, b'{"id":"one","status":"completed","results":["%s/film"]}' % host.url.encode())
        elif visit.header("range") is None:
            await visit.answer(200, FILM, headers)
        else:
            await visit.answer(206, FILM[:10], [*headers, ("content-range", f"bytes 0-9/{len(FILM)}")])

    host = Upstream(play)

    async def scenario() -> None:
        async with host, world(tmp_path, upstream=host.url) as it:
            word = await it.finished_film()
            found = await film(it, word, **{"range": "bytes=0-9", "if-range": '"then"'})
            assert (found.status_code, found.content) == (200, FILM)
            assert "content-range" not in found.headers
            asked = [(visit.header("range"), visit.header("if-range")) for visit in host.visits[-2:]]
            assert asked == [("bytes=0-9", '"then"'), (None, None)]
            assert (await film(it, word, range="bytes=0-9")).status_code == 206
            if own == '"now"':
                part = await film(it, word, **{"range": "bytes=0-9", "if-range": own})
                assert (part.status_code, part.content) == (206, FILM[:10])

    asyncio.run(scenario())


def test_a_host_that_has_no_such_part_of_another_film_is_asked_for_the_whole(tmp_path: Path) -> None:
    async def play(visit: Visit) -> None:
        await visit.read()
        if visit.method == "POST" or "film" not in visit.target:
            await visit.answer(200, b'{"id":"one","status":"completed","results":["%s/film"]}' % host.url.encode())
        elif visit.header("range") is None:
            await visit.answer(200, FILM)
        else:
            await visit.answer(416, b"", [("content-range", f"bytes */{len(FILM)}")])

    host = Upstream(play)

    async def scenario() -> None:
        async with host, world(tmp_path, upstream=host.url) as it:
            word = await it.finished_film()
            beyond = f"bytes={len(FILM)}-"
            found = await film(it, word, **{"range": beyond, "if-range": '"then"'})
            assert (found.status_code, found.content) == (200, FILM)
            assert (await film(it, word, range=beyond)).status_code == 416

    asyncio.run(scenario())


# --- headers

OF_A_TASK = ("x-reelgate-task-id", "x-reelgate-upstream", "x-reelgate-attempts", "x-reelgate-price")


def told_of_task(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("x-reelgate-")}


def test_whatever_is_about_a_task_says_in_its_headers_what_its_poll_says(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, GATEWAY_LINKS) as it:
            word = await it.finished_film()
            read = await it.read(word)
            expected = told_of_task(read)
            assert tuple(sorted(expected)) == tuple(sorted(OF_A_TASK))
            assert expected["x-reelgate-task-id"] == word
            retrieve, link = f"/v1/files/retrieve_content?file_id={word}", read.json()["results"][0]
            beyond = {"range": f"bytes={len(FILM)}-"}
            for path, status, headers in (
                (f"/v1/videos/{word}/content", 200, bearer(ALICE)),
                (f"/v1/videos/{word}/content", 206, {**bearer(ALICE), "range": "bytes=0-9"}),
                (f"/v1/videos/{word}/content", 416, {**bearer(ALICE), **beyond}),
                (f"/v1/videos/{word}/content?variant=thumbnail", 400, bearer(ALICE)),
                (retrieve, 200, bearer(ALICE)),
                (link, 200, {}),
                (link, 416, beyond),
                (f"{link}&variant=thumbnail", 400, {}),
                (f"/v1/tasks/{word}/events", 200, bearer(ALICE)),
            ):
                methods = ("GET",) if path.endswith("/events") or path == retrieve else ("GET", "HEAD")
                for method in methods:
                    answer = await it.http.request(method, path, headers=headers)
                    # A link is made to be handed on: what the film cost, and where, is nobody's business.
                    told = {"x-reelgate-task-id": word} if path.startswith(link) else expected
                    assert (answer.status_code, told_of_task(answer)) == (status, told), (method, path)
            deleted = await it.http.delete(f"/v1/videos/{word}", headers=bearer(ALICE))
            assert (deleted.status_code, told_of_task(deleted)) == (200, expected)

    asyncio.run(scenario())


def test_an_error_says_in_its_headers_which_task_it_is_about_to_whom_it_may_be_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            expired = await it.finished_film(prompt="p #sandbox:expired-link")
            failed = await it.finished_film(prompt="p #sandbox:fail-generation")
            for word, status in ((expired, 410), (failed, 400)):
                expected = told_of_task(await it.read(word))
                for prefix in ("", "/openai", "/minimax"):
                    answer = await film(it, word, prefix)
                    assert (answer.status_code, told_of_task(answer)) == (status, expected)
                    assert "retry-after" not in answer.headers
                stranger = await it.http.get(f"/v1/videos/{word}/content", headers=bearer(BOB))
                assert (stranger.status_code, told_of_task(stranger)) == (404, {})
                forged = await it.http.get(f"/v1/videos/{word}/content?expires=9999999999&signature=00")
                assert (forged.status_code, told_of_task(forged)) == (401, {})
            file = await it.http.get(f"/v1/files/retrieve?file_id={failed}", headers=bearer(ALICE))
            assert told_of_task(file) == told_of_task(await it.read(failed))

    asyncio.run(scenario())


def test_head_says_what_get_would_and_sends_no_body(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, on_socket=True) as it:
            word = await it.finished_film()
            path = f"/v1/videos/{word}/content"
            for headers in ({}, {"range": "bytes=0-99"}):
                got = await it.http.get(path, headers={**bearer(ALICE), **headers})
                head = await it.http.head(path, headers={**bearer(ALICE), **headers})
                assert head.status_code == got.status_code
                assert head.content == b""
                for name in ("content-length", "content-type", "content-range", "accept-ranges", "etag"):
                    assert head.headers.get(name) == got.headers.get(name)
            assert (await it.http.get("/healthz")).status_code == 200  # the connection is still in step

    asyncio.run(scenario())


# --- no film


@pytest.mark.parametrize("dialect", SPEECHES)
def test_a_film_that_is_not_there_is_refused_in_the_dialect_that_was_asked(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            expired = await it.finished_film(prompt="p #sandbox:expired-link")
            failed = await it.finished_film(prompt="p #sandbox:fail-generation")
            doubtful = id_of(await it.create(prompt="p #sandbox:drop-after-accept"))
            table = [
                (expired, 410, "result_expired"),
                (failed, 400, "not_ready"),
                (doubtful, 400, "not_ready"),
                (ids.word(4711), 400 if dialect == "newapi" else 404, None),
            ]
            for word, status, code in table:
                answer = await film(it, word, f"/{dialect}")
                assert answer.status_code == status, (word, answer.text)
                assert code is None or error_of(dialect, answer)["code"] == code
                assert error_of(dialect, answer)["message"]
                assert "sandbox" not in answer.text

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", SPEECHES)
def test_without_a_prefix_an_unfinished_film_is_refused_in_the_dialect_of_its_task(
    dialect: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, speed=SLOW) as it:
            word = id_of(await it.create(dialect))
            answer = await film(it, word)
            assert (answer.status_code, error_of(dialect, answer)["code"]) == (400, "not_ready")
            told = await film(it, word, **{"x-reelgate-dialect": "newapi"})
            assert (told.status_code, error_of("newapi", told)["code"]) == (400, "not_ready")

    asyncio.run(scenario())


def test_a_film_whose_host_is_gone_is_not_called_expired(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
        with nobody_listens(it.sandbox_url):
            async with world(tmp_path) as again:
                answer = await film(again, word)
            assert answer.status_code == 502
            assert error_of("evolink", answer)["code"] == "upstream_error"

    asyncio.run(scenario())


# --- links


@pytest.mark.parametrize("dialect", SPEECHES)
def test_a_gateway_link_is_absolute_and_plays_without_a_key(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, GATEWAY_LINKS) as it:
            word = await it.finished_film(dialect)
            link = SPEECHES[dialect].link((await it.read(word, dialect)).json())
            assert link.startswith(f"http://127.0.0.1/v1/videos/{word}/content?")
            played = await it.http.get(link)
            assert (played.status_code, played.content) == (200, FILM)
            assert (await it.http.get(link, headers={"range": "bytes=0-3"})).status_code == 206
            assert (await it.http.head(link)).headers["content-length"] == str(len(FILM))
            assert (await it.http.get(link, headers=bearer("sk-rg-nobody"))).status_code == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("public_url", ["https://video.example.com", "https://video.example.com/films/"])
def test_a_gateway_link_stands_below_the_public_url(public_url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, f"{GATEWAY_LINKS}\nserver: {{public_url: '{public_url}'}}") as it:
            word = await it.finished_film()
            for dialect, speech in SPEECHES.items():
                link = speech.link((await it.read(word, dialect)).json())
                assert link.startswith(f"{public_url.rstrip('/')}/v1/videos/{word}/content?expires=")

    asyncio.run(scenario())


def test_without_a_public_url_a_gateway_link_has_the_address_the_caller_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, GATEWAY_LINKS) as it:
            word = await it.finished_film()
            for host in ("films.internal:8080", "[::1]:8080"):
                link = (await it.read(word, host=host)).json()["results"][0]
                assert link.startswith(f"http://{host}/v1/videos/")

    asyncio.run(scenario())


def test_a_gateway_link_lives_as_long_as_it_is_told_to(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "results: {links: gateway, link_ttl_s: 600}") as it:
            word = await it.finished_film()
            answer = (await it.read(word, "toapis")).json()
            (expires,) = parse_qs(urlsplit(answer["result"]["data"][0]["url"]).query)["expires"]
            assert answer["expires_at"] == int(expires)
            assert 300 < int(expires) - it.parts.clock() <= 600

    asyncio.run(scenario())


def test_a_link_that_was_tampered_with_or_has_expired_opens_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, GATEWAY_LINKS) as it:
            word, other = await it.finished_film(), await it.finished_film()
            number, now, secret = ids.number_of(word), int(it.parts.clock()), it.parts.settings.link_secret
            assert number is not None
            path = links.signed_path(number, now + 600, secret)
            assert (await it.http.get(path)).status_code == 200
            signature = path.partition("signature=")[2]
            wrong = [
                path.replace(word, other),
                path.replace(word, ids.word(4711)),
                path.replace(word, "nobody"),
                path[:-1] + ("0" if path[-1] != "0" else "1"),
                path[:-1],
                path.upper().replace("/V1/VIDEOS/", "/v1/videos/").replace("/CONTENT", "/content"),
                f"/v1/videos/{word}/content?expires={now + 601}&signature={signature}",
                f"/v1/videos/{word}/content?expires={now + 600}&signature=",
                f"/v1/videos/{word}/content?expires={now + 600}&signature=%C3%A9%00%FF",
                f"/v1/videos/{word}/content?expires=&signature={signature}",
                f"/v1/videos/{word}/content?signature={signature}",
                f"/v1/videos/{word}/content?expires={'9' * 5_000}&signature={signature}",
                f"/v1/videos/{word}/content?expires=%C2%B2&signature={signature}",
                links.signed_path(number, now - 1, secret),
                links.signed_path(number, now + 600, b"another secret"),
                links.signed_path(number, now + 600, b""),
            ]
            for bad in wrong:
                for dialect in SPEECHES:
                    answer = await it.http.get(f"/{dialect}{bad}")
                    assert answer.status_code == 401, bad
                    assert error_of(dialect, answer)["message"]
                    assert signature not in answer.text

    asyncio.run(scenario())


def test_a_link_of_an_earlier_process_still_plays(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, GATEWAY_LINKS) as it:
            word = await it.finished_film()
            link = (await it.read(word)).json()["results"][0]
        with nobody_listens(it.sandbox_url):
            async with world(tmp_path, GATEWAY_LINKS) as again:
                assert (await again.http.get(link)).status_code == 502  # let in; only the film's host is gone

    asyncio.run(scenario())


def test_an_upstreams_public_link_is_handed_on_as_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            found = {speech.link((await it.read(word, name)).json()) for name, speech in SPEECHES.items()}
            (link,) = found
            assert "/films/task-unified-" in link
            assert "signature" not in link

    asyncio.run(scenario())


# --- nothing is kept back, and nothing goes on for nobody


class FilmHost:
    """An upstream of one finished task, whose film comes in pieces, each when the test says so."""

    def __init__(self, *, says_length: int) -> None:
        self.next_piece = asyncio.Semaphore(0)
        self.hangs_up = asyncio.Event()
        self.was_left = asyncio.Event()
        self.base_url = ""
        self._says_length = says_length

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            if request.startswith("GET /film"):
                await self._send_film(reader, writer)
            else:
                await reader.read(1 << 16) if request.startswith("POST") else None
                body = f'{{"id":"one","status":"completed","results":["{self.base_url}/film"]}}'
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
                await writer.drain()
        finally:
            writer.close()

    async def _send_film(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {self._says_length}\r\n\r\n".encode())
        gone = asyncio.ensure_future(reader.read(1))  # the only thing a client still says is that it leaves
        while not gone.done() and not self.hangs_up.is_set():
            piece = asyncio.ensure_future(self.next_piece.acquire())
            over = asyncio.ensure_future(self.hangs_up.wait())
            await asyncio.wait((gone, piece, over), return_when=asyncio.FIRST_COMPLETED)
            if piece.done():
                writer.write(CHUNK)
            piece.cancel()
            over.cancel()
        if gone.done():
            self.was_left.set()
        gone.cancel()


@asynccontextmanager
async def film_host(*, says_length: int = 10 * len(CHUNK)) -> AsyncIterator[FilmHost]:
    host = FilmHost(says_length=says_length)
    server = await asyncio.start_server(host.answer, "127.0.0.1", 0)
    host.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield host
    finally:
        host.hangs_up.set()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def streaming(folder: Path) -> AsyncIterator[tuple[FilmHost, World, str]]:
    """A gateway on a socket before a film host, and the path of the film."""
    async with (
        film_host() as host,
        world(folder, on_socket=True, upstream=host.base_url) as it,
        asyncio.timeout(PROMPT_S),
    ):
        word = id_of(await it.create())
        assert (await it.finish(word))["results"] == [f"{host.base_url}/film"]
        yield host, it, f"/v1/videos/{word}/content"


def test_a_film_is_streamed_piece_by_piece_as_it_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with streaming(tmp_path) as (host, it, path):
            host.next_piece.release()
            async with it.http.stream("GET", path, headers=bearer(ALICE)) as answer:
                chunks = answer.aiter_raw()
                for _ in range(9):  # each is here before the source has sent the next one
                    assert await anext(chunks) == CHUNK
                    host.next_piece.release()
                assert await anext(chunks) == CHUNK
                with pytest.raises(StopAsyncIteration):
                    await anext(chunks)

    asyncio.run(scenario())


def test_half_a_film_is_never_mistaken_for_a_whole_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with streaming(tmp_path) as (host, it, path):
            host.next_piece.release()
            async with it.http.stream("GET", path, headers=bearer(ALICE)) as answer:
                chunks = answer.aiter_raw()
                assert await anext(chunks) == CHUNK
                host.hangs_up.set()
                with pytest.raises(httpx.RemoteProtocolError):
                    await anext(chunks)

    asyncio.run(scenario())


def test_a_film_of_which_nothing_comes_is_an_error_that_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with streaming(tmp_path) as (host, it, path):
            host.hangs_up.set()  # after a head that promises everything
            answer = await it.http.get(path, headers=bearer(ALICE))
            assert answer.status_code == 502
            assert "content-disposition" not in answer.headers
            assert error_of("evolink", answer)["code"] == "upstream_error"

    asyncio.run(scenario())


def test_when_the_client_leaves_the_film_is_no_longer_fetched(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with streaming(tmp_path) as (host, it, path):
            host.next_piece.release()
            async with it.http.stream("GET", path, headers=bearer(ALICE)) as answer:
                assert await anext(answer.aiter_raw()) == CHUNK
            async with asyncio.timeout(PROMPT_S):
                await host.was_left.wait()

    asyncio.run(scenario())
