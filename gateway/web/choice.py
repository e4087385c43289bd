"""Which dialect a request speaks (CONTRACT section 4): the path, else the header, else the virtual key's setting, else
the marks in the body, else the configured default.

Header and setting choose among the dialects that speak a path; a body sent to another dialect's path is judged by it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.dialects import DIALECTS
from gateway.errors import InvalidRequest, Problem
from gateway.web.exchange import Exchange

HEADER = "x-reelgate-dialect"


def told_dialect(exchange: Exchange, speakers: Sequence[str]) -> str | None:
    """What the path or the header says, without looking at the body; `speakers` are none where all may speak.

    Raises InvalidRequest for an unknown name.
    """
    if len(speakers) == 1:
        return speakers[0]
    name = exchange.header(HEADER.encode())
    if name is not None and name not in DIALECTS:
        raise InvalidRequest.at(HEADER, "this is not a dialect", *DIALECTS)
    return name if not speakers or name in speakers else None


def choose_dialect(
    exchange: Exchange, speakers: Sequence[str], *, pinned: str | None, body: Mapping[str, Any], default: str
) -> str:
    """The dialect of a create on a path that `speakers` share. Raises InvalidRequest for marks of two dialects."""
    told = told_dialect(exchange, speakers)
    if told is not None:
        return told
    if pinned is not None and pinned in speakers:
        return pinned
    said = {field for field, value in body.items() if value is not None}
    marks = {name: sorted(DIALECTS[name].MARKS & said) for name in speakers}
    marked = [name for name in speakers if marks[name]]
    if len(marked) > 1:
        raise _mixed(marked, marks)
    # `null` says nothing, so it mixes nothing; where nothing else is marked, only one dialect may know the name.
    named = marked or [name for name in speakers if DIALECTS[name].MARKS & body.keys()]
    if len(named) == 1:
        return named[0]
    return default if default in speakers else speakers[0]


def _mixed(marked: Sequence[str], marks: Mapping[str, Sequence[str]]) -> InvalidRequest:
    sides = " and ".join(f"{', '.join(f'`{field}`' for field in marks[name])} ({name})" for name in marked)
    message = f"the body mixes two dialects: {sides}; use one, or name it in the {HEADER} header"
    return InvalidRequest.of([Problem(field, message) for name in marked for field in marks[name]])
