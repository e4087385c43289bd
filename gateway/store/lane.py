"""A lane: a bounded queue of jobs and the threads that serve it.

A thread takes every job that waits, up to a group, has them done together, and wakes all who wait for them with one
call into their event loop. So what a group shares, a commit above all, is paid for once.

A job belongs to the lane, not to the coroutine that asked for it: a coroutine that is cancelled undoes nothing.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, exc

from gateway.errors import StorageDown

T = TypeVar("T")
Step = Callable[[Connection], T]
"""A plain function of a connection: what is done to the database inside one transaction."""

RETRY_AFTER_S = 5  # FAILURES T15


class RuleBroken(Exception):
    """What a step wrote breaks a rule that the database keeps (a constraint, a unique index); nothing of it remains.

    Its text names the rule, never a value. The driver's exception is its `__cause__`.
    """


class Driver(Protocol):
    """What a driver calls its errors (PEP 249). Each driver has classes of its own."""

    @property
    def DatabaseError(self) -> type[Exception]: ...  # noqa: N802  # the names are the standard's
    @property
    def IntegrityError(self) -> type[Exception]: ...  # noqa: N802
    @property
    def InternalError(self) -> type[Exception]: ...  # noqa: N802
    @property
    def OperationalError(self) -> type[Exception]: ...  # noqa: N802


class Job:
    """One step that waits for a thread, and the future its outcome is for."""

    __slots__ = ("error", "future", "step", "value")

    def __init__(self, step: Step[Any], future: asyncio.Future[Any]) -> None:
        self.step = step
        self.future = future
        self.value: Any = None
        self.error: BaseException | None = None


class Worker(Protocol):
    """What a thread of a lane does with a group. It is only ever called from that one thread."""

    def do(self, jobs: Sequence[Job]) -> None:
        """Give every job its value or its error."""

    def close(self) -> None:
        """Let go of whatever is held open."""


class Lane:
    """Runs steps on its threads, one for each worker, from `start()` until `close()`."""

    def __init__(self, name: str, workers: Sequence[Worker], *, waiting_max: int, group_max: int) -> None:
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting_max = waiting_max
        self._group_max = group_max
        self._is_closed = False
        self.is_sound = False
        """Whether the last group met no storage failure; False before the first one."""
        self._threads = [
            # A daemon: a process that ends without `close()` must not hang. What was answered is already durable.
            threading.Thread(target=self._serve, args=(worker,), name=f"{name}-{number}", daemon=True)
            for number, worker in enumerate(workers, 1)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    async def run(self, step: Step[T]) -> T:
        """What the step returns or raises. StorageDown when the lane is closed or full; then the step never ran."""
        if self._is_closed:
            raise StorageDown("The gateway's storage is closed.")
        if self._waiting.qsize() >= self._waiting_max:
            raise StorageDown("The gateway's storage has too much to do.", retry_after=RETRY_AFTER_S)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put(Job(step, future))
        return await future

    async def close(self) -> None:
        """Finish what waits, take no more, and end the threads."""
        if not self._is_closed:
            self._is_closed = True
            for _ in self._threads:
                self._waiting.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _serve(self, worker: Worker) -> None:
        is_last = False
        while not is_last:
            jobs, is_last = self._take()
            if not jobs:
                break
            try:
                worker.do(jobs)
            except BaseException as error:
                for job in jobs:
                    job.error = error
            self.is_sound = not any(isinstance(job.error, StorageDown) for job in jobs)
            _wake(jobs)
            del jobs  # the thread may now sleep for hours; it must not hold a request in memory
        worker.close()

    def _take(self) -> tuple[list[Job], bool]:
        """The jobs of the next group, and whether this thread is to end after them."""
        jobs: list[Job] = []
        job = self._waiting.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._group_max:
                return jobs, False
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True


def _wake(jobs: Sequence[Job]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.future.get_loop(), []).append(job)
    for loop, theirs in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(_resolve, theirs)


def _resolve(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if job.future.done():  # cancelled; the step stays done
            continue
        if job.error is None:
            job.future.set_result(job.value)
        else:
            job.future.set_exception(job.error)


def told(error: BaseException, driver: Driver) -> BaseException:
    """The exception for the coroutine that waits: the driver's own ones translated, all others as they are.

    A driver's exception comes bare from a statement that ran straight on it, and wrapped by SQLAlchemy otherwise.
    """
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(original, driver.IntegrityError):
        return _because(RuleBroken(f"the database refused it: {original}"), error)
    if isinstance(original, (driver.OperationalError, driver.InternalError)) or type(original) is driver.DatabaseError:
        return storage_down(error)
    if isinstance(error, StopIteration):  # a future refuses it
        return _because(RuntimeError("a step raised StopIteration"), error)
    return error


def storage_down(cause: BaseException) -> StorageDown:
    """The storage failure as the house knows it, with the driver's words as its cause."""
    return _because(StorageDown("The gateway's storage does not answer.", retry_after=RETRY_AFTER_S), cause)


E = TypeVar("E", bound=BaseException)


def _because(error: E, cause: BaseException) -> E:
    error.__cause__ = cause
    return error
