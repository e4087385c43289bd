"""The storage that the configuration names, opened for one command, beside a running gateway or without one.

Nothing is recovered and nothing is sent: what was under way stays under way. Each step is one short transaction, so a
gateway on the same file waits for milliseconds.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

import typer

from gateway.admission import Admission
from gateway.app import admission
from gateway.cli.endings import USAGE, fail
from gateway.cli.options import read_config
from gateway.config import Config
from gateway.errors import GatewayError, InvalidRequest, StorageDown
from gateway.flows import callers, neighbours
from gateway.flows.decisions import NothingToDecide
from gateway.store import (
    Books,
    Callers,
    Database,
    Journal,
    NameTaken,
    NameUnknown,
    ReceiptTaken,
    Registry,
    Rests,
    StorageRefused,
    prepare,
)
from gateway.structs import Struct

Result = TypeVar("Result")
# A decision that cannot be made is an answer, and no mistake in how it was asked.
_REFUSALS = (NameTaken, NameUnknown, NothingToDecide, ReceiptTaken, GatewayError)
_OPTIONS = {"from": "--since", "to": "--until"}  # which the admin API calls otherwise


class Opened(Struct, frozen=True, kw_only=True):
    """A `Desk` (`parts.py`) at one database."""

    registry: Registry
    rests: Rests
    journal: Journal
    callers: Callers
    books: Books
    admission: Admission
    clock: Callable[[], float]
    currency: str


def at_desk(config: Path | None, work: Callable[[Opened], Awaitable[Result]]) -> Result:
    """What the work answers. Ends with status 2 for what was asked wrongly, 1 for what could not be done."""
    settings = read_config(config)

    async def run() -> Result:
        async with opened(settings) as desk:
            return await work(desk)

    try:
        return asyncio.run(run())
    except InvalidRequest as error:
        _refuse(error)
    except StorageDown as error:
        fail(f"storage: {settings.storage.kind} at storage.url cannot be used: {_cause(error)}")
    except StorageRefused as error:
        fail(f"storage: {str(error).removeprefix('storage: ')}")
    except _REFUSALS as error:
        fail(str(error))


@asynccontextmanager
async def opened(settings: Config) -> AsyncIterator[Opened]:
    """Open the storage, and know the keys it holds."""
    database = Database.open(settings.storage.url.reveal())
    try:
        await prepare(database)
        desk = Opened(
            registry=Registry(database),
            rests=Rests(database),
            journal=Journal.beside(database.path),
            callers=Callers(database),
            books=Books(database),
            admission=admission(settings),
            clock=time.time,
            currency=settings.currency,
        )
        await callers.refresh(desk)
        yield desk
    finally:
        await database.close()


def noticed(settings: Config) -> list[str]:
    """One sentence for everything in storage that the configuration overrules, and for every upstream key that is
    draining or gone. Asks only a file that is there."""
    if settings.storage.kind != "sqlite":
        return []
    url = settings.storage.url.reveal()
    if not Path(url.removeprefix("sqlite:///")).is_file():  # a question would make it
        return _leaving(settings, {})
    known = admission(settings)

    async def run() -> Mapping[tuple[str, str], int]:
        database = Database.open(url)
        try:
            known.learn(await Callers(database).roll())
            return await Registry(database).live_counts()
        finally:
            await database.close()

    try:
        in_flight = asyncio.run(run())
    except StorageDown as error:
        return [f"storage: the keys in it cannot be read: {_cause(error)}"]
    except StorageRefused as error:
        return [str(error)]
    return [*known.conflicts(), *_leaving(settings, in_flight)]


def _leaving(settings: Config, in_flight: Mapping[tuple[str, str], int]) -> list[str]:
    """Which upstream keys are still needed although no task begins with them any more, and which are not."""
    keys = {(upstream.name, key.id): key for upstream in settings.upstreams for key in upstream.keys}
    sentences = []
    for (name, key_id), key in keys.items():
        count = in_flight.get((name, key_id), 0)
        if key.draining and count:
            sentences.append(f"upstreams: {name}: the key {key_id} is draining; tasks in flight that need it: {count}")
        elif key.draining:
            sentences.append(f"upstreams: {name}: the key {key_id} is drained: no task needs it, and it can be removed")
    return sentences + [
        neighbours.missing_key(*route, count) for route, count in in_flight.items() if route not in keys
    ]


def _refuse(error: InvalidRequest) -> NoReturn:
    for problem in error.problems:
        allowed = f"; allowed: {', '.join(problem.allowed)}" if problem.allowed else ""
        param = _OPTIONS.get(problem.param) or problem.param.replace("_", "-")
        print(f"reelgate: {param}: {problem.message}{allowed}", file=sys.stderr)
    raise typer.Exit(USAGE)


def _cause(error: StorageDown) -> object:
    """The driver's own words, which name no values."""
    cause = error.__cause__
    return getattr(cause, "orig", cause) or error.message
