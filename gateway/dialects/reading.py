"""Reading a JSON body that buys something: nothing is dropped, clamped or coerced, and every problem is collected.

A `Kind` says what a value must be; the `Reader` walks the body by it and remembers which fields it was asked for, so
that in the end it can refuse all others by name. What it brings back is `Said`: the value, and the caller's own
spelling of the field, which later findings are told under. A field that cannot be read makes exactly one problem and
counts as unsaid; whoever finds something at the same spelling afterwards knows that it has been spoken of.

`null` means that nothing was said.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from gateway.errors import Problem
from gateway.jsontext import JsonError, read_strict_text
from gateway.structs import Struct, field
from gateway.video import VideoRequest

V = TypeVar("V")

# A caller's mistake is a field or two. More unknown fields than this are somebody trying how much we write back.
_UNKNOWN_MAX = 20
_NAME_CHARACTERS_MAX = 64
# Below this likeness a suggestion confuses more than it helps ("seed" is not a misspelt "seconds").
_LIKENESS_MIN = 0.7

# What other video interfaces know and these models have no counterpart of (FACTS 7.2): no field is near to them.
NOWHERE: Mapping[str, None] = dict.fromkeys(
    ("mode", "width", "height", "fps", "seed", "n", "response_format", "aspect_ratio", "negative_prompt")
)
# The pixel sizes that are known for certain (FACTS 4.2); those of 512P and 720P are nowhere confirmed.
PIXELS: Mapping[str, tuple[int, int]] = {"768P": (1366, 768), "1080P": (1920, 1080)}


class Kind(Struct, Generic[V], frozen=True):
    """What a value must be. `read` gives None for a value that is not of the kind, which the `rule` then explains."""

    read: Callable[[object], V | None]
    rule: str
    allowed: tuple[str, ...] = ()
    schema: Mapping[str, Any] = field(default_factory=dict)
    """The same in JSON Schema, for the OpenAPI document."""
    spellings: Callable[[V], Sequence[object]] = lambda value: (value,)
    """Every way to write a value that `read` gives; none where this kind has no word for it."""


class Said(Struct, Generic[V], frozen=True):
    """A value under the caller's own spelling. None: nothing was said, or (`is_broken`) nothing that can be read."""

    param: str
    value: V | None = None
    is_broken: bool = False


