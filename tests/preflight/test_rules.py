"""Every rule of the models (FACTS 4.2 and 4.3), in every dialect: the caller's own field, the rule, what is allowed."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.matrix.speakers import SPEAKERS, Speaker
from tests.matrix.wishes import FIRST, LAST, SUBJECT, Wish
from tests.preflight.orders import PATHS, SELLERS, assert_untouched, problems
from tests.world import ALICE, bearer, world

TWO_THREE, FAST, ZERO_TWO = "MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast", "MiniMax-Hailuo-02"


@dataclass(frozen=True)
class Rule:
    """A wish that breaks one rule: the canonical field, words of the rule, and what is allowed."""

    wish: Wish
    field: str
    words: str
    allowed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.wish)


RULES = (
    Rule(Wish(1, TWO_THREE, "t2v", "512P", 6), "resolution", "does not offer", ("768P", "1080P")),
    Rule(Wish(2, TWO_THREE, "t2v", "720P", 6), "resolution", "does not offer", ("768P", "1080P")),
    Rule(Wish(3, TWO_THREE, "t2v", "768P", 5), "duration", "does not offer", ("6", "10")),
    Rule(Wish(4, TWO_THREE, "t2v", "1080P", 10), "duration", "does not make 10 s at 1080P", ("6",)),
    Rule(Wish(5, TWO_THREE, "i2v", "512P", 6), "resolution", "does not offer", ("768P", "1080P")),
    Rule(Wish(6, TWO_THREE, "flf", "768P", 6), LAST, "does not take a last-frame image"),
    Rule(Wish(7, FAST, "t2v", "768P", 6), FIRST, "needs a first-frame image"),
    Rule(Wish(8, FAST, "i2v", "1080P", 10), "duration", "does not make 10 s at 1080P", ("6",)),
    Rule(Wish(9, ZERO_TWO, "t2v", "512P", 6), "resolution", "does not offer", ("768P", "1080P")),
    Rule(Wish(10, ZERO_TWO, "flf", "512P", 6), "resolution", "does not offer", ("768P", "1080P")),
    Rule(Wish(11, ZERO_TWO, "i2v", "720P", 6), "resolution", "does not offer", ("512P", "768P", "1080P")),
    Rule(Wish(12, ZERO_TWO, "flf", "1080P", 10), "duration", "does not make 10 s at 1080P", ("6",)),
    Rule(Wish(13, "T2V-01", "i2v"), FIRST, "does not take a first-frame image"),
    Rule(Wish(14, "T2V-01-Director", "t2v", "768P", 6), "resolution", "does not offer", ("720P", "1080P")),
    Rule(Wish(15, "T2V-01", "t2v", "720P", 10), "duration", "does not offer", ("6",)),
    Rule(Wish(16, "I2V-01", "t2v"), FIRST, "needs a first-frame image"),
    Rule(Wish(17, "I2V-01-live", "i2v", "720P", 10), "duration", "does not offer", ("6",)),
    Rule(Wish(18, "I2V-01-Director", "flf"), LAST, "does not take a last-frame image"),
    Rule(Wish(19, "S2V-01", "s2v", "720P"), "resolution", "has no resolution to choose"),
    Rule(Wish(20, "S2V-01", "s2v", None, 6), "duration", "has no duration to choose"),
    Rule(Wish(21, "S2V-01", "i2v"), FIRST, "does not take a first-frame image"),
    Rule(Wish(22, TWO_THREE, "s2v"), SUBJECT, "does not take a subject reference"),
    Rule(Wish(23, TWO_THREE, "t2v", has_prompt=False), "prompt", "prompt"),
    Rule(Wish(24, ZERO_TWO, "t2v", has_prompt=False), "prompt", "prompt"),
    Rule(Wish(25, TWO_THREE, "t2v", script="x" * 2000), "prompt", "takes at most 2000"),
    Rule(Wish(26, "T2V-01", "t2v", option="fast_pretreatment"), "fast_pretreatment", "has no fast_pretreatment"),
)


def can_say(speaker: Speaker, rule: Rule) -> bool:
    return not speaker.has_no_field_for(rule.wish) and rule.field not in speaker.lacks


@pytest.mark.parametrize("dialect", PATHS)
def test_a_broken_rule_is_told_under_the_callers_field_with_what_is_allowed(dialect: str, tmp_path: Path) -> None:
    speaker = SPEAKERS[dialect]
    rules = [rule for rule in RULES if can_say(speaker, rule)]
    assert len(rules) >= 18

    async def story() -> None:
        # The rules that a picture breaks have a test of their own; these are those of the order.
        async with world(tmp_path, SELLERS) as it:
            for rule in rules:
                said = speaker.speak(rule.wish)
                for extra in ({}, {"x-reelgate-dry-run": "true"}):
                    headers = {**bearer(ALICE), "content-type": said.content_type, **extra}
                    answer = await it.http.post(PATHS[dialect], content=said.body, headers=headers)
                    found = problems(dialect, answer)
                    assert len(found) == 1, f"{rule}: {json.dumps(found)}"
                    told = (found[0]["param"], tuple(found[0]["allowed"]))
                    spelt = rule.allowed if dialect != "evolink" else tuple(value.lower() for value in rule.allowed)
                    assert told == (said.params.get(rule.field, rule.field), spelt), f"{rule}: {found}"
                    assert rule.words in found[0]["message"], f"{rule}: {found}"
            assert_untouched(it)

    asyncio.run(asyncio.wait_for(story(), 120))


def test_every_rule_can_be_said_in_some_dialect() -> None:
    assert all(any(can_say(speaker, rule) for speaker in SPEAKERS.values()) for rule in RULES)
