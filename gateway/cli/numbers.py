"""Options that are numbers, and what they may be: the parser refuses the rest before a command begins.

Knows nothing of the gateway, as the sandbox does not.
"""

import math
from typing import Annotated, Any

import typer

PORT_MAX = 65_535


def port_option(words: str) -> Any:
    """A port to listen on."""
    return typer.Option(min=0, max=PORT_MAX, help=f"{words}; 0 is any free one.")


def _finite(speed: float) -> float:
    if not 0 < speed < math.inf:  # nan is neither
        raise typer.BadParameter("must be a finite number above 0, like 60")
    return speed


SpeedOption = Annotated[float, typer.Option(callback=_finite, help="How many times faster than real time tasks move.")]
