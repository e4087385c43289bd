"""Every dialect × every provider × everything on sale, and a share of what is not: bought once and as said, or refused
for what is wrong with it, and nothing sent."""

import asyncio
import base64
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.films import PIXELS, read_film
from tests.matrix.sellers import SELLERS, Seller
from tests.matrix.speakers import SPEAKERS, Said, Speaker, file_link
from tests.matrix.verdicts import Culprits, judge, said_options
from tests.matrix.wishes import Offer, Wish, not_on_sale, on_sale
from tests.matrix.world import GIVE_UP_S, HOST, Reply, World, each, find_nothing_wrong, world

CELLS = [(dialect, provider) for dialect in SPEAKERS for provider in SELLERS]
NOT_ON_SALE_EACH = 64  # so that each of the rest of the cross product is tried in two cells


@dataclass
class Order:
    """One wish on its way through one dialect to one provider."""

    wish: Wish
    said: Said
    verdict: Seller | Culprits
    dry: Reply
    real: Reply | None = None

    @property
    def answer(self) -> Reply:
        assert self.real is not None
        return self.real

    @property
    def offer(self) -> Offer:
        offer = self.wish.offer
        assert offer is not None
        return offer


@pytest.mark.parametrize(("dialect", "provider"), CELLS)
def test_what_is_wished_is_bought_once_and_as_said_or_refused_unspent(
    dialect: str, provider: str, tmp_path: Path
) -> None:
    asyncio.run(_walk(SPEAKERS[dialect], SELLERS[provider], tmp_path))


def test_the_cells_together_try_all_that_is_not_on_sale() -> None:
    tried = {wish for dialect, provider in CELLS for wish in _not_on_sale(dialect, provider)}
    assert tried == set(not_on_sale())


def test_each_offer_is_sold_through_each_dialect_that_has_words_for_it() -> None:
    """The matrix is made, not written: this is what keeps it from being made empty."""
    plain = [wish for wish in on_sale() if wish.is_plain]
    assert len(plain) == len({(wish.model, wish.offer) for wish in on_sale()})
    for speaker in SPEAKERS.values():
        sold = [wish for wish in plain if isinstance(judge(wish, speaker, list(SELLERS.values())), Seller)]
        assert len(sold) == len(plain) - sum(
            "subject_reference" in speaker.lacks for wish in plain if wish.mode == "s2v"
        )


async def _walk(speaker: Speaker, seller: Seller, folder: Path) -> None:
    wishes = [*on_sale(), *_not_on_sale(speaker.name, seller.name)]
    async with world(folder, [seller]) as here:

        async def ask(wish: Wish) -> Order:
            said = speaker.speak(wish)
            verdict = judge(wish, speaker, [seller])
            return Order(wish, said, verdict, await here.try_out(speaker, said))

        async def create(order: Order) -> None:
            order.real = await here.create(speaker, order.said)

        orders = await each(ask, wishes)
        assert here.requests() == [], "a dry run reached the upstream"

        refused = [order for order in orders if isinstance(order.verdict, Culprits)]
        await each(create, refused)
        await _find_nothing_wrong(lambda order: _check_refusal(order, speaker), refused)
        assert here.requests() == [], "something that was to be refused reached the upstream"
        assert (await here.ask("GET", "/v1/videos")).json()["data"] == [], "something that was refused is a task"

        bought = [order for order in orders if isinstance(order.verdict, Seller)]
        await each(create, bought)
        await _find_nothing_wrong(lambda order: _check_created(order, speaker, seller), bought)
        submits = [entry for entry in here.requests() if entry["path"] == seller.create]
        assert len(here.videos()) == len(submits) == len(bought)
        videos = _by_mark(here.videos())
        await _find_nothing_wrong(lambda order: _check_bought(order, seller, videos[order.wish.mark], here), bought)
        await _find_nothing_wrong(lambda order: _check_reading(order, here), bought)
        turn = CELLS.index((speaker.name, seller.name))
        await _find_nothing_wrong(lambda order: _check_films(order, turn, here), _one_of_each_film(bought, turn))
        assert len(here.videos()) == len(bought), "reading bought something"


def _not_on_sale(dialect: str, provider: str) -> list[Wish]:
    """The share of one cell: it begins where the last but one's ended."""
    rest = not_on_sale()
    start = CELLS.index((dialect, provider)) * len(rest) // len(CELLS)
    return [rest[(start + step) % len(rest)] for step in range(NOT_ON_SALE_EACH)]


async def _check_refusal(order: Order, speaker: Speaker) -> None:
    """In the dialect's shape, naming the caller's own fields, every one of the guilty and none of the others."""
    assert isinstance(order.verdict, Culprits)
    answer = order.answer
    named = speaker.refused(answer.status, answer.json(), order.verdict.is_about_model)
    complaint = order.verdict.complaint(named, order.said.params)
    assert complaint is None, f"{complaint} in {answer.body.decode()}"
    assert answer.headers["x-should-retry"] == "false"
    assert "x-reelgate-task-id" not in answer.headers
    assert (order.dry.status, order.dry.json()) == (answer.status, answer.json()), "the dry run says something else"


async def _check_created(order: Order, speaker: Speaker, seller: Seller) -> None:
    answer, offer = order.answer, order.offer
    assert answer.status == 200, answer.body
    task_id, word, model = speaker.created(answer.json())
    assert word in (None, speaker.words[0])
    assert model in (None, order.wish.model)
    headers = answer.headers
    assert task_id in (headers["x-reelgate-task-id"], str(_number(headers["x-reelgate-task-id"])))
    assert headers["x-reelgate-upstream"] == f"{seller.name}-upstream"
    assert headers["x-reelgate-attempts"] == "1"
    assert headers.get("x-reelgate-price") == (None if offer.price is None else f"{offer.price} USD")
    assert not {"x-reelgate-warnings", "x-should-retry"} & set(headers)


