"""The script words: what can be written into a prompt to make the sandbox misbehave.

A word is `#sandbox:NAME` or `#sandbox:NAME=NUMBER`, anywhere in the prompt. A prompt may hold one word of each stage:
`#sandbox:slow=2 #sandbox:poll-500 #sandbox:fail-content` is slow to answer, poorly on the first looks, and fails.
Words it does not know are refused aloud, or a typing error would look like good behaviour.

Rule for editors: `WORDS` is the only list. What a word of a status means in a protocol's words is the protocol's.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_PREFIX = "#sandbox:"
_WORD = re.compile(r"#sandbox:(?P<name>[A-Za-z0-9-]*)(?:=(?P<number>[0-9]+(?:\.[0-9]+)?))?")

ALWAYS = math.inf


class Stage(StrEnum):
    """When a word speaks."""

    REFUSE = "refuse"  # a good create is refused; nothing is bought
    ANSWER = "answer"  # a create is accepted and billed, and badly answered
    POLL = "poll"  # a look at the task goes wrong
    OUTCOME = "outcome"  # the task ends otherwise than well


@dataclass(frozen=True, slots=True)
class Word:
    """One script word. `number` is what `=NUMBER` says when it is left out; None where the word takes no number."""

    stage: Stage
    does: str
    number: float | None = None
    status: int | None = None
    retry_after_s: int | None = None
    is_html: bool = False
    only_in: str | None = None  # the one protocol that has such a thing
    says_code: bool = False  # `=NUMBER` is a code of that protocol's own, and counts nothing


def _refuse(status: int, does: str, *, retry_after_s: int | None = None, is_html: bool = False) -> Word:
    return Word(Stage.REFUSE, does, ALWAYS, status, retry_after_s, is_html)


# On REFUSE words the number is how many creates with this very prompt are refused before one succeeds (always, if
# unsaid), so that a second key can be luckier than the first. On POLL words it is how many looks go wrong.
WORDS: Mapping[str, Word] = {
    "400": _refuse(400, "refuses the request as bad"),
    "401": _refuse(401, "refuses the key"),
    "402": _refuse(402, "says that the balance is spent"),
    "403": _refuse(403, "says that the key may not use this model"),
    "404": _refuse(404, "says that there is nothing here"),
    "422": _refuse(422, "refuses the content"),
    "429": _refuse(429, "says too many requests, with Retry-After: 2", retry_after_s=2),
    "429-bare": _refuse(429, "says too many requests, without Retry-After"),
    "500": _refuse(500, "breaks; nothing was accepted, but the client cannot know"),
    "502": _refuse(502, "says that its own upstream broke; nothing was accepted, but the client cannot know"),
    "503": _refuse(503, "says that it is overloaded, in JSON, with Retry-After: 5", retry_after_s=5),
    "503-html": _refuse(503, "an edge says in HTML that there is no service, without Retry-After", is_html=True),
    "504": _refuse(504, "an edge says in HTML that it waited too long", is_html=True),
    "redirect": _refuse(307, "sends the client elsewhere, to a path that is not there"),
    "drop": Word(Stage.REFUSE, "closes the connection before accepting, without a byte", ALWAYS),
    "base-resp": Word(
        Stage.REFUSE,
        "refuses inside HTTP 200 with this base_resp.status_code (1000), always",
        1000,
        200,
        only_in="minimax",
        says_code=True,
    ),
    "drop-after-accept": Word(Stage.ANSWER, "accepts and bills, then closes the connection without a byte"),
    # The answer begins with its id in some protocols, so half of it may be enough to go on; the first byte never is.
    "half-answer": Word(Stage.ANSWER, "accepts, sends status line, headers and NUMBER bytes (half), then closes", 0.5),
    "hang": Word(Stage.ANSWER, "accepts and never answers; closes after 120 s on the sandbox's clock"),
    "slow": Word(Stage.ANSWER, "accepts and answers after NUMBER real seconds (10)", 10),
    "slow-drip": Word(Stage.ANSWER, "accepts and answers a byte at a time, NUMBER real seconds apart (0.01)", 0.01),
    "malformed": Word(Stage.ANSWER, "accepts and answers 200 with an HTML page"),
    "malformed-json": Word(Stage.ANSWER, "accepts and answers 200 with JSON that breaks off before the id"),
    "no-id": Word(Stage.ANSWER, "accepts and answers 200 with good JSON that lacks the id"),
    "poll-404": Word(Stage.POLL, "the first NUMBER looks (3) find no task", 3, 404),
    "poll-429": Word(Stage.POLL, "the first NUMBER looks (3) are too many, with Retry-After: 1", 3, 429, 1),
    "poll-500": Word(Stage.POLL, "the first NUMBER looks (3) break", 3, 500),
    "unknown-status": Word(Stage.POLL, "says `rendering` for processing, then completes"),
    "fail-generation": Word(Stage.OUTCOME, "the task fails with generation_failed_no_content"),
    "fail-content": Word(Stage.OUTCOME, "the task fails with content_policy_violation"),
    "no-result": Word(Stage.OUTCOME, "the task completes without any results"),
    "expired-link": Word(Stage.OUTCOME, "the task completes, and its link is dead at once"),
}


@dataclass(frozen=True, slots=True)
class Cue:
    """A word as it stood in a prompt."""

    name: str
    word: Word
    number: float
    code: int | None = None


Script = Mapping[Stage, Cue]


def read_script(prompt: str, protocol: str) -> Script:
    """The cues of a prompt by stage, as far as this protocol has them; ValueError says what is wrong with them."""
    cues: dict[Stage, Cue] = {}
    for match in _WORD.finditer(prompt):
        cue = _read_cue(match["name"], match["number"])
        if cue.word.only_in not in (None, protocol):
            raise ValueError(f"{_PREFIX}{cue.name} means nothing here: it is a word of {cue.word.only_in} alone")
        if cues.setdefault(cue.word.stage, cue) is not cue:
            raise ValueError(f"two script words for one stage: {_PREFIX}{cues[cue.word.stage].name} and {match[0]}")
    return cues


def _read_cue(name: str, number: str | None) -> Cue:
    word = WORDS.get(name)
    if word is None:
        raise ValueError(f"no script word {_PREFIX}{name}; there are {', '.join(WORDS)}")
    if number is None:
        number = str(word.number or 0)
    elif word.number is None:
        raise ValueError(f"{_PREFIX}{name} takes no number")
    if not word.says_code:
        return Cue(name, word, float(number))
    if not number.isdigit():
        raise ValueError(f"{_PREFIX}{name} takes a whole number")
    return Cue(name, word, ALWAYS, int(number))
