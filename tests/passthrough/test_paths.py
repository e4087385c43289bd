"""Paths as they stand on the wire: what could be read in two ways is refused, the rest goes up byte for byte."""

import asyncio
from pathlib import Path

from tests.passthrough.upstream import Upstream, config
from tests.world import ALICE, PROMPT_S, World, bearer, world

ATTACKS = [
    # slashes in disguise
    b"/v1/chat%2Fcompletions",
    b"/v1/chat%2fcompletions",
    b"/v1%2Fchat/completions",
    b"/v1/%2Fchat",
    b"/v1/chat%5Ccompletions",
    b"/v1/chat%5ccompletions",
    b"/v1/chat\\completions",
    b"/v1/..\\admin",
    b"/v1/chat%252Fcompletions",
    b"/v1/models/org%2Fmodel",
    # dots
    b"/v1/./chat",
    b"/v1/../admin",
    b"/v1/chat/..",
    b"/v1/chat/.",
    b"/v1/chat/../videos/generations",
    b"/v1/chat/./completions",
    b"/v1/%2e%2e/admin",
    b"/v1/%2E%2E/admin",
    b"/v1/.%2e/admin",
    b"/v1/%2e./admin",
    b"/v1/chat/%2e",
    b"/v1/chat/%2e%2e/%2e%2e/admin",
    b"/v1/%252e%252e/admin",
    b"/v1/files/a%2ejson",
    b"/v1/..;/admin",
    b"/v1/..%3b/admin",
    b"/v1/chat/%c0%ae%c0%ae/admin",
    b"/v1/%ef%bc%8e%ef%bc%8e/admin",
    # empty segments
    b"/v1//chat/completions",
    b"/v1//videos/generations",
    b"/v1///videos",
    b"/v1/chat//completions",
    # control characters and what cuts a string off
    b"/v1/chat%00",
    b"/v1/%00/chat",
    b"/v1/chat/completions%00.json",
    b"/v1/chat%0a",
    b"/v1/%0d%0aHost:%20evil",
    b"/v1/chat%0D%0A",
    b"/v1/chat%09",
    b"/v1/chat%7f",
    b"/v1/chat%1b",
    # escapes that are none, and letters that are no ASCII
    b"/v1/chat%",
    b"/v1/chat%2",
    b"/v1/chat%zz",
    b"/v1/chat%u002e",
    b"/v1/chat%25",
    b"/v1/chat%41",
    b"/v1/%C3%A4",
    b"/v1/chat%3Fkey=1",
    b"/v1/chat%23x",
    b"/v1/<script>",
    b'/v1/"chat"',
    b"/v1/chat|x",
    b"/v1/{chat}",
    # the gateway's own, in spellings that some servers find the same
    b"/v1/VIDEOS",
    b"/v1/Videos/generations",
    b"/v1/videos;x=1/generations",
    b"/v1/videos%3b/generations",
    b"/v1/videos%20/generations",
    b"/v1/videos./generations",
    b"/v1/videos/remix/x",
    b"/v1/%76ideos/x/remix",
    b"/v1/video/x",
    b"/v1/video",
    b"/v1/Video/generations",
    b"/v1/tasks/x/cancel",
    b"/v1/TASKS/x",
    b"/v1/query/x",
    b"/v1/query",
    b"/v1/QUERY/video_generation",
    b"/v1/video_generation/x",
    b"/v1/Video_Generation",
    b"/%76%31/chat",
    b"/%76%31/videos/x/remix",
    b"/openai/v1/../v1/chat",
    b"/openai/v1/chat/..%2f..",
    b"/openai/v1/tasks/x",
    b"/openai%2fv1/chat",
    b"/openai/v1/VIDEOS",
]
# What the server before the gateway makes of these is its own affair, as long as nobody is asked.
STRANGE = [
    b"*",
    b"http:/v1/chat",
    b"/v1/chat\x00",
    b"/v1/ch\xe4t",
    b"/v1/chat completions",
    b"/v1/chat\tx",
    b"v1/chat",
    b"/v1/messages#top",
    b"http://elsewhere.example/v1/messages",
    b"",
]
STRANGE += [b"/v1", b"/v1/", b"/V1/chat", b"/v1./chat", b"//v1/chat", b"/x/../v1/chat", b"/evolink/v1/chat/completions"]

