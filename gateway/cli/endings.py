"""How commands end: 0 done, 1 failed, 2 usage or configuration error (CONTRACT section 2).

Knows nothing of the gateway, so that commands which only talk to one start at once.
"""

import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

FAILED = 1
USAGE = 2


def fail(message: str) -> NoReturn:
    """Say why on standard error and end with status 1."""
    print(f"reelgate: {message}", file=sys.stderr)
    raise typer.Exit(FAILED)


def misused(message: str) -> NoReturn:
    """Say what is wrong with how the command was called, and end with status 2."""
    print(f"reelgate: {message}", file=sys.stderr)
    raise typer.Exit(USAGE)


class CommandLine(TyperGroup):
    """All commands. What their parser refuses is one line, as what they refuse themselves is."""

    def main(self, *arguments: Any, **settings: Any) -> NoReturn:
        """Run one of them, and end with its status."""
        try:
            sys.exit(super().main(*arguments, **{**settings, "standalone_mode": False}))
        except typer.TyperException as error:
            told = " ".join(error.format_message().split()).removesuffix(".")
            if told:  # a group of commands that is called without one has printed its help instead
                context = getattr(error, "ctx", None)
                hint = "" if context is None else f" (see {context.command_path} --help)"
                print(f"reelgate: {told}{hint}", file=sys.stderr)
            sys.exit(error.exit_code)
