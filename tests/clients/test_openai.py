"""OpenAI's own clients, two of Python and one of Node, doing what programs do with them."""

import asyncio
from pathlib import Path
from typing import Any

from tests.clients.driving import Client, Process
from tests.clients.shop import FILM_AS_TOLD, FRAME, MODEL, a_picture, finished, only_order, shop
from tests.world import BOB, SLOW

SCARCE = "virtual_keys: [{id: alice, value: sk-rg-alice-key, models: [MiniMax-Hailuo-02]}]"


def test_the_clients_are_those_that_were_pinned(
    openai3: Process, openai2: Process, node: Process, tmp_path: Path
) -> None:
    async def scenario() -> None:
        for process, major in ((openai3, "3."), (openai2, "2."), (node, "7.")):
            assert (await Client(process, "http://127.0.0.1:9", "sk").do("version")).startswith(major)

    asyncio.run(scenario())


# --- a film, from the order to its bytes


def test_a_film_made_of_words_alone_is_ordered_watched_and_downloaded(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            created = await client.do("create", model=MODEL, prompt="a ship at dawn", seconds="6")
            assert (created["object"], created["status"], created["model"]) == ("video", "queued", MODEL)
            video = await finished(client, created["id"])
            assert (video["status"], video["progress"], video["error"]) == ("completed", 100, None)
            assert (video["seconds"], video["size"], video["prompt"]) == ("6", "1366x768", "a ship at dawn")
            assert video["completed_at"] >= video["created_at"] > 0
            assert await client.do("download", id=video["id"]) == FILM_AS_TOLD
            assert await client.do("download", id=video["id"], variant="video") == FILM_AS_TOLD
            assert only_order(it)["prompt"] == "a ship at dawn"

    asyncio.run(scenario())


def test_below_its_prefix_every_call_works_as_well(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai, base="/openai/v1") as (_, client):
            created = await client.do("create", model=MODEL, prompt="a ship at dawn")
            await finished(client, created["id"])
            assert await client.do("download", id=created["id"]) == FILM_AS_TOLD
            assert (await client.do("page"))["ids"] == [created["id"]]
            assert (await client.do("delete", id=created["id"]))["deleted"] is True
            assert MODEL in await client.do("models")

    asyncio.run(scenario())


def test_create_and_poll_waits_for_the_end(openai_python: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai_python) as (it, client):
            video = await client.do("create_and_poll", model=MODEL, prompt="a ship at dawn")
            assert (video["status"], video["progress"]) == ("completed", 100)
            assert len(it.videos()) == 1

    asyncio.run(scenario())


def test_a_generation_that_failed_says_why(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (_, client):
            created = await client.do("create", model=MODEL, prompt="a ship #sandbox:fail-content")
            failed = await finished(client, created["id"])
            assert (failed["status"], failed["error"]["code"]) == ("failed", "content_policy_violation")
            assert failed["error"]["message"]
            assert (await client.fails("download", id=created["id"])).kind == "BadRequestError"

    asyncio.run(scenario())


def test_a_file_becomes_the_first_frame_byte_for_byte(openai: Process, tmp_path: Path) -> None:
    picture = a_picture(tmp_path)

    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            created = await client.do("create", model=MODEL, prompt="she turns her head", file=str(picture))
            assert (await finished(client, created["id"]))["status"] == "completed"
            (link,) = only_order(it)["image_urls"]
            assert (await it.http.get(link)).content == picture.read_bytes()

    asyncio.run(scenario())


def test_what_the_protocol_has_no_field_for_is_said_beside_it(openai: Process, tmp_path: Path) -> None:
    said: list[dict[str, Any]] = [
        {"image_urls": [FRAME], "metadata": {"resolution": "1080P", "prompt_optimizer": False}},
        {"image_urls": [FRAME], "resolution": "1080P", "model_params": {"prompt_optimizer": False}},
    ]

    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            for extra in said:
                await client.do("create", model=MODEL, prompt="a ship at dawn", seconds="6", extra=extra)
            first, second = (video["request"] for video in it.videos())
            assert first == second
            assert (first["image_urls"], first["quality"], first["duration"]) == ([FRAME], "1080p", 6)
            assert first["model_params"]["prompt_optimizer"] is False

    asyncio.run(scenario())


def test_first_and_last_frame_are_two_addresses_in_one_list(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            extra = {"image_urls": [FRAME, FRAME + "?last"]}
            await client.do("create", model="MiniMax-Hailuo-02", prompt="a ship at dawn", extra=extra)
            assert only_order(it)["image_urls"] == [FRAME, FRAME + "?last"]

    asyncio.run(scenario())


def test_json_is_understood_where_a_program_insists_on_it(openai_python: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai_python) as (it, client):
            created = await client.do("create_as_json", model=MODEL, prompt="a ship at dawn", seconds="10")
            assert created["seconds"] == "10"
            assert only_order(it)["duration"] == 10

    asyncio.run(scenario())


# --- many of them


def test_a_list_is_turned_page_by_page_without_a_gap(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (_, client):
            made = [(await client.do("create", model=MODEL, prompt=f"ship {number}"))["id"] for number in range(5)]
            newest_first = made[::-1]
            assert await client.do("page", limit=2) == {"ids": newest_first[:2], "has_more": True}
            after = await client.do("page", limit=2, after=newest_first[1])
            assert after == {"ids": newest_first[2:4], "has_more": True}
            assert await client.do("page", after=newest_first[3]) == {"ids": newest_first[4:], "has_more": False}
            assert await client.do("list_all", limit=2, at_most=10) == newest_first
            assert await client.do("list_all", limit=2, order="asc", at_most=10) == made
            unknown = await client.fails("page", after="video_0000")
            assert (unknown.kind, unknown.param) == ("BadRequestError", "after")

    asyncio.run(scenario())


def test_a_deleted_video_is_gone_for_every_call(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            made = await client.do("create", model=MODEL, prompt="a ship at dawn")
            kept = await client.do("create", model=MODEL, prompt="a ship at dusk")
            deleted = await client.do("delete", id=made["id"])
            assert deleted == {"id": made["id"], "object": "video.deleted", "deleted": True}
            for deed in ("retrieve", "download", "delete"):
                gone = await client.fails(deed, id=made["id"])
                assert (gone.kind, gone.status, gone.code) == ("NotFoundError", 404, "not_found")
            assert (await client.do("page"))["ids"] == [kept["id"]]
            assert len(it.videos()) == 2  # one that runs, runs on

    asyncio.run(scenario())


# --- what is refused, as a program reads it


def test_a_wrong_key_is_an_authentication_error(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai, key="sk-rg-nobody") as (it, client):
            for deed, said in (("create", {"model": MODEL, "prompt": "p"}), ("page", {}), ("retrieve", {"id": "x"})):
                error = await client.fails(deed, **said)
                assert (error.kind, error.status) == ("AuthenticationError", 401)
                assert (error.code, error.type) == ("invalid_api_key", "authentication_error")
            assert it.requests() == []

    asyncio.run(scenario())


def test_a_bad_request_names_every_field_at_fault(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            error = await client.fails("create", model=MODEL, prompt="a ship", seconds="8", size="1x1")
            assert (error.kind, error.status, error.code) == ("BadRequestError", 400, "invalid_request")
            assert (error.type, error.param) == ("invalid_request_error", "size")
            found = {problem["param"]: problem["allowed"] for problem in error.body["problems"]}
            assert found["seconds"] == ["6", "10"]
            assert "size" in found
            assert "size" in error.message
            nothing = await client.fails("create", model=MODEL, prompt="")
            assert (nothing.kind, nothing.param) == ("BadRequestError", "prompt")
            assert it.requests() == []

    asyncio.run(scenario())


def test_a_model_that_is_not_sold_here_is_not_found(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (_, client):
            error = await client.fails("create", model="sora-2", prompt="a ship")
            assert (error.kind, error.status) == ("NotFoundError", 404)
            assert (error.code, error.param) == ("model_not_found", "model")
            assert MODEL in error.message

    asyncio.run(scenario())


def test_a_model_this_key_may_not_use_is_a_denied_permission(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai, SCARCE) as (_, client):
            error = await client.fails("create", model=MODEL, prompt="a ship")
            assert (error.kind, error.status) == ("PermissionDeniedError", 403)
            assert (error.code, error.type) == ("model_not_allowed", "permission_error")

    asyncio.run(scenario())


def test_somebody_elses_video_is_not_found(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai, key=BOB) as (it, client):
            foreign = await it.finished_film()
            for deed in ("retrieve", "download", "delete"):
                assert (await client.fails(deed, id=foreign)).kind == "NotFoundError"
            assert (await client.do("page"))["ids"] == []

    asyncio.run(scenario())


def test_refused_content_is_a_bad_request_with_its_own_code(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            error = await client.fails("create", model=MODEL, prompt="a ship #sandbox:422")
            assert (error.kind, error.status) == ("BadRequestError", 400)
            assert error.type == "invalid_request_error"
            assert it.videos() == []

    asyncio.run(scenario())


def test_the_bytes_of_an_unfinished_video_are_refused_in_json(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai, speed=SLOW) as (_, client):
            created = await client.do("create", model=MODEL, prompt="a ship at dawn")
            error = await client.fails("download", id=created["id"])
            assert (error.kind, error.code) == ("BadRequestError", "not_ready")

    asyncio.run(scenario())


def test_what_is_not_offered_says_so_and_spends_nothing(openai: Process, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(bytes(3 << 20))  # more than what fits between the two ends of a connection

    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            created = await client.do("create", model=MODEL, prompt="a ship at dawn")
            await finished(client, created["id"])
            asked = len(it.requests())
            for deed, said in (
                ("remix", {"id": created["id"]}),
                ("edit", {"file": str(clip)}),
                ("extend", {"file": str(clip)}),
                ("create_character", {"file": str(clip)}),
                ("get_character", {"id": "char_1"}),
                ("download", {"id": created["id"], "variant": "thumbnail"}),
                ("download", {"id": created["id"], "variant": "spritesheet"}),
            ):
                error = await client.fails(deed, **said)
                assert (error.kind, error.status, error.code) == ("BadRequestError", 400, "invalid_request"), deed
                assert "not offered" in error.message
                assert error.param == ("variant" if "variant" in said else None)
            assert len(it.requests()) == asked

    asyncio.run(scenario())


# --- another dialect through the same client


def test_the_clients_plain_calls_reach_the_other_dialects(openai: Process, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with shop(tmp_path, openai) as (it, client):
            body = {"model": MODEL, "prompt": "a ship at dawn", "quality": "768p", "duration": 6}
            created = await client.do("post", path="/videos/generations", body=body)
            assert (created["object"], created["status"]) == ("video.generation.task", "pending")
            await it.finish(created["id"])
            task = await client.do("get", path=f"/tasks/{created['id']}")
            assert (task["id"], task["status"], len(task["results"])) == (created["id"], "completed", 1)
            assert (await client.do("retrieve", id=created["id"]))["status"] == "completed"
            unknown = await client.fails("get", path="/tasks/task-unified-1")
            assert (unknown.kind, unknown.status) == ("NotFoundError", 404)
            refused = await client.fails("post", path="/videos/generations", body={**body, "duration": 7})
            assert (refused.kind, refused.param) == ("BadRequestError", "duration")

    asyncio.run(scenario())


def test_below_the_video_paths_nothing_is_offered_that_is_not_listed(openai3: Process, tmp_path: Path) -> None:
    paths = ("/videos/edits", "/tasks/x/cancel", "/video/generations/x/y", "/query/anything", "/video_generation/x")

    async def scenario() -> None:
        async with shop(tmp_path, openai3) as (it, client):
            for path in paths:
                for error in (await client.fails("post", path=path, body={}), await client.fails("get", path=path)):
                    assert (error.kind, error.status) == ("BadRequestError", 400), path
                    assert "not offered" in str(error.body)
            assert it.requests() == []

    asyncio.run(scenario())
