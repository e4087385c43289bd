"""What a stranger, a browser page, or an upstream with bad intentions may not have."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import ids
from tests.world import ALICE, SLOW, bearer, id_of, world

OPEN = "virtual_keys: []"
CREATE = "/v1/videos/generations"
BODY = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship at dawn"}


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8080", "origin": "http://evil.example:8080"},
        {"host": "127.0.0.1", "origin": "https://evil.example"},
        {"host": "127.0.0.1", "origin": "null"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "10.0.0.1"},
        {"host": ""},
    ],
)
def test_an_open_gateway_answers_no_page_of_the_web(headers: dict[str, str], tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, OPEN) as it:
            refused = await it.http.post(CREATE, json=BODY, headers={**bearer("x"), **headers})
            assert refused.status_code == 401
            assert it.requests() == []

    asyncio.run(story())


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "reelgate.localhost", "films.example"])
def test_an_open_gateway_answers_under_its_own_names(host: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, OPEN + "\nserver: {public_url: https://films.example}") as it:
            answer = await it.http.post(CREATE, json=BODY, headers={**bearer("x"), "host": host})
            assert answer.status_code == 200, answer.text

    asyncio.run(story())


def test_an_admin_key_alone_opens_nothing_to_the_network(tmp_path: Path) -> None:
    async def story() -> None:
        config = OPEN + "\nadmin_key: sk-admin\nserver: {host: 0.0.0.0}"
        async with world(tmp_path, config) as it:
            for key in ("nobody", "sk-admin"):
                assert (await it.http.post(CREATE, json=BODY, headers=bearer(key))).status_code == 401
            assert it.requests() == []

    asyncio.run(story())


def test_a_deleted_film_is_gone_for_the_holder_of_its_link_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "results: {links: gateway}") as it:
            word = await it.finished_film()
            link = (await it.read(word)).json()["results"][0]
            assert (await it.http.get(link)).status_code == 200
            assert (await it.http.delete(f"/v1/videos/{word}", headers=bearer(ALICE))).status_code == 200
            gone = await it.http.get(link)
            assert gone.status_code == 404
            assert "x-reelgate-task-id" not in gone.headers
            assert (await it.read(word)).status_code == 404

    asyncio.run(story())


NO_RANGE = [
    *(b"bytes=\xff", b"bytes=" + b"0-1," * 40, b"pages=1-2", b"bytes", b"bytes=", b"bytes=-", b"bytes=0", b"bytes=--5"),
    *(b"bytes=5-2", b"bytes=0-0-0", b"bytes=1 - 2", b"bytes= ", b"bytes=," + b"0-1", b"bytes=" + b"9" * 19 + b"-"),
    *(b"bytes=0-1,4-5", b"bytes=0-1, -1", b"bytes=0-1,"),
]


def test_a_range_that_is_none_or_several_is_ignored_and_not_passed_on(tmp_path: Path) -> None:
    """A host that takes several answers them with a multipart body, which no player of one film reads."""

    async def story() -> None:
        seen = []

        async def serve_film(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.extend(line for line in head.split(b"\r\n") if line.lower().startswith(b"range:"))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: 4\r\n\r\nfilm")
            await writer.drain()
            writer.close()

        host = await asyncio.start_server(serve_film, "127.0.0.1", 0)
        link = f"http://127.0.0.1:{host.sockets[0].getsockname()[1]}/film.mp4"
        async with host, world(tmp_path, "preflight: {images: 'off', allow_private_networks: [127.0.0.0/8]}") as it:
            word = await it.finished_film()
            number = ids.number_of(word)
            assert number is not None
            it.parts.memory.keep(await it.parts.registry.relocate(number, link, now=time.time()))
            for asked in NO_RANGE:
                headers: Any = {**bearer(ALICE), "range": asked}
                answer = await it.http.get(f"/v1/videos/{word}/content", headers=headers)
                assert (answer.status_code, answer.content) == (200, b"film"), asked
            assert seen == []
            for asked in (b"bytes=0-0", b"bytes=1-", b"bytes=-2", b"bytes=2-5"):
                headers = {**bearer(ALICE), "range": asked}
                await it.http.get(f"/v1/videos/{word}/content", headers=headers)
            assert [line.lower() for line in seen] == [
                *(b"range: bytes=0-0", b"range: bytes=1-", b"range: bytes=-2", b"range: bytes=2-5")
            ]

    asyncio.run(story())


async def serve_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A film's host that has a page instead."""
    await reader.readuntil(b"\r\n\r\n")
    page = b"<script>alert(1)</script>"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: %d\r\n\r\n" % len(page)
    writer.write(head + page)
    await writer.drain()
    writer.close()


