"""Whatever an address looks like, and whoever names it to the whole gateway, nothing inside is connected to.

`tests/egress` tries every form at the door; here every place that takes an address leads to that door. The recorder
hears every connection of the process.
"""

import asyncio
import functools
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from gateway import serving
from gateway.app import gateway
from gateway.egress import POLICIES, Kind
from gateway.flows.preflight import CALLBACK_URL_CHARACTERS_MAX
from gateway.video import Caller
from tests.egress.forms import FORMS, INSIDE_NAMES
from tests.egress.recorder import RECORDER
from tests.egress.test_forms import REDIRECTS, the_names
from tests.egress.world import PUBLIC, Names
from tests.preflight.hosts import hosting
from tests.preflight.orders import CALLBACK_PLACES, IMAGE_PLACES, SELLERS, Place, create, is_refused, problems, try_out
from tests.world import ALICE, World, bearer, make_config, world

STRICT = f"preflight: {{}}\n{SELLERS}"
# A prime step, so that each place tries others: together they try every form.
STEP = 13
# A host in a network that is opened, beside all that is not; it is loopback, as 127.0.0.1 is, and not that.
FRONT = "127.0.0.2"


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story, 300))


def share(place: Place) -> list[str]:
    """The forms that one place tries, and all that a whole gateway could make something else of."""
    first = [*IMAGE_PLACES, *CALLBACK_PLACES].index(place)
    sample = FORMS[first % STEP :: STEP]
    return list(dict.fromkeys([*sample, *(f"http://{name}/" for name in INSIDE_NAMES)]))


def test_the_places_together_try_every_form() -> None:
    tried = {form for place in (*IMAGE_PLACES, *CALLBACK_PLACES) for form in share(place)}
    assert tried >= set(FORMS)
    assert min(len(share(place)) for place in (*IMAGE_PLACES, *CALLBACK_PLACES)) >= 60


@pytest.mark.parametrize("place", [*IMAGE_PLACES, *CALLBACK_PLACES], ids=str)
def test_no_form_of_an_address_leads_inside(place: Place, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, STRICT, resolve=the_names().resolve) as it:
            with RECORDER.only() as heard:
                for form in share(place):
                    for answer in (
                        await create(it, place.dialect, place.order(form, form)),
                        await try_out(it, place.dialect, place.order(form, form)),
                    ):
                        assert is_refused(place.dialect, answer), f"{form!r}: {answer.text}"
                        named = [problem["param"] for problem in problems(place.dialect, answer)]
                        where = "body" if "\0" in form else place.field  # no JSON here holds a NUL
                        assert any(_covers(param, where) for param in named), f"{form!r}: {named}"
            assert (heard.allowed, heard.forbidden) == ([], [])
            assert it.videos() == []

    run(story())


def _covers(param: str, field: str) -> bool:
    """A list or an object that cannot be read is named itself."""
    return param == field or field.startswith((param + "[", param + "."))


def test_the_caller_hears_the_same_whatever_was_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, STRICT, resolve=the_names().resolve) as it:
            for place, kind, forms in (
                (IMAGE_PLACES[0], Kind.IMAGE, ["http://127.0.0.1/", "http://10.0.0.5:22/", "http://nowhere.example/"]),
                (CALLBACK_PLACES[0], Kind.CALLBACK, ["https://127.0.0.1/", "http://cdn.example/", "x", ""]),
            ):
                for form in forms:
                    (problem,) = problems("evolink", await create(it, "evolink", place.order(form)))
                    assert (problem["message"], problem["allowed"]) == (POLICIES[kind].sentence, []), form

    run(story())


@pytest.mark.parametrize("place", CALLBACK_PLACES, ids=str)
def test_a_public_https_callback_of_bounded_length_is_taken_unasked(place: Place, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, STRICT, resolve=the_names().resolve) as it:
            fitting = "https://cdn.example/".ljust(CALLBACK_URL_CHARACTERS_MAX, "x")
            with RECORDER.only() as heard:
                taken = await try_out(it, place.dialect, place.order(fitting))
                refused = await try_out(it, place.dialect, place.order(fitting + "x"))
            assert taken.status_code == 200, taken.text
            (problem,) = problems(place.dialect, refused)
            assert (problem["param"], "2048" in problem["message"]) == (place.field, True)
            assert heard.forbidden == []

    run(story())


def test_a_dialect_without_callbacks_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, STRICT) as it:
            order = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship", "callback_url": "https://cdn.example/"}
            (problem,) = problems("openai", await create(it, "openai", order))
            assert problem["param"] == "callback_url"

    run(story())


