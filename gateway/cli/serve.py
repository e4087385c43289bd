"""`reelgate serve`: the gateway itself."""

import asyncio
import os
import socket
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway import logs, serving
from gateway.app import Gateway, gateway
from gateway.archive import ArchiveFailed
from gateway.cli.endings import fail
from gateway.cli.hosts import host_option
from gateway.cli.numbers import port_option
from gateway.cli.options import ConfigOption, read_config, refuse, refuse_unknown_providers
from gateway.config import Config, ConfigError, inherit, override
from gateway.errors import StorageDown
from gateway.fleet import place as fleet_place
from gateway.fleet.parent import become
from gateway.fleet.place import Place, Task
from gateway.store import Database, StorageRefused, prepare


class Level(StrEnum):
    """What the log says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, host_option("Listen here instead of server.host.")] = None,
    port: Annotated[int | None, port_option("Listen on this port instead of server.port")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Run so many processes instead of server.workers.")] = None,
    log_level: Annotated[Level, typer.Option(help="The least serious records that are logged.")] = Level.INFO,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    place = fleet_place.given(os.environ)
    logs.set_up(log_level.value)
    try:
        settings = override(read_config(config), host=host, port=port, workers=workers)
        if place is not None:
            settings = inherit(settings, _host_of(place))
    except ConfigError as error:
        refuse(error)
    refuse_unknown_providers(settings)
    try:
        if place is not None:
            serving.run(_work(settings, place))
            return
        if settings.server.workers > 1:
            _lead(settings, log_level)
        serving.run(_serve(settings))
    except StorageRefused as error:
        fail(f"storage: {error}")
    except StorageDown as error:
        fail(f"storage: {settings.storage.kind} at storage.url cannot be used: {_cause(error)}")
    except ArchiveFailed as error:
        fail(f"results.archive: {error}")
    except OSError as error:
        fail(f"cannot listen on {settings.server.host}:{settings.server.port}: {error.strerror or error}")
    except KeyboardInterrupt:
        pass


def _host_of(place: Place) -> str:
    """Where a worker listens already. Whom it lets in is judged by that, and not by what the file says by now."""
    with socket.socket(fileno=os.dup(place.listeners[place.number])) as listener:
        host: str = listener.getsockname()[0]
        return host


def _cause(error: StorageDown) -> object:
    """The driver's own words, which name no values."""
    cause = error.__cause__
    return getattr(cause, "orig", cause) or error


async def _serve(config: Config) -> None:
    serving.open_undisturbed()
    # Bound before storage is opened: a second gateway on the same files must not take them for a dead one's.
    with serving.bind(config.server.host, config.server.port) as listener:
        async with gateway(config, listeners=[listener.getsockname()[:2]]) as opened:
            print(f"reelgate: listening on {serving.address_of(listener)}", file=sys.stderr, flush=True)
            await _answer(config, opened, listener)


async def _work(config: Config, place: Place) -> None:
    """One of several on the same port. It is the parent who says where they listen."""
    serving.open_undisturbed()
    with socket.socket(fileno=place.listeners[place.number]) as listener:
        async with gateway(config, listeners=[listener.getsockname()[:2]], counts=Path(place.folder)) as opened:
            await _answer(config, opened, listener, serving.Line(place))


async def _answer(config: Config, opened: Gateway, listener: socket.socket, line: serving.Line | None = None) -> None:
    await serving.serve(
        opened.app,
        listener,
        limits=opened.limits,
        leave_s=config.server.leave_s,
        told=opened.parts.stories,
        line=line,
    )


def _lead(config: Config, log_level: Level) -> NoReturn:
    """Become the parent of the workers. What all of them would stumble over is found out here, and said once."""
    if not hasattr(socket, "SO_REUSEPORT") or not hasattr(os, "fork"):
        fail("several workers need a system with SO_REUSEPORT and fork: leave server.workers at 1")
    listeners = serving.bind_several(config.server.host, config.server.port, config.server.workers)
    asyncio.run(_make_ready(config))
    become(
        Task(
            listeners=tuple(listener.fileno() for listener in listeners),
            address=serving.address_of(listeners[0]),
            level=log_level.value,
        )
    )


async def _make_ready(config: Config) -> None:
    database = Database.open(config.storage.url.reveal())
    try:
        await prepare(database)
    finally:
        await database.close()
