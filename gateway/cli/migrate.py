"""`reelgate migrate`: bring the storage to this version's tables before a gateway starts on it."""

import asyncio
import json
from typing import Annotated

import typer

from gateway.cli.endings import FAILED, fail
from gateway.cli.options import ConfigOption, read_config
from gateway.cli.printing import JsonOption
from gateway.errors import StorageDown
from gateway.store import NEWEST_REVISION, Database, StorageRefused, revision_of
from gateway.store import migrate as bring_up_to_date


def migrate(
    config: ConfigOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; end with status 1 where there is something to do.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the storage to this version's tables. `serve` does the same when it starts."""
    settings = read_config(config)
    try:
        found = asyncio.run(_run(settings.storage.url.reveal(), changes=not check))
    except StorageRefused as error:
        fail(f"storage: {error}")
    except StorageDown as error:
        cause = error.__cause__
        fail(
            f"storage: {settings.storage.kind} at storage.url cannot be used: {getattr(cause, 'orig', cause) or error}"
        )
    is_newest = found == NEWEST_REVISION
    if as_json:
        print(json.dumps({"found": found, "newest": NEWEST_REVISION, "changed": not (is_newest or check)}, indent=2))
        if check and not is_newest:
            raise typer.Exit(FAILED)
    elif is_newest:
        print(f"storage: at revision {NEWEST_REVISION}; nothing to do")
    elif check:
        fail(f"storage: {_words(found)}, and this version needs revision {NEWEST_REVISION}: run `reelgate migrate`")
    else:
        print(f"storage: was {_words(found)}, is at revision {NEWEST_REVISION}")


def _words(revision: str | None) -> str:
    return "empty" if revision is None else f"at revision {revision}"


async def _run(url: str, *, changes: bool) -> str | None:
    """The revision that was found; None for an empty database."""
    database = Database.open(url)
    try:
        return await (bring_up_to_date if changes else revision_of)(database)
    finally:
        await database.close()
