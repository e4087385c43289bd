"""Camera commands in a prompt: the table, the reader of brackets, the lint, and the spelling an upstream is given.

`[Push in]` moves the camera, up to three commands in one bracket act together, brackets act in text order (FACTS 4.4).
What an upstream makes of a bracket that is no command is not documented, so a misspelt one may be paid for and do
nothing, or turn up as text. What is found here is of four kinds:

    understood  another spelling of a command: any letter case, odd blanks or commas, `[dolly in]`, `[dolly out]`.
                It is put right and said; nobody is ever refused for it
    unknown     meant as a command, and none: `[Push out]`. Told with the nearest right ones
    too many    more than three commands in one bracket
    in vain     commands for a model that is not documented to take any

Brackets that are not about the camera (`[a man in a red hat]`) are the author's own and nobody's business. A bracket
counts as meant for the camera if it holds a command, if one of its parts is a command with a slip of the pen in it, or
if a part is made of nothing but words of that trade. So free text passes even where it says `in` or `left`, and a
bracket such as `[pan]` is asked about: a question costs a sentence, a command that does nothing costs a video.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from itertools import islice
from typing import Literal, TypeVar

from gateway.errors import Problem
from gateway.structs import Struct

Policy = Literal["warn", "reject", "off"]
Literals = Literal["as-is", "en", "zh"]
V = TypeVar("V")

# English and Chinese literals, in the order of the documents (FACTS 4.4).
COMMANDS: Mapping[str, str] = {
    "Truck left": "左移",
    "Truck right": "右移",
    "Pan left": "左摇",
    "Pan right": "右摇",
    "Push in": "推进",
    "Pull out": "拉远",
    "Pedestal up": "上升",
    "Pedestal down": "下降",
    "Tilt up": "上摇",
    "Tilt down": "下摇",
    "Zoom in": "变焦推近",
    "Zoom out": "变焦拉远",
    "Shake": "晃动",
    "Tracking shot": "跟随",
    "Static shot": "固定",
}
TOGETHER_MAX = 3  # commands in one bracket

_ENGLISH = {chinese: english for english, chinese in COMMANDS.items()}
_ALIASES = {"dolly in": "Push in", "dolly out": "Pull out"}  # as one provider's page has them (seed-004)
_SPOKEN: Mapping[str, str] = {english.casefold(): english for english in COMMANDS} | _ENGLISH | _ALIASES
_ALLOWED = tuple(f"[{english}]" for english in COMMANDS)

# What the trade calls a movement → what may be meant, the likeliest first. Foreign names are those seen in the wild.
_MOVES: Mapping[str, tuple[str, ...]] = {
    "truck": ("Truck left", "Truck right"),
    "pan": ("Pan left", "Pan right", "Tilt up", "Tilt down"),
    "push": ("Push in",),
    "pull": ("Pull out",),
    "pedestal": ("Pedestal up", "Pedestal down"),
    "tilt": ("Tilt up", "Tilt down"),
    "zoom": ("Zoom in", "Zoom out"),
    "shake": ("Shake",),
    "tracking": ("Tracking shot",),
    "static": ("Static shot",),
    "dolly": ("Push in", "Pull out", "Truck left", "Truck right"),
    "move": ("Truck left", "Truck right", "Push in", "Pull out", "Pedestal up", "Pedestal down"),
    "rotate": ("Pan left", "Pan right", "Tilt up", "Tilt down"),
    "orbit": ("Truck left", "Truck right"),
    "arc": ("Truck left", "Truck right"),
    "rise": ("Pedestal up",),
    "crane": ("Pedestal up", "Pedestal down"),
    "boom": ("Pedestal up", "Pedestal down"),
    "jib": ("Pedestal up", "Pedestal down"),
    "follow": ("Tracking shot",),
    "handheld": ("Shake",),
    "shaky": ("Shake",),
    "shaking": ("Shake",),
    "fixed": ("Static shot",),
    "推": ("Push in",),
    "推近": ("Push in",),
    "拉": ("Pull out",),
    "拉近": ("Push in", "Zoom in"),
    "变焦": ("Zoom in", "Zoom out"),
    "平移": ("Truck left", "Truck right"),
    "左平移": ("Truck left",),
    "右平移": ("Truck right",),
    "跟拍": ("Tracking shot",),
    "跟踪": ("Tracking shot",),
    "静止": ("Static shot",),
    "抖动": ("Shake",),
}
_DIRECTIONS: Mapping[str, str] = {
    **{word: word for word in ("in", "out", "left", "right", "up", "down")},
    **{"forward": "in", "forwards": "in", "backward": "out", "backwards": "out", "back": "out", "around": ""},
}
_FILLERS = frozenset(
    [
        *("the", "to", "and", "shot", "camera", "movement"),
        *("slow", "slowly", "fast", "quick", "quickly", "gentle", "gently", "smooth", "smoothly"),
    ]
)
_CHINESE_FILLERS = re.compile("镜头|相机|摄像机|机位|缓慢|慢慢|快速|向|往|地")

_BRACKET_CHARACTERS_MAX = 200  # four long commands; a longer bracket is a text of its own
_BRACKETS_MAX = 1_000  # a prompt of 2000 characters has room for 666; a longer prompt is refused for its length
_BRACKET = re.compile(rf"\[([^\[\]]{{1,{_BRACKET_CHARACTERS_MAX}}})\]")  # no nesting, so it is read in linear time
_SEPARATOR = re.compile("[,，、]")  # the second and third are what a Chinese keyboard makes of a comma
_WORD = re.compile(r"[^\W_]+")
_WORDS_MAX = 5  # "slow pan to the left"
_SHORT = 3  # a slip in a word of so few letters makes another word: "man left"
# Warnings travel in a response header, and a proxy that finds the headers too long (some take 4 KiB) answers 502 for a
# video that was bought. More than a handful teaches nothing anyway.
_FINDINGS_MAX = 5
_NEAREST_MAX = 2
_SHOWN_CHARACTERS_MAX = 32


class Linted(Struct, frozen=True):
    """A prompt with its commands put right, and what there is to say. `problems` are told under `prompt`."""

    prompt: str
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class Bracket(Struct, frozen=True):
    """The inside of one bracket, and its parts between commas."""

    text: str
    parts: tuple[str, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that are understood, in canonical English."""
        return tuple(command for command in map(_understand, self.parts) if command is not None)


