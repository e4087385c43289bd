"""JSON in and out: the strict reader for callers' bodies, the plain one for upstream replies, the fast writer.

A caller's body buys something, so whatever two readers could understand differently is refused: duplicate keys, NaN,
lone surrogates, NUL, and nesting deeper than anything this house speaks (CONTRACT section 5).
"""

import json
from typing import Any, NoReturn

import orjson

# A video request has some twenty values. These bounds are generous, and are checked on the text before parsing, so that
# a hostile body costs no more than a scan: commas and brackets inside strings only make the count too high.
_DEPTH_MAX = 32
_BRACKETS_MAX = 4_000
_VALUES_MAX = 20_000
_SHORT_CHARACTERS = 1 << 16


class JsonError(ValueError):
    """The text is not JSON this house reads; the message says why, without quoting it."""


def read_strict(body: bytes | bytearray) -> Any:
    """Plain data from a caller's JSON. Raises JsonError."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(f"the body is not UTF-8 (byte {error.start})") from None
    return read_strict_text(text)


def read_strict_text(text: str) -> Any:
    """The same for text that is already decoded, such as JSON inside a JSON string."""
    brackets = _count(text, "[", _BRACKETS_MAX) + _count(text, "{", _BRACKETS_MAX)
    if brackets > _BRACKETS_MAX or _count(text, ",", _VALUES_MAX) > _VALUES_MAX:
        raise JsonError("the JSON has too many values or is nested too deeply")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise JsonError(f"the JSON is nested deeper than {_DEPTH_MAX} levels") from None
    except json.JSONDecodeError as error:
        raise JsonError(
            f"the body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    except ValueError as error:
        raise JsonError(
            str(error) if isinstance(error, JsonError) else "a number in the JSON is out of range"
        ) from None
    _inspect(value)
    return value


def read(body: bytes) -> Any:
    """Plain data from an upstream's JSON, or None when it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of an upstream's reply, or an empty one when it is none."""
    value = read(body)
    return value if isinstance(value, dict) else {}


def read_prefix(body: bytes) -> dict[str, Any]:
    """The members of a JSON object that arrived whole before its text broke off (FAILURES T10, T12: salvage)."""
    text = body.decode("utf-8", errors="replace").lstrip()
    decoder = json.JSONDecoder()
    members: dict[str, Any] = {}
    if not text.startswith("{"):
        return members
    position = 1
    try:
        while True:
            key, position = decoder.raw_decode(text, _skip(text, position, " \t\r\n,"))
            value, position = decoder.raw_decode(text, _skip(text, position, " \t\r\n:"))
            if _skip(text, position, " \t\r\n") >= len(text):
                return members  # the last value may go on where the text broke off
            if isinstance(key, str):
                members[key] = value
    except (ValueError, RecursionError):
        return members


def write(value: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return orjson.dumps(value)


def write_ascii(value: Any) -> bytes:
    """Compact JSON in ASCII, fit for a header."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _count(text: str, mark: str, most: int) -> int:
    """How often a mark stands in a text, up to one more than `most`. In a long text, a picture as a rule, it is looked
    for from one to the next: to count looks at every character, which is a third of all that reading it takes."""
    if len(text) <= _SHORT_CHARACTERS:
        return text.count(mark)
    found, at = 0, text.find(mark)
    while at >= 0 and found <= most:
        found, at = found + 1, text.find(mark, at + 1)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonError(f"the JSON has the key {key[:64]!r} twice")
            seen.add(key)
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise JsonError("a number in the JSON is out of range")
    return number


def _inspect(value: Any) -> None:
    """Depth and characters, without recursion of our own."""
    pending = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, str):
            _inspect_text(item)
        elif isinstance(item, dict | list):
            if depth > _DEPTH_MAX:
                raise JsonError(f"the JSON is nested deeper than {_DEPTH_MAX} levels")
            if isinstance(item, dict):
                pending.extend((key, depth) for key in item)
                pending.extend((member, depth + 1) for member in item.values())
            else:
                pending.extend((member, depth + 1) for member in item)


def _inspect_text(text: str) -> None:
    if "\0" in text:
        raise JsonError("a string in the JSON contains NUL")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise JsonError("a string in the JSON contains a lone surrogate") from None


def _skip(text: str, position: int, characters: str) -> int:
    while position < len(text) and text[position] in characters:
        position += 1
    return position
