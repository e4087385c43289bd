"""Fills in what the file leaves to the environment and to secret files, and wraps every secret.

`${NAME}` is that variable, `${NAME:-default}` the default where it is unset or empty, `$${` a literal `${`. Text that
came from the environment is read as YAML would read it where a number or true/false is expected, and is null where
it is empty and null is allowed. Where a secret is expected, `{file: path}` is the content of that file.

Everything after this step sees secrets only as `Secret`, and lists only as tuples. A value that could not be filled
in is replaced by `BROKEN`, so that it is reported once.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from gateway.config.mistakes import Finding, FromEnvironment, found
from gateway.config.shape import SHAPE, Branch, Items, Leaf, Loc, Shape, Table
from gateway.config.values import SecretPlace
from gateway.documents import read_yaml
from gateway.secret import Secret

BROKEN = object()

# A default ends at the first brace and holds no further reference: nesting would need a parser, for no known use.
_REFERENCE = re.compile(
    r"(?P<literal>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}|(?P<broken>\$\{)"
)
_REFERENCE_FIX = "write ${NAME} or ${NAME:-default}, and $${ where ${ itself is meant"
_WAYS_TO_WRITE = "write the secret in quotes, as ${NAME} or as {file: /path}"


def expand(tree: object, environ: Mapping[str, str]) -> tuple[object, list[Finding]]:
    """The tree with everything filled in, and what could not be."""
    expansion = _Expansion(environ)
    return expansion.walk(tree, SHAPE, ()), expansion.findings


class _Expansion:
    """One walk over one file; keeps the findings made on the way."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.findings: list[Finding] = []

    def walk(self, value: object, shape: Shape, loc: Loc) -> object:
        """Follows the shape as far as the value has it; anything else is left for the types to refuse."""
        match shape:
            case SecretPlace():
                return self._wrap(value, shape, loc)
            case Branch(names) if isinstance(value, dict):
                return {
                    name: self.walk(item, names[name], (*loc, name)) if name in names else item
                    for name, item in value.items()
                }
            case Table(of) if isinstance(value, dict):
                return {name: self.walk(item, of, (*loc, name)) for name, item in value.items()}
            case Items(of) if isinstance(value, list):
                return tuple(self.walk(item, of, (*loc, index)) for index, item in enumerate(value))
            case Leaf() if isinstance(value, str):
                return self._read_leaf(value, shape, loc)
        return value

    def _read_leaf(self, text: str, leaf: Leaf, loc: Loc) -> object:
        filled = self._fill_in(text, loc)
        if filled is None:
            return BROKEN
        if filled == text:
            return text
        if not filled and leaf.is_nullable:
            return None
        return FromEnvironment(filled) if leaf.is_text else _as_yaml(filled)

    def _wrap(self, value: object, place: SecretPlace, loc: Loc) -> object:
        """The secret behind a value, None where there may be none, or BROKEN."""
        if value is None and place.empty_is_null:
            return None
        text = self._read_secret(value, loc)
        if text is None:
            return BROKEN
        if text:
            return Secret(text)
        if place.empty_is_null:
            return None
        return self._break(loc, "is empty", _WAYS_TO_WRITE)

    def _read_secret(self, value: object, loc: Loc) -> str | None:
        if value is None:
            return ""
        if isinstance(value, str):
            return self._fill_in(value, loc)
        if isinstance(value, dict) and list(value) == ["file"] and isinstance(value["file"], str):
            path = self._fill_in(value["file"], loc)
            return None if path is None else self._read_file(path, loc)
        self._break(loc, f"should be text, found {found(value)}", _WAYS_TO_WRITE)
        return None

    def _read_file(self, path: str, loc: Loc) -> str | None:
        # The path is not shown: the secret itself may have been put in its place.
        try:
            text = Path(path).read_text("utf-8")
        except OSError as error:
            self._break(loc, f"the file cannot be read ({error.strerror})", "check the path and who may read the file")
        except ValueError:
            self._break(loc, "the file is not UTF-8 text", "check the path and what is in the file")
        else:
            text = text.removesuffix("\n")
            if text:
                return text
            self._break(loc, "the file is empty", "write the secret into it")
        return None

    def _fill_in(self, text: str, loc: Loc) -> str | None:
        """The text with its references replaced; None if one of them could not be."""
        parts, end, is_whole = [], 0, True
        for match in _REFERENCE.finditer(text):
            part = self._look_up(match, loc)
            is_whole = is_whole and part is not None
            parts += [text[end : match.start()], part or ""]
            end = match.end()
        return "".join([*parts, text[end:]]) if is_whole else None

    def _look_up(self, match: re.Match[str], loc: Loc) -> str | None:
        if match["literal"]:
            return "${"
        if match["broken"]:
            self._break(loc, "holds a ${ that begins no reference", _REFERENCE_FIX)
            return None
        name, default = match["name"], match["default"]
        value = self._environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            self._break(loc, f"the variable {name} is not set", f"set {name}, or write ${{{name}:-default}}")
        return value

    def _break(self, loc: Loc, message: str, fix: str) -> object:
        self.findings.append(Finding(loc, message, fix))
        return BROKEN


def _as_yaml(text: str) -> object:
    """A number or true/false from text, as the file itself would have had it; else the text."""
    try:
        value = read_yaml(text)
    except ValueError:
        return FromEnvironment(text)
    return value if isinstance(value, bool | int | float) else FromEnvironment(text)
