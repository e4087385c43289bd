"""A multipart create as the plain data that JSON would have given: the official SDKs send videos that way (FACTS 5.3).

`metadata[resolution]` becomes a member of an object, `image_urls[]` an item of a list, a file a data URL. Every value
stays the string it is; the dialect knows which strings stand for numbers and booleans.
"""

import base64
import re
from collections.abc import Iterator
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.errors import InvalidRequest
from gateway.structs import Struct, field

PARTS_MAX = 64  # a video request has some twenty fields
FIELD_BYTES_MAX = 1 << 20  # a prompt has 2000 characters; only an image is larger, and that is a file or a data URL
_HEADER_BYTES_MAX = 4_096
_DEPTH_MAX = 4
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_ADDRESS = re.compile(rb"\s*(https?://|data:image/)", re.IGNORECASE)
_ADDRESS_BYTES_MAX = 4_096
# By content: several official clients label every file image/jpeg (CONTRACT section 4).
_SIGNATURES = ((b"\xff\xd8\xff", 0, "image/jpeg"), (b"\x89PNG\r\n\x1a\n", 0, "image/png"), (b"WEBP", 8, "image/webp"))


class _Part(Struct):
    headers: dict[bytes, bytes] = field(default_factory=dict)
    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    body: bytearray = field(default_factory=bytearray)


def read_form(body: bytes, content_type: str) -> dict[str, Any]:
    """The fields of a multipart body. Raises InvalidRequest, naming the field where one is at fault."""
    fields: dict[str, Any] = {}
    for part in _parts(body, content_type):
        kind, options = parse_options_header(part.headers.get(b"content-disposition", b""))
        name = _text(options.get(b"name", b""), "body")
        if kind != b"form-data" or not name:
            raise InvalidRequest.at("body", "every part of the form needs a Content-Disposition with a name")
        value = _file(bytes(part.body)) if b"filename" in options else _text(bytes(part.body), name)
        _put(fields, name, value)
    return fields


def _parts(body: bytes, content_type: str) -> Iterator[_Part]:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidRequest.at("content-type", "multipart/form-data needs a boundary")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise InvalidRequest.at("body", "the multipart body is malformed") from None
    if not reader.is_complete:
        raise InvalidRequest.at("body", "the multipart body ends before its last boundary")
    yield from reader.parts


class _Reader:
    """Collects the parts a parser finds."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.is_complete = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._grow(self.parts[-1].header_name, data[start:end]),
            "on_header_value": lambda data, start, end: self._grow(self.parts[-1].header_value, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self.parts[-1].body.extend(data[start:end]),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.parts) >= PARTS_MAX:
            raise InvalidRequest.at("body", f"the form has more than {PARTS_MAX} parts")
        self.parts.append(_Part())

    def _grow(self, target: bytearray, data: bytes) -> None:
        target.extend(data)
        if len(target) > _HEADER_BYTES_MAX:
            raise InvalidRequest.at("body", "a part of the form has an overlong header")

    def _end_header(self) -> None:
        part = self.parts[-1]
        part.headers[bytes(part.header_name).lower()] = bytes(part.header_value)
        part.header_name.clear()
        part.header_value.clear()

    def _end(self) -> None:
        self.is_complete = True


def _text(data: bytes, name: str) -> str:
    if len(data) > FIELD_BYTES_MAX and not _ADDRESS.match(data):
        raise InvalidRequest.at(name, f"the field is larger than {FIELD_BYTES_MAX} bytes; send images as files")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest.at(name, "the field is not UTF-8") from None
    if "\0" in text:
        raise InvalidRequest.at(name, "the field contains NUL")
    return text


def _file(data: bytes) -> str:
    """A file as a data URL; as one SDK sends it, a file's content may be an address instead."""
    if len(data) <= _ADDRESS_BYTES_MAX and _ADDRESS.match(data):
        return data.decode("utf-8", errors="replace").strip()
    kinds = (kind for mark, start, kind in _SIGNATURES if data[start : start + len(mark)] == mark)
    return f"data:{next(kinds, 'application/octet-stream')};base64,{base64.b64encode(data).decode()}"


def _put(fields: dict[str, Any], name: str, value: str) -> None:
    """Store a value under a bracketed name."""
    match = _NAME.fullmatch(name)
    steps = [] if match is None else re.findall(r"\[([^\[\]]*)\]", match[2])
    if match is None or len(steps) > _DEPTH_MAX:
        raise InvalidRequest.at(name[:64], "this is not a field name")
    target, key = fields, match[1]
    for step in steps[:-1] if steps and steps[-1] == "" else steps:
        if step == "":
            raise InvalidRequest.at(name[:64], "a list of objects cannot be sent as a form; send JSON")
        target, key = _member(target, key, dict, name), step
    if steps and steps[-1] == "":
        _member(target, key, list, name).append(value)
    elif key in target:
        raise InvalidRequest.at(name[:64], "the field stands twice; the items of a list are each called `name[]`")
    else:
        target[key] = value


def _member(target: dict[str, Any], key: str, kind: type, name: str) -> Any:
    inner = target.setdefault(key, kind())
    if not isinstance(inner, kind):
        raise InvalidRequest.at(name[:64], "the field stands twice, in two forms")
    return inner
