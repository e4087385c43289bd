"""`reelgate serve`: the gateway itself."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from gateway import logs, serving
from gateway.app import gateway
from gateway.cli.endings import fail
from gateway.cli.options import ConfigOption, read_config, refuse, refuse_unknown_providers
from gateway.config import Config, ConfigError, override
from gateway.errors import StorageDown
from gateway.store import StorageRefused


class Level(StrEnum):
    """What the log says."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Listen here instead of server.host.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Listen on this port instead of server.port; 0 is any free one.")
    ] = None,
    log_level: Annotated[Level, typer.Option(help="The least serious records that are logged.")] = Level.INFO,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    logs.set_up(log_level.value)
    try:
        settings = override(read_config(config), host=host, port=port)
    except ConfigError as error:
        refuse(error)
    refuse_unknown_providers(settings)
    try:
        serving.run(_serve(settings))
    except StorageRefused as error:
        fail(f"storage: {error}")
    except StorageDown as error:
        fail(f"storage: {settings.storage.kind} at storage.url cannot be used: {_cause(error)}")
    except OSError as error:
        fail(f"cannot listen on {settings.server.host}:{settings.server.port}: {error.strerror or error}")
    except KeyboardInterrupt:
        pass


def _cause(error: StorageDown) -> object:
    """The driver's own words, which name no values."""
    cause = error.__cause__
    return getattr(cause, "orig", cause) or error


async def _serve(config: Config) -> None:
    # Bound before storage is opened: a second gateway on the same files must not take them for a dead one's.
    with serving.bind(config.server.host, config.server.port) as listener:
        async with gateway(config, listeners=[listener.getsockname()[:2]]) as opened:
            serving.settle()
            print(f"reelgate: listening on {serving.address_of(listener)}", file=sys.stderr, flush=True)
            await serving.serve(
                opened.app,
                listener,
                limits=opened.limits,
                on_stop=opened.parts.stories.stop_creates,
            )