class Reader:
    """Reads one body. Fields are named by path: `duration`, `metadata.resolution`."""

    def __init__(
        self, dialect: str, body: Mapping[str, Any], objects: Mapping[str, "Kind[Mapping[str, Any]]"] | None = None
    ) -> None:
        """`objects` are the inner ones, by path: each is opened when the first of its members is asked for."""
        self.problems: list[Problem] = []
        self._dialect = dialect
        self._kinds = objects or {}
        self._objects: dict[str, Mapping[str, Any] | None] = {"": body}  # None: said, but not an object
        self._known: dict[str, bool] = {}  # whether it is on offer

    def value(self, path: str, kind: Kind[V]) -> Said[V]:
        """The value at a path."""
        said = self._find(path)
        return said if said.value is None else self._read(path, said.value, kind)

    def required(self, path: str, kind: Kind[V], rule: str = "is required") -> Said[V]:
        """The same; saying nothing is a problem, too."""
        said = self.value(path, kind)
        return self._broken(path, rule, kind.allowed) if said.value is None and not said.is_broken else said

    def refused(self, path: str, rule: str) -> Said[Any]:
        """A field that is understood but not on offer: saying anything there is a problem."""
        said = self._find(path)
        self._known[path] = False
        return said if said.value is None else self._broken(path, rule)

    def values(self, path: str, kind: Kind[V], *, at_most: int, rule: str) -> tuple[Said[V], ...]:
        """The items of a list, always `at_most` of them: the missing ones are unsaid, under the list's own name."""
        said = self._find(path)
        if said.is_broken:
            return (Said(said.param, is_broken=True),) * at_most
        items = [] if said.value is None else said.value
        if not isinstance(items, list) or len(items) > at_most:
            return (self._broken(path, rule),) * at_most
        read = [self._read(f"{path}[{index}]", item, kind) for index, item in enumerate(items)]
        return (*read, *[Said[V](path)] * (at_most - len(read)))

    def ignore(self, path: str) -> None:
        """Let a field pass unread."""
        self._known[path] = True

    def agreed(self, *spellings: Said[V]) -> Said[V]:
        """One thing that may be spelt in several ways, the preferred one first. Different values are a problem."""
        said = [spelling for spelling in spellings if spelling.value is not None]
        if not said:
            return next((spelling for spelling in spellings if spelling.is_broken), spellings[0])
        for other in said[1:]:
            if other.value != said[0].value:
                rule = f"`{said[0].param}` and `{other.param}` are two spellings of one thing and differ; give one"
                return self._broken(said[0].param, rule)
        return said[0]

    def request(self, spelt_elsewhere: Mapping[str, str | None], **fields: Said[Any]) -> VideoRequest:
        """The request, under canonical names. All fields nobody asked for are refused.

        `spelt_elsewhere`: other dialects' fields → this dialect's spelling, None where it has none.
        """
        self.problems.extend(self._unknown(spelt_elsewhere))
        values = {name: said.value for name, said in fields.items() if said.value is not None}
        if values.get("prompt") == "":
            del values["prompt"]  # some clients fill in every field: an empty prompt says nothing
        return VideoRequest(
            **values,
            dialect=self._dialect,
            params={name: said.param for name, said in fields.items()},
            problems=tuple(self.problems),
        )

    def _find(self, path: str) -> Said[Any]:
        self._known[path] = True
        where, _, name = path.rpartition(".")
        if where not in self._objects:
            self._open(where)
        members = self._objects[where]
        return Said(where, is_broken=True) if members is None else Said(path, members.get(name))

    def _open(self, path: str) -> None:
        """Make the members of an inner object readable. Where it is broken, so are they, under its own name."""
        inner = self.value(path, self._kinds[path])
        self._objects[path] = None if inner.is_broken else inner.value or {}

    def _read(self, path: str, given: object, kind: Kind[V]) -> Said[V]:
        value = kind.read(given)
        return self._broken(path, kind.rule, kind.allowed) if value is None else Said(path, value)

    def _broken(self, path: str, rule: str, allowed: tuple[str, ...] = ()) -> Said[Any]:
        self.problems.append(Problem(path, rule, allowed))
        return Said(path, is_broken=True)

    def _unknown(self, spelt_elsewhere: Mapping[str, str | None]) -> Iterator[Problem]:
        found = 0
        for where, members in self._objects.items():
            prefix = f"{where}." if where else ""
            unknown = [name for name in members or () if "." in name or prefix + name not in self._known]
            if not unknown:
                continue
            known = {path: is_offered for path, is_offered in self._known.items() if path.rpartition(".")[0] == where}
            allowed = tuple(path for path, is_offered in known.items() if is_offered)
            for name in unknown:
                found += 1
                if found > _UNKNOWN_MAX:
                    yield Problem(where or "body", "there are more unknown fields than are listed here", allowed)
                    return
                path = _shown(prefix, name)
                yield Problem(path, f"unknown field `{path}`{self._way_out(name, spelt_elsewhere)}", allowed)

    def _way_out(self, name: str, spelt_elsewhere: Mapping[str, str | None]) -> str:
        ends = {path.rpartition(".")[2]: path for path in reversed(self._known) if self._known[path]}
        spelling = spelt_elsewhere.get(name, ends.get(name))
        if spelling is not None:
            return f"; {self._dialect} spells it `{spelling}`"
        if name in spelt_elsewhere:
            return f"; {self._dialect} has nothing like it, leave it out"
        near = get_close_matches(name[:_NAME_CHARACTERS_MAX].casefold(), ends, n=1, cutoff=_LIKENESS_MIN)
        return f"; did you mean `{ends[near[0]]}`?" if near else ""


def resolution(*allowed: str) -> Kind[str]:
    """A resolution word in any letter case, folded to upper. The catalog judges whether it is on offer."""
    rule = "must be a resolution: a number of lines followed by p"
    return Kind(_read_resolution, rule, allowed, _RESOLUTION_SCHEMA, lambda value: (value.upper(), value.lower()))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _boolean_or_word(value: object) -> bool | None:
    return _BOOLEAN_WORDS.get(value) if isinstance(value, str) else _boolean(value)


def _whole_number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _numeral(value: object) -> int | None:
    return int(value) if isinstance(value, str) and _NUMERAL.fullmatch(value) else None


def _number_or_numeral(value: object) -> int | None:
    return _numeral(value) if isinstance(value, str) else _whole_number(value)


def _link(value: object) -> str | None:
    is_link = isinstance(value, str) and len(value) <= _LINK_CHARACTERS_MAX and _LINK.match(value)
    return value if isinstance(value, str) and is_link else None


def _image(value: object) -> str | None:
    return value if isinstance(value, str) and (_link(value) or _DATA_URL.match(value)) else None


def _read_resolution(value: object) -> str | None:
    return value.upper() if isinstance(value, str) and _RESOLUTION.fullmatch(value) else None


def _size(value: object) -> str | None:
    return _RESOLUTION_OF_SIZE.get(value) if isinstance(value, str) else None


def _subject(value: object) -> str | None:
    match value:
        case [{"type": "character", "image": [str(image)], **others}] if not others:
            return _image(image)
        case _:
            return None


