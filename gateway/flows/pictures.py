"""The images that a request brings or names, judged before anything is bought.

An image inside the request is judged where it is. Behind a link, only as many bytes are fetched as the header needs, by
the guarded door; all links of a request at the same time, within the door's one deadline for images (5 s).

A link is asked about at every create. What was found behind it is kept for a minute together with the validator of its
host (`ETag`, else `Last-Modified`), and the next question is whether that still holds: so nothing is fetched twice, and
nothing that is kept outlives a changed validator. Without a validator nothing is kept.

What the host says of the file's size counts where it is the size of the whole behind a range, or where the file ended
before our eyes. A bare `Content-Length` proves nothing; but a host that says "too large" is believed.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from gateway.aside import aside
from gateway.egress import POLICIES, Answer, EgressRefused, Kind, Reason
from gateway.errors import Problem
from gateway.images import BYTES_END, HEAD_BYTES_MAX, Finding, HeaderReader, judge, judge_inline
from gateway.parts import Rules
from gateway.structs import Struct
from gateway.video import VideoRequest

log = logging.getLogger("reelgate.pictures")

FIELDS = ("first_frame_image", "last_frame_image", "subject_reference")
KEPT_S = 60.0
# Of the time in which a create is answered, the rest is for storage and the upstream. Of 8 s these are the door's 5.
_LOOK_SHARE = 0.625
VALIDATOR_CHARACTERS_MAX = 256  # those of common servers have some forty
_OK, _PART, _UNCHANGED = 200, 206, 304


class Unseen(Exception):
    """What is behind a link could not be found out; the words are fit for the caller."""


class Picture(Struct, frozen=True):
    """What was found behind a link. `byte_count` is the whole file's, None where nobody honest has said it."""

    finding: Finding
    byte_count: int | None


class Kept(Struct, frozen=True):
    """A picture, and the header that asks its host whether it still is what is there."""

    picture: Picture
    question: Mapping[str, str]
    kept_at: float


async def judge_pictures(
    request: VideoRequest, names: Collection[str], rules: Rules
) -> tuple[list[Problem], list[str]]:
    """Every rule that the images under these canonical fields break, and what there is to say besides.

    A link whose image cannot be seen is a problem in `strict` and a warning in `lenient`.
    """
    given = {name: str(getattr(request, name)) for name in names}
    links = [image for image in given.values() if is_link(image)]
    pictures = dict(zip(links, await _see_all(links, rules), strict=True))
    problems: list[Problem] = []
    warnings: list[str] = []
    for name, image in given.items():
        picture = pictures[image] if is_link(image) else None  # the hash of a large one takes long
        if picture is None:
            problems += await aside(len(image), partial(judge_inline, name, image))
        elif isinstance(picture, Picture):
            problems += judge(name, picture.finding, picture.byte_count)
        elif rules.settings.images == "strict" or picture.is_refused:
            problems.append(Problem(name, picture.message))
        else:
            warnings.append(f"{request.param(name)}: {picture.message}")
    return problems, warnings


class _Hidden(Struct, frozen=True):
    """Why there is no picture. `is_refused`: whatever the policy."""

    message: str
    is_refused: bool = False


async def _see_all(links: Sequence[str], rules: Rules) -> Sequence[Picture | _Hidden]:
    """Every link once, all at the same time; without links, nothing at all."""
    distinct = list(dict.fromkeys(links))
    look = _read_only if rules.settings.images == "unseen" else _see
    if len(distinct) < 2:
        found = [await look(link, rules) for link in distinct]
    else:
        found = await asyncio.gather(*(look(link, rules) for link in distinct))
    by_link = dict(zip(distinct, found, strict=True))
    return [by_link[link] for link in links]


async def _read_only(link: str, rules: Rules) -> _Hidden:
    """Where nobody may be asked: whether it is an address at all."""
    try:
        await rules.door.vet(link, Kind.IMAGE)
    except EgressRefused as refused:
        return _Hidden(refused.message, is_refused=True)
    return _Hidden("the image was not looked at, because nothing is asked here")


async def _see(link: str, rules: Rules) -> Picture | _Hidden:
    try:
        return await see(link, rules)
    except Unseen as unseen:
        return _Hidden(str(unseen))


async def see(link: str, rules: Rules) -> Picture:
    """What is behind a link now. Raises Unseen, and Crowded where we ask about too many."""
    kept: Kept | None = rules.memory.pictures.get(link)
    if kept is not None and not 0 <= rules.clock() - kept.kept_at < KEPT_S:
        kept = None
    try:
        question = {} if kept is None else kept.question
        async with (
            asyncio.timeout(rules.settings.answer_within_s * _LOOK_SHARE),
            rules.door.probe(link, bytes_max=HEAD_BYTES_MAX, headers=question) as answer,
        ):
            if kept is not None and answer.status == _UNCHANGED:
                return kept.picture
            picture = await _read(answer)
            _keep(link, picture, answer, rules)
            return picture
    except TimeoutError:
        raise _unseen("the create must be answered before its host would have") from None
    except EgressRefused as refused:
        if refused.reason is Reason.BUSY:
            raise rules.bounds.probes.refuse() from None
        raise Unseen(refused.message) from None


async def _read(answer: Answer) -> Picture:
    """The picture at the beginning of an answer. Raises Unseen, or EgressRefused where the answer breaks off."""
    part = answer.content_range if answer.status == _PART else None
    whole = None if part is None else part[2]
    if answer.status != _OK and (part is None or part[0] != 0):
        raise _unseen(f"the answer was {answer.status} and not the beginning of a file")
    reader, seen = HeaderReader(), 0
    async for chunk in answer.chunks:
        seen += len(chunk)
        if (finding := reader.feed(chunk)) is not None:
            return Picture(finding, _byte_count(answer, whole, seen))
    if part is not None and seen != whole:
        raise _unseen(f"the host gave only {seen} bytes of a range, which do not hold the header")
    return Picture(reader.finish(), seen)


def _byte_count(answer: Answer, whole: int | None, seen: int) -> int | None:
    """The size of a file that was not read to its end."""
    if answer.status == _PART:
        return None if whole is None else max(whole, seen)
    told = answer.content_length
    return told if told is not None and told >= BYTES_END else None


def _keep(link: str, picture: Picture, answer: Answer, rules: Rules) -> None:
    for header, validator in (("if-none-match", answer.etag), ("if-modified-since", answer.last_modified)):
        if validator is not None:
            text = validator.decode("latin-1")
            if len(text) <= VALIDATOR_CHARACTERS_MAX and text.isascii() and text.isprintable():
                rules.memory.pictures[link] = Kept(picture, {header: text}, rules.clock())
                return
    rules.memory.pictures.pop(link, None)


def _unseen(detail: str) -> Unseen:
    """The caller hears the door's own sentence, so that no answer of a host can be told from none."""
    log.info("an image was not used: %s", detail)
    return Unseen(POLICIES[Kind.IMAGE].sentence)


def is_link(image: str) -> bool:
    """Whether an image is behind an address; else it is in the request itself."""
    return image[:5].lower() != "data:"
