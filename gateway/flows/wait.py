"""Waiting for news of a task, in the caller's own request: no thread, no look at an upstream, no questions to storage.

Whatever this process learns of a task goes through `memory.keep`, and that wakes whoever waits. Of a task that another
process watches, the watcher here reads storage for as long as somebody waits (`watch.py`).
"""

import asyncio
import time
from contextlib import suppress

from gateway.flows import poll
from gateway.parts import Parts
from gateway.video import Task


async def for_status(task: Task, within_s: float, parts: Parts) -> Task:
    """The task as soon as its status is another one, or it is deleted, else as it is after `within_s` seconds.

    Waits for nothing once the gateway is about to end.
    """
    until = time.monotonic() + within_s
    newest = task
    while _reads_alike(newest, task) and not parts.stories.is_leaving:
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        newest = await for_news(newest, left_s, parts)
    return newest


async def for_news(task: Task, within_s: float, parts: Parts) -> Task:
    """The task as soon as anything of it is new, else as it is after `within_s` seconds, or when the gateway is about
    to end. A task that is over has no news."""
    newest = parts.memory.tasks.get(task.id, task)
    if newest is not task or task.is_final or parts.stories.is_leaving:
        return newest
    signal = parts.memory.signal(task.id)  # nothing is awaited between the look above and this
    poll.come_back(task, parts)
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await signal.wait()
    return parts.memory.tasks.get(task.id, task)


def _reads_alike(one: Task, other: Task) -> bool:
    return not one.is_final and _told(one) == _told(other)


def _told(task: Task) -> tuple[object, ...]:
    return task.status, task.submission, task.hidden
