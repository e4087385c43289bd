"""`reelgate teams`: groups of virtual keys that share a budget and see each other's tasks."""

from typing import Annotated, Any

import typer
from rich.console import Console

from gateway.cli.desk import Opened, at_desk
from gateway.cli.options import ConfigOption
from gateway.cli.printing import JsonOption, budget_of, table, tell
from gateway.flows import callers, overview
from gateway.virtual_keys import read_team, read_team_change

teams = typer.Typer(no_args_is_help=True, help="Make, change and list teams.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The name of the team.")]
BudgetOption = Annotated[
    str | None,
    typer.Option(help="What its keys may spend together: 200/30d, also /1d /7d /1mo, or 200 for a lifetime."),
]


@teams.command()
def create(
    team_id: IdArgument, budget: BudgetOption = None, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Make a team; without a budget its keys are not limited together."""

    async def work(desk: Opened) -> dict[str, Any]:
        await callers.create_team(read_team({"id": team_id, "budget": budget}), desk)
        return {"teams": [team for team in await overview.teams(desk) if team["id"] == team_id]}

    tell(at_desk(config, work), _draw, as_json=as_json)


@teams.command()
def update(
    team_id: IdArgument,
    budget: Annotated[str, typer.Option(help="What its keys may spend together from now on; `none` for no limit.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Give a team another budget, or none, from the next create on."""
    said = {"id": team_id, "budget": None if budget == "none" else budget}

    async def work(desk: Opened) -> dict[str, Any]:
        await callers.update_team(read_team_change(said), desk)
        return {"teams": [team for team in await overview.teams(desk) if team["id"] == team_id]}

    tell(at_desk(config, work), _draw, as_json=as_json)


@teams.command("list")
def list_teams(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List all teams with what they have spent."""

    async def work(desk: Opened) -> dict[str, Any]:
        return {"teams": await overview.teams(desk)}

    tell(at_desk(config, work), _draw, as_json=as_json)


def _draw(console: Console, answer: dict[str, Any]) -> None:
    rows = (
        (
            team["id"],
            team["source"],
            budget_of(team["budget"]),
            team["balance"]["available"],
            team["balance"]["held"],
            team["balance"]["spent"],
        )
        for team in answer["teams"]
    )
    console.print(table("Teams", ("team", "from", "budget", "available", "held", "spent"), rows))
