"""`reelgate upstreams`: what a person says of the keys of upstreams."""

from typing import Annotated, Any

import typer
from rich.console import Console

from gateway.cli.desk import Opened, at_desk
from gateway.cli.options import ConfigOption, read_config
from gateway.cli.printing import JsonOption, tell
from gateway.flows import neighbours
from gateway.store import NameUnknown
from gateway.video import Route

upstreams = typer.Typer(no_args_is_help=True, help="Say that an upstream's key is good again.")


@upstreams.callback()
def _upstreams() -> None:
    """With a callback, a single command keeps its name."""


@upstreams.command()
def recover(
    name: Annotated[str, typer.Argument(metavar="UPSTREAM", help="The name of the upstream.")],
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The id of its key.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Use a key again that was refused, was empty, or rests, in every gateway on the storage, within seconds."""
    settings = read_config(config)
    accounts = {(item.name, key.id): key.account for item in settings.upstreams for key in item.keys}

    async def work(desk: Opened) -> dict[str, Any]:
        account = accounts.get((name, key_id))
        if account is None:
            raise NameUnknown(f"the configuration has no key {key_id} of an upstream {name}")
        ended = await neighbours.recover(Route(name, key_id), account, desk)
        return {"upstream": name, "key": key_id, "ended": ended}

    tell(at_desk(config, work), _draw, as_json=as_json)


def _draw(console: Console, answer: dict[str, Any]) -> None:
    what = "nothing kept it from being used" if answer["ended"] == 0 else "it is used again within seconds"
    console.print(f"{answer['upstream']}: {answer['key']}: {what}", highlight=False)
