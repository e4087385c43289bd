"""What crosses and what stays on its own side: headers, framing, statuses, and our key above all."""

import asyncio
import gzip
from pathlib import Path

import httpx
import pytest

from tests.passthrough.upstream import Upstream, Visit, config
from tests.world import ALICE, bearer, world

CHAT = "/v1/chat/completions"

UP = {
    "accept": "text/event-stream",
    "accept-language": "de",
    "content-type": "application/json; charset=utf-8",
    "user-agent": "client/1.0",
    "openai-beta": "assistants=v2",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "a,b",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "range": "bytes=0-1",
    "if-none-match": '"x"',
}
NOT_UP = {
    "cookie": "session=1",
    "idempotency-key": "one-two",  # two callers may choose the same, and share one account there
    "openai-organization": "org-of-the-caller",
    "openai-project": "project-of-the-caller",
    "x-stainless-retry-count": "0",
    "x-forwarded-for": "10.0.0.1",
    "forwarded": "for=10.0.0.1",
    "via": "1.1 proxy",
    "x-real-ip": "10.0.0.1",
    "proxy-authorization": "Basic x",
    "proxy-connection": "keep-alive",
    "keep-alive": "timeout=5",
    "te": "trailers",
    "upgrade": "h2c",
    "origin": "https://example.com",
    "referer": "https://example.com",
    "x-api-key": ALICE,
    "api-key": ALICE,
    "x-goog-api-key": ALICE,
    "x-request-id": "mine",
    "x-reelgate-dialect": "openai",
    "x-whatever": "1",
    "sec-fetch-mode": "cors",
    "expect": "100-continue",
}


def test_only_what_describes_the_request_goes_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            for headers in (UP, NOT_UP, UP | NOT_UP):
                await it.http.post(CHAT, content=b"{}", headers={**bearer(ALICE), **headers})
            for visit, given in zip(upstream.visits, (UP, {}, UP), strict=True):
                expected = {**given, "authorization": "Bearer sk-up-main", "content-length": "2"}
                if not given:  # httpx adds these two by itself
                    expected |= {name: visit.header(name) for name in ("accept", "user-agent")}
                expected |= {"host": upstream.url.removeprefix("http://"), "accept-encoding": "identity"}
                assert sorted(visit.headers) == sorted(expected.items())
                assert visit.body == b"{}"

    asyncio.run(scenario())


def test_what_a_request_calls_a_matter_of_its_connection_does_not_go_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            said = {"connection": "close, OpenAI-Beta ,authorization,content-length", "openai-beta": "x"}
            await it.http.post(CHAT, content=b"{}", headers={**bearer(ALICE), **said})
            (visit,) = upstream.visits
            assert visit.header("openai-beta") is None
            assert visit.header("connection") is None
            assert (visit.key, visit.body) == ("sk-up-main", b"{}")

    asyncio.run(scenario())


