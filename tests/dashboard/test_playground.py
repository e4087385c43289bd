"""The playground: whose order it is, what it costs, that it is bought once, and where a mistake is told."""

import asyncio
import html
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from gateway.dialects import DIALECTS
from tests.dashboard.visitor import CONFIG, number_of, text_of, visitor
from tests.images.files import encode
from tests.world import ALICE, SLOW, world

PATH = "/dashboard/playground"
GOOD = {"offer": "MiniMax-Hailuo-2.3|768P|6", "prompt": "a ship at dawn", "prompt_optimizer": "true"}
_BEGUN = re.compile(r"/dashboard/playground\?task=(video_\w+)")


def run(story) -> None:  # type: ignore[no-untyped-def]
    asyncio.run(story())


def wrong(page: str) -> dict[str, str]:
    """What is told beside each field."""
    found = re.findall(r'<p class="wrong" id="wrong-(\w+)"[^>]*>([^<]*)</p>', page)
    return {name: html.unescape(text) for name, text in found if text}


def command_of(page: str) -> list[str]:
    (line,) = re.findall(r'<pre class="code" id="curl"[^>]*>([^<]*)</pre>', page)
    return shlex.split(html.unescape(line))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dry_run_tells_price_and_call_and_the_command_it_shows_does_the_same(dialect: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it, ALICE) as holder:
            await holder.gets(PATH)
            answer = await holder.sends_files(PATH, {**GOOD, "dialect": dialect, "do": "try"}, {})
            assert answer.status_code == 200
            assert "Price 0.28 USD" in text_of(answer.text)
            assert it.videos() == []
            words = command_of(answer.text)
            body = json.loads(words[words.index("-d") + 1])
            path = words[1].removeprefix("http://127.0.0.1")
            created = await it.http.post(path, json=body, headers={"authorization": f"Bearer {ALICE}"})
            assert created.status_code == 200, created.text
            (video,) = it.videos()
            assert (video["price"], video["request"]["prompt"]) == ("0.28", "a ship at dawn")

    run(story)


def test_what_is_sent_is_an_order_of_the_viewers_own_key_and_is_bought_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it, ALICE) as holder:
            said = {**GOOD, "dialect": "openai", "do": "send", "number": number_of(await holder.gets(PATH))}
            answers = await asyncio.gather(*(holder.sends_files(PATH, said, {}) for _ in range(3)))
            ids = {_BEGUN.fullmatch(answer.headers["location"])[1] for answer in answers}  # type: ignore[index]
            assert len(ids) == 1 == len(it.videos())
            (word,) = ids
            assert (await it.finish(word))["status"] == "completed"
            page = await holder.gets(f"{PATH}?task={word}")
            assert f'src="/dashboard/tasks/{word}/film"' in page
            assert number_of(page) != said["number"]
            assert "Ordered by alice" in await holder.reads(f"/dashboard/tasks/{word}")

            changed = await holder.sends_files(PATH, {**said, "prompt": "a whale"}, {})
            assert changed.status_code == 422
            assert "was sent before, with other words in it" in changed.text
            assert number_of(changed.text) != said["number"]
            assert len(it.videos()) == 1

    run(story)


def test_a_form_keeps_its_number_until_it_was_sent_so_that_a_lost_answer_is_no_second_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it, ALICE) as holder:
            said = {**GOOD, "dialect": "openai", "number": number_of(await holder.gets(PATH))}
            await holder.sends_files(PATH, {**said, "do": "send"}, {})  # say that this answer was lost
            tried = await holder.sends_files(PATH, {**said, "do": "try"}, {})
            refused = await holder.sends_files(PATH, {**said, "do": "send", "prompt": ""}, {})
            for page in (tried, refused):
                assert number_of(page.text) == said["number"]
            again = await holder.sends_files(PATH, {**said, "do": "send", "number": number_of(refused.text)}, {})
            assert again.status_code == 303
            assert len(it.videos()) == 1

    run(story)


def test_the_admin_key_orders_nothing_and_a_virtual_key_that_is_typed_in_is_not_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it) as operator:
            said = {**GOOD, "dialect": "evolink", "do": "send", "number": number_of(await operator.gets(PATH))}
            for key, told in (
                ("", "a virtual key is needed: the admin key orders nothing"),
                ("the-admin-key-of-this-test", "this key is not known, or opens nothing any more"),
                ("sk-nobody", "this key is not known, or opens nothing any more"),
            ):
                answer = await operator.sends_files(PATH, {**said, "key": key}, {})
                assert answer.status_code == 400
                assert wrong(answer.text) == {"key": told}
            assert it.videos() == []
            tried = await operator.sends_files(PATH, {**said, "key": ALICE, "do": "try"}, {})
            assert ALICE not in tried.text
            sent = await operator.sends_files(PATH, {**said, "key": ALICE}, {})
            word = sent.headers["location"].rpartition("=")[2]
            assert "Ordered by alice" in await operator.reads(f"/dashboard/tasks/{word}")

    run(story)


