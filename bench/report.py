"""What is shown and kept of a run."""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.rows import Row

_WIDTH = 150  # where the output is no terminal
_VERDICTS = {True: Text("met", "green"), False: Text("missed", "red"), None: Text("")}

_console = Console(highlight=False)
if not _console.is_terminal:
    _console = Console(highlight=False, width=_WIDTH)


def show_machine(about: Mapping[str, str]) -> None:
    """The line without which the figures mean nothing."""
    _console.print("; ".join(f"{name} {value}" for name, value in about.items()), soft_wrap=True)


def show_step(name: str) -> None:
    """What is measured now."""
    _console.print(f"{time.strftime('%H:%M:%S')}  {name} …", style="dim")


def show(rows: Sequence[Row]) -> None:
    """The table."""
    table = Table("figure", "gateway", "yardstick", "compared", "goal", "")
    for row in rows:
        if row.failed is not None:
            table.add_row(row.name, Text("FAILED", "bold red"), "", Text(row.failed), "", Text("failed", "bold red"))
        else:
            cells = (row.gateway, row.yardstick, row.compared, row.goal)
            table.add_row(row.name, *map(Text, cells), _VERDICTS[row.met])
    _console.print(table)


def keep(path: Path, about: Mapping[str, str], rows: Sequence[Row]) -> None:
    """The raw figures as JSON."""
    document = {"machine": dict(about), "figures": [dataclasses.asdict(row) for row in rows]}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