def test_the_credential_never_goes_up_wherever_it_stands(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            for headers in (bearer(ALICE), {"x-api-key": ALICE}, {**bearer(ALICE), "x-api-key": ALICE}):
                assert (await it.http.get("/v1/files", headers=headers)).status_code == 200
            for visit in upstream.visits:
                assert ALICE not in str(visit.headers)
                assert visit.key == "sk-up-main"

    asyncio.run(scenario())


def test_a_body_keeps_the_framing_that_its_caller_gave_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def parts():
            yield b"one"
            yield b"two"

        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            ask = [
                ("POST", {"content": b"onetwo"}, ("6", None), b"onetwo"),
                ("POST", {"content": parts()}, (None, "chunked"), b"onetwo"),
                ("PUT", {"content": parts(), "headers": {"content-length": "6"}}, ("6", None), b"onetwo"),
                ("POST", {}, ("0", None), b""),
                ("PATCH", {"content": b""}, ("0", None), b""),
                ("GET", {}, (None, None), b""),
                ("DELETE", {}, (None, None), b""),
                ("DELETE", {"content": b"{}"}, ("2", None), b"{}"),
                ("GET", {"content": b"{}"}, ("2", None), b"{}"),
            ]
            for method, given, framing, body in ask:
                headers = {**bearer(ALICE), **given.pop("headers", {})}
                answer = await it.http.request(method, "/v1/things", headers=headers, **given)
                assert answer.status_code == 200
                visit = upstream.visits[-1]
                assert visit.method == method
                assert (visit.header("content-length"), visit.header("transfer-encoding")) == framing
                assert visit.body == body

    asyncio.run(scenario())


# --- the way down

DOWN = {
    "content-type": "text/plain",
    "content-language": "de",
    "content-disposition": "attachment",
    "cache-control": "no-store",
    "etag": '"x"',
    "retry-after": "7",
    "openai-processing-ms": "12",
    "openai-version": "2020-10-01",
    "location": "/v1/elsewhere",
    "x-whatever": "1",
}
NOT_DOWN = {
    "connection": "keep-alive, X-Hop",
    "x-hop": "1",
    "keep-alive": "timeout=5",
    "proxy-authenticate": "Basic",
    "proxy-connection": "keep-alive",
    "te": "trailers",
    "trailer": "x-checksum",
    "upgrade": "h2c",
    "set-cookie": "session=1",
    "server": "nginx",
    "alt-svc": 'h3=":443"',
    "strict-transport-security": "max-age=1",
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-tokens": "1000",
    "anthropic-ratelimit-requests-limit": "60",
    "openai-organization": "org-of-the-operator",
    "x-request-id": "theirs",
    "x-reelgate-task-id": "vid_false",
    "x-debug": "used sk-up-main",
}


def test_only_what_describes_the_answer_comes_down(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            dated = ("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
            await visit.answer(200, b"text", [*DOWN.items(), *NOT_DOWN.items(), dated])

        async with Upstream(play) as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            answer = await it.http.get("/v1/things", headers={**bearer(ALICE), "x-request-id": "mine"})
            own = {"content-length": "4", "x-request-id": "mine", "date": answer.headers["date"]}
            assert sorted(answer.headers.multi_items()) == sorted({**DOWN, **own}.items())
            assert "1970" not in answer.headers["date"]

    asyncio.run(scenario())


def test_a_compressed_answer_comes_down_as_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        packed = gzip.compress(b"text" * 100)

        async def play(visit: Visit) -> None:
            await visit.answer(200, packed, [("Content-Encoding", "gzip")])

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it,
            it.http.stream("GET", "/v1/things", headers=bearer(ALICE)) as answer,
        ):
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["content-length"] == str(len(packed))
            assert b"".join([chunk async for chunk in answer.aiter_raw()]) == packed

    asyncio.run(scenario())


PASSED = [200, 201, 202, 203, 206, 207, 226, 300, 301, 302, 303, 307, 308, 400, 404, 405, 406, 408, 409, 410, 412, 413]
PASSED += [415, 416, 418, 421, 422, 424, 425, 426, 428, 431, 451, 499, 500, 501, 502, 503, 504, 520, 529, 599]


def test_every_status_that_is_not_about_the_key_comes_down_with_its_body_and_is_asked_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            status = int(visit.target.rpartition("/")[2])
            await visit.answer(status, b'{"said": "by the upstream"}', [("Retry-After", "3")])

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config("one", "two"), upstream=upstream.url, on_socket=True) as it,
        ):
            # What is doubtful over a POST has a test of its own.
            posted = [("POST", status) for status in PASSED if status < 500 and status not in (408, 409)]
            asked = [("GET", status) for status in PASSED] + posted
            for method, status in asked:
                answer = await it.http.request(method, f"/v1/things/{status}", headers=bearer(ALICE))
                assert answer.status_code == status
                assert answer.json() == {"said": "by the upstream"}
                assert answer.headers["retry-after"] == "3"
            assert len(upstream.visits) == len(asked)

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS"])
def test_a_failure_over_what_may_have_bought_something_invites_no_client_to_repeat(method: str, tmp_path: Path) -> None:
    bodies = {"application/json": b'{"error": "no"}', "text/html": b"<h1>Bad Gateway</h1>"}
    invitations = [("Retry-After", "3"), ("Retry-After-Ms", "3000"), ("X-Should-Retry", "true")]
    is_safe = method in ("GET", "HEAD", "OPTIONS")

    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            _, status, kind = visit.target.removeprefix("/v1").split("/", 2)
            length = [("Connection", "close, x-should-retry"), ("Content-Type", kind), *invitations]
            await visit.read()
            await visit.answer(int(status), b"" if method == "HEAD" else bodies[kind], length)

        async with (
            Upstream(play) as upstream,
            world(tmp_path, config("one", "two"), upstream=upstream.url, on_socket=True) as it,
        ):
            statuses = [status for status in PASSED if status >= 500 or status in (408, 409)]
            for status in statuses:
                for kind, body in bodies.items():
                    answer = await it.http.request(method, f"/v1/{status}/{kind}", headers=bearer(ALICE))
                    assert answer.content == (b"" if method == "HEAD" else body)
                    assert answer.headers["content-type"] == kind
                    is_repeated_on = status in (408, 502, 503) and not is_safe
                    assert answer.status_code == (500 if is_repeated_on else status)
                    # What an upstream says of its own connection does not take ours away.
                    assert answer.headers.get_list("x-should-retry") == ([] if is_safe else ["false"])
                    for name in ("retry-after", "retry-after-ms"):
                        assert (name in answer.headers) is is_safe
            assert len(upstream.visits) == len(statuses) * len(bodies)

    asyncio.run(scenario())


