"""From the create to the end, on the sandbox's clock: every dialect has the right word at every stage, whichever of
them made the task and whichever provider makes the film."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.matrix.sellers import SELLERS, Seller
from tests.matrix.speakers import SPEAKERS, Speaker, Told
from tests.matrix.wishes import Wish, on_sale
from tests.matrix.world import GIVE_UP_S, World, world

PENDING, PROCESSING, COMPLETED, FAILED = range(4)
WELL, BADLY, REFUSED = "", "#sandbox:fail-generation", "#sandbox:fail-content"


class Clock:
    """The sandbox's time: it stands still until the test walks it forward."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("provider", SELLERS)
def test_every_dialect_has_the_word_for_every_stage(provider: str, tmp_path: Path) -> None:
    asyncio.run(_live(SELLERS[provider], tmp_path))


async def _live(seller: Seller, folder: Path) -> None:
    clock = Clock()
    async with world(folder, [seller], speed=1, clock=clock) as here:
        tasks = {
            (speaker.name, script): await _order(speaker, script, here)
            for speaker in SPEAKERS.values()
            for script in (WELL, BADLY, REFUSED)
        }
        await _check(tasks, here, PENDING, progress=(0, 0))

        clock.now += 10  # of the thirty that six seconds at 768P take
        await _check(tasks, here, PROCESSING, progress=(1, 99) if seller.name != "minimax" else (0, 0))

        clock.now += 90
        well = {made: task_id for made, task_id in tasks.items() if made[1] == WELL}
        await _check(well, here, COMPLETED, progress=(100, 100))
        badly = {made: task_id for made, task_id in tasks.items() if made[1] != WELL}
        for (_, script), reader, told in await _check(badly, here, FAILED, progress=(0, 99)):
            assert told.link is None
            assert told.error is not None
            code, message = told.error
            assert message
            # Also where the provider tells of it in words alone (FACTS 2.2, 3.4).
            if reader.name == "minimax":
                assert code == ("1027" if script == REFUSED else "1000")
            else:
                assert (code == "content_policy_violation") == (script == REFUSED)
        for task_id in badly.values():
            content = await here.ask("GET", f"/openai/v1/videos/{task_id}/content")
            assert (content.status, content.json()["error"]["code"]) == (400, "not_ready")
        assert len(here.videos()) == len(tasks)


async def _order(speaker: Speaker, script: str, here: World) -> str:
    """The id of a new task of the one plain wish that all of them sell."""
    (wish,) = {wish for wish in on_sale() if wish.is_plain and _is_common(wish)}
    answer = await here.create(speaker, speaker.speak(replace(wish, script=script)))
    assert answer.status == 200, answer.body
    return answer.headers["x-reelgate-task-id"]


def _is_common(wish: Wish) -> bool:
    return (wish.model, wish.mode, wish.resolution, wish.duration) == ("MiniMax-Hailuo-2.3", "t2v", "768P", 6)


async def _check(
    tasks: Mapping[tuple[str, str], str], here: World, stage: int, *, progress: tuple[int, int]
) -> list[tuple[tuple[str, str], Speaker, Told]]:
    """Every task as every dialect tells it."""
    found = []
    for made, task_id in tasks.items():
        await _seen(task_id, here, stage)
        for reader in SPEAKERS.values():
            answer = await here.read(reader, task_id)
            told = reader.understand(answer.json())
            who = f"made in {made}, read in {reader.name}: {answer.body.decode()}"
            assert told.word == reader.words[stage], who
            assert told.progress is None or progress[0] <= told.progress <= progress[1], who
            assert (told.link is not None) == (stage == COMPLETED), who
            assert (told.error is not None) == (stage == FAILED), who
            assert ("openai-poll-after-ms" in answer.headers) == (stage in (PENDING, PROCESSING)), who
            found.append((made, reader, told))
    return found


async def _seen(task_id: str, here: World, stage: int) -> None:
    """Until the gateway has looked since the stage was reached."""
    reader = SPEAKERS["evolink"]
    async with asyncio.timeout(GIVE_UP_S):
        while True:
            answer = await here.read(reader, task_id)
            if reader.understand(answer.json()).word == reader.words[stage]:
                return
            await asyncio.sleep(0.01)