def lint(prompt: str, *, model: str, takes_commands: bool, policy: Policy) -> Linted:
    """Judge and put right the commands of a prompt for a model.

    `policy`: `off` looks at nothing; `reject` makes problems of what is unknown or too many, `warn` warnings. Commands
    in vain only ever make a warning: the video comes out all the same.
    """
    if policy == "off" or "[" not in prompt:
        return Linted(prompt)
    brackets = list(dict.fromkeys(read(prompt)))
    faults = _few([*_unknown(brackets, model, takes_commands), *_too_many(brackets)])
    warnings = _few([*_put_right(brackets), *_in_vain(brackets, model, takes_commands)])
    right = _respell(prompt, _put_right_part)
    if policy == "reject":
        return Linted(right, warnings, faults)
    return Linted(right, _few([*(fault.message for fault in faults), *warnings]))


def render(prompt: str, literals: Literals) -> str:
    """The prompt with its commands in the literals an upstream is configured to get; `as-is` changes nothing."""
    return prompt if literals == "as-is" else _respell(prompt, _LITERALS[literals])


def read(prompt: str) -> Iterator[Bracket]:
    """The brackets of a prompt in text order, without the overlong ones, in time linear in its length."""
    for found in islice(_BRACKET.finditer(prompt), _BRACKETS_MAX):
        yield _bracket(found[1])


def _bracket(text: str) -> Bracket:
    return Bracket(text, tuple(part for part in map(str.strip, _SEPARATOR.split(text)) if part))


def _understand(part: str) -> str | None:
    """The canonical English command that a part stands for."""
    return _SPOKEN.get(" ".join(part.split()).casefold())


def _unknown(brackets: Iterable[Bracket], model: str, takes_commands: bool) -> Iterator[Problem]:
    """Parts that are no command, in brackets that are meant for the camera."""
    for bracket in brackets:
        for part in bracket.parts:
            if _understand(part) is not None:
                continue
            near = _nearest(part)
            if near or bracket.commands:
                yield Problem("prompt", _unknown_rule(part, bracket, near, model, takes_commands), _ALLOWED)


def _unknown_rule(part: str, bracket: Bracket, near: tuple[str, ...], model: str, takes_commands: bool) -> str:
    shown = _shown(bracket.text)
    place = shown if len(bracket.parts) == 1 else f"`{_short(part)}` in {shown}"
    if not takes_commands:
        return f"{place} is not a camera command, and {model} is not documented to take any; leave it out"
    own = near if part.isascii() else tuple(COMMANDS[command] for command in near)
    question = f"; did you mean {' or '.join(f'`[{command}]`' for command in own)}?" if near else ""
    return f"{place} is not a camera command{question}"


def _too_many(brackets: Iterable[Bracket]) -> Iterator[Problem]:
    for bracket in brackets:
        if len(bracket.commands) > TOGETHER_MAX:
            rule = (
                f"{_shown(bracket.text)} combines {len(bracket.commands)} camera commands; use at most {TOGETHER_MAX}"
            )
            yield Problem("prompt", f"{rule} in one bracket, or brackets one after another")


def _put_right(brackets: Iterable[Bracket]) -> Iterator[str]:
    for bracket in brackets:
        right = _respell_bracket(bracket, _put_right_part)
        if right != bracket.text:
            yield f"the camera command {_shown(bracket.text)} is sent as {_shown(right)}"


def _in_vain(brackets: Iterable[Bracket], model: str, takes_commands: bool) -> Iterator[str]:
    if not takes_commands and any(bracket.commands for bracket in brackets):
        yield f"{model} is not documented to take camera commands; those in the prompt may have no effect"


