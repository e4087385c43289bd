"""`reelgate keys`: virtual keys that are made and revoked while the gateway runs."""

import time
from typing import Annotated, Any

import typer
from rich.console import Console

from gateway.cli import completion
from gateway.cli.desk import Opened, at_desk
from gateway.cli.options import ConfigOption
from gateway.cli.printing import JsonOption, budget_of, table, tell, when
from gateway.dialects import DIALECTS
from gateway.flows import callers, overview
from gateway.video import Balance
from gateway.virtual_keys import read_key

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke virtual keys.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The name of the key.")]


@keys.command()
def create(
    key_id: IdArgument,
    team: Annotated[str | None, typer.Option(help="The team whose budget and tasks it shares.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="What it may spend: 50/30d, also /1d /7d /1mo, or 50 for a lifetime.")
    ] = None,
    rpm: Annotated[int | None, typer.Option(help="Creates per minute.")] = None,
    max_tasks: Annotated[int | None, typer.Option(help="Tasks in flight.")] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB", help="Models it may use; may be said more than once.", autocompletion=completion.models
        ),
    ] = None,
    dialect: Annotated[
        str | None, typer.Option(help="Pins the dialect on shared paths.", autocompletion=completion.dialects)
    ] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 90d, 12h, or a date.")] = None,
    passthrough: Annotated[
        bool, typer.Option("--passthrough", help="It may use the other /v1 routes although it has a budget.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make a virtual key and print it, for this one time."""
    said = {
        "id": key_id,
        "team": team,
        "budget": budget,
        "rpm": rpm,
        "max_tasks": max_tasks,
        "dialect": dialect,
        "expires": expires,
        "passthrough": passthrough,
        **({"models": models} if models else {}),
    }

    async def work(desk: Opened) -> dict[str, Any]:
        wanted = read_key(said, dialects=tuple(DIALECTS), now=desk.clock())
        issued, text = await callers.create_key(wanted, desk)
        unused = Balance(None if wanted.budget is None else wanted.budget.amount, 0, 0)
        return {"key": text.reveal(), **overview.key(issued, unused, desk.clock())}

    made = at_desk(config, work)
    if not as_json:
        print(f"{made['key']}\n\nThis is the key {made['id']}. It is shown this once, and kept nowhere.")
        return
    tell(made, _draw, as_json=True)


@keys.command("list")
def list_keys(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List all keys, those of the configuration and revoked ones too, with what they have spent."""

    async def work(desk: Opened) -> dict[str, Any]:
        return {"keys": await overview.keys(desk)}

    tell(at_desk(config, work), _draw, as_json=as_json)


@keys.command()
def revoke(key_id: IdArgument, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Let a key open nothing any more, at once. Its tasks and its money stay."""

    async def work(desk: Opened) -> dict[str, Any]:
        revoked = await callers.revoke_key(key_id, desk)
        return {"id": revoked.key.id, "state": "revoked"}

    def draw(console: Console, answer: dict[str, Any]) -> None:
        console.print(f"{answer['id']} is revoked")

    tell(at_desk(config, work), draw, as_json=as_json)


def _draw(console: Console, answer: dict[str, Any]) -> None:
    columns = ("key", "state", "from", "ends in", "team", "budget", "available", "held", "spent", "expires")
    rows = (
        (
            key["id"],
            key["state"],
            key["source"],
            key["hint"],
            key["team"],
            budget_of(key["budget"]),
            key["balance"]["available"],
            key["balance"]["held"],
            key["balance"]["spent"],
            when(key["expires_at"]),
        )
        for key in answer["keys"]
    )
    console.print(table(f"Virtual keys at {when(time.time())} UTC", columns, rows))
