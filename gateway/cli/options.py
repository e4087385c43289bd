"""The configuration, as several commands are given it."""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from gateway.app import unknown_providers
from gateway.cli.endings import USAGE
from gateway.config import Config, ConfigError, find

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The configuration file (or REELGATE_CONFIG, or ./config.yaml)."),
]


def read_config(path: Path | None) -> Config:
    """The configuration, or exit status 2 with one line per mistake."""
    try:
        return find(path, os.environ, Path.cwd())
    except ConfigError as error:
        refuse(error)


def refuse_unknown_providers(config: Config) -> None:
    """End with status 2 where the configuration names a protocol that this version does not speak."""
    lines = unknown_providers(config)
    for line in lines:
        print(line, file=sys.stderr)
    if lines:
        raise typer.Exit(USAGE)


def refuse(error: ConfigError) -> NoReturn:
    """Say every mistake on standard error and end with status 2."""
    for line in error.lines():
        print(line, file=sys.stderr)
    raise typer.Exit(USAGE)
