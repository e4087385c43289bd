"""How commands end: 0 done, 1 failed, 2 usage or configuration error (CONTRACT section 2).

Knows nothing of the gateway, so that commands which only talk to one start at once.
"""

import sys
from typing import NoReturn

import typer

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