def _nearest(part: str) -> tuple[str, ...]:
    """The commands that a part may have been meant for, the likeliest first; none if it is not about the camera."""
    words = _WORD.findall(part.casefold())
    if not 0 < len(words) <= _WORDS_MAX or words[0] == "the":  # "the truck" is a thing, "to the left" a movement
        return ()
    misspelt = tuple(command for command in COMMANDS if _is_misspelt(words, command.casefold().split()))
    if misspelt:
        return misspelt[:_NEAREST_MAX]
    chinese = _CHINESE_FILLERS.sub("", part).strip()
    if chinese in _ENGLISH:
        return (_ENGLISH[chinese],)
    if chinese in _MOVES:
        return _MOVES[chinese][:_NEAREST_MAX]
    moves = [word for word in words if word in _MOVES]
    directions = {_DIRECTIONS[word] for word in words if word in _DIRECTIONS}
    others = _FILLERS | _DIRECTIONS.keys() | _MOVES.keys()
    return _meant(part, moves, directions) if moves and others.issuperset(words) else ()


def _is_misspelt(typed: list[str], meant: list[str]) -> bool:
    """Whether words are those of a command, each with at most one slip; blanks may be other signs or missing."""
    if len(typed) != len(meant):
        return len(typed) == 1 and _is_slip(typed[0], "".join(meant), may_replace=True)
    # Beside a move that is right, a slip in a short word is one: "zoom inn".
    letters_min = 2 if typed[0] == meant[0] else _SHORT + 1
    pairs = zip(typed, meant, strict=True)
    return all(_is_slip(*pair, may_replace=len(meant) > 1, letters_min=letters_min) for pair in pairs)


def _is_slip(typed: str, meant: str, *, may_replace: bool, letters_min: int = _SHORT + 1) -> bool:
    """Whether one letter too many, one missing, two swapped or (`may_replace`) one replaced tell two words apart, of
    which the longer has at least so many letters.

    The first letter is right in most slips, and asking for that tells `rush in` from `push in`; a word standing alone
    with a letter replaced is another word as a rule (`snake`, `shape` and `share` for `shake`).
    """
    if typed == meant:
        return True
    longer = max(len(typed), len(meant))
    if typed[0] != meant[0] or longer < letters_min or abs(len(typed) - len(meant)) > 1:
        return False
    same = next((at for at, (one, other) in enumerate(zip(typed, meant, strict=False)) if one != other), longer - 1)
    if len(typed) != len(meant):
        return typed[same + (len(typed) > len(meant)) :] == meant[same + (len(meant) > len(typed)) :]
    is_swapped = typed[same : same + 2] == meant[same : same + 2][::-1] and typed[same + 2 :] == meant[same + 2 :]
    return is_swapped or (may_replace and typed[same + 1 :] == meant[same + 1 :])


def _meant(part: str, moves: list[str], directions: set[str]) -> tuple[str, ...]:
    """What a phrase of the trade may stand for: its movement in its direction, else what is most like it."""
    moving = list(dict.fromkeys(command for move in moves for command in _MOVES[move]))
    exact = [command for command in moving if directions.intersection(command.split())]
    if exact or not directions - {""}:
        return tuple((exact or moving)[:_NEAREST_MAX])
    either = [command for command in COMMANDS if command in moving or directions.intersection(command.split())]
    likeness = SequenceMatcher(b=part.casefold())

    def rank(command: str) -> float:
        likeness.set_seq1(command.casefold())
        return -likeness.ratio()

    return tuple(sorted(either, key=rank)[:_NEAREST_MAX])


def _respell(prompt: str, spell: Callable[[str], str | None]) -> str:
    """The prompt with every part that `spell` has a word for spelt so; all other text stays as it is."""
    return _BRACKET.sub(lambda found: f"[{_respell_bracket(_bracket(found[1]), spell)}]", prompt, count=_BRACKETS_MAX)


def _respell_bracket(bracket: Bracket, spell: Callable[[str], str | None]) -> str:
    if not bracket.commands:
        return bracket.text
    parts = [spell(part) or part for part in bracket.parts]
    spaced, close = ", ".join(parts), ",".join(parts)
    return bracket.text if bracket.text in (spaced, close) else spaced


def _put_right_part(part: str) -> str | None:
    """A command in its canonical spelling, in the language it was given in."""
    return part if part in _ENGLISH else _understand(part)


def _in_chinese(part: str) -> str | None:
    command = _understand(part)
    return None if command is None else COMMANDS[command]


_LITERALS: Mapping[str, Callable[[str], str | None]] = {"en": _understand, "zh": _in_chinese}


def _shown(text: str) -> str:
    return f"`[{_short(text)}]`"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "…"


def _few(findings: Iterable[V]) -> tuple[V, ...]:
    """The distinct ones, as many as are worth telling."""
    return tuple(islice(dict.fromkeys(findings), _FINDINGS_MAX))
