"""What became of a create whose COMMIT was never answered (`postgres.py`, rule 4).

A task that was to be sent at once is harmless: nobody sends it but who opened it. One that was to wait for a key is
not: where it was written, the queue sends it, and whoever was told that nothing was bought buys it again.
"""

import asyncio
from functools import partial

from sqlalchemy import Connection

from gateway.errors import StorageDown
from gateway.store.accounts import lock_owners
from gateway.store.database import Database
from gateway.store.queries import find
from gateway.video import State, Task

LOOK_FOR_S = 5.0  # a server that starts again is there by then; a create is not kept waiting for longer
LOOK_EVERY_S = 0.2


class MayWait(Exception):
    """The task waits for a key, or was never written: storage went away, and does not say. It is sent at most once."""

    def __init__(self, task: Task) -> None:
        super().__init__(f"task {task.id} waits for a key, or was never written")
        self.task = task


async def find_written(task: Task, down: StorageDown, db: Database) -> Task:
    """The task as it was written, or has become since. Raises `down` where it was not, MayWait where nobody knows."""
    try:
        async with asyncio.timeout(LOOK_FOR_S):
            found = await _look(task, db)
    except TimeoutError:
        if task.state is State.QUEUED:
            raise MayWait(task) from down
        raise down from None
    if found is None:
        raise down
    return found


async def _look(task: Task, db: Database) -> Task | None:
    while True:
        try:
            return await db.run(partial(_find, task=task))
        except StorageDown:
            await asyncio.sleep(LOOK_EVERY_S)


def _find(connection: Connection, task: Task) -> Task | None:
    # A server that lost us may still be committing; the names stay locked until it has done so, or will not.
    lock_owners(connection, task.caller, task.team)
    return find(connection, task.id)
