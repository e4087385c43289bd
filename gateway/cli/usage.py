"""`reelgate usage`: what was spent, by whom, on what, and what is still open."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console

from gateway.cli import completion
from gateway.cli.desk import Opened, at_desk
from gateway.cli.options import ConfigOption
from gateway.cli.printing import JsonOption, table, tell, when
from gateway.flows import overview


def usage(
    by: Annotated[
        str, typer.Option(help="key, team, model, upstream or day.", autocompletion=completion.groups)
    ] = "key",
    since: Annotated[str, typer.Option(help="Ordered since: 7d (ago), 12h, or a date.")] = "30d",
    until: Annotated[str | None, typer.Option(help="Ordered before.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say what was spent and is held, and what every budget has left."""
    said = {"by": by, "from": since, **({} if until is None else {"to": until})}

    async def work(desk: Opened) -> dict[str, Any]:
        return await overview.usage(desk, said, desk.currency)

    tell(at_desk(config, work), _draw, as_json=as_json)


def _draw(console: Console, answer: Mapping[str, Any]) -> None:
    groups = [*answer["groups"], {"name": "all", **answer["total"]}]
    rows = (
        (
            item["name"],
            sum(item["tasks"].values()),
            item["spent"],
            item["held"],
            item["suspended"],
            ", ".join(f"{count} {state}" for state, count in item["tasks"].items()),
        )
        for item in groups
    )
    title = f"Ordered since {when(answer['from'])} UTC, in {answer['currency']}"
    console.print(table(title, (answer["by"], "tasks", "spent", "held", "of it in suspense", "states"), rows))
    budgets = (
        (
            item.get("key") or f"team {item['team']}",
            item["limit"],
            item["available"],
            item["held"],
            item["spent"],
            when(item["until"]),
        )
        for item in answer["budgets"]
    )
    columns = ("budget of", "limit", "available", "held", "spent", "until (UTC)")
    console.print(table("Budgets in their current period", columns, budgets))
