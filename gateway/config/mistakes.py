"""What is wrong with a configuration: every mistake with its place, in words that never hold a secret.

Two rules for editors. Words come from the tables of this house, never from pydantic, whose texts quote what they
found. A value is shown only where one of a few words is expected and the file itself holds the wrong one; never what
the environment gave, and never anything from a place of a secret.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config.shape import Loc, names_at
from gateway.config.values import Dialect, Provider
from gateway.structs import Struct

_PLAIN_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_SHOWN_CHARACTERS_MAX = 40
_HIDDEN_NAME = "…"


class FromEnvironment(str):
    """A text that came from the environment; it is not quoted in mistakes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "the text from the environment"


class Mistake(Struct, frozen=True):
    """One thing to mend: where it stands (`upstreams[0].keys[1].value`), what is wrong, what to do."""

    path: str
    message: str
    fix: str


class ConfigError(Exception):
    """The configuration cannot be used. Carries every mistake that was found, in the order of the file."""

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        super().__init__(source, tuple(mistakes))
        self.source = source
        self.mistakes = tuple(mistakes)

    def lines(self, file: str | None = None) -> list[str]:
        """One line per mistake: file, path, what is wrong, the fix. `file` is the source unless said otherwise."""
        where = file or self.source
        return [
            f"{': '.join(part for part in (where, mistake.path, mistake.message) if part)}; {mistake.fix}"
            for mistake in self.mistakes
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())


class Finding(Struct, frozen=True):
    """A mistake before its place is written out."""

    loc: Loc
    message: str
    fix: str

    def as_mistake(self) -> Mistake:
        return Mistake(render_path(self.loc), self.message, self.fix)


def render_path(loc: Loc) -> str:
    """`("upstreams", 0, "name")` → `upstreams[0].name`; names that are not plain words stand in brackets."""
    path = ""
    for step in loc:
        if isinstance(step, str) and (_PLAIN_NAME.fullmatch(step) or step == _HIDDEN_NAME):
            path += f".{step}" if path else step
        else:
            path += f"[{step}]" if isinstance(step, int) else f'["{step}"]'
    return path


def in_file_order(findings: Iterable[Finding], tree: object) -> list[Finding]:
    """Findings sorted as a reader of the file meets them."""
    return sorted(findings, key=lambda finding: _position(finding.loc, tree))


def found(value: object) -> str:
    """What kind of value the file holds, without the value."""
    return next(word for kind, word in _FOUND if isinstance(value, kind))


def wrong_type(loc: Loc, expected: str, value: object) -> Finding:
    return Finding(loc, f"should be {expected}, found {found(value)}", _FIX_FOR_TYPE[expected])


def from_validation(error: ValidationError) -> list[Finding]:
    """What pydantic found, in our own words."""
    findings = []
    for details in error.errors(include_url=False):
        finding = _translate(details)
        if finding is not None:
            findings.append(finding)
    return findings


# Subclasses first: a bool is an int, and the last row takes whatever else YAML can make.
_FOUND: Sequence[tuple[type, str]] = (
    (type(None), "null"),
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    (dict, "a mapping"),
    (list, "a list"),
    (tuple, "a list"),
    (date, "a date"),
    (object, "something else"),
)
_FIX_FOR_TYPE: Mapping[str, str] = {
    "text": "put the value in quotes",
    "a whole number": "write plain digits without quotes",
    "a number": "write a plain number without quotes, like 2 or 0.5",
    "true or false": "write true or false without quotes",
    "a list": "write one entry per line, each after `- `, or [] for none",
    "a mapping": "write its settings as `name: value`, or leave the line out",
}
_EXPECTED: Mapping[str, str] = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping",
    "dict_type": "a mapping",
}
_WORD_FOR_CHOICE: Mapping[frozenset[str], str] = {
    frozenset(get_args(Provider)): "a provider",
    frozenset(get_args(Dialect)): "a dialect",
}
# Said about an entry only because another one beside it failed.
_ECHOES = frozenset({"default_factory_not_called"})


