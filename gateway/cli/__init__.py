"""The command `reelgate`: one file per noun. Exit status: 0 done, 1 failed, 2 usage or configuration error."""

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module

import typer

COMMANDS: Mapping[str, str] = {
    "serve": "gateway.cli.serve",
    "check": "gateway.cli.check",
    "check-request": "gateway.cli.check_request",
    "demo": "gateway.cli.demo",
    "sandbox": "gateway.cli.sandbox",
    "keys": "gateway.cli.keys",
    "teams": "gateway.cli.teams",
    "tasks": "gateway.cli.tasks",
    "upstreams": "gateway.cli.upstreams",
    "usage": "gateway.cli.usage",
    "freeze": "gateway.cli.freeze",
    "unfreeze": "gateway.cli.freeze",
    "migrate": "gateway.cli.migrate",
    "healthcheck": "gateway.cli.healthcheck",
    "version": "gateway.cli.version",
}
"""Each command's room, which holds a function of the command's name, or a group of commands."""


def main() -> None:
    """Run the command line. The command that was asked for does not wait for the others to be imported."""
    wanted = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    build([wanted] if wanted in COMMANDS else COMMANDS)()


def build(names: Iterable[str]) -> typer.Typer:
    """The command line with these commands."""
    app = typer.Typer(
        name="reelgate",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,  # a traceback with local variables would print secrets
    )
    app.callback()(_reelgate)  # with a callback, a single command keeps its name
    for name in names:
        command = getattr(import_module(COMMANDS[name]), name.replace("-", "_"))
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _reelgate() -> None:
    """One base URL for AI video generation."""
