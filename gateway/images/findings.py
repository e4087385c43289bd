"""What can be found at the beginning of a file that should be a picture."""

from enum import StrEnum

from gateway.structs import Struct


class Format(StrEnum):
    """The formats that upstreams take (FACTS 4.2)."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"


class Flaw(StrEnum):
    """Why there is no header. A closed set."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not_an_image"
    OTHER_FORMAT = "other_format"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    OVERLONG = "overlong"


class Header(Struct, frozen=True):
    """What a picture says of itself: its format, and its size in pixels as stored."""

    format: Format
    width: int
    height: int


class Unreadable(Struct, frozen=True):
    """No header. `detail` names the other format, or what is damaged; empty where there is no more to say."""

    flaw: Flaw
    detail: str = ""


Finding = Header | Unreadable
