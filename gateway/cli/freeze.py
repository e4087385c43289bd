"""`reelgate freeze` and `reelgate unfreeze`: stop all creates at once, everywhere, and take them again."""

from typing import Any

from rich.console import Console

from gateway.cli.desk import Opened, at_desk
from gateway.cli.options import ConfigOption
from gateway.cli.printing import JsonOption, tell
from gateway.flows import callers


def freeze(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Refuse all creates until `unfreeze`, within seconds in every gateway. Polls and films go on."""

    async def work(desk: Opened) -> dict[str, Any]:
        await callers.freeze(desk)
        return {"frozen": desk.admission.is_frozen, "since": desk.admission.frozen_since}

    tell(at_desk(config, work), _draw, as_json=as_json)


def unfreeze(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Take creates again."""

    async def work(desk: Opened) -> dict[str, Any]:
        await callers.unfreeze(desk)
        return {"frozen": desk.admission.is_frozen, "since": desk.admission.frozen_since}

    tell(at_desk(config, work), _draw, as_json=as_json)


def _draw(console: Console, answer: dict[str, Any]) -> None:
    console.print("creates are frozen" if answer["frozen"] else "creates are taken")
