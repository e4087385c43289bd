"""Settings that are read and kept, but whose feature this version does not have yet.

To land a feature, delete its row.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from gateway.config.mistakes import render_path
from gateway.config.settings import Config
from gateway.config.shape import Loc

_NOT_ENFORCED = "kept, but not enforced by this version"


def _is_not(default: float) -> Callable[[object], bool]:
    return lambda value: value != default


@dataclass(frozen=True, slots=True)
class _Row:
    place: str
    applies: Callable[[object], bool]
    sentence: str


UNBUILT = (
    _Row("server.limits.header_bytes", _is_not(65_536), _NOT_ENFORCED),
    _Row("server.limits.header_fields", _is_not(100), _NOT_ENFORCED),
    _Row("server.limits.header_s", _is_not(10), _NOT_ENFORCED),
)


def warnings(config: Config) -> list[str]:
    """One sentence for each setting that is valid and has no effect yet, with its path."""
    return [
        f"{render_path(loc)}: {row.sentence}"
        for row in UNBUILT
        for loc, value in _values_at(config, row.place)
        if row.applies(value)
    ]


def _values_at(config: Config, place: str) -> Iterator[tuple[Loc, object]]:
    """Every value at a place such as `virtual_keys[].budget`, with its own path."""
    found: list[tuple[Loc, object]] = [((), config)]
    for step in place.split("."):
        name = step.removesuffix("[]")
        found = [((*loc, name), getattr(value, name)) for loc, value in found if isinstance(value, BaseModel)]
        if step.endswith("[]"):
            found = [
                ((*loc, index), item)
                for loc, items in found
                if isinstance(items, tuple)
                for index, item in enumerate(items)
            ]
    yield from found
