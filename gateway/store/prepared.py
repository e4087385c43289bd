"""Statements of the hot paths: written in SQLAlchemy Core like all others, compiled once for each kind of database, and
run straight on its driver.

SQLAlchemy spends three times as long on handing a statement over as SQLite needs to run it, and a create runs half a
dozen. What comes back are the driver's own tuples: SQLite has no booleans, they are 0 and 1. A driver's errors are
translated with all others at the door (`lane.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Delete, Insert, Select, Update


class Cursor(Protocol):
    """What the drivers' cursors have in common."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Sequence[Any] | None: ...
    def fetchall(self) -> list[Any]: ...


class Prepared:
    """One statement. `columns` are those that an INSERT or UPDATE gives values to, beside the bound parameters."""

    def __init__(self, statement: Select[Any] | Insert | Update | Delete, columns: Iterable[str] = ()) -> None:
        self._statement = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Cursor:
        """Run it inside the step's transaction; every parameter is in `values`."""
        kind = connection.dialect.name
        compiled = self._compiled.get(kind)
        if compiled is None:
            compiled = self._compiled[kind] = self._compile(connection)
        text, arrange = compiled
        driver: Any = connection.connection.driver_connection
        cursor: Cursor = driver.execute(text, arrange(values))
        return cursor

    def _compile(self, connection: Connection) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
        compiled: Any = self._statement.compile(
            dialect=connection.dialect, column_keys=self._columns, compile_kwargs={"render_postcompile": True}
        )
        fixed = {name: value for name, value in compiled.params.items() if value is not None}
        if not compiled.positional:
            return str(compiled), lambda values: {**fixed, **values}
        order: list[str] = compiled.positiontup
        return str(compiled), lambda values: [values[name] if name in values else fixed[name] for name in order]
