"""A disk that stands still: who needs it waits within bounds, and who watches the gateway is answered all the same."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StorageDown
from gateway.stories import Question, Stories
from gateway.web import operations
from tests.overload.conftest import Run
from tests.overload.world import assert_refused, begin, eventually, until
from tests.world import ALICE, World, bearer, id_of, world


@pytest.fixture(autouse=True)
def _nobody_waits_for_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "WITHIN_S", 0.02)


class Standstill:
    """Writes, or long lists, stand still from `begun` until `end`."""

    def __init__(self, run: Any) -> None:
        self._go = threading.Event()
        self._has_begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def step(connection: Any) -> None:
            loop.call_soon_threadsafe(self._has_begun.set)
            assert self._go.wait(60)

        self._standing = asyncio.ensure_future(run(step))

    async def begun(self) -> None:
        await self._has_begun.wait()

    async def end(self) -> None:
        self._go.set()
        await self._standing


async def metric(it: World, name: str) -> float:
    text = (await it.http.get("/metrics")).text
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.rpartition(" ")[2])


async def says(it: World, line: str) -> bool:
    return line in (await it.http.get("/metrics")).text.splitlines()


async def is_ready(it: World) -> bool:
    return (await it.http.get("/readyz")).status_code == 200


def test_while_no_write_comes_through_creates_wait_within_bounds_and_whoever_watches_is_answered(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with world(tmp_path, "bounds: {creates: 5}") as it:
            word = await it.finished_film()
            still = Standstill(it.parts.database.run)
            await still.begun()
            waiting = await begin(it.parts.bounds.creates, 4, it.create)
            await assert_refused(it, "creates", await it.create(), is_create=True)
            assert (await it.http.get("/healthz")).status_code == 200
            assert (await it.http.get("/readyz")).status_code == 200  # it may be slow, and was good a moment ago
            assert (await it.read(word)).json()["status"] == "completed"
            monkeypatch.setattr(operations, "SILENT_FOR_S", 0.0)
            ready = await it.http.get("/readyz")
            assert (ready.status_code, ready.json()["checks"]["storage"]) == (503, False)
            assert len(it.videos()) == 1
            await still.end()
            assert len({id_of(answer) for answer in await asyncio.gather(*waiting)}) == 4
            await until(lambda: it.parts.bounds.creates.taken == 0)
            await eventually(lambda: is_ready(it))

    run(story)


def test_while_no_list_comes_through_a_scrape_tells_the_last_figures_and_their_age(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            completed = 'reelgate_tasks{state="completed"}'
            await it.finished_film()
            await eventually(lambda: says(it, f"{completed} 1.0"))
            still = Standstill(it.parts.database.survey)
            await still.begun()
            await it.finished_film()
            before = await metric(it, "reelgate_storage_figures_age_seconds")
            for _ in range(3):
                assert await metric(it, completed) == 1
            assert await metric(it, "reelgate_storage_figures_age_seconds") > before
            assert (await it.http.get("/readyz")).status_code == 200
            await still.end()
            await eventually(lambda: says(it, f"{completed} 2.0"))

    run(story)


def test_metrics_are_told_when_storage_is_gone(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.parts.database.close()
            assert (await it.http.get("/metrics")).status_code == 200
            assert (await it.http.get("/readyz")).status_code == 503
            assert (await it.http.get("/v1/credits", headers=bearer(ALICE))).status_code == 503

    run(story)


class Oracle:
    """Is asked, and answers when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: asyncio.Queue[int | Exception] = asyncio.Queue()

    async def ask(self) -> int:
        self.asked += 1
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_question_is_asked_once_for_all_who_want_to_know(run: Run) -> None:
    async def story() -> None:
        oracle = Oracle()
        question = Question(oracle.ask, Stories())
        assert question.waits_s == 0
        asking = [asyncio.create_task(question.answer(60)) for _ in range(5)]
        await until(lambda: oracle.asked)
        assert await question.answer(0) is None
        assert question.waits_s > 0
        oracle.answers.put_nowait(7)
        assert await asyncio.gather(*asking) == [7] * 5
        assert (oracle.asked, question.waits_s) == (1, 0)

    run(story)


def test_an_answer_that_came_while_nobody_waited_is_not_told_as_news(run: Run) -> None:
    async def story() -> None:
        oracle = Oracle()
        question = Question(oracle.ask, Stories())
        assert await question.answer(0) is None
        oracle.answers.put_nowait(7)
        await until(lambda: question.waits_s == 0)
        oracle.answers.put_nowait(8)
        assert await question.answer(60) == 8

    run(story)


def test_everybody_who_waits_for_an_answer_hears_that_there_is_none(run: Run) -> None:
    async def story() -> None:
        oracle = Oracle()
        question = Question(oracle.ask, Stories())
        asking = [asyncio.create_task(question.answer(60)) for _ in range(3)]
        oracle.answers.put_nowait(StorageDown("gone"))
        for asked in asking:
            with pytest.raises(StorageDown):
                await asked
        oracle.answers.put_nowait(9)
        assert await question.answer(60) == 9

    run(story)
