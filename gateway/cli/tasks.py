"""`reelgate tasks`: what became of the videos, and what a person must say of those that nobody else can judge."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console

from gateway import ids
from gateway.cli import completion
from gateway.cli.desk import Opened, at_desk
from gateway.cli.endings import FAILED
from gateway.cli.options import ConfigOption
from gateway.cli.printing import JsonOption, shown, table, tell, when
from gateway.errors import UnknownTask
from gateway.flows import decisions, overview

tasks = typer.Typer(no_args_is_help=True, help="List tasks, tell their story, decide what is in doubt.")

TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="The task's id, in either spelling.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it stands in the ledger.")]


@tasks.command("list")
def list_tasks(
    state: Annotated[
        str | None,
        typer.Option(
            help="queued, opened, running, unconfirmed, completed, failed, refused; or suspense (money waits).",
            autocompletion=completion.states,
        ),
    ] = None,
    caller: Annotated[str | None, typer.Option(help="Those of one virtual key.")] = None,
    team: Annotated[str | None, typer.Option(help="Those of one team.")] = None,
    model: Annotated[str | None, typer.Option(help="Those of one model.", autocompletion=completion.models)] = None,
    upstream: Annotated[str | None, typer.Option(help="Those at one upstream.")] = None,
    since: Annotated[str | None, typer.Option(help="Ordered since: 7d (ago), 12h, or a date.")] = None,
    until: Annotated[str | None, typer.Option(help="Ordered before.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.")] = overview.LIMIT,
    after: Annotated[str | None, typer.Option(help="Those that follow this task, as the last page said.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List tasks, the newest first."""
    said = {
        "state": state,
        "caller": caller,
        "team": team,
        "model": model,
        "upstream": upstream,
        "from": since,
        "to": until,
        "limit": str(limit),
        "after": after,
    }

    async def work(desk: Opened) -> dict[str, Any]:
        return await overview.page(desk, {name: value for name, value in said.items() if value is not None})

    tell(at_desk(config, work), _draw_page, as_json=as_json)


@tasks.command()
def show(task: TaskArgument, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Tell the whole story of a task: every attempt, and every line of the ledger."""

    async def work(desk: Opened) -> dict[str, Any]:
        story = await desk.books.story(_number(task))
        if story is None:
            raise _unknown(task)
        return overview.story(story)

    tell(at_desk(config, work), _draw_story, as_json=as_json)


@tasks.command()
def adopt(
    task: TaskArgument,
    upstream_id: Annotated[str, typer.Argument(metavar="UPSTREAM_ID", help="The upstream's own id of the video.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say under which id the upstream accepted a doubtful task. A gateway then looks after it."""

    async def work(desk: Opened) -> dict[str, Any]:
        return overview.task(await decisions.adopt(_number(task), upstream_id, desk))

    tell(at_desk(config, work), _draw_task, as_json=as_json)


@tasks.command()
def release(task: TaskArgument, reason: ReasonOption, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Say that nothing was bought: the task's price is available again."""

    async def work(desk: Opened) -> dict[str, Any]:
        return overview.task(await decisions.release(_number(task), reason, desk))

    tell(at_desk(config, work), _draw_task, as_json=as_json)


@tasks.command()
def settle(task: TaskArgument, reason: ReasonOption, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Say that the video was bought, whatever became of it: the task's price is spent."""

    async def work(desk: Opened) -> dict[str, Any]:
        return overview.task(await decisions.settle(_number(task), reason, desk))

    tell(at_desk(config, work), _draw_task, as_json=as_json)


@tasks.command()
def reconcile(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Bring receipts home from the journal, check the books, and say what a person must decide.

    Ends with status 1 if the books do not add up.
    """

    async def work(desk: Opened) -> dict[str, Any]:
        return overview.findings(await decisions.reconcile(desk))

    found = at_desk(config, work)
    tell(found, _draw_findings, as_json=as_json)
    if found["drift"]:
        raise typer.Exit(FAILED)


def _number(spelling: str) -> int:
    number = ids.number_of(spelling)
    if number is None:
        raise _unknown(spelling)
    return number


def _unknown(spelling: str) -> UnknownTask:
    return UnknownTask(f"there is no task {shown(spelling)}")


def _draw_page(console: Console, answer: Mapping[str, Any]) -> None:
    columns = ("task", "ordered (UTC)", "state", "money", "key", "team", "model", "price", "upstream")
    rows = (
        (
            task["id"],
            when(task["created_at"]),
            task["state"],
            task["money"],
            task["caller"],
            task["team"],
            task["model"],
            task["price"],
            task["upstream"],
        )
        for task in answer["tasks"]
    )
    console.print(table("Tasks", columns, rows))
    if answer["next"] is not None:
        console.print(f"more: --after {answer['next']}")


def _draw_story(console: Console, answer: Mapping[str, Any]) -> None:
    _draw_task(console, answer["task"])
    columns = ("attempt", "upstream", "key", "began (UTC)", "ended", "outcome", "row", "status", "reason", "reserved")
    console.print(
        table(
            "Attempts",
            columns,
            (
                (
                    item["number"],
                    item["upstream"],
                    item["key"],
                    when(item["started_at"]),
                    when(item["ended_at"]),
                    item["outcome"],
                    item["row"],
                    item["http_status"],
                    item["reason"],
                    item["reserved"],
                )
                for item in answer["attempts"]
            ),
        )
    )
    lines = (
        (item["number"], item["kind"], item["amount"], when(item["at"]), item["reason"]) for item in answer["entries"]
    )
    console.print(table("Ledger", ("line", "what", "amount", "at (UTC)", "reason"), lines))


def _draw_task(console: Console, task: Mapping[str, Any]) -> None:
    failure = task["failure"]
    facts = (
        ("task", f"{task['id']} ({task['number']})"),
        ("state", task["state"]),
        ("money", f"{shown(task['price'])} {task['currency']}, {task['money']}"),
        ("key, team", f"{task['caller']}, {shown(task['team'])}"),
        ("asked for", f"{task['model']} {task['mode']} {shown(task['resolution'])} {shown(task['duration'])} s"),
        ("prompt", task["prompt"]),
        ("at", f"{shown(task['upstream'])}, key {shown(task['key'])}, as {shown(task['upstream_id'])}"),
        ("ordered (UTC)", when(task["created_at"])),
        ("accepted", when(task["started_at"])),
        ("looked at", when(task["looked_at"])),
        ("ended", when(task["finished_at"])),
        ("failure", None if failure is None else f"{failure['code']}: {failure['message']}"),
    )
    console.print(table("", ("", ""), facts))


def _draw_findings(console: Console, found: Mapping[str, Any]) -> None:
    for task in found["brought_home"]:
        console.print(f"{task['id']} runs as {shown(task['upstream_id'])}: its receipt lay in the journal")
    for sentence in found["drift"]:
        console.print(f"the books do not add up: {sentence}")
    if not found["drift"]:
        console.print("the books add up")
    if not found["to_decide"]:
        console.print("nothing waits for a person")
        return
    console.print(f"\n{len(found['to_decide'])} tasks wait for a person ({found['note']}):")
    for item in found["to_decide"]:
        task = item["task"]
        console.print(
            f"\n{task['id']}  {task['state']}, money {task['money']}, {shown(task['price'])} {task['currency']}, "
            f"ordered {when(task['created_at'])} UTC by {task['caller']} at {task['upstream']} with key {task['key']}"
        )
        console.print(f"  {shown(task['model'])}: {shown(task['prompt'])}")
        for command in item["commands"]:
            console.print(f"  {shown(command)}")
