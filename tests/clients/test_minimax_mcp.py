"""MiniMax's own client, `minimax-mcp`, whose tools are called as the functions they are."""

import asyncio
import re
import time
from pathlib import Path

import pytest

from tests.clients.driving import Client, Process
from tests.clients.shop import FILM, FRAME, MODEL, a_picture, only_order, shop
from tests.world import GIVE_UP_S, SLOW

# Where its links live an hour, and so ours are given out instead.
AT_MINIMAX = (
    "upstreams: [{name: m, provider: minimax, base_url: '${UPSTREAM}/minimax', keys: [{id: main, value: sk-up}]}]"
)
UPSTREAMS = {"evolink": "", "minimax": AT_MINIMAX}
BASES = {"bare": "", "prefixed": "/minimax"}


async def ordered(client: Client, prompt: str = "a ship at dawn", **fields: str) -> str:
    """The task id of an order that is not waited for."""
    text = await client.do("generate", prompt=prompt, async_mode=True, **fields)
    found = re.fullmatch(r"Success\. Video generation task submitted: Task ID: (\d+)\. Please use .*", text)
    assert found, text
    return found[1]


async def result(client: Client, task_id: str, **fields: str) -> str:
    """What the tool says of a task once that is over."""
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        text = str(await client.do("query", task_id=task_id, **fields))
        if "still processing" not in text:
            return text
        await asyncio.sleep(0.03)
    raise AssertionError(text)


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
@pytest.mark.parametrize("config", UPSTREAMS.values(), ids=UPSTREAMS)
def test_a_film_is_waited_for_and_its_address_opens_without_a_key(
    minimax: Process, config: str, base: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, minimax, config, base=base) as (it, client):
            text = await client.do("generate", prompt="a ship at dawn", duration=6, resolution="768P")
            said, _, link = text.partition("Video URL: ")
            assert said == "Success. ", text
            assert link.startswith(it.base_url) == bool(config)
            assert (await it.http.get(link)).content == FILM
            assert only_order(it)["prompt"] == "a ship at dawn"

    asyncio.run(scenario())


def test_an_order_that_is_not_waited_for_is_asked_after_until_it_is_done(minimax: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, minimax, base="") as (it, client):
            task_id = await ordered(client)
            text = await result(client, task_id)
            assert text.startswith("Success. Video URL: http")
            assert len(it.videos()) == 1

    asyncio.run(scenario())


def test_an_unfinished_task_reads_as_such(minimax: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, minimax, base="", speed=SLOW) as (_, client):
            task_id = await ordered(client)
            told = await client.do("query", task_id=task_id)
            assert told == f"Video generation task is still processing: Task ID: {task_id}"
            file = await client.fails("raw_get", path=f"/v1/files/retrieve?file_id={task_id}")
            assert (file.kind, "2013" in file.message) == ("MinimaxRequestError", True)

    asyncio.run(scenario())


@pytest.mark.parametrize("config", UPSTREAMS.values(), ids=UPSTREAMS)
def test_a_film_is_saved_in_the_folder_that_was_named(minimax: Process, config: str, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    saved = []

    async def scenario() -> None:
        async with shop(tmp_path, minimax, config, base="", resource_mode="local") as (_, client):
            waited_for = await client.do("generate", prompt="a ship at dawn", output_directory=str(folder))
            asked_after = await result(client, await ordered(client, "at dusk"), output_directory=str(folder))
            for text in (waited_for, asked_after):
                said, _, path = text.partition("Video saved as: ")
                assert said == "Success. ", text
                saved.append(Path(path))

    asyncio.run(scenario())
    assert sorted(saved) == sorted(folder.iterdir())
    assert [path.read_bytes() for path in saved] == [FILM, FILM]


def test_a_first_frame_goes_by_its_address(minimax: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, minimax, AT_MINIMAX, base="") as (it, client):
            await ordered(client, first_frame_image=FRAME)
            assert only_order(it)["first_frame_image"] == FRAME

    asyncio.run(scenario())


def test_a_first_frame_from_a_file_is_judged_by_its_bytes_and_not_by_its_label(
    minimax: Process, tmp_path: Path
) -> None:
    picture = a_picture(tmp_path)  # a PNG, which the client calls image/jpeg

    async def scenario() -> None:
        async with shop(tmp_path, minimax, base="") as (it, client):
            await ordered(client, first_frame_image=str(picture))
            (link,) = only_order(it)["image_urls"]
            uploaded = await it.http.get(link)
            assert (uploaded.headers["content-type"], uploaded.content) == ("image/png", picture.read_bytes())

    asyncio.run(scenario())


def test_a_generation_that_failed_is_told_in_both_ways(minimax: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, minimax, base="") as (_, client):
            prompt = "a ship #sandbox:fail-content"
            assert "1027" in await client.do("generate", prompt=prompt)
            assert "1027" in await result(client, await ordered(client, prompt))

    asyncio.run(scenario())


def test_a_wrong_key_is_its_own_class_of_error(minimax: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, minimax, base="", key="sk-rg-nobody") as (it, client):
            body = {"model": MODEL, "prompt": "a ship"}
            for error in (
                await client.fails("raw_post", path="/v1/video_generation", body=body),
                await client.fails("raw_get", path="/v1/query/video_generation?task_id=1"),
                await client.fails("raw_get", path="/v1/files/retrieve?file_id=1"),
            ):
                assert error.kind == "MinimaxAuthError"
                assert "please check your API key" in error.message
            assert "please check your API key" in await client.do("generate", prompt="a ship")
            assert it.requests() == []

    asyncio.run(scenario())


def test_what_is_wrong_with_an_order_is_told_with_the_field_and_what_is_allowed(
    minimax: Process, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, minimax, base="") as (it, client):
            text = await client.do("generate", prompt="a ship", duration=7)
            assert text.startswith("Failed to generate video: API Error: 2013-")
            assert "duration" in text
            assert "6, 10" in text
            unknown = await client.do("generate", prompt="a ship", model="sora-2")
            assert "2013" in unknown
            assert MODEL in unknown
            assert "2013" in await client.do("query", task_id="176843862716480")
            error = await client.fails("raw_post", path="/v1/video_generation", body={"model": MODEL})
            assert error.kind == "MinimaxRequestError"
            assert it.requests() == []

    asyncio.run(scenario())


@pytest.mark.parametrize(("word", "code"), [("429", 1041), ("503", 1033), ("402", 1033), ("401", 1033)])
def test_an_upstream_that_takes_nobody_is_told_by_a_number(
    minimax: Process, word: str, code: int, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, minimax, base="") as (it, client):
            text = await client.do("generate", prompt=f"a ship #sandbox:{word}")
            assert text.startswith(f"Failed to generate video: API Error: {code}-")
            assert it.videos() == []

    asyncio.run(scenario())


def test_an_order_that_was_billed_and_never_answered_has_a_task_id_and_is_bought_once(
    minimax: Process, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, minimax, base="") as (it, client):
            task_id = await ordered(client, "a ship #sandbox:drop-after-accept")
            assert "still processing" in await client.do("query", task_id=task_id)
            assert (len(it.videos()), len(it.requests("POST"))) == (1, 1)

    asyncio.run(scenario())