async def _check_bought(order: Order, seller: Seller, videos: Sequence[Mapping[str, Any]], here: World) -> None:
    """One video, which says the wish in the provider's own fields; and the dry run had told all of it."""
    wish, offer, expected = order.wish, order.offer, order.said.images
    assert len(videos) == 1, f"{len(videos)} videos were bought"
    (video,) = videos
    heard = seller.hear(video["request"])
    assert (heard.model, heard.prompt) == (wish.model, wish.prompt)
    assert heard.resolution == (None if "resolution" in offer.unsaid else offer.resolution)
    assert heard.duration == (None if "duration" in offer.unsaid else offer.duration)
    assert heard.options == said_options(wish)
    if wish.is_inline and seller.uploads:
        assert {name: here.uploaded(link) for name, link in heard.images.items()} == _decoded(expected)
    else:
        assert heard.images == expected
    assert video["provider"] == seller.name
    assert offer.price in (None, video["price"])

    told = order.dry.json()
    call = told.pop("upstream_request")
    assert told == {
        "valid": True,
        "mode": offer.mode,
        "model": wish.model,
        "upstream": f"{seller.name}-upstream",
        "price": offer.price,
        "currency": "USD",
        "warnings": [],
    }
    assert call["method"] == "POST"
    assert call["url"].endswith(seller.create)
    assert _without_addresses(call["body"], wish, seller) == _without_addresses(video["request"], wish, seller)


async def _over(word: str, here: World) -> None:
    """Wait until the watcher has seen that the task is over."""
    reader = SPEAKERS["evolink"]
    async with asyncio.timeout(GIVE_UP_S):
        while True:
            if reader.understand((await here.read(reader, word)).json()).word in reader.words[2:]:
                return
            await asyncio.sleep(0.01)


async def _check_reading(order: Order, here: World) -> None:
    """Finished, in all dialects, by both spellings of the id."""
    word = order.answer.headers["x-reelgate-task-id"]
    await _over(word, here)
    for reader in SPEAKERS.values():
        for spelling in (word, str(_number(word))):
            answer = await here.read(reader, spelling)
            assert answer.status == 200, f"{reader.name}: {answer.body!r}"
            told = reader.understand(answer.json())
            assert told.id == (str(_number(word)) if reader.name == "minimax" else word), reader.name
            assert told.word == reader.words[2], f"{reader.name}: {answer.body!r}"
            assert told.model in (None, order.wish.model), reader.name
            assert told.progress in (None, 100), reader.name
            assert told.seconds in (None, order.offer.duration), reader.name
            assert told.error is None, reader.name
            assert told.link is not None, reader.name
            assert answer.headers["x-reelgate-task-id"] == word


def _one_of_each_film(orders: Iterable[Order], turn: int) -> list[Order]:
    """Of the plain orders of one size and length, the one whose turn it is."""
    films = defaultdict(list)
    for order in orders:
        if order.wish.is_plain:
            films[order.wish.resolution, order.wish.duration].append(order)
    return [alike[turn % len(alike)] for alike in films.values()]


async def _check_films(order: Order, turn: int, here: World) -> None:
    """The film of the right size and length, at the link one dialect gives, and from the gateway in another's way."""
    word = order.answer.headers["x-reelgate-task-id"]
    number = str(_number(word))
    readers, turn = list(SPEAKERS.values()), turn + order.wish.number
    reader = readers[turn % len(readers)]
    link = reader.understand((await here.read(reader, word)).json()).link
    assert link is not None
    if reader.name == "minimax":
        link = file_link((await here.ask("GET", link)).json(), number)
        assert link.startswith(("http://127.0.0.1", f"http://{HOST}/")), link
    content = [
        f"/v1/videos/{word}/content",
        f"/{readers[turn // 3 % len(readers)].name}/v1/videos/{number}/content",
        f"/minimax/v1/files/retrieve_content?file_id={number}",
    ]
    width, height = PIXELS[order.offer.resolution]
    for path in (link, content[turn % len(content)]):
        shown_width, shown_height, seconds = read_film(await here.film(path))
        assert (shown_width, shown_height) == (width, height), path
        assert seconds == pytest.approx(order.offer.duration or 6, abs=0.1), path


async def _find_nothing_wrong(check: Callable[[Order], Awaitable[None]], orders: Iterable[Order]) -> None:
    await find_nothing_wrong(check, orders, lambda order: f"{order.wish}\n    said: {order.said.body[:400]!r}")


def _by_mark(videos: Iterable[Mapping[str, Any]]) -> Mapping[str, list[Mapping[str, Any]]]:
    found = defaultdict(list)
    for video in videos:
        (mark,) = set(re.findall(r"wish-\d{5}", json.dumps(video["request"])))
        found[mark].append(video)
    return found


def _decoded(images: Mapping[str, str]) -> dict[str, bytes]:
    return {name: base64.b64decode(image.partition(",")[2]) for name, image in images.items()}


def _without_addresses(body: Mapping[str, Any], wish: Wish, seller: Seller) -> dict[str, Any]:
    """A body as it is; but before an upload nobody knows where the image will be."""
    if not (wish.is_inline and seller.uploads):
        return dict(body)
    return {**body, "image_urls": len(body["image_urls"])}


def _number(word: str) -> int:
    """The number behind the opaque spelling: Crockford's base 32."""
    number = 0
    for letter in word.removeprefix("video_"):
        number = number * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    return number
