"""A repeat is the same request: by idempotency key, or by an SDK's own mark (CONTRACT sections 4 and 7)."""

import asyncio
import base64
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import ids
from gateway.errors import InvalidRequest
from gateway.flows import submit
from tests.callbacks.world import until
from tests.images.files import LARGE, real_files
from tests.preflight.hosts import OPENED, by_path, hosting, whole
from tests.world import ALICE, BOB, SLOW, SPEECHES, World, bearer, id_of, world


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def order(
    it: World, key: str | bytes | None = None, *, dialect: str = "evolink", by: str = ALICE, **more: Any
) -> httpx.Response:
    """A create with an idempotency key, or with other headers (`retry`)."""
    speech = SPEECHES[dialect]
    retry = more.pop("retry", None)
    headers: dict[str, Any] = {**bearer(by)}
    if key is not None:
        headers["idempotency-key"] = key
    if retry is not None:
        headers["x-stainless-retry-count"] = retry
    return await it.http.post(f"/{dialect}{speech.create}", json={**speech.body, **more}, headers=headers)


def test_the_same_request_under_the_same_key_gets_the_first_answer(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await order(it, "k-1")
            await it.finish(id_of(first))
            again = await order(it, "k-1")
            assert again.json() == first.json()
            assert "idempotent-replayed" not in first.headers
            assert again.headers["idempotent-replayed"] == "true"
            assert len(it.videos()) == 1

    run(story())


def test_defaults_said_or_unsaid_and_other_dialects_are_the_same_request(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await order(it, "k-1")
            for dialect, fields in (
                ("evolink", {"duration": 6, "model_params": {"prompt_optimizer": True}}),
                ("toapis", {}),
                ("newapi", {"duration": "6"}),
            ):
                again = await order(it, "k-1", dialect=dialect, **fields)
                assert again.status_code == 200, again.text
                assert again.headers["x-reelgate-task-id"] == first.headers["x-reelgate-task-id"]
            assert len(it.videos()) == 1

    run(story())


def test_another_request_under_the_same_key_is_422_and_costs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await order(it, "k-1")
            for dialect in SPEECHES:
                refused = await order(it, "k-1", dialect=dialect, prompt="something else")
                assert refused.status_code == 422
                assert "idempotency_key_reused" in refused.text
                assert refused.headers["x-should-retry"] == "false"
            assert len(it.videos()) == 1

    run(story())


def test_a_key_belongs_to_its_caller(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            mine, theirs = await order(it, "k-1"), await order(it, "k-1", by=BOB)
            assert id_of(mine) != id_of(theirs)
            assert len(it.videos()) == 2

    run(story())


def test_a_refusal_frees_the_key(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            prompt = "a ship #sandbox:400=1"
            assert (await order(it, "k-1", prompt=prompt)).status_code == 400
            assert (await order(it, "k-1", quality="999p")).status_code == 400
            accepted = await order(it, "k-1", prompt=prompt)
            assert accepted.status_code == 200
            assert "idempotent-replayed" not in accepted.headers
            assert len(it.videos()) == 1

    run(story())


def test_doubt_keeps_the_key(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await order(it, "k-1", prompt="a ship #sandbox:drop-after-accept")
            again = await order(it, "k-1", prompt="a ship #sandbox:drop-after-accept")
            assert first.json()["submission"] == again.json()["submission"] == "unconfirmed"
            assert id_of(first) == id_of(again)
            assert len(it.videos()) == 1

    run(story())


def test_a_thousand_twins_at_once_are_one_video_and_a_thousand_equal_answers(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, speed=SLOW) as it:
            answers = await asyncio.gather(*(order(it, "k-1") for _ in range(1_000)))
            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.text for answer in answers}) == 1
            assert sum("idempotent-replayed" in answer.headers for answer in answers) == 999
            assert len(it.videos()) == 1

    run(story())


def test_twins_of_a_slow_submit_wait_for_its_outcome(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, speed=SLOW) as it:
            prompt = "a ship #sandbox:slow=0.4"
            first, second = await asyncio.gather(order(it, "k-1", prompt=prompt), order(it, "k-1", prompt=prompt))
            assert first.json() == second.json()
            assert "submission" not in first.json()
            assert len(it.videos()) == 1

    run(story())


@pytest.mark.parametrize("key", ["", "x" * 256, b"caf\xe9", "a\tb"])
def test_a_key_that_is_none_is_refused(key: str | bytes, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            refused = await order(it, key)
            assert refused.status_code == 400
            assert refused.json()["error"]["param"] == "idempotency-key"
            assert it.requests() == []

    run(story())


@pytest.mark.parametrize("count", [None, "0", "-1", "one", "", "1.5", "9" * 20])
def test_what_no_sdk_marks_as_a_repeat_is_an_ordinary_create(count: str | None, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first, second = await order(it), await order(it, retry=count)
            assert id_of(first) != id_of(second)

    run(story())


def test_a_repeat_that_an_sdk_marks_is_the_first_request_for_ten_minutes(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await order(it)
            again = await order(it, retry="1")
            assert again.json() == first.json()
            assert again.headers["idempotent-replayed"] == "true"
            other = await order(it, retry="2", prompt="something else")
            assert id_of(other) != id_of(first)
            assert id_of(await order(it, retry="1", by=BOB)) != id_of(first)
            assert len(it.videos()) == 3

    run(story())


def test_a_marked_repeat_of_what_was_deleted_is_new_once_that_is_over(tmp_path: Path) -> None:
    """One that runs on is paid for; one that is over was wanted, and is not meant any more."""

    async def story() -> None:
        async with world(tmp_path, speed=SLOW) as it:
            first = id_of(await order(it))
            path = f"/openai/v1/videos/{first}"
            assert (await it.http.delete(path, headers=bearer(ALICE))).status_code == 200
            assert id_of(await order(it, retry="1")) == first
        async with world(tmp_path) as it:
            second = id_of(await order(it, prompt="another"))
            await it.finish(second)
            assert (await it.http.delete(f"/openai/v1/videos/{second}", headers=bearer(ALICE))).status_code == 200
            assert id_of(await order(it, retry="1", prompt="another")) != second

    run(story())


def test_a_key_outlives_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await order(it, "k-1")
        async with world(tmp_path) as it:
            again = await order(it, "k-1")
            assert again.json() == first.json()
            assert it.requests("POST") == []

    run(story())


@pytest.mark.parametrize("repeat", [{"key": "k-1"}, {"retry": "1"}], ids=["key", "mark of an SDK"])
def test_a_repeat_gets_the_first_answer_though_its_picture_is_gone(repeat: dict[str, str], tmp_path: Path) -> None:
    """Its answer was lost, and the link to the picture is good for once only: who is told "no" now orders again."""
    files = {"a": whole(real_files(LARGE)["jpeg"])}

    async def story() -> None:
        async with hosting(by_path(files)) as host, world(tmp_path, OPENED) as it:
            fields = {"image_urls": [f"{host.url}/a"]}
            first = await order(it, repeat.get("key"), **fields)
            asked = len(host.visits)
            assert id_of(first)
            del files["a"]
            again = await order(it, repeat.get("key"), retry=repeat.get("retry"), **fields)
            assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true"), again.text
            assert id_of(again) == id_of(first)
            assert len(host.visits) == asked, "nobody was asked again"
            new = await order(it, None if "key" not in repeat else "k-2", **fields)
            assert new.status_code == 400, "a new order is judged anew"
            assert len(it.videos()) == 1

    run(story())


class SlowAtFirst:
    """A host of pictures that takes its time for the first who asks, whom it gives something else if it has that."""

    def __init__(self, first: bytes | None = None) -> None:
        self._picture = whole(real_files(LARGE)["jpeg"])
        self._first = first or self._picture
        self.is_asked, self.gate = asyncio.Event(), asyncio.Event()

    async def answer(self, path: str, headers: dict[str, str]) -> bytes:
        if self.is_asked.is_set():
            return self._picture
        self.is_asked.set()
        await self.gate.wait()
        return self._first


@pytest.mark.parametrize("is_older", [False, True], ids=["the first", "an order of the same before it"])
def test_a_marked_repeat_does_not_overtake_the_first_while_its_picture_is_looked_at(
    is_older: bool, tmp_path: Path
) -> None:
    """The client gave up while the host of the picture was slow; for the repeat it is fast."""

    async def story() -> None:
        slow = SlowAtFirst()
        async with hosting(slow.answer) as host, world(tmp_path, OPENED) as it:
            fields = {"image_urls": [f"{host.url}/a"]}
            if is_older:
                slow.gate.set()
                assert id_of(await order(it, **fields))
                slow.gate.clear()
                slow.is_asked.clear()
                it.parts.memory.pictures.clear()
            first = asyncio.create_task(order(it, **fields))
            await slow.is_asked.wait()
            repeats = [asyncio.create_task(order(it, retry=str(number), **fields)) for number in (1, 2)]
            another = await order(it, **{**fields, "prompt": "another video"})
            assert id_of(another), "which nobody waits for"
            assert not any(repeat.done() for repeat in repeats)
            slow.gate.set()
            same = {id_of(await one) for one in (first, *repeats)}
            assert len(same) == 1
            assert "idempotent-replayed" not in (await first).headers
            assert len(it.videos()) == 2 + is_older
            assert not it.parts.memory.asking

    run(story())


def test_a_marked_repeat_does_not_wait_for_ever(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "server: {answer_within_s: 0.05}") as it:
            number = ids.number_of(id_of(await order(it)))
            assert number is not None
            task = await it.parts.registry.get(number)
            assert task is not None
            stuck: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            it.parts.memory.asking[task.caller, task.fingerprint] = {stuck}
            late = await order(it, retry="1")
            assert (late.status_code, late.headers["retry-after"]) == (409, "2")
            del it.parts.memory.asking[task.caller, task.fingerprint]
            assert id_of(await order(it, retry="2")) == ids.word(number)
            assert len(it.videos()) == 1

    run(story())


def test_a_first_that_its_marked_repeat_overtook_in_another_process_is_not_bought_beside_it(tmp_path: Path) -> None:
    async def story() -> None:
        slow = SlowAtFirst()
        async with hosting(slow.answer) as host, world(tmp_path, OPENED) as it:
            fields = {"image_urls": [f"{host.url}/a"]}
            first = asyncio.create_task(order(it, **fields))
            await slow.is_asked.wait()
            asking = dict(it.parts.memory.asking)
            it.parts.memory.asking.clear()  # as that of another process would be
            repeats = [await order(it, retry=str(number), **fields) for number in (1, 2)]
            it.parts.memory.asking.update(asking)
            slow.gate.set()
            told = await first
            assert (told.status_code, told.headers["idempotent-replayed"]) == (200, "true"), told.text
            assert {id_of(one) for one in (told, *repeats)} == {id_of(repeats[0])}
            assert len(it.videos()) == 1
            assert id_of(await order(it, **fields)) != id_of(told), "the same again is a new order"

    run(story())


def test_a_marked_repeat_that_is_slower_than_its_first_is_its_twin(tmp_path: Path) -> None:
    async def story() -> None:
        slow = SlowAtFirst()
        async with hosting(slow.answer) as host, world(tmp_path, OPENED) as it:
            fields = {"image_urls": [f"{host.url}/a"]}
            repeat = asyncio.create_task(order(it, retry="1", **fields))
            await slow.is_asked.wait()
            first = await order(it, **fields)
            slow.gate.set()
            assert id_of(await repeat) == id_of(first)
            assert len(it.videos()) == 1

    run(story())


def test_one_picture_under_two_labels_is_the_same_request(tmp_path: Path) -> None:
    """Several clients label every picture as JPEG."""

    async def story() -> None:
        files = real_files(LARGE)
        picture, another = (base64.b64encode(files[name]).decode() for name in ("jpeg", "jpeg grey"))
        async with world(tmp_path) as it:
            first = await order(it, "k-1", image_urls=[f"data:image/jpeg;base64,{picture}"])
            again = await order(it, "k-1", image_urls=[f"data:image/png;base64,{picture}"])
            assert id_of(again) == id_of(first)
            other = await order(it, "k-1", image_urls=[f"data:image/jpeg;base64,{another}"])
            assert other.status_code == 422, other.text
            assert len(it.videos()) == 1

    run(story())


def test_a_twin_is_answered_in_time_also_where_the_first_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited for the first, and has no more time than what is left to be looked at itself."""

    async def story() -> None:
        asked, gate = 0, asyncio.Event()

        async def slow(*of: Any, **said: Any) -> Any:
            nonlocal asked
            asked += 1
            await (gate if asked == 1 else asyncio.Event()).wait()
            raise InvalidRequest("the picture is none")

        monkeypatch.setattr(submit, "check", slow)
        async with world(tmp_path, "server: {answer_within_s: 1}") as it:
            first = asyncio.create_task(order(it, "k-1"))
            await until(lambda: asked)
            twin = asyncio.create_task(order(it, "k-1"))
            await asyncio.sleep(0.1)
            gate.set()
            assert (await first).status_code == 400
            late = await twin
            assert (late.status_code, late.headers["retry-after"]) == (409, "2"), late.text
            assert asked == 2
            assert it.videos() == []

    run(story())


def test_a_marked_repeat_of_what_is_refused_is_a_new_order(tmp_path: Path) -> None:
    async def story() -> None:
        slow = SlowAtFirst(whole(b"no picture at all"))
        async with hosting(slow.answer) as host, world(tmp_path, OPENED) as it:
            fields = {"image_urls": [f"{host.url}/a"]}
            first = asyncio.create_task(order(it, **fields))
            await slow.is_asked.wait()
            repeat = asyncio.create_task(order(it, retry="1", **fields))
            slow.gate.set()
            assert (await first).status_code == 400
            assert "idempotent-replayed" not in (await repeat).headers
            assert id_of(await repeat)
            assert len(it.videos()) == 1

    run(story())