def test_a_page_in_place_of_a_film_is_a_download_and_never_a_page(tmp_path: Path) -> None:
    async def story() -> None:
        host = await asyncio.start_server(serve_page, "127.0.0.1", 0)
        link = f"http://127.0.0.1:{host.sockets[0].getsockname()[1]}/film.mp4"
        async with host, world(tmp_path, 'preflight: {allow_private_networks: ["127.0.0.0/8"]}') as it:
            word = await it.finished_film()
            task = await it.parts.registry.relocate(_number(word), link, now=1.0)
            it.parts.memory.tasks[task.id] = task
            answer = await it.http.get(f"/v1/videos/{word}/content", headers=bearer(ALICE))
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["content-disposition"].startswith("attachment")
            assert answer.headers["x-content-type-options"] == "nosniff"

    asyncio.run(story())


def _number(word: str) -> int:
    number = ids.number_of(word)
    assert number is not None
    return number


def test_json_inside_a_string_is_bounded_like_json(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            bomb = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
            many = "[" + "{}," * 200_000 + "{}]"
            for inner in (bomb, many):
                text = json.dumps({**BODY, "metadata": "@"}).replace("@", inner.replace('"', '\\"'))
                hidden = text.replace("[", "\\u005b").replace(",", "\\u002c") if inner is many else text
                for body in (text, hidden):
                    started = time.process_time()  # what it costs, however little of the machine there is
                    headers = {**bearer(ALICE), "content-type": "application/json"}
                    answer = await it.http.post("/v1/video/generations", content=body, headers=headers)
                    assert answer.status_code == 400
                    assert time.process_time() - started < 5
            assert it.requests() == []

    asyncio.run(story())


@pytest.mark.parametrize("name", ["x-reelgate-max-price", "x-reelgate-dry-run", "idempotency-key"])
def test_a_header_that_money_depends_on_is_said_once(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            headers = [("authorization", f"Bearer {ALICE}"), (name, "0.01"), (name, "99")]
            refused = await it.http.post(CREATE, json=BODY, headers=headers)
            assert refused.status_code == 400
            assert refused.json()["error"]["param"] == name
            assert it.requests() == []

    asyncio.run(story())


def test_an_image_link_is_no_place_for_megabytes(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            refused = await it.create(image_urls=["https://example.com/" + "x" * 10_000])
            assert refused.status_code == 400
            assert it.requests() == []

    asyncio.run(story())


def test_an_inline_image_is_sent_and_not_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, speed=SLOW) as it:
            image = "data:image/png;base64," + "iVBORw0KGgo" + "A" * 200_001
            word = id_of(await it.create("newapi", metadata={"first_frame_image": image, "resolution": "768P"}))
            task = await it.parts.registry.get(_number(word))
            assert task is not None
            assert (task.request.first_frame_image or "").startswith("inline:sha256:")
            kept = it.parts.memory.tasks[task.id].request.first_frame_image or ""
            assert len(kept) < 200

    asyncio.run(story())


def test_a_multipart_boundary_that_is_none_is_told_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            for boundary in ("x" * 300, "", '"'):
                answer: httpx.Response = await it.http.post(
                    "/v1/videos",
                    content=b"--x\r\n\r\n--x--",
                    headers={**bearer(ALICE), "content-type": f"multipart/form-data; boundary={boundary}"},
                )
                assert answer.status_code == 400, answer.text

    asyncio.run(story())
