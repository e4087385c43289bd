"""What a command prints: JSON for programs, tables for people.

What callers wrote, and what upstreams answered, stands in tables as text and nothing else: brackets are no markup, and
a character that would move a terminal's cursor is shown by its number.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gateway.structs import Struct

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_PIPE_WIDTH = 200  # a table that nobody's window cuts off
_RULER = 3  # what divides two columns: a line, and a blank on either side
_NOTHING = "–"


def tell(answer: Any, draw: Callable[[Console, Any], None], *, as_json: bool) -> None:
    """Print an answer: drawn for people, or as it is."""
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    is_window = sys.stdout.isatty() or "COLUMNS" in os.environ
    draw(Console(width=None if is_window else _PIPE_WIDTH, highlight=False, markup=False), answer)


class Sheet(Struct, frozen=True):
    """Rows under a title: a table where the window has room for its longest words, else a paragraph for every row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = list(zip(self.columns, *self.rows, strict=True))
        whole = [max(map(len, cells)) for cells in columns]
        # The first column, which is copied and pasted, is never broken; the others are between words.
        widths = [*whole[:1], *(max(map(len, " ".join(cells).split())) for cells in columns[1:])]
        spare = options.max_width - sum(widths) - _RULER * len(widths) - 1
        if spare < 0:
            yield from self._paragraphs()
            return
        for number, width in enumerate(whole):
            more = min(width - widths[number], spare)
            widths[number] += more
            spare -= more
        yield self._table(widths)

    def _table(self, widths: Iterable[int]) -> Table:
        drawn = Table(title=Text(self.title), title_justify="left")
        for name, width in zip(self.columns, widths, strict=True):
            drawn.add_column(Text(name), width=width, overflow="fold")
        for row in self.rows:
            drawn.add_row(*map(Text, row))
        return drawn

    def _paragraphs(self) -> Iterator[RenderableType]:
        if self.title:
            yield Text(self.title, style="italic")
        for first, *others in self.rows:
            yield Text(first, style="bold", overflow="fold")
            pairs = zip(self.columns[1:], others, strict=True)
            told = ", ".join(" ".join((name, value)) for name, value in pairs if value != _NOTHING)
            yield Padding(Text(told, overflow="fold"), (0, 0, 0, 2))


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Sheet:
    """A table of texts; what has no value is a dash."""
    return Sheet(title, tuple(columns), tuple(tuple(shown(value) for value in row) for row in rows))


def shown(value: object) -> str:
    """Any value as text that is safe to print."""
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "".join(character if _is_plain(character) else _by_number(character) for character in str(value))


def when(at: float | None) -> str:
    """A time in UTC, to the second."""
    return _NOTHING if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))


def budget_of(told: Mapping[str, Any] | None) -> str:
    """`50.00/30d`, or a dash."""
    if told is None:
        return _NOTHING
    return f"{told['amount']}/{told['period']}" if told["period"] else f"{told['amount']}"


def _is_plain(character: str) -> bool:
    return character.isprintable() or character == "\n"


def _by_number(character: str) -> str:
    return f"\\u{ord(character):04x}"
