"""Whatever is sent, a create that is not good costs nothing, says what is wrong in its own dialect, harms nobody."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Scope

from tests.world import ALICE, PROMPT_S, SPEECHES, World, bearer, error_of, id_of, problems_of, world

MIB = 1 << 20
BODY_BYTES_MAX = 32 * MIB
IMAGE = "https://example.com/a.png"


def nested(levels: int) -> bytes:
    return b'{"model":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def with_text(text: str) -> bytes:
    """A body that is good but for the JSON text of its prompt or duration."""
    return f'{{"model": "MiniMax-Hailuo-2.3", {text}}}'.encode()


# All that is no JSON object, or not one that every reader would read alike. The problem is always `body`.
NOT_READABLE: Mapping[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t",
    "malformed": b'{"model": "MiniMax-Hailuo-2.3"',
    "a trailing comma": with_text('"prompt": "p",'),
    "two objects": b"{}{}",
    "single quotes": b"{'model': 'MiniMax-Hailuo-2.3'}",
    "a form": b"model=MiniMax-Hailuo-2.3&prompt=p",
    "the same key twice": with_text('"prompt": "p", "prompt": "p"'),
    "the same key twice, once escaped": with_text('"prompt": "p", "prom\\u0070t": "q"'),
    "the same key twice, inside": with_text('"metadata": {"resolution": "768P", "resolution": "1080P"}'),
    "33 levels": nested(33),
    "3,000 levels": nested(3_000),
    "100,000 levels": nested(100_000),
    "100,000 open brackets": b"[" * 100_000,
    "Latin-1": with_text('"prompt": "café"').replace("é".encode(), b"\xe9"),
    "a byte that is never UTF-8": with_text('"prompt": "p"') + b"\xff",
    "an overlong NUL": with_text('"prompt": "X"').replace(b"X", b"\xc0\x80"),
    "UTF-16": with_text('"prompt": "p"').decode().encode("utf-16"),
    "UTF-16 without a mark": with_text('"prompt": "p"').decode().encode("utf-16-le"),
    "UTF-32": with_text('"prompt": "p"').decode().encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf" + with_text('"prompt": "p"'),
    "NaN": with_text('"duration": NaN'),
    "Infinity": with_text('"duration": Infinity'),
    "-Infinity": with_text('"duration": -Infinity'),
    "1e999": with_text('"duration": 1e999'),
    "-1e999": with_text('"duration": -1e999'),
    "5,000 digits": with_text(f'"duration": {"9" * 5_000}'),
    "a leading zero": with_text('"duration": 06'),
    "a huge array": with_text(f'"image_urls": [{",".join(["0"] * 100_000)}]'),
    "a huge object": with_text(f'"metadata": {{{",".join(f"{chr(34)}k{n}{chr(34)}:0" for n in range(30_000))}}}'),
    "a lone surrogate": with_text('"prompt": "\\ud800"'),
    "a lone surrogate in a key": with_text('"\\udfff": 1'),
    "surrogates in the wrong order": with_text('"prompt": "\\udc00\\ud800"'),
    "a surrogate in UTF-8": with_text('"prompt": "X"').replace(b"X", b"\xed\xa0\x80"),
    "an escaped NUL": with_text('"prompt": "a\\u0000b"'),
    "an escaped NUL in a key": with_text('"a\\u0000b": 1'),
    "a raw NUL": with_text('"prompt": "a\0b"'),
    "a raw line break": with_text('"prompt": "a\nb"'),
    "an array": b'[{"model": "MiniMax-Hailuo-2.3", "prompt": "p"}]',
    "a string": b'"MiniMax-Hailuo-2.3"',
    "a number": b"6",
    "null": b"null",
    "true": b"true",
}

# Headers that say the body is something else → the header that is named.
NOT_TAKEN: list[tuple[dict[str, str], str]] = [
    ({"content-type": "text/plain"}, "content-type"),
    ({"content-type": "application/x-www-form-urlencoded"}, "content-type"),
    ({"content-type": "multipart/form-data; boundary=x"}, "content-type"),
    ({"content-type": "application/jsonp"}, "content-type"),
    ({"content-type": "application/json", "content-encoding": "gzip"}, "content-encoding"),
    ({"content-type": "application/json", "content-encoding": "identity, br"}, "content-encoding"),
]

NOT_TEXT: list[Any] = [5, 1.5, True, [], {}, ["text"]]
NOT_NAME = [*NOT_TEXT, ""]
NOT_BOOLEAN: list[Any] = ["true", "", 0, 1, 1.0, [], {}]
NOT_WHOLE: list[Any] = [6.0, True, "six", [6], {}, -1, 0, 7, 10**4_000]
NOT_RESOLUTION: list[Any] = [768, True, "", "768", "HD", "9999P", ["768P"], {}]
NOT_OBJECT: list[Any] = [5, True, [], [{}]]
NOT_IMAGE: list[Any] = [5, True, [IMAGE], {}, "", "a.png", "//example.com/a.png", "file:///etc/passwd", "javascript:1"]
NOT_IMAGES: list[Any] = [IMAGE, 5, True, {"0": IMAGE}, [IMAGE] * 3]

FIELDS: Mapping[str, Mapping[str, list[Any]]] = {
    "evolink": {
        "model": NOT_NAME,
        "prompt": NOT_TEXT,
        "image_urls": NOT_IMAGES,
        "image_urls[0]": NOT_IMAGE,
        "quality": NOT_RESOLUTION,
        "duration": [*NOT_WHOLE, "6"],
        "model_params": [*NOT_OBJECT, "{}"],
        "model_params.prompt_optimizer": NOT_BOOLEAN,
        "model_params.fast_pretreatment": NOT_BOOLEAN,
        "model_params.unheard_of": [1],
        "callback_url": [*NOT_TEXT, "http://example.com/", "https://localhost/", "https://u:p@example.com/", "x"],
    },
    "toapis": {
        "model": NOT_NAME,
        "prompt": NOT_TEXT,
        "image_urls": [*NOT_IMAGES, [IMAGE] * 2],
        "image_urls[0]": [*NOT_IMAGE, "data:image/png;base64,AAAA"],
        "resolution": NOT_RESOLUTION,
        "duration": [*NOT_WHOLE, "6"],
        "metadata": [*NOT_OBJECT, "{}"],
        "metadata.last_frame_image": NOT_IMAGE,
        "metadata.prompt_optimizer": NOT_BOOLEAN,
        "metadata.fast_pretreatment": NOT_BOOLEAN,
        "metadata.aigc_watermark": NOT_BOOLEAN,
        "metadata.unheard_of": [1],
        "metadata.callback_url": [*NOT_TEXT, "https://127.0.0.1/"],
    },
    "newapi": {
        "model": NOT_NAME,
        "prompt": NOT_TEXT,
        "image": NOT_IMAGE,
        "images": NOT_IMAGES,
        "images[0]": NOT_IMAGE,
        "input_reference": NOT_IMAGE,
        "size": NOT_RESOLUTION,
        "duration": NOT_WHOLE,
        "seconds": [*NOT_WHOLE, 6],
        "metadata": [*NOT_OBJECT, "text", "[]", '{"a":1,"a":1}'],
        "metadata.first_frame_image": NOT_IMAGE,
        "metadata.last_frame_image": NOT_IMAGE,
        "metadata.subject_reference": [*NOT_IMAGE, IMAGE],
        "metadata.resolution": NOT_RESOLUTION,
        "metadata.duration": NOT_WHOLE,
        "metadata.prompt_optimizer": NOT_BOOLEAN,
        "metadata.fast_pretreatment": NOT_BOOLEAN,
        "metadata.aigc_watermark": NOT_BOOLEAN,
        "metadata.unheard_of": [1],
        "metadata.callback_url": [*NOT_TEXT, "https://10.0.0.1/"],
    },
}


def body_with(field: str, value: object) -> dict[str, Any]:
    """The smallest good body, but with this at the field."""
    body: dict[str, Any] = {"model": "MiniMax-Hailuo-2.3", "prompt": "p"}
    if field.endswith("[0]"):
        return body | {field[:-3]: [value]}
    outer, _, inner = field.partition(".")
    return body | ({outer: {inner: value}} if inner else {outer: value})


async def post(it: World, dialect: str, content: bytes, **headers: str) -> httpx.Response:
    said = {"content-type": "application/json", **bearer(ALICE), **headers}
    return await it.http.post(f"/{dialect}{SPEECHES[dialect].create}", content=content, headers=said)


def complaint(dialect: str, answer: httpx.Response, field: str, status: int = 400) -> str | None:
    """What is not as it should be in the refusal of a field, if anything."""
    try:
        error = error_of(dialect, answer)
        assert answer.status_code == status
        assert answer.headers["x-should-retry"] == "false"
        assert "retry-after" not in answer.headers
        assert field in error["message"]
        assert error["param"] == field
    except (AssertionError, KeyError, json.JSONDecodeError) as reason:
        return f"{reason!r}: {answer.status_code} {answer.text[:200]}"
    return None


async def assert_unharmed(it: World) -> None:
    """Nothing was bought, nothing was even asked; and a good create still works in every dialect."""
    assert it.requests() == []
    for dialect in SPEECHES:
        id_of(await it.create(dialect))
    assert len(it.videos()) == len(SPEECHES)


@pytest.mark.parametrize("dialect", SPEECHES)
def test_what_cannot_be_read_is_refused_and_nothing_is_asked_of_the_upstream(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            answers = {name: await post(it, dialect, content) for name, content in NOT_READABLE.items()}
            wrong = {name: complaint(dialect, answer, "body") for name, answer in answers.items()}
            assert {name: why for name, why in wrong.items() if why} == {}
            await assert_unharmed(it)

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", SPEECHES)
def test_a_body_of_another_kind_is_refused_by_its_header(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for headers, field in NOT_TAKEN:
                if dialect == "newapi" and "multipart" in headers.get("content-type", ""):
                    continue  # a kind that it takes
                answer = await post(it, dialect, json.dumps(SPEECHES[dialect].body).encode(), **headers)
                assert complaint(dialect, answer, field) is None
            await assert_unharmed(it)

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", SPEECHES)
def test_a_field_of_a_wrong_type_is_one_problem_under_the_callers_own_name(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            wrong = {}
            for field, values in FIELDS[dialect].items():
                for value in values:
                    answer = await post(it, dialect, json.dumps(body_with(field, value)).encode())
                    why = complaint(dialect, answer, field)
                    if why is None and problems_of(dialect, answer) != [field]:
                        why = f"problems: {problems_of(dialect, answer)}"
                    if why is not None:
                        wrong[f"{field} = {json.dumps(value)[:40]}"] = why
            assert wrong == {}
            await assert_unharmed(it)

    asyncio.run(scenario())


# Per dialect: a body that is wrong in every way at once, and the fields it is told of, in this order.
ALL_WRONG: Mapping[str, tuple[dict[str, Any], list[str]]] = {
    "evolink": (
        {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "x" * 2_001,
            "quality": "4K",
            "duration": 7,
            "model_params": {"prompt_optimizer": "yes", "sparkle": 1},
            "callback_url": "http://localhost/",
            "image_urls": ["ftp://example.com/a.png"],
            "colour": "red",
        },
        [
            *("image_urls[0]", "quality", "model_params.prompt_optimizer", "colour", "model_params.sparkle"),
            *("prompt", "duration", "callback_url"),
        ],
    ),
    "toapis": (
        {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": " ",
            "resolution": "720P",
            "duration": "6",
            "image_urls": "https://example.com/a.png",
            "metadata": {"fast_pretreatment": 1, "last_frame_image": "https://example.com/b.png"},
            "seed": 1,
        },
        [
            *("image_urls", "duration", "metadata.fast_pretreatment", "seed"),
            *("metadata.last_frame_image", "prompt", "resolution"),
        ],
    ),
    "newapi": (
        {
            "model": "MiniMax-Hailuo-2.3",
            "prompt": "",
            "size": "100x100",
            "seconds": 6,
            "metadata": {"first_frame_image": "a.png", "resolutoin": "768P", "duration": 7},
        },
        ["metadata.first_frame_image", "size", "seconds", "metadata.resolutoin", "prompt", "metadata.duration"],
    ),
}


@pytest.mark.parametrize("dialect", SPEECHES)
def test_all_problems_of_a_request_come_in_one_answer(dialect: str, tmp_path: Path) -> None:
    body, fields = ALL_WRONG[dialect]

    async def scenario() -> None:
        async with world(tmp_path) as it:
            answer = await post(it, dialect, json.dumps(body).encode())
            assert complaint(dialect, answer, fields[0]) is None
            assert problems_of(dialect, answer) == fields
            for problem in error_of(dialect, answer)["problems"]:
                assert set(problem) == {"param", "message", "allowed"}
                assert problem["message"]
            await assert_unharmed(it)

    asyncio.run(scenario())


# What is wrong whichever model is meant, with the fields that must be named beside the model.
WITHOUT_A_MODEL: Mapping[str, tuple[dict[str, Any], dict[str, set[str]]]] = {
    "nothing at all": ({}, {"newapi": {"prompt"}, "toapis": {"prompt"}}),
    "a long prompt": ({"prompt": "x" * 2_001}, {dialect: {"prompt"} for dialect in SPEECHES}),
    "a duration that nobody sells": (
        {"prompt": "p", "duration": 7},
        {dialect: {"duration"} for dialect in SPEECHES},
    ),
}


@pytest.mark.parametrize("model", [None, "no-such-model"])
@pytest.mark.parametrize("dialect", SPEECHES)
def test_what_no_model_would_take_is_told_beside_a_missing_or_unknown_model(
    dialect: str, model: str | None, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for said, expected in WITHOUT_A_MODEL.values():
                body = {**said, **({} if model is None else {"model": model})}
                answer = await post(it, dialect, json.dumps(body).encode())
                assert set(problems_of(dialect, answer)) == {"model", *expected.get(dialect, set())}
            await assert_unharmed(it)

    asyncio.run(scenario())


def test_what_is_wrong_in_headers_is_told_with_what_is_wrong_in_the_body(tmp_path: Path) -> None:
    headers = {"idempotency-key": "k" * 300, "x-reelgate-max-price": "abc", "x-reelgate-dry-run": "zz"}
    body = json.dumps({"model": "MiniMax-Hailuo-2.3", "foo": 1, "prompt": ""}).encode()

    async def scenario() -> None:
        async with world(tmp_path) as it:
            answer = await post(it, "newapi", body, **headers)
            assert answer.status_code == 400
            assert set(problems_of("newapi", answer)) == {*headers, "foo", "prompt"}
            for name, value in headers.items():  # each of them alone forbids the order
                good = json.dumps({"model": "MiniMax-Hailuo-2.3", "prompt": "p"}).encode()
                assert problems_of("newapi", await post(it, "newapi", good, **{name: value})) == [name]
            await assert_unharmed(it)

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", SPEECHES)
def test_allowed_values_are_told_in_the_dialects_own_spelling(dialect: str, tmp_path: Path) -> None:
    field = {"evolink": "quality", "toapis": "resolution", "newapi": "metadata.resolution"}[dialect]

    async def scenario() -> None:
        async with world(tmp_path) as it:
            answer = await post(it, dialect, json.dumps(body_with(field, "512P")).encode())
            (problem,) = error_of(dialect, answer)["problems"]
            assert problem["allowed"] == (["768p", "1080p"] if dialect == "evolink" else ["768P", "1080P"])

    asyncio.run(scenario())


# --- bodies that are too large, too slow, or never come: the application itself, without a server before it


class Caller:
    """A client that sends its body in pieces and remembers what it is told."""

    def __init__(self, path: str, headers: Mapping[str, str], pieces: list[bytes], last: Message | None = None) -> None:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in {**bearer(ALICE), **headers}.items()]
        self.scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), *raw],
        }
        self.pieces = pieces
        self.last = last
        self.taken = 0
        self.told: list[Message] = []

    async def receive(self) -> Message:
        if self.taken < len(self.pieces):
            self.taken += 1
            return {"type": "http.request", "body": self.pieces[self.taken - 1], "more_body": True}
        if self.last is None:
            await asyncio.Event().wait()
        assert self.last is not None
        return self.last

    async def send(self, message: Message) -> None:
        self.told.append(message)

    async def ask(self, it: World) -> httpx.Response:
        await it.app(self.scope, self.receive, self.send)
        start, *rest = self.told
        return httpx.Response(start["status"], headers=start["headers"], content=b"".join(m["body"] for m in rest))


@pytest.mark.parametrize("dialect", SPEECHES)
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            path = f"/{dialect}{SPEECHES[dialect].create}"
            caller = Caller(path, {"content-length": str(BODY_BYTES_MAX + 1)}, [b"x" * MIB])
            assert complaint(dialect, await caller.ask(it), "body", status=413) is None
            assert caller.taken == 0
            await assert_unharmed(it)

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", SPEECHES)
def test_a_body_that_does_not_say_its_size_is_refused_at_the_limit(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            path = f"/{dialect}{SPEECHES[dialect].create}"
            caller = Caller(path, {"transfer-encoding": "chunked"}, [bytes(MIB)] * 32 + [b"x"] + [bytes(MIB)] * 10)
            assert complaint(dialect, await caller.ask(it), "body", status=413) is None
            assert caller.taken == 33
            await assert_unharmed(it)

    asyncio.run(scenario())


def test_a_body_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            good = json.dumps(SPEECHES["evolink"].body).encode()
            assert id_of(await post(it, "evolink", good + b" " * (BODY_BYTES_MAX - len(good))))

    asyncio.run(scenario())


def test_over_a_socket_too_large_a_body_is_refused_while_none_of_it_was_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, on_socket=True) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.http.base_url.port)
            head = f"POST /evolink/v1/videos/generations HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {ALICE}\r\n"
            writer.write(f"{head}Content-Length: {BODY_BYTES_MAX + 1}\r\n\r\n".encode())
            async with asyncio.timeout(PROMPT_S):
                assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
            writer.close()
            await writer.wait_closed()
            await assert_unharmed(it)

    asyncio.run(scenario())


@pytest.mark.parametrize("length", ["²", "-1", "1e9", ""])
def test_a_length_that_is_no_number_is_no_bug(length: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            end: Message = {"type": "http.request", "body": b"", "more_body": False}
            answer = await Caller("/v1/videos/generations", {"content-length": length}, [], end).ask(it)
            assert complaint("evolink", answer, "body") is None

    asyncio.run(scenario())


def test_a_body_that_does_not_arrive_in_time_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "server: {limits: {body_s: 0.05}}") as it:
            answer = await Caller("/v1/video/generations", {}, [b'{"model":']).ask(it)
            assert complaint("newapi", answer, "body") is None
            await assert_unharmed(it)

    asyncio.run(scenario())


def test_a_client_that_leaves_while_it_sends_is_not_answered_and_buys_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            body = json.dumps(SPEECHES["evolink"].body).encode()
            caller = Caller("/v1/videos/generations", {}, [body], {"type": "http.disconnect"})
            await it.app(caller.scope, caller.receive, caller.send)
            assert caller.told == []
            await assert_unharmed(it)

    asyncio.run(scenario())
