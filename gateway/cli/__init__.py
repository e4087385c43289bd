"""The command `reelgate`: one file per noun. Exit status: 0 done, 1 failed, 2 usage or configuration error."""

import gc
import io
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, cast

from gateway.cli.examples import epilog
from gateway.fleet import place

if TYPE_CHECKING:
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
    "generate": "gateway.cli.generate",
    "fetch": "gateway.cli.fetch",
    "usage": "gateway.cli.usage",
    "freeze": "gateway.cli.freeze",
    "unfreeze": "gateway.cli.freeze",
    "migrate": "gateway.cli.migrate",
    "openapi": "gateway.cli.openapi",
    "healthcheck": "gateway.cli.healthcheck",
    "version": "gateway.cli.version",
}
"""Each command's room, which holds a function of the command's name, or a group of commands."""


def main() -> None:
    """Run the command line. The command that was asked for does not wait for the others to be imported."""
    task = place.task(os.environ)
    if task is not None:
        from gateway.fleet import parent

        sys.exit(parent.run(task))
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")  # to an output that has no dash, a dash is no reason to end
    if any(name.endswith("_COMPLETE") for name in os.environ):
        _built(completable(os.environ))()
    wanted = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    _built([wanted] if wanted in COMMANDS else COMMANDS)()


def _built(names: Iterable[str]) -> "typer.Typer":
    """The same in less time. Nothing that is imported is ever garbage, and httpx has a command line of its own, for
    which it imports all that draws in a terminal."""
    sys.modules.setdefault("httpx._main", cast(ModuleType, None))
    gc.disable()
    try:
        return build(names)
    finally:
        gc.enable()


def completable(environ: Mapping[str, str]) -> list[str]:
    """The commands that the line may be about which a shell wants completed: those that begin like its first word.

    bash hands over the words, the other shells the line up to the cursor; an empty word stands for any command.
    """
    line = environ.get("COMP_WORDS") or environ.get("_TYPER_COMPLETE_ARGS") or ""
    begun = next((word for word in line.split()[1:] if not word.startswith("-")), "")
    return [name for name in COMMANDS if name.startswith(begun)]


def build(names: Iterable[str]) -> "typer.Typer":
    """The command line with these commands."""
    import typer  # not for the parent of a fleet, which needs nothing of it

    from gateway.cli.endings import CommandLine

    app = typer.Typer(
        name="reelgate",
        cls=CommandLine,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,  # a traceback with local variables would print secrets
    )
    app.callback()(_reelgate)  # with a callback, a single command keeps its name
    for name in names:
        command = getattr(import_module(COMMANDS[name]), name.replace("-", "_"))
        if isinstance(command, typer.Typer):
            for item in command.registered_commands:
                item.name = item.name or getattr(item.callback, "__name__", "")
                item.epilog = epilog(f"{name} {item.name}")
            app.add_typer(command, name=name, epilog=epilog(name))
        else:
            app.command(name, epilog=epilog(name))(command)
    return app


def _reelgate() -> None:
    """One base URL for AI video generation."""
