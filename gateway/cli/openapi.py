"""`reelgate openapi`: the OpenAPI document, without a running gateway, for whoever generates a client."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.app import offline
from gateway.catalog import Catalog
from gateway.cli.endings import USAGE
from gateway.cli.options import read_config, refuse_unknown_providers
from gateway.dialects import DIALECTS
from gateway.web.document import terms
from gateway.web.openapi import Terms, document, of_dialect

SERVER_URL = "http://127.0.0.1:8080"  # of a gateway as it is shipped


def openapi(
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Of a gateway with this configuration; else of all there can be."),
    ] = None,
    dialect: Annotated[str | None, typer.Option(help=f"What a client of one needs: {', '.join(DIALECTS)}.")] = None,
) -> None:
    """Print the OpenAPI document."""
    if dialect is not None and dialect not in DIALECTS:
        print(f"reelgate: --dialect: {dialect} is not a dialect; use one of {', '.join(DIALECTS)}", file=sys.stderr)
        raise typer.Exit(USAGE)
    told = _shipped() if config is None else asyncio.run(_configured(config))
    print(json.dumps(told if dialect is None else of_dialect(told, dialect), indent=2, ensure_ascii=False))


def _shipped() -> dict[str, Any]:
    return document(Terms(models=Catalog.shipped().models, has_admin=True, server_url=SERVER_URL))


async def _configured(path: Path) -> dict[str, Any]:
    settings = read_config(path)
    refuse_unknown_providers(settings)
    server = settings.server
    async with offline(settings, resolve=None) as rules:
        return document(
            terms(
                rules,
                default_dialect=server.default_dialect,
                has_admin=settings.admin_key is not None,
                server_url=server.public_url or f"http://{server.host}:{server.port}",
            )
        )
