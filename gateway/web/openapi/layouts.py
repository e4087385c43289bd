"""The two ways in which a create's fields are laid out: nested in JSON, or side by side in a form.

A layout answers the same questions for each spelling of a thing: how the field is declared, and what a schema says that
holds exactly if the thing is said there, or not said, or only in certain words. In JSON `null` says nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from gateway.dialects.fields import Field, Item

Schema = dict[str, Any]

_NEVER: Schema = {"not": {}}
_TEXT: Schema = {"type": "string"}
# Of a form, what clients send as a file.
_FILES = frozenset({"input_reference", "image"})


class Layout(Protocol):
    """How fields are laid out."""

    def has(self, spelling: Field | Item) -> bool:
        """Whether the thing can be said there at all."""

    def root(self, objects: Iterable[str]) -> Schema:
        """The body without its fields; `objects` are the inner ones."""

    def put(self, root: Schema, spelling: Field | Item, value: Schema, description: str) -> None:
        """Declare a field."""

    def free(self, spelling: Field | Item) -> Schema:
        """What may stand there by the kind of the field alone."""

    def anything(self) -> Schema:
        """What may stand where nothing is read."""

    def words(self, words: Sequence[object]) -> list[object]:
        """Those of these values that can be written here."""

    def said(self, spelling: Field | Item) -> Schema:
        """Holds if the thing is said there."""

    def unsaid(self, spelling: Field | Item) -> Schema:
        """Holds if it is not."""

    def only(self, spelling: Field | Item, value: Schema) -> Schema:
        """Holds if it is not said there, or so."""


class JsonLayout:
    """Objects in objects; a list has its items by place."""

    def has(self, spelling: Field | Item) -> bool:
        return True

    def root(self, objects: Iterable[str]) -> Schema:
        inner = {path: _object("More fields, by name.") | {"type": ["object", "null"]} for path in objects}
        return _object("") | {"properties": inner}

    def put(self, root: Schema, spelling: Field | Item, value: Schema, description: str) -> None:
        target, path = (root, spelling.items.path) if isinstance(spelling, Item) else (root, spelling.path)
        where, _, name = path.rpartition(".")
        if where:
            target = target["properties"][where]
        if isinstance(spelling, Item):
            items = spelling.items
            value = {"type": ["array", "null"], "items": value, "maxItems": items.at_most}
            description = f"A list that {items.rule.removeprefix('must be a list ')}."
        elif spelling.required is None:
            value = _or_null(value)
        target["properties"][name] = {**value, "description": description}

    def free(self, spelling: Field | Item) -> Schema:
        return dict((spelling.kind if isinstance(spelling, Field) else spelling.items.kind).schema)

    def anything(self) -> Schema:
        return {}

    def words(self, words: Sequence[object]) -> list[object]:
        return list(words)

    def said(self, spelling: Field | Item) -> Schema:
        if isinstance(spelling, Item):
            return _at(spelling.items.path, {"type": "array", "minItems": spelling.place + 1}, must=True)
        return _at(spelling.path, {"not": {"type": "null"}}, must=True)

    def unsaid(self, spelling: Field | Item) -> Schema:
        if isinstance(spelling, Item):
            return _at(spelling.items.path, {"maxItems": spelling.place})
        return _at(spelling.path, {"type": "null"})

    def only(self, spelling: Field | Item, value: Schema) -> Schema:
        if isinstance(spelling, Item):
            raise TypeError("what stands in a list is an image, and is not chosen from words")
        return _at(spelling.path, {"type": "null"} if value == _NEVER else _or_null(value))


class FormLayout:
    """Everything at the top under bracketed names, as a text or a file. A list of objects cannot be sent."""

    def has(self, spelling: Field | Item) -> bool:
        return isinstance(spelling, Item) or "array" not in (spelling.kind.schema.get("type"),)

    def root(self, objects: Iterable[str]) -> Schema:
        return _object("")

    def put(self, root: Schema, spelling: Field | Item, value: Schema, description: str) -> None:
        if isinstance(spelling, Item):
            items = spelling.items
            value = {"type": "array", "items": value, "maxItems": items.at_most}
            description = f"A list that {items.rule.removeprefix('must be a list ')}."
        root["properties"][_name(spelling)] = {**value, "description": description}

    def free(self, spelling: Field | Item) -> Schema:
        if isinstance(spelling, Item):
            return dict(spelling.items.kind.schema)
        if spelling.path in _FILES:
            return {"type": "string", "format": "binary"}
        schema = spelling.kind.schema
        return {"enum": self.words(schema["enum"])} if "enum" in schema else dict(schema)

    def anything(self) -> Schema:
        return dict(_TEXT)

    def words(self, words: Sequence[object]) -> list[object]:
        return [word for word in words if isinstance(word, str)]

    def said(self, spelling: Field | Item) -> Schema:
        name = _name(spelling)
        if isinstance(spelling, Item):
            return {"properties": {name: {"type": "array", "minItems": spelling.place + 1}}, "required": [name]}
        return {"required": [name]}

    def unsaid(self, spelling: Field | Item) -> Schema:
        if isinstance(spelling, Item):
            return {"properties": {_name(spelling): {"maxItems": spelling.place}}}
        return {"properties": {_name(spelling): False}}

    def only(self, spelling: Field | Item, value: Schema) -> Schema:
        return {"properties": {_name(spelling): False if value == _NEVER else value}}


def _name(spelling: Field | Item) -> str:
    if isinstance(spelling, Item):
        return f"{spelling.items.path}[]"
    first, *others = spelling.path.split(".")
    return first + "".join(f"[{name}]" for name in others)


def _object(description: str) -> Schema:
    told = {"description": description} if description else {}
    return {"type": "object", **told, "properties": {}, "additionalProperties": False}


def _at(path: str, value: Schema, *, must: bool = False) -> Schema:
    """A schema of the member at a path; `must`: it has to be there."""
    schema = value
    for name in reversed(path.split(".")):
        schema = {"properties": {name: schema}}
        if must:
            schema |= {"type": "object", "required": [name]}
    return schema


def _or_null(schema: Schema) -> Schema:
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]}
