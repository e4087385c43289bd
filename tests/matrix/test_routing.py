"""Two upstreams: a request goes to the first in order that sells the model and can say all of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from tests.matrix.sellers import SELLERS, Seller
from tests.matrix.speakers import SPEAKERS, Speaker
from tests.matrix.verdicts import Culprits, judge
from tests.matrix.wishes import Wish, on_sale
from tests.matrix.world import World, find_nothing_wrong, world

PAIRS = list(permutations(SELLERS, 2))


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_request_goes_to_the_first_upstream_that_can_say_all_of_it(first: str, second: str, tmp_path: Path) -> None:
    asyncio.run(_route([SELLERS[first], SELLERS[second]], tmp_path))


@pytest.mark.parametrize("first", ["evolink", "toapis"])
def test_a_subject_goes_past_an_upstream_that_claims_the_model_and_has_no_words_for_it(
    first: str, tmp_path: Path
) -> None:
    asyncio.run(_send_a_subject(replace(SELLERS[first], claims=("MiniMax-Hailuo-2.3", "S2V-01")), tmp_path))


async def _send_a_subject(boaster: Seller, folder: Path) -> None:
    (subject,) = {wish for wish in on_sale() if wish.is_plain and wish.mode == "s2v"}
    text = next(
        wish for wish in on_sale() if wish.is_plain and (wish.model, wish.mode) == ("MiniMax-Hailuo-2.3", "t2v")
    )
    behind = SELLERS["minimax"]
    (folder / "both").mkdir()
    async with world(folder / "both", [boaster, behind]) as here:
        for speaker in (SPEAKERS["newapi"], SPEAKERS["openai"], SPEAKERS["minimax"]):
            assert await _send(subject, speaker, [boaster, behind], here) == "minimax-upstream"
            assert await _send(text, speaker, [boaster, behind], here) == f"{boaster.name}-upstream"
    (folder / "alone").mkdir()
    async with world(folder / "alone", [boaster]) as here:
        for speaker in SPEAKERS.values():
            assert await _send(subject, speaker, [boaster], here) is None
        assert here.requests() == []


async def _route(sellers: Sequence[Seller], folder: Path) -> None:
    async with world(folder, sellers) as here:
        bought: list[str] = []

        async def send(wish: Wish) -> None:
            upstream = await _send(wish, _speaker(wish, sellers), sellers, here)
            bought.extend([] if upstream is None else [upstream])

        await find_nothing_wrong(send, _one_of_each_kind(), lambda wish: f"{wish} in {_speaker(wish, sellers).name}")
        assert sorted(f"{video['provider']}-upstream" for video in here.videos()) == sorted(bought)
        assert set(bought) == {f"{seller.name}-upstream" for seller in sellers} - _never_needed(sellers)


def _speaker(wish: Wish, sellers: Sequence[Seller]) -> Speaker:
    """The dialect whose turn it is; if it can, one in which the wish can be had."""
    turn = wish.number + PAIRS.index((sellers[0].name, sellers[1].name))
    in_turn = [list(SPEAKERS.values())[(turn + step) % len(SPEAKERS)] for step in range(len(SPEAKERS))]
    return next((speaker for speaker in in_turn if isinstance(judge(wish, speaker, sellers), Seller)), in_turn[0])


async def _send(wish: Wish, speaker: Speaker, sellers: Sequence[Seller], here: World) -> str | None:
    """Where a wish went, which is where it should and where the dry run said; None: nowhere, for what is wrong."""
    said, verdict = speaker.speak(wish), judge(wish, speaker, sellers)
    dry = await here.try_out(speaker, said)
    answer = await here.create(speaker, said)
    if isinstance(verdict, Culprits):
        named = speaker.refused(answer.status, answer.json(), verdict.is_about_model)
        complaint = verdict.complaint(named, said.params)
        assert complaint is None, f"{complaint} in {answer.body.decode()}"
        assert (dry.status, dry.json()) == (answer.status, answer.json())
        return None
    assert answer.status == 200, answer.body
    upstream = f"{verdict.name}-upstream"
    assert answer.headers["x-reelgate-upstream"] == upstream
    assert answer.headers["x-reelgate-attempts"] == "1"
    assert dry.json()["upstream"] == upstream
    assert dry.json()["upstream_request"]["url"].endswith(verdict.create)
    return upstream


def _one_of_each_kind() -> list[Wish]:
    """Of wishes that differ in resolution and length alone, one."""
    kinds = {
        (wish.model, wish.mode, wish.is_plain, wish.has_prompt, wish.is_inline, wish.is_last_alone, wish.option): wish
        for wish in on_sale()
    }
    return list(kinds.values())


def _never_needed(sellers: Sequence[Seller]) -> set[str]:
    """The second, where the first sells all there is and has words for all of it."""
    first, second = sellers
    return {f"{second.name}-upstream"} if first.name == "minimax" else set()
