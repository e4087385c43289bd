"""Large work is done in one thread, small work at once."""

import asyncio
import itertools
import threading
import time
from functools import partial

import pytest

from gateway.aside import LARGE, aside
from gateway.video import VideoRequest


def test_only_large_work_leaves_the_event_loop() -> None:
    async def story() -> None:
        here = threading.get_ident()
        assert await aside(LARGE, threading.get_ident) == here
        assert await aside(LARGE + 1, threading.get_ident) != here

    asyncio.run(story())


def test_large_works_are_done_one_after_the_other_and_the_loop_goes_on() -> None:
    spans: list[tuple[float, float]] = []

    def work(number: int) -> int:
        began = time.perf_counter()
        time.sleep(0.02)
        spans.append((began, time.perf_counter()))
        return number

    async def story() -> None:
        turns = 0
        all_of_them = asyncio.gather(*(aside(LARGE + 1, partial(work, number)) for number in range(4)))
        while not all_of_them.done():
            turns += 1
            await asyncio.sleep(0.001)
        assert await all_of_them == [0, 1, 2, 3]
        assert turns > 4

    asyncio.run(story())
    assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(spans))


def test_what_large_work_raises_is_raised() -> None:
    def fail() -> None:
        raise LookupError("not here")

    async def story() -> None:
        with pytest.raises(LookupError, match="not here"):
            await aside(LARGE + 1, fail)

    asyncio.run(story())


def test_a_request_knows_how_much_of_it_is_pictures() -> None:
    inline = "data:image/png;base64,AAAA"
    link = "https://images.example/a.png"
    assert VideoRequest(model="m", first_frame_image=link).inline_characters() == 0
    both = VideoRequest(model="m", first_frame_image=inline, last_frame_image=inline.upper(), subject_reference=link)
    assert both.inline_characters() == 2 * len(inline)