def test_an_answer_without_a_body_may_say_a_length(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            await visit.say(
                b'HTTP/1.1 %b Whatever\r\nContent-Length: 100\r\nETag: "x"\r\n\r\n' % visit.target[4:].encode()
            )

        async with Upstream(play) as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            for status in (204, 304, 204, 304):
                answer = await it.http.get(f"/v1/{status}", headers=bearer(ALICE))
                assert (answer.status_code, answer.content, answer.headers["etag"]) == (status, b"", '"x"')

    asyncio.run(scenario())


def test_head_is_asked_as_head_and_says_the_length(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            await visit.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")

        async with Upstream(play) as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            for _ in range(2):
                answer = await it.http.head("/v1/things", headers=bearer(ALICE))
                assert (answer.status_code, answer.headers["content-length"]) == (200, "100")
            assert [visit.method for visit in upstream.visits] == ["HEAD", "HEAD"]

    asyncio.run(scenario())


def test_a_length_beside_chunks_is_not_believed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            await visit.start(headers=[("Content-Length", "3")])
            await visit.chunk(b"more than three")
            await visit.chunk(b"")

        async with Upstream(play) as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            answer = await it.http.get("/v1/things", headers=bearer(ALICE))
            assert answer.content == b"more than three"

    asyncio.run(scenario())


def test_a_status_that_is_none_is_an_upstream_that_broke(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            await visit.say(
                b"HTTP/1.1 " + visit.target[4:].encode() + b" Whatever\r\nContent-Length: 0\r\nUpgrade: x\r\n"
            )
            await visit.say(b"Connection: upgrade\r\n\r\n")

        async with Upstream(play) as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            for status in ("999", "600", "101", "099", "20x", "-1"):
                answer = await it.http.get(f"/v1/{status}", headers=bearer(ALICE))
                assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [300, 302, 308, 404, 500])
def test_our_key_is_not_shown_to_a_caller_when_an_upstream_quotes_it(status: int, tmp_path: Path) -> None:
    text = b'{"error": {"message": "no such thing: sk-up-main", "echo": "sk-up-mai sk-up-main sk-up-"}}'

    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            cut = int(visit.target[4:])
            await visit.start(status)
            for piece in filter(None, (text[:cut], text[cut:])):
                await visit.chunk(piece)
                await asyncio.sleep(0.005)
            await visit.chunk(b"")

        async with Upstream(play) as upstream, world(tmp_path, config(), upstream=upstream.url) as it:
            for cut in range(0, len(text) + 1, 3):
                answer = await it.http.get(f"/v1/{cut}", headers=bearer(ALICE))
                assert (answer.status_code, answer.content) == (status, text.replace(b"sk-up-main", b"*" * 10))

    asyncio.run(scenario())


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            await visit.answer(307, b"", [("Location", "http://127.0.0.1:1/elsewhere")])

        async with Upstream(play) as upstream, world(tmp_path, config(), upstream=upstream.url) as it:
            answer: httpx.Response = await it.http.post(CHAT, json={}, headers=bearer(ALICE))
            assert (answer.status_code, answer.headers["location"]) == (307, "http://127.0.0.1:1/elsewhere")
            assert len(upstream.visits) == 1

    asyncio.run(scenario())
