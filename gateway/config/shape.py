"""The shape of the settings, read off their models.

It tells expansion where a list, a secret or a number is expected, and the reporter which names are known at a place.
"""

import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from gateway.config.settings import Config
from gateway.config.values import SecretPlace
from gateway.structs import Struct

Loc = tuple[str | int, ...]
"""Where a value stands: names of settings and places in lists, from the top."""


class Branch(Struct, frozen=True):
    """A section with known names."""

    names: Mapping[str, "Shape"]


class Items(Struct, frozen=True):
    """A list, all entries alike."""

    of: "Shape"


class Table(Struct, frozen=True):
    """A mapping whose names the file chooses."""

    of: "Shape"


class Leaf(Struct, frozen=True):
    """A single value."""

    is_text: bool
    is_nullable: bool


Shape = Branch | Items | Table | Leaf | SecretPlace


def shape_of(annotation: Any, metadata: tuple[Any, ...] = (), *, is_nullable: bool = False) -> Shape:
    """The shape of whatever a type annotation describes."""
    marks = [mark for mark in metadata if isinstance(mark, SecretPlace)]
    if marks:
        return marks[0]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shape_of(arguments[0], arguments[1:], is_nullable=is_nullable)
    if origin in (Union, types.UnionType) and types.NoneType in arguments:
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return shape_of(inner, is_nullable=True)
    if origin is tuple:
        return Items(shape_of(arguments[0]))
    if origin is Mapping:
        return Table(shape_of(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return Branch(
            {field.alias or name: shape_of(field.annotation, tuple(field.metadata)) for name, field in fields}
        )
    return Leaf(is_text=annotation not in (int, float, bool), is_nullable=is_nullable)


SHAPE = shape_of(Config)


def names_at(loc: Loc) -> tuple[str, ...]:
    """The settings known at a place; none where the file chooses the names."""
    shape = SHAPE
    for step in loc:
        match shape:
            case Branch(names) if isinstance(step, str) and step in names:
                shape = names[step]
            case Items(of) | Table(of):
                shape = of
            case _:
                return ()
    return tuple(shape.names) if isinstance(shape, Branch) else ()
