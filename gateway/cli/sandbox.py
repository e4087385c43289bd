"""`reelgate sandbox`: a simulated upstream, for demos, tests and client development."""

from typing import Annotated

import typer

from gateway import sandbox as simulated


def sandbox(
    host: Annotated[str, typer.Option(help="Listen here.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Listen on this port; 0 is any free one.")] = 8090,
    speed: Annotated[float, typer.Option(help="How many times faster than real time tasks move.")] = 1.0,
) -> None:
    """Run a simulated upstream until Ctrl-C."""
    simulated.serve(host=host, port=port, speed=speed)
