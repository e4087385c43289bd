"""What `reelgate generate` orders: the body of its create, made of the options, and whose option a field is."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.images import BYTES_END, Format, Header, HeaderReader, judge
from gateway.structs import Struct

_ADDRESSES = ("http://", "https://", "data:")
_TYPES: Mapping[Format, str] = {
    Format.JPEG: "image/jpeg",
    Format.PNG: "image/png",
    Format.WEBP: "image/webp",
}
# The gateway's word for a field → the option it came from.
OPTIONS: Mapping[str, str] = {
    "model": "--model",
    "prompt": "PROMPT",
    "input_reference": "--image",
    "metadata.last_frame_image": "--last-frame",
    "metadata.resolution": "--resolution",
    "seconds": "--duration",
    "x-reelgate-max-price": "--max-price",
    "idempotency-key": "--idempotency-key",
    "authorization": "--api-key",
}


class Misused(Exception):
    """What an option says cannot be ordered. One line for every mistake."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class Order(Struct, frozen=True, kw_only=True):
    """What is wanted, as the options say it."""

    prompt: str
    model: str
    image: str | None = None
    last_frame: str | None = None
    resolution: str | None = None
    duration_s: int | None = None

    def body(self) -> dict[str, Any]:
        """The create's body in OpenAI's words, with files as data URLs. Raises Misused for what is no picture."""
        lines: list[str] = []
        first = _picture("--image", self.image, lines)
        last = _picture("--last-frame", self.last_frame, lines)
        if lines:
            raise Misused(lines)
        said = {"resolution": self.resolution, "last_frame_image": last}
        metadata = {name: value for name, value in said.items() if value is not None}
        body = {
            "model": self.model,
            "prompt": self.prompt,
            "input_reference": first,
            "seconds": None if self.duration_s is None else str(self.duration_s),
            "metadata": metadata or None,
        }
        return {name: value for name, value in body.items() if value is not None}


def _picture(option: str, given: str | None, lines: list[str]) -> str | None:
    """An address as it is, a file as a data URL; what is wrong with the file is added to the lines."""
    if given is None or given.lower().startswith(_ADDRESSES):
        return given
    path = Path(given)
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_END)
            byte_count = len(data) + _rest(file.fileno(), data)
    except OSError as error:
        lines.append(f"{option}: {given}: {error.strerror or error}; give a file, or an address with https://")
        return None
    reader = HeaderReader()
    finding = reader.feed(data) or reader.finish()
    for problem in judge(option, finding, byte_count):
        hint = f"; allowed: {', '.join(problem.allowed)}" if problem.allowed else ""
        lines.append(f"{option}: {given}: {problem.message}{hint}")
    if not isinstance(finding, Header):
        return None
    return f"data:{_TYPES[finding.format]};base64,{base64.b64encode(data).decode()}"


def _rest(descriptor: int, data: bytes) -> int:
    """How many bytes of a file there are beyond the largest picture; what is no file has no size to tell."""
    return max(0, os.fstat(descriptor).st_size - len(data)) if len(data) == BYTES_END else 0