def _translate(details: ErrorDetails) -> Finding | None:
    kind, loc = details["type"], details["loc"]
    if loc and loc[-1] == "[key]":  # pydantic's mark for "the name, not the value"
        loc = loc[:-1]
    if kind in _ECHOES:
        return None
    if kind in _EXPECTED:
        return wrong_type(loc, _EXPECTED[kind], details["input"])
    if kind in _TRANSLATE:
        return _TRANSLATE[kind](loc, details["input"], details.get("ctx", {}))
    return Finding(loc, "cannot be used", "compare it with config.example.yaml")


def _unknown(loc: Loc, _value: object, _context: Mapping[str, Any]) -> Finding:
    name, known = str(loc[-1]), names_at(loc[:-1])
    near = get_close_matches(name, known, n=1)
    # A key pasted where a name belongs must not be shown.
    is_shown = bool(near) or _PLAIN_NAME.fullmatch(name) is not None
    fix = f"did you mean {near[0]}?" if near else f"remove it, or use one of {', '.join(known)}"
    return Finding((*loc[:-1], name if is_shown else _HIDDEN_NAME), "unknown setting", fix)


def _missing(loc: Loc, _value: object, _context: Mapping[str, Any]) -> Finding:
    return Finding(loc, "is required", "add it; config.example.yaml shows how")


def _choice(loc: Loc, value: object, context: Mapping[str, Any]) -> Finding:
    allowed = re.findall(r"'([^']*)'", context["expected"])
    fix = f"use one of {', '.join(allowed)}"
    if not isinstance(value, str):
        return Finding(loc, f"should be text, found {found(value)}", fix)
    shown = repr(value) if len(value) <= _SHOWN_CHARACTERS_MAX else "the text here"
    word = _WORD_FOR_CHOICE.get(frozenset(allowed), "one of its words")
    return Finding(loc, f"{shown} is not {word}", fix)


def _too_small(loc: Loc, value: object, context: Mapping[str, Any]) -> Finding:
    if "gt" in context:
        return Finding(loc, f"{value} is too small", f"use a number above {context['gt']:g}")
    return Finding(loc, f"{value} is too small", f"use {context['ge']} or more")


def _too_large(loc: Loc, value: object, context: Mapping[str, Any]) -> Finding:
    return Finding(loc, f"{value} is too large", f"use {context['le']} at most")


def _empty(loc: Loc, value: object, _context: Mapping[str, Any]) -> Finding | None:
    if value:
        return None  # a list whose entries all failed counts as empty for pydantic
    return Finding(
        loc, "is empty", "add at least one entry" if isinstance(value, tuple) else "write a text or leave it out"
    )


def _not_finite(loc: Loc, _value: object, _context: Mapping[str, Any]) -> Finding:
    return Finding(loc, "is not a finite number", _FIX_FOR_TYPE["a number"])


def _refused(loc: Loc, _value: object, context: Mapping[str, Any]) -> Finding:
    return Finding(loc, context["message"], context["fix"])


def _not_a_name(loc: Loc, _value: object, _context: Mapping[str, Any]) -> Finding:
    return Finding(loc, "names of settings are text", "put the name in quotes or remove the line")


_TRANSLATE: Mapping[str, Callable[[Loc, object, Mapping[str, Any]], Finding | None]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "literal_error": _choice,
    "greater_than": _too_small,
    "greater_than_equal": _too_small,
    "less_than_equal": _too_large,
    "too_short": _empty,
    "string_too_short": _empty,
    "finite_number": _not_finite,
    "refusal": _refused,
    "invalid_key": _not_a_name,
}


def _position(loc: Loc, tree: object) -> tuple[int, ...]:
    """Where a place stands in the file, as numbers that sort; what is missing stands after its siblings."""
    position = []
    for step in loc:
        if isinstance(tree, dict):
            names = list(tree)
            position.append(names.index(step) if step in tree else len(names))
            tree = tree.get(step)
        elif isinstance(tree, list | tuple) and isinstance(step, int) and step < len(tree):
            position.append(step)
            tree = tree[step]
        else:
            break
    return tuple(position)
