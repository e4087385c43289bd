"""Places: how many there are, who may hold how many of them, and that all of them come back."""

import asyncio

import pytest

from gateway.bounds import Bound, Bounds, Most, Place
from gateway.errors import Crowded


def bound(most: int) -> Bound:
    return Bound("films", most, retry_after_s=5)


def fill(places: Bound, holder: str) -> list[Place]:
    """Everything that this holder may have."""
    taken = []
    while (place := places.try_to_take(holder)) is not None:
        taken.append(place)
        assert len(taken) <= places.most
    return taken


def test_what_does_not_fit_is_refused_with_a_time_and_takes_nothing() -> None:
    places = bound(1)
    with places.take("alice"):
        with pytest.raises(Crowded) as refused:
            places.take("bob")
        assert (refused.value.status, refused.value.retry_after, refused.value.repeat) == (503, 5, True)
        assert (places.taken, places.refused) == (1, 1)
    assert places.taken == 0
    with places.take("bob"):
        assert places.taken == 1


@pytest.mark.parametrize("most", [2, 3, 10, 100, 1_000])
def test_one_holder_alone_leaves_a_fifth_and_a_newcomer_finds_a_place(most: int) -> None:
    places = bound(most)
    assert most - 1 >= len(fill(places, "hog")) >= most * 4 // 5 - 1
    assert places.try_to_take("newcomer") is not None


def test_two_who_take_all_they_get_end_with_the_same_and_leave_a_ninth() -> None:
    places = bound(900)
    held: dict[str, list[Place]] = {"one": [], "other": []}
    for _ in range(900):
        for holder, taken in held.items():
            if (place := places.try_to_take(holder)) is not None:
                taken.append(place)
    assert abs(len(held["one"]) - len(held["other"])) <= 1
    assert len(held["one"]) == pytest.approx(400, abs=2)
    assert len(fill(places, "third")) > 50


def test_every_holder_gets_one_as_long_as_there_is_any() -> None:
    places = bound(50)
    for number in range(50):
        places.take(f"caller-{number}")
    with pytest.raises(Crowded):
        places.take("one more")


def test_a_place_grows_in_steps_and_what_did_not_fit_was_not_taken() -> None:
    places = bound(1_000)
    weight = places.take("alice", 0)
    assert places.taken == 0
    weight.grow(700)
    with pytest.raises(Crowded):
        weight.grow(200)
    with pytest.raises(Crowded):
        weight.expect(200)
    assert places.taken == 700
    weight.expect(50)
    assert places.taken == 700
    weight.leave()
    weight.leave()
    assert places.taken == 0


def test_a_place_that_was_handed_to_a_story_stays_until_its_end(run) -> None:
    async def story() -> None:
        places, going = bound(10), asyncio.Event()
        with places.take("alice") as place:
            told = asyncio.create_task(going.wait())
            place.hand_to(told)
        assert places.taken == 1
        going.set()
        await told
        await asyncio.sleep(0)
        assert places.taken == 0

    run(story)


def test_a_story_that_is_cancelled_gives_its_place_back(run) -> None:
    async def story() -> None:
        places = bound(10)
        with places.take("alice") as place:
            told = asyncio.create_task(asyncio.sleep(3_600))
            place.hand_to(told)
        told.cancel()
        await asyncio.gather(told, return_exceptions=True)
        assert places.taken == 0

    run(story)


def test_every_bound_has_its_setting() -> None:
    assert {item.what: item.most for item in Bounds()} == vars(Most())
