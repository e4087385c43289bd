"""`reelgate sandbox`: a simulated upstream, for demos, tests and client development."""

from typing import Annotated

from gateway import sandbox as simulated
from gateway.cli.endings import fail
from gateway.cli.hosts import host_option
from gateway.cli.numbers import SpeedOption, port_option


def sandbox(
    host: Annotated[str, host_option("Listen here.")] = "127.0.0.1",
    port: Annotated[int, port_option("Listen on this port")] = 8090,
    speed: SpeedOption = 1.0,
) -> None:
    """Run a simulated upstream until Ctrl-C."""
    try:
        simulated.serve(host=host, port=port, speed=speed)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror or error}")