GOOD = {
    b"/v1/chat/completions": b"/v1/chat/completions",
    b"/v1/chat/completions?stream=true&x=%2F..%00": b"/v1/chat/completions?stream=true&x=%2F..%00",
    b"/v1/chat/completions?": b"/v1/chat/completions",
    b"/v1/chat/?a=b?c": b"/v1/chat/?a=b?c",
    b"/v1/models/MiniMax-M2": b"/v1/models/MiniMax-M2",
    b"/v1/models/gpt-4.1:free@latest": b"/v1/models/gpt-4.1:free@latest",
    b"/v1/files": b"/v1/files",
    b"/v1/files/file-1/content": b"/v1/files/file-1/content",
    b"/v1/files/...": b"/v1/files/...",
    b"/v1/files/a%20b~c!$&'()*+,=": b"/v1/files/a%20b~c!$&'()*+,=",
    b"/v1/images/generations/": b"/v1/images/generations/",
    b"/v1/videos-are-us": b"/v1/videos-are-us",
    b"/v1/video_template_generation": b"/v1/video_template_generation",
    b"http://g/v1/messages": b"/v1/messages",
    b"/openai/v1/embeddings?x=1": b"/v1/embeddings?x=1",
}


async def ask(it: World, target: bytes, method: bytes = b"GET") -> bytes:
    """Everything that is answered to a request written by hand."""
    reader, writer = await asyncio.open_connection(it.http.base_url.host, it.http.base_url.port)
    credential = bearer(ALICE)["authorization"].encode()
    writer.write(method + b" " + target + b" HTTP/1.1\r\nHost: g\r\nConnection: close\r\nAuthorization: " + credential)
    writer.write(b"\r\n\r\n")
    async with asyncio.timeout(PROMPT_S):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_a_path_that_can_be_read_in_two_ways_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    assert len(ATTACKS) == len(set(ATTACKS)) >= 40

    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            wrong = {}
            for target in ATTACKS:
                answer = await ask(it, target)
                if not answer.startswith(b"HTTP/1.1 400 ") or not answer.endswith(b"}"):
                    wrong[target] = answer[:300]
            assert wrong == {}
            assert upstream.visits == []

    asyncio.run(scenario())


def test_with_every_method_the_refusal_is_the_same(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            for method in (b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"):
                for target in (b"/v1/chat/../videos/generations", b"/v1/videos/x/remix", b"/v1//videos/generations"):
                    answer = await ask(it, target, method)
                    assert answer.startswith(b"HTTP/1.1 400 "), (method, target, answer)
                    assert b'"type":"invalid_request_error"' in answer
            assert (await ask(it, b"/v1/chat", b"TRACE")).startswith(b"HTTP/1.1 405 ")
            assert upstream.visits == []

    asyncio.run(scenario())


def test_strange_targets_reach_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            for target in STRANGE:
                answer = await ask(it, target)
                assert answer[:10] in (b"HTTP/1.1 4", b""), (target, answer)
            assert upstream.visits == []
            assert (await it.http.get("/healthz")).status_code == 200

    asyncio.run(scenario())


def test_a_good_path_and_query_go_up_byte_for_byte(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url, on_socket=True) as it:
            for target, expected in GOOD.items():
                answer = await ask(it, target)
                assert answer.startswith(b"HTTP/1.1 200 "), (target, answer)
                assert upstream.visits[-1].target.encode() == expected
                assert upstream.visits[-1].header("host") == upstream.url.removeprefix("http://")
            assert len(upstream.visits) == len(GOOD)

    asyncio.run(scenario())


def test_the_path_of_the_upstreams_own_address_stands_before_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream:
            where = config().replace("${UPSTREAM}", "${UPSTREAM}/api")
            async with world(tmp_path, where, upstream=upstream.url) as it:
                assert (await it.http.get("/v1/files?x=1", headers=bearer(ALICE))).status_code == 200
                assert upstream.visits[0].target == "/api/v1/files?x=1"

    asyncio.run(scenario())


def test_the_gateways_own_paths_are_never_passed(tmp_path: Path) -> None:
    own = [
        "/v1/videos",
        "/v1/tasks/1",
        "/v1/videos/1",
        "/v1/video/generations/1",
        "/v1/credits",
        "/v1/balance",
        "/v1/models",
    ]
    own += [
        "/v1/query/video_generation?task_id=1",
        "/v1/files/retrieve?file_id=1",
        "/v1/files/retrieve_content?file_id=1",
    ]
    own += ["/v1/videos/generations", "/v1/video_generation", "/v1/videos/1/content", "/openai/v1/videos", "/healthz"]

    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url) as it:
            for path in own:
                for method in ("GET", "PUT", "OPTIONS"):
                    await it.http.request(method, path, headers=bearer(ALICE))
            assert upstream.visits == []

    asyncio.run(scenario())
