"""The pages of tasks: what is listed, the story of one, its film, and what a person decides about it."""

import asyncio
import html
import re
import time
from pathlib import Path

import pytest

from gateway import ids
from gateway.flows import sweep
from gateway.structs import replace
from tests.dashboard.history import ended, put
from tests.dashboard.visitor import CONFIG, text_of, visitor
from tests.world import ALICE, BOB, SLOW, World, id_of, world

IN_DOUBT = "a whale #sandbox:drop-after-accept"
TEAMS = f"""
admin_key: the-admin-key-of-this-test
virtual_keys:
  - {{id: alice, value: {ALICE}, team: films}}
  - {{id: bob, value: {BOB}, team: films}}
  - {{id: carol, value: sk-rg-carol}}
  - {{id: dave, value: sk-rg-dave}}
teams: [{{id: films}}]
"""
_LISTED = re.compile(r'href="/dashboard/tasks/(video_\w+)"')


def run(story) -> None:  # type: ignore[no-untyped-def]
    asyncio.run(story())


async def given_up(it: World) -> str:
    """A task that failed without anybody knowing whether it was bought."""
    word = id_of(await it.create(prompt=IN_DOUBT))
    await sweep.sweep(replace(it.parts, clock=lambda: time.time() + 3600))
    return word


def test_tasks_are_listed_by_page_and_by_any_filter(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it, visitor(it) as operator:
            assert "No task was ordered yet." in await operator.reads("/dashboard/tasks")
            made = []
            for number in range(53):
                key = BOB if number % 10 == 0 else ALICE
                made.append(
                    id_of(await it.create(("evolink", "toapis")[number % 2], prompt=f"number {number}", key=key))
                )
            made.reverse()
            first = await operator.gets("/dashboard/tasks")
            assert _LISTED.findall(first) == made[:50]
            (older,) = re.findall(r'href="(/dashboard/tasks\?after=[^"]+)"', first)
            second = await operator.gets(older)
            assert _LISTED.findall(second) == made[50:]
            assert 'href="/dashboard/tasks">Newest' in second
            of_bob = await operator.gets(
                "/dashboard/tasks?caller=bob&state=running&model=&from=1h&to=&upstream=sandbox"
            )
            assert _LISTED.findall(of_bob) == made[2::10]
            assert "<option selected>bob</option>" in of_bob
            assert "No task fits this." in await operator.reads("/dashboard/tasks?state=refused")

    run(story)


def test_a_filter_that_cannot_be_read_is_told_beside_its_field(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG, speed=SLOW) as it, visitor(it) as operator:
            await it.create()
            page = await operator.gets('/dashboard/tasks?from=yesterday&state="><u>')
            assert 'id="wrong-state"' in page
            assert "this is not a state of a task" in page
            assert "<u>" not in page
            page = await operator.gets("/dashboard/tasks?from=yesterday")
            assert 'value="yesterday" list="spans"' in page
            assert 'id="wrong-from">must be a time' in page
            assert _LISTED.findall(page) == []

    run(story)


def test_a_virtual_key_sees_its_own_tasks_and_its_teams_and_no_others(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, TEAMS, speed=SLOW) as it:
            of_alice = id_of(await it.create(key=ALICE))
            of_carol = id_of(await it.create(key="sk-rg-carol"))
            gone = id_of(await it.create("evolink", key="sk-rg-carol"))
            deleted = await it.http.delete(f"/v1/videos/{gone}", headers={"authorization": "Bearer sk-rg-carol"})
            assert deleted.status_code == 200
            seen = {ALICE: [of_alice], BOB: [of_alice], "sk-rg-carol": [of_carol], "sk-rg-dave": []}
            for key, words in seen.items():
                async with visitor(it, key) as holder:
                    for query in ("", "?caller=carol", "?team=films", "?upstream=sandbox"):
                        assert _LISTED.findall(await holder.gets(f"/dashboard/tasks{query}")) == words
                    for word in (of_alice, of_carol, gone):
                        status = 200 if word in words else 404
                        page = await holder.reads(f"/dashboard/tasks/{word}", status)
                        assert ("main" in page) is False  # the upstream's key is nobody's business
                        assert (await holder.http.get(f"/dashboard/tasks/{word}/film")).status_code == (
                            400 if word in words else 404
                        )
                    for path in ("adopt", "release", "settle"):
                        assert (
                            await holder.sends(f"/dashboard/tasks/{of_alice}/{path}", reason="mine")
                        ).status_code == 404
            async with visitor(it) as operator:
                assert _LISTED.findall(await operator.gets("/dashboard/tasks")) == [gone, of_carol, of_alice]
                assert "deleted by its owner" in await operator.reads("/dashboard/tasks")

    run(story)


@pytest.mark.falsifies_books  # no account was made for these rows
def test_among_ten_thousand_tasks_every_page_is_as_long_as_any_and_leads_to_the_next(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it) as operator, visitor(it, ALICE) as holder:
            now = time.time()
            made = [ended(now - 60 * number, caller=("alice", "bob")[number % 2]) for number in range(10_000)]
            await put(it.parts.database, made)
            newest = [ids.word(task.id) for task in sorted(made, key=lambda task: -task.id)]
            for page_of, query, expected in (
                (operator, "", newest),
                (operator, "state=failed", newest),
                (operator, "caller=bob", newest[1::2]),
                (holder, "", newest[::2]),
            ):
                page = await page_of.gets(f"/dashboard/tasks?{query}")
                assert _LISTED.findall(page) == expected[:50], query
                (older,) = re.findall(r'href="(/dashboard/tasks\?[^"]*after=[^"]+)"', page)
                assert _LISTED.findall(await page_of.gets(html.unescape(older))) == expected[50:100], query
            assert "10 000" in await operator.reads("/dashboard")

    run(story)


def test_the_story_says_what_was_asked_tried_and_paid(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it) as operator:
            word = await it.finished_film(prompt="a ship <i>at</i> dawn")
            page = await operator.gets(f"/dashboard/tasks/{word}")
            text = text_of(page)
            for said in ("a ship <i>at</i> dawn", "Ordered by alice", "sandbox accepted it", "0.28 USD reserved"):
                assert said in text
            assert "<i>" not in page
            assert f'src="/dashboard/tasks/{word}/film"' in page
            assert "data-follows" not in page  # it is over
            assert await operator.reads("/dashboard/tasks/video_0000000000001", 404)
            assert await operator.reads("/dashboard/tasks/nonsense", 404)

    run(story)


def test_a_film_is_played_in_ranges_and_saved_for_whoever_may_see_its_task_and_nobody_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it:
            word = await it.finished_film()
            film = f"/dashboard/tasks/{word}/film"
            async with visitor(it, ALICE) as holder:
                whole = await holder.http.get(film)
                assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
                assert whole.headers["content-disposition"].startswith("inline; ")
                assert whole.headers["x-content-type-options"] == "nosniff"
                assert whole.headers["cache-control"] == "private, no-cache"
                part = await holder.http.get(film, headers={"range": "bytes=4-7"})
                assert (part.status_code, part.content) == (206, whole.content[4:8])
                saved = await holder.http.get(film, params={"download": "1"})
                assert saved.headers["content-disposition"] == f'attachment; filename="{word}.mp4"'
                assert (await holder.http.head(film)).status_code == 200
                holder.http.cookies.clear()
                assert (await holder.http.get(film)).status_code == 303  # to the login

    run(story)


def test_a_person_decides_what_becomes_of_a_task_in_doubt(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it) as operator:
            bought, lost = id_of(await it.create(prompt=IN_DOUBT)), id_of(await it.create(prompt=IN_DOUBT))
            page = await operator.gets(f"/dashboard/tasks/{bought}")
            assert f'action="/dashboard/tasks/{bought}/adopt"' in page
            assert f'action="/dashboard/tasks/{bought}/settle"' not in page  # it is not given up yet
            upstream_id = it.videos()[0]["id"]
            answer = await operator.sends(f"/dashboard/tasks/{bought}/adopt", upstream_id=upstream_id)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/dashboard/tasks/{bought}")
            assert (await it.finish(bought))["status"] == "completed"

            answer = await operator.sends(f"/dashboard/tasks/{lost}/adopt", upstream_id=upstream_id)
            assert answer.status_code == 409  # another task holds it
            assert f'value="{upstream_id}" aria-invalid="true"' in answer.text
            answer = await operator.sends(f"/dashboard/tasks/{lost}/release", reason=" ")
            assert answer.status_code == 400
            assert "must say why in one line" in answer.text
            assert (await operator.sends(f"/dashboard/tasks/{lost}/release", reason="not there")).status_code == 303
            assert "not there" in await operator.reads(f"/dashboard/tasks/{lost}")
            answer = await operator.sends(f"/dashboard/tasks/{lost}/settle", reason="again")
            assert answer.status_code == 409

    run(story)


def test_money_that_waits_for_a_person_is_listed_and_settled(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it) as operator:
            word = await given_up(it)
            assert _LISTED.findall(await operator.gets("/dashboard/tasks?state=suspense")) == [word]
            assert f'action="/dashboard/tasks/{word}/settle"' in await operator.gets(f"/dashboard/tasks/{word}")
            answer = await operator.sends(f"/dashboard/tasks/{word}/settle", reason="it was billed")
            assert answer.status_code == 303
            assert _LISTED.findall(await operator.gets("/dashboard/tasks?state=suspense")) == []
            assert "0.28 USD spent it was billed" in await operator.reads(f"/dashboard/tasks/{word}")

    run(story)


def test_no_decision_is_taken_from_a_form_that_is_not_of_this_session(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as it, visitor(it) as operator:
            word = await given_up(it)
            path = f"/dashboard/tasks/{word}/settle"
            for said, headers in (
                ({"reason": "x"}, {}),
                ({"reason": "x", "csrf": "0" * 64}, {}),
                ({"reason": "x", "csrf": operator._token}, {"origin": "https://evil.example"}),
            ):
                answer = await operator.http.post(path, data=said, headers=headers)
                assert answer.status_code == 403
            assert _LISTED.findall(await operator.gets("/dashboard/tasks?state=suspense")) == [word]

    run(story)
