"""Reading an upstream's reply: tolerant of every documented shape, strict about what passes for an id.

What is not there, or not of the kind, is None; only a look that teaches nothing raises.
"""

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from gateway import jsontext
from gateway.errors import ContentRejected, LookFailed
from gateway.providers.verdicts import fit_to_show, is_about_content
from gateway.video import Failure, Look, Status
from gateway.wire import Reply

ID_CHARACTERS_MAX = 256  # H4: longer is no id
LINK_CHARACTERS_MAX = 8192  # a signed address has some hundred
_STRANGE_CHARACTERS_MAX = 64

# What a `code` at the top of a good answer says (FACTS 2 and 3.4); any other makes the answer an error.
FINE_CODES = (None, "", 0, 200, "0", "200", "success")

CONTENT_REFUSED = ContentRejected.code  # CONTRACT section 7: the one code for it, whatever a provider's own is
# Codes that any failure may wear (FACTS 1.4, 2.2): what it was, the sentence beside them says.
_SAYS_NOTHING = frozenset({"generation_failed", "unknown_error", "upstream_error"})

_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_BARE_LINK = re.compile(r"(?://)?([\w-]+(?:\.[\w-]+)+(?::\d+)?(?:[/?]\S*)?)")
_NUMERAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_FAILURE_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


def read_created(reply: Reply) -> Mapping[str, Any]:
    """The body of an answer to a create; of a good one that broke off, what arrived whole (T10, T12, H4)."""
    body = jsontext.read_object(reply.body) if reply.is_whole else {}
    return body or (jsontext.read_prefix(reply.body) if 200 <= reply.status < 300 else {})


def has_error(body: Mapping[str, Any]) -> bool:
    """Whether an error stands beside an id (H29). An empty one says nothing: some serialisers write every field."""
    error = body.get("error")
    return not (error is None or error is False or error in ("", [], {}))


def read_task(reply: Reply) -> Mapping[str, Any]:
    """The body of an answer to a look (FAILURES section 5). Raises LookFailed where it teaches nothing."""
    if reply.status == 404 and jsontext.read_object(reply.body):  # an edge's 404 is no word of the provider's
        raise missing(reply)
    if not 200 <= reply.status < 300 or not reply.is_whole:
        raise LookFailed(f"the look was answered with {reply.status}", row="P", http_status=reply.status)
    return jsontext.read_object(reply.body)


def missing(reply: Reply) -> LookFailed:
    """The upstream says that it does not know the task."""
    return LookFailed("the upstream does not know the task", row="P404", http_status=reply.status, is_missing=True)


def make_look(
    word: object,
    words: Mapping[str, Status],
    *,
    progress: object = None,
    links: Iterable[object] = (),
    failure: tuple[object, object] = (None, None),
) -> Look:
    """What a status word and what stands around it say; `failure` is a code and a message.

    `words` are those of the provider's documents, in lower case. Raises LookFailed where there is no word at all.
    """
    if not isinstance(word, str) or not word.strip():
        raise LookFailed("the answer to a look holds no status", row="P", http_status=200)
    status = words.get(word.strip().casefold())
    return Look(
        status=status or Status.PROCESSING,
        progress=read_progress(progress),
        link=read_link(links) if status is Status.COMPLETED else None,
        failure=read_failure(*failure) if status is Status.FAILED else None,
        strange=None if status is not None else word.strip()[:_STRANGE_CHARACTERS_MAX],
    )


def read_id(value: object, *, may_be_number: bool = False) -> str | None:
    """A task's id, exactly as it came; a positive integer in its decimal spelling where the provider sends such."""
    if may_be_number and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= ID_CHARACTERS_MAX:
        return None
    is_nothing = not value.strip() or (may_be_number and value == "0")  # 0: how a number says that there is none
    is_damaged = not value.isprintable() or "\N{REPLACEMENT CHARACTER}" in value
    return None if is_nothing or is_damaged else value


def read_progress(value: object) -> int | None:
    """A whole percentage from a number or from text such as `"50%"` (FACTS 3.4)."""
    number = read_number(value.strip().removesuffix("%") if isinstance(value, str) else value)
    return None if number is None else min(100, max(0, int(number)))


def read_number(value: object) -> float | None:
    """A finite number, also one that was written as text."""
    if isinstance(value, str) and not _NUMERAL.fullmatch(value.strip()):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def read_link(candidates: Iterable[object], *, may_be_bare: bool = False) -> str | None:
    """The first that is an http(s) address; `may_be_bare` gives one that came without a scheme the safe one."""
    for link in candidates:
        if not isinstance(link, str) or len(link) > LINK_CHARACTERS_MAX or not link.isprintable():
            continue
        if _LINK.fullmatch(link):
            return link
        if may_be_bare and (bare := _BARE_LINK.fullmatch(link)):
            return f"https://{bare[1]}"
    return None


def read_failure(code: object, message: object) -> Failure:
    """Why there is no film, fit to be shown. A number is no code a caller could know; of refused content some tell in
    words alone (FACTS 2.2, 3.4)."""
    word = code if isinstance(code, str) and _FAILURE_CODE.fullmatch(code) else "generation_failed"
    sentence = message if isinstance(message, str) and message.strip() else None
    if is_about_content(word) or (word in _SAYS_NOTHING and is_about_content(sentence or "")):
        word = CONTENT_REFUSED
    return Failure(word, "the upstream could not make this video" if sentence is None else fit_to_show(sentence))


def canonical(param: str | None, names: Mapping[str, str]) -> str | None:
    """The request's own field behind one the provider complains about (H9); `names` are the provider's spellings."""
    if param is None:
        return None
    return names.get(param) or names.get(param.partition("[")[0], param)


def members(value: object) -> Mapping[str, Any]:
    """An object's members; of anything else, none."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """A list's items; of anything else, none."""
    return value if isinstance(value, list) else []
