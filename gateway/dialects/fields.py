"""What a create body may hold, as a table: a dialect's parse reads by it, and the OpenAPI document is made of it.

What is wanted (a canonical field of `VideoRequest`) has one spelling, several (the preferred one first; two that say
different things are a problem), or none where the dialect has no word for it. The order of the table is the order in
which problems are told.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.dialects.reading import Kind, Reader, Said
from gateway.structs import Struct, field
from gateway.video import VideoRequest


class Field(Struct, frozen=True):
    """A thing under a path of its own: `duration`, `metadata.resolution`."""

    path: str
    kind: Kind[Any]
    required: str | None = None
    """The rule that saying nothing breaks; None: it may be left out."""
    by: Callable[[Reader], Said[Any]] | None = None
    """How it is read, where that takes more than its kind."""


class Items(Struct, frozen=True):
    """A list of things of one kind, each of which is another one by its place."""

    path: str
    kind: Kind[Any]
    at_most: int
    rule: str


class Item(Struct, frozen=True):
    """A thing at its place in a list."""

    items: Items
    place: int


class Fields(Struct, frozen=True):
    """The whole body: every field that is not here is refused by name."""

    wanted: Mapping[str, tuple[Field | Item, ...]]
    """Canonical field → its spellings."""
    objects: Mapping[str, Kind[Mapping[str, Any]]] = field(default_factory=dict)
    """The inner objects, by path."""
    ignored: tuple[str, ...] = ()
    """Fields that may stand there and say nothing."""

    def read(self, dialect: str, body: Mapping[str, Any], spelt_elsewhere: Mapping[str, str | None]) -> VideoRequest:
        """The request of a body; `spelt_elsewhere` as in `Reader.request`."""
        reader = Reader(dialect, body, self.objects)
        lists: dict[str, tuple[Said[Any], ...]] = {}
        found = {}
        for name, spellings in self.wanted.items():
            said = [_read(spelling, reader, lists) for spelling in spellings]
            found[name] = said[0] if len(said) == 1 else reader.agreed(*said) if said else Said[Any](name)
        for path in self.ignored:
            reader.ignore(path)
        return reader.request(spelt_elsewhere, **found)


def _read(spelling: Field | Item, reader: Reader, lists: dict[str, tuple[Said[Any], ...]]) -> Said[Any]:
    if isinstance(spelling, Item):
        items = spelling.items
        if items.path not in lists:
            lists[items.path] = reader.values(items.path, items.kind, at_most=items.at_most, rule=items.rule)
        return lists[items.path][spelling.place]
    if spelling.by is not None:
        return spelling.by(reader)
    if spelling.required is not None:
        return reader.required(spelling.path, spelling.kind, spelling.required)
    return reader.value(spelling.path, spelling.kind)
