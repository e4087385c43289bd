"""`reelgate healthcheck`: for container runtimes, which have no curl."""

import os
from typing import Annotated

import httpx
import typer

from gateway.cli.client import BASE_URL, address
from gateway.cli.endings import fail, misused

_VARIABLE = "REELGATE_BASE_URL"


def healthcheck(
    url: Annotated[
        str | None, typer.Option(help="The gateway's address (or REELGATE_BASE_URL, or port 8080 of this machine).")
    ] = None,
) -> None:
    """End with 0 if the gateway answers that it is alive."""
    said = url or os.environ.get(_VARIABLE) or BASE_URL
    try:
        base_url, _ = address(said, "--url" if url else _VARIABLE)
    except ValueError as error:
        misused(str(error))
    try:
        response = httpx.get(f"{base_url}/healthz", timeout=5, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fail(f"{base_url} does not answer ({type(error).__name__})")
    if response.status_code != 200:
        fail(f"{base_url}/healthz answered {response.status_code}")
    print("ok")