def test_a_name_that_changes_its_mind_is_looked_up_once_for_each_connection(tmp_path: Path) -> None:
    """The first answer is public, every later one loopback; the connection goes to what was judged."""

    async def story() -> None:
        for place in IMAGE_PLACES:
            names = Names({"rebind.example": [[PUBLIC], ["127.0.0.1"]]})
            async with world(tmp_path, STRICT, resolve=names.resolve) as it:
                link = "http://rebind.example/a.png"
                with RECORDER.only() as heard:
                    assert is_refused(place.dialect, await create(it, place.dialect, place.order(link, link)))
                assert heard.forbidden == [(PUBLIC, 80)], "only where the first answer led"
                assert names.asked == ["rebind.example"]

    run(story())


def test_no_redirect_of_an_image_leads_inside(tmp_path: Path) -> None:
    forms = [form for form in REDIRECTS[::7] if FRONT not in form]
    assert len(forms) >= 60
    config = f'preflight: {{allow_private_networks: ["{FRONT}/32"]}}\n{SELLERS}'

    async def story() -> None:
        async with (
            hosting(functools.partial(redirect, forms), FRONT) as front,
            world(tmp_path, config, resolve=the_names().resolve) as it,
        ):
            with RECORDER.only(front.place) as heard:
                for number in range(len(forms)):
                    place = IMAGE_PLACES[number % len(IMAGE_PLACES)]
                    link = f"{front.url}/{number}"
                    assert is_refused(place.dialect, await create(it, place.dialect, place.order(link, link)))
            assert heard.forbidden == []
            assert len(front.visits) >= len(forms)
            assert it.videos() == []

    run(story())


def test_no_link_of_a_film_and_no_redirect_of_one_leads_inside(tmp_path: Path) -> None:
    """What an upstream names is no better than what a caller names; but its own address is configured."""
    forms = [form for form in REDIRECTS[::11] if FRONT not in form]
    links = [form for form in FORMS[::11] if form.startswith("http") and form.isprintable()]
    assert min(len(forms), len(links)) >= 60
    config = f'preflight: {{images: "off", allow_private_networks: ["{FRONT}/32"]}}'

    async def story() -> None:
        async with (
            hosting(functools.partial(redirect, forms), FRONT) as front,
            world(tmp_path, config, resolve=the_names().resolve) as it,
        ):
            word = await it.finished_film()
            own = await it.http.get(f"/v1/videos/{word}/content", headers=bearer(ALICE))
            assert (own.status_code, own.content[4:8]) == (200, b"ftyp"), "below the upstream's own address"
            with RECORDER.only(front.place) as heard:
                for link in [*links, *(f"{front.url}/{number}" for number in range(len(forms)))]:
                    await _move(it, word, link)
                    answer = await it.http.get(f"/v1/videos/{word}/content", headers=bearer(ALICE))
                    assert answer.status_code == 502, f"{link}: {answer.status_code} {answer.text}"
            assert heard.forbidden == []

    run(story())


async def redirect(forms: Sequence[str], path: str, headers: dict[str, str]) -> bytes:
    number = path.removeprefix("/")
    form = forms[int(number)] if number.isdigit() and int(number) < len(forms) else "/again"
    return f"HTTP/1.1 302 Found\r\nLocation: {form}\r\nContent-Length: 0\r\n\r\n".encode()


async def _move(it: World, word: str, link: str) -> None:
    """The film is somewhere else now."""
    (task,) = await it.parts.registry.of_caller(Caller(key_id="alice"), limit=1)
    moved = await it.parts.registry.relocate(task.id, link, now=1.0)
    it.parts.memory.tasks[task.id] = moved


def test_a_link_to_the_gateway_itself_is_refused_also_where_its_network_is_opened(tmp_path: Path) -> None:
    async def story() -> None:
        with serving.bind("127.0.0.1", 0) as listener:
            place = listener.getsockname()[:2]
            settings = make_config(
                tmp_path, "http://127.0.0.1:9", 'preflight: {allow_private_networks: ["127.0.0.0/8"]}'
            )
            async with (
                gateway(settings, listeners=[place]) as opened,
                serving.running(opened.app, listener) as url,
                httpx.AsyncClient(base_url=url, trust_env=False, headers=bearer(ALICE)) as http,
            ):
                order = IMAGE_PLACES[0].order(f"{url}/healthz")
                answer = await http.post("/evolink/v1/videos/generations", json=order)
                assert answer.status_code == 400
                assert answer.json()["error"]["param"] == "image_urls[0]"

    run(story())