def _object(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _object_or_json(value: object) -> Mapping[str, Any] | None:
    if not isinstance(value, str):
        return _object(value)
    try:
        return _object(read_strict_text(value))
    except JsonError:
        return None


def _shown(prefix: str, name: str) -> str:
    """A stranger's field name, fit to be written back: never empty, never long."""
    short = name if len(name) <= _NAME_CHARACTERS_MAX else name[:_NAME_CHARACTERS_MAX] + "…"
    return prefix + (short or '""')


_LINK_CHARACTERS_MAX = 8_192  # what the longest signed links of storage hosts need, and four times over
_LINK = re.compile(r"https?://", re.IGNORECASE)
_DATA_URL = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)
_RESOLUTION = re.compile(r"[0-9]{1,5}[pP]")
_BOOLEAN_WORDS: Mapping[str, bool] = {"true": True, "false": False}
# Any other size would be guessed from a substring, as new-api does (FACTS 7.2).
_RESOLUTION_OF_SIZE = {f"{width}x{height}": name for name, (width, height) in PIXELS.items()}
_NUMERAL = re.compile(r"0|[1-9][0-9]{0,8}")

_LINK_SCHEMA = {"type": "string", "pattern": "^[hH][tT][tT][pP][sS]?://", "maxLength": _LINK_CHARACTERS_MAX}
_DATA_SCHEMA = {
    "type": "string",
    "pattern": "^[dD][aA][tT][aA]:[iI][mM][aA][gG][eE]/[a-zA-Z0-9.+-]+;[bB][aA][sS][eE]64,",
}
_IMAGE_SCHEMA = {"anyOf": [_LINK_SCHEMA, _DATA_SCHEMA]}
_RESOLUTION_SCHEMA = {"type": "string", "pattern": "^[0-9]{1,5}[pP]$"}
_NUMERAL_SCHEMA = {"type": "string", "pattern": "^(0|[1-9][0-9]{0,8})$"}
_SUBJECT_SCHEMA = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "type": {"const": "character"},
            "image": {"type": "array", "minItems": 1, "maxItems": 1, "items": _IMAGE_SCHEMA},
        },
        "required": ["type", "image"],
        "additionalProperties": False,
    },
}


def _seconds_either(value: int) -> Sequence[object]:
    return value, str(value)


def _boolean_either(value: bool) -> Sequence[object]:
    return value, "true" if value else "false"


def _sizes(value: str) -> Sequence[object]:
    return [size for size, name in _RESOLUTION_OF_SIZE.items() if name == value]


TEXT = Kind(_text, "must be a string", schema={"type": "string"})
NAME = Kind(_name, "must be a string that is not empty", schema={"type": "string", "minLength": 1})
BOOLEAN = Kind(
    _boolean, "must be true or false, not a string or a number", ("true", "false"), schema={"type": "boolean"}
)
BOOLEAN_EITHER = Kind(
    _boolean_or_word,
    "must be true or false, as such or as a string",
    ("true", "false"),
    schema={"enum": [True, False, "true", "false"]},
    spellings=_boolean_either,
)
SECONDS = Kind(
    _whole_number, "must be a whole number of seconds, written as a JSON integer", schema={"type": "integer"}
)
SECONDS_NUMERAL = Kind(
    _numeral,
    "must be a whole number of seconds, written as a string of digits",
    schema=_NUMERAL_SCHEMA,
    spellings=lambda value: (str(value),),
)
SECONDS_EITHER = Kind(
    _number_or_numeral,
    "must be a whole number of seconds, as an integer or a string of digits",
    schema={"anyOf": [{"type": "integer"}, _NUMERAL_SCHEMA]},
    spellings=_seconds_either,
)
IMAGE = Kind(_image, "must be a link (http:// or https://) or a data URL (data:image/…;base64,…)", schema=_IMAGE_SCHEMA)
IMAGE_LINK = Kind(_link, "must be a link (http:// or https://); data URLs are not accepted here", schema=_LINK_SCHEMA)
SUBJECT = Kind(
    _subject,
    'must be a list of exactly one subject, {"type": "character", "image": […]}, with exactly one image in its list',
    schema=_SUBJECT_SCHEMA,
)
SIZE = Kind(
    _size,
    "must be a size these models make",
    tuple(_RESOLUTION_OF_SIZE),
    schema={"enum": list(_RESOLUTION_OF_SIZE)},
    spellings=_sizes,
)
OBJECT = Kind(_object, "must be an object", schema={"type": "object"})
OBJECT_OR_JSON = Kind(
    _object_or_json,
    "must be an object, or a string of strict JSON that holds one (no key twice, no NaN)",
    # The string is for those who have to; no schema can say what stands in it.
    schema={"type": "object"},
)
