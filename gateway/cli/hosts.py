"""Options that say where to listen. Knows nothing of the gateway, as the sandbox does not."""

from typing import Any

import typer


def host_option(words: str) -> Any:
    """An address to listen on."""
    return typer.Option(callback=_named, help=words)


def _named(host: str | None) -> str | None:
    if host == "":  # which a socket takes for every address of the machine
        raise typer.BadParameter("must name an address, like 127.0.0.1; every one of this machine is 0.0.0.0")
    return host
