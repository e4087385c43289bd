"""Which dialect a create is taken for: the path, else the header, else the key's setting, else marks, else the default.

The answer shows what a body was taken for, by its `object`, and so does the task that is stored.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import ids
from gateway.dialects import DIALECTS
from gateway.video import Caller
from tests.world import ALICE, SLOW, SPEECHES, World, bearer, error_of, id_of, problems_of, world

SHARED = "/v1/videos/generations"
HEADER = "x-reelgate-dialect"
PLAIN: Mapping[str, Any] = {"model": "MiniMax-Hailuo-2.3", "prompt": "p"}  # carries nobody's marks
SPOKEN = {"video.generation.task": "evolink", "generation.task": "toapis", "video": "newapi"}


def key_pinned_to(dialect: str) -> str:
    return f"virtual_keys: [{{id: alice, value: {ALICE}, dialect: {dialect}}}]"


async def post(it: World, path: str, body: Mapping[str, Any], **headers: str) -> httpx.Response:
    return await it.http.post(path, json=dict(body), headers={**bearer(ALICE), **headers})


async def taken_for(it: World, path: str, body: Mapping[str, Any], told: str | None = None) -> str:
    """The dialect that a good create is taken for, by its answer; the task is remembered as made in it, too."""
    created = await post(it, path, body, **({HEADER: told} if told else {}))
    assert id_of(created) == created.json()["id"]
    (task,) = await it.parts.registry.of_caller(Caller("alice"), 1)
    spoken = SPOKEN[created.json()["object"]]
    assert task.dialect == spoken
    return spoken


def test_the_path_decides(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for dialect, speech in SPEECHES.items():
                assert await taken_for(it, f"/{dialect}{speech.create}", PLAIN) == dialect
            assert await taken_for(it, "/v1/video/generations", PLAIN) == "newapi"

    asyncio.run(scenario())


def test_on_the_shared_path_the_header_decides(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for dialect in ("evolink", "toapis"):
                assert await taken_for(it, SHARED, PLAIN, told=dialect) == dialect

    asyncio.run(scenario())


def test_the_header_goes_before_the_keys_setting_and_before_marks(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, key_pinned_to("evolink")) as it:
            assert await taken_for(it, SHARED, PLAIN, told="toapis") == "toapis"
            assert await taken_for(it, SHARED, {**PLAIN, "resolution": "768P"}, told="toapis") == "toapis"

    asyncio.run(scenario())


def test_the_keys_setting_goes_before_marks(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, key_pinned_to("toapis")) as it:
            assert await taken_for(it, SHARED, PLAIN) == "toapis"
            answer = await post(it, SHARED, {**PLAIN, "quality": "768p"})
            assert problems_of("toapis", answer) == ["quality"]
            assert "toapis spells it `resolution`" in error_of("toapis", answer)["message"]
            assert len(it.videos()) == 1

    asyncio.run(scenario())


def test_a_body_that_cannot_be_read_is_refused_in_the_dialect_of_the_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, key_pinned_to("toapis")) as it:
            answer = await it.http.post(SHARED, content=b"{", headers=bearer(ALICE))
            assert error_of("toapis", answer)["param"] == "body"

    asyncio.run(scenario())


MARKS: list[tuple[dict[str, Any], str]] = [
    ({"quality": "768p"}, "evolink"),
    ({"model_params": {}}, "evolink"),
    ({"callback_url": "https://example.com/"}, "evolink"),
    ({"quality": None}, "evolink"),
    ({"resolution": "768P"}, "toapis"),
    ({"metadata": {}}, "toapis"),
    ({"resolution": "768P", "metadata": {"prompt_optimizer": False}}, "toapis"),
]


@pytest.mark.parametrize("default", ["evolink", "toapis"])
def test_marks_decide_whatever_the_default_is(default: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, f"server: {{default_dialect: {default}}}") as it:
            for marks, dialect in MARKS:
                assert await taken_for(it, SHARED, {**PLAIN, **marks}) == dialect, marks

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("default", "dialect"),
    [
        ("evolink", "evolink"),
        ("toapis", "toapis"),
        ("newapi", "evolink"),
        ("openai", "evolink"),
        ("minimax", "evolink"),
    ],
)
def test_without_marks_the_default_decides_where_it_is_spoken(default: str, dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, f"server: {{default_dialect: {default}}}") as it:
            assert await taken_for(it, SHARED, PLAIN) == dialect
            for content, headers in ((b"{", bearer(ALICE)), (b"{}", {})):
                assert error_of(dialect, await it.http.post(SHARED, content=content, headers=headers))

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", ["openai", "minimax"])
def test_a_key_pinned_to_a_dialect_that_is_not_spoken_here_goes_by_marks(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, key_pinned_to(dialect)) as it:
            assert await taken_for(it, SHARED, {**PLAIN, "resolution": "768P"}) == "toapis"

    asyncio.run(scenario())


def test_marks_of_two_dialects_are_refused_and_both_are_named(tmp_path: Path) -> None:
    values: dict[str, Any] = {"quality": "768p", "resolution": "768P", "model_params": {}, "metadata": {}}

    async def scenario() -> None:
        async with world(tmp_path) as it:
            for mixed in (("quality", "resolution"), ("model_params", "metadata"), ("quality", "metadata")):
                body = {**PLAIN, **{field: values[field] for field in mixed}}
                answer = await post(it, SHARED, body)
                assert answer.status_code == 400
                assert answer.headers["x-should-retry"] == "false"
                assert problems_of("evolink", answer) == list(mixed)
                for word in (*mixed, "evolink", "toapis", HEADER):
                    assert word in error_of("evolink", answer)["message"]
                told = await post(it, SHARED, body, **{HEADER: "toapis"})  # the way out that the message names
                assert problems_of("toapis", told) == [mixed[0]]
            assert it.requests() == []

    asyncio.run(scenario())


def test_a_mark_that_is_null_mixes_nothing_and_is_refused_by_its_name(tmp_path: Path) -> None:
    table: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"quality": None, "resolution": "768P"}, "toapis", ["quality"]),
        ({"quality": "768p", "metadata": None}, "evolink", ["metadata"]),
        ({"quality": None, "resolution": None}, "toapis", ["quality"]),
    ]

    async def scenario() -> None:
        async with world(tmp_path, "server: {default_dialect: toapis}") as it:
            for marks, dialect, fields in table:
                answer = await post(it, SHARED, {**PLAIN, **marks})
                assert problems_of(dialect, answer) == fields
                assert "unknown field" in error_of(dialect, answer)["message"]
            assert it.requests() == []

    asyncio.run(scenario())


def test_an_unknown_dialect_in_the_header_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for word in ("klingon", "Evolink", "", "evolink,toapis"):
                answer = await post(it, SHARED, PLAIN, **{HEADER: word})
                assert answer.status_code == 400
                (problem,) = error_of("evolink", answer)["problems"]
                assert problem["param"] == HEADER
                assert problem["allowed"] == list(DIALECTS)
            assert it.requests() == []

    asyncio.run(scenario())


def test_an_error_before_the_choice_is_told_in_a_dialect_of_the_path_whatever_the_header_says(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "server: {default_dialect: toapis, answer_within_s: 60}") as it:
            for told, spoken in {"minimax": "toapis", "newapi": "toapis", "evolink": "evolink"}.items():
                headers = {"authorization": "Bearer nobody", "x-api-key": "somebody", HEADER: told}
                answer = await it.http.post(SHARED, json=PLAIN, headers=headers)
                assert answer.status_code == 400
                assert error_of(spoken, answer)["param"] == "authorization"

    asyncio.run(scenario())


def test_on_a_path_with_one_speaker_the_header_has_no_say(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, key_pinned_to("toapis")) as it:
            for told in ("toapis", "klingon"):
                assert await taken_for(it, "/evolink" + SHARED, PLAIN, told=told) == "evolink"
                assert await taken_for(it, "/v1/video/generations", PLAIN, told=told) == "newapi"

    asyncio.run(scenario())


def test_where_the_dialect_is_pinned_anothers_fields_are_refused_by_name(tmp_path: Path) -> None:
    table = [
        ("/toapis" + SHARED, "toapis", "evolink", "quality"),
        ("/evolink" + SHARED, "evolink", "toapis", "resolution"),
        ("/evolink" + SHARED, "evolink", "newapi", "metadata"),
        ("/v1/video/generations", "newapi", "evolink", "quality"),
        ("/v1/video/generations", "newapi", "toapis", "resolution"),
    ]

    async def scenario() -> None:
        async with world(tmp_path) as it:
            for path, dialect, stranger, field in table:
                answer = await post(it, path, SPEECHES[stranger].body)
                assert answer.status_code == 400
                assert problems_of(dialect, answer) == [field]
                assert f"{dialect} spells it" in error_of(dialect, answer)["message"]
            assert it.requests() == []

    asyncio.run(scenario())


# --- where all dialects may be spoken


@pytest.mark.parametrize(("pinned", "other"), [("newapi", "minimax"), ("minimax", "newapi")])
def test_where_all_may_speak_an_error_is_told_in_the_keys_dialect_before_the_tasks(
    pinned: str, other: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, key_pinned_to(pinned), speed=SLOW) as it:
            it.parts.bounds.streams.most = 0
            word, nobody = id_of(await it.create("evolink")), ids.word(4711)
            for path in (
                f"/v1/videos/{word}/content",
                f"/v1/videos/{word}/content?variant=thumbnail",
                f"/v1/videos/{nobody}/content",
                f"/v1/tasks/{word}/events",
                f"/v1/tasks/{nobody}/events",
                "/v1/models?upstream=perhaps",
            ):
                for prefix, told, spoken in (("", None, pinned), ("", other, other), ("/toapis", pinned, "toapis")):
                    answer = await it.http.get(prefix + path, headers=bearer(ALICE) | ({HEADER: told} if told else {}))
                    assert envelope_of(answer) == ENVELOPES.get(spoken, "error"), (prefix + path, told, answer.text)

    asyncio.run(scenario())


def test_a_stream_of_events_speaks_the_dialect_of_its_task_whatever_the_keys_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, key_pinned_to("newapi")) as it:
            word = await it.finished_film("evolink")
            told = await it.http.get(f"/v1/tasks/{word}/events", headers=bearer(ALICE))
            assert "video.generation.task" in told.text

    asyncio.run(scenario())


ENVELOPES = {"newapi": "data", "minimax": "base_resp"}


def envelope_of(answer: httpx.Response) -> str:
    """The field by which an error answer tells whose it is, as far as it does."""
    (found,) = {"error", *ENVELOPES.values()} & answer.json().keys()
    return str(found)
