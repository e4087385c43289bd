"""What a command prints: JSON for programs, tables for people.

What callers wrote, and what upstreams answered, stands in tables as text and nothing else: brackets are no markup, and
a character that would move a terminal's cursor is shown by its number.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_PIPE_WIDTH = 200  # a table that nobody's window cuts off


def tell(answer: Any, draw: Callable[[Console, Any], None], *, as_json: bool) -> None:
    """Print an answer: drawn for people, or as it is."""
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    is_window = sys.stdout.isatty() or "COLUMNS" in os.environ
    draw(Console(width=None if is_window else _PIPE_WIDTH, highlight=False, markup=False), answer)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table of texts; what has no value is a dash. The first column, which is copied and pasted, is never broken."""
    drawn = Table(title=Text(title), title_justify="left")
    for number, name in enumerate(columns):
        drawn.add_column(name, overflow="fold", no_wrap=number == 0)
    for row in rows:
        drawn.add_row(*(Text(shown(value)) for value in row))
    return drawn


def shown(value: object) -> str:
    """Any value as text that is safe to print."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(character if _is_plain(character) else _by_number(character) for character in str(value))


def when(at: float | None) -> str:
    """A time in UTC, to the second."""
    return "–" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))


def budget_of(told: Mapping[str, Any] | None) -> str:
    """`50.00/30d`, or a dash."""
    if told is None:
        return "–"
    return f"{told['amount']}/{told['period']}" if told["period"] else f"{told['amount']}"


def _is_plain(character: str) -> bool:
    return character.isprintable() or character == "\n"


def _by_number(character: str) -> str:
    return f"\\u{ord(character):04x}"