def test_a_gateway_without_keys_orders_as_the_one_caller_there_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, f"{CONFIG}virtual_keys: []\n") as it, visitor(it) as operator:
            page = await operator.gets(PATH)
            assert 'name="key"' not in page
            said = {**GOOD, "dialect": "minimax", "do": "send", "number": number_of(page)}
            sent = await operator.sends_files(PATH, said, {})
            word = sent.headers["location"].rpartition("=")[2]
            assert "Ordered by local" in await operator.reads(f"/dashboard/tasks/{word}")

    run(story)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"prompt": ""}, {"prompt": "a prompt that is not blank is required here"}),
        ({"dialect": "klingon"}, {"dialect": "this is not a dialect (evolink, toapis, newapi, openai, minimax)"}),
        ({"offer": ""}, {"offer": "choose what to make"}),
        ({"offer": "MiniMax-Hailuo-2.3|1080P|10"}, {"offer": "MiniMax-Hailuo-2.3 does not make 10 s at 1080P (6)"}),
        ({"offer": "MiniMax-Hailuo-2.3|768P|six"}, {"offer": "this is not on offer"}),
        ({"max_price": "cheap"}, {"max_price": "must be an amount of at most six decimals, such as 0.30"}),
        ({"max_price": "0.10"}, {"max_price": "this video costs 0.28 USD, more than 0.10"}),
        ({"first_frame_image": "ftp://x"}, {"first_frame_image": "must be a link (http:// or https://)"}),
        ({"aigc_watermark": "true"}, {"aigc_watermark": "evolink has no word for a watermark; choose another dialect"}),
        ({"do": "send", "number": "7"}, {"": "this form has no number; load the page again"}),
    ],
)
def test_a_mistake_is_told_beside_its_own_field(
    changes: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it, visitor(it, ALICE) as holder:
            await holder.gets(PATH)
            answer = await holder.sends_files(PATH, {**GOOD, "dialect": "evolink", "do": "try", **changes}, {})
            assert answer.status_code == 400
            ((field, sentence),) = expected.items()
            told = wrong(answer.text)
            assert set(told) == ({field} if field else set())
            assert sentence in (told[field] if field else text_of(answer.text))
            if changes.get("prompt") != "":
                assert "a ship at dawn" in answer.text  # what was typed is still there
            assert it.videos() == []

    run(story)


def test_a_file_is_an_image_and_an_address_beside_it_is_one_too_many(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it, ALICE) as holder:
            await holder.gets(PATH)
            said: dict[str, Any] = {**GOOD, "dialect": "minimax", "do": "try"}
            files = {"first_frame_image_file": encode("RGB", (800, 600), "PNG"), "last_frame_image_file": b""}
            answer = await holder.sends_files(PATH, said, files)
            assert answer.status_code == 200, wrong(answer.text)
            assert "first frame to video" in text_of(answer.text)
            assert "data:image/png;base64," in text_of(answer.text)
            both = await holder.sends_files(PATH, {**said, "first_frame_image": "https://example.com/a.png"}, files)
            assert wrong(both.text) == {"first_frame_image": "give an address or a file, not both"}

    run(story)


def test_the_form_offers_what_this_key_may_order(tmp_path: Path) -> None:
    config = f"{CONFIG}virtual_keys: [{{id: alice, value: {ALICE}, models: ['*-Fast']}}]\n"

    async def story() -> None:
        async with world(tmp_path, config) as it, visitor(it, ALICE) as holder, visitor(it) as operator:
            offered = re.compile(r'<optgroup label="([^"]+)"')
            assert offered.findall(await holder.gets(PATH)) == ["MiniMax-Hailuo-2.3-Fast"]
            assert offered.findall(await operator.gets(PATH)) == [
                "MiniMax-Hailuo-02",
                "MiniMax-Hailuo-2.3",
                "MiniMax-Hailuo-2.3-Fast",
            ]
            refused = await holder.sends_files(PATH, {**GOOD, "dialect": "evolink", "do": "try"}, {})
            assert refused.status_code == 403
            assert wrong(refused.text) == {"offer": "`model`: this key may not use MiniMax-Hailuo-2.3"}

    run(story)


def test_the_task_of_somebody_else_is_not_followed(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it, "sk-rg-bob-key") as bob:
            word = await it.finished_film()
            assert await bob.reads(f"{PATH}?task={word}", 404)
            assert await bob.reads(f"{PATH}?task=nonsense", 404)

    run(story)
