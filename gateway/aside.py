"""Work on what may be large, out of everybody's way: a picture of 20 MB takes a tenth of a second to read or to sum up,
in which nobody else would be answered."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LARGE = 1 << 20
"""Bytes or characters; some three milliseconds of work."""

# One after the other: most of it holds Python's one lock for some 40 ms at a time, and of two threads that do so in
# turn the event loop may have to wait for both.
_ONE = ThreadPoolExecutor(1, "aside")


async def aside(size: int, work: Callable[[], T]) -> T:
    """What the work returns or raises: done at once where it is small, in a thread where it is large."""
    return work() if size <= LARGE else await asyncio.get_running_loop().run_in_executor(_ONE, work)
