"""Images are looked at before anything is bought: every rule, in every dialect, wherever an image can be said."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from gateway.egress import POLICIES, Kind
from gateway.images import BYTES_END, HEAD_BYTES_MAX
from gateway.structs import replace
from tests.images.files import LARGE, bomb_png, png_header, real_files
from tests.preflight.hosts import OPENED, by_path, hosting, part, whole
from tests.preflight.orders import IMAGE_PLACES, SELLERS, Place, assert_untouched, create, problems, try_out
from tests.world import id_of, world

QUICK = "server: {answer_within_s: 0.4}\n"
GOOD = real_files(LARGE)["jpeg"]
GIF = b"GIF89a" + bytes(64)
# What is behind the link → a piece of the rule that is told, and what is allowed instead.
BROKEN: Mapping[str, tuple[bytes, str, str]] = {
    "short edge": (whole(png_header(300, 700)), "short edge", "301 pixels or more"),
    "too wide": (whole(png_header(1003, 401)), "aspect ratio", "2:5 to 5:2"),
    "too tall": (whole(png_header(401, 1003)), "aspect ratio", "2:5 to 5:2"),
    "too large": (part(png_header(640, 480), BYTES_END), f"{BYTES_END} bytes", f"fewer than {BYTES_END} bytes"),
    "a GIF": (whole(GIF, "Content-Type: image/png"), "GIF", "JPEG"),
    "a page": (whole(b"<!doctype html>" + b" " * 99, "Content-Type: image/png"), "not an image", "PNG"),
    "a bomb": (whole(bomb_png(65_000, 65_000)), "4225000000 in all", "pixels or fewer"),
    "empty": (whole(b""), "empty", "WebP"),
    "cut short": (whole(png_header(640, 480)[:20]), "cut short", "PNG"),
}


def run(story) -> None:
    asyncio.run(asyncio.wait_for(story, 120))


@pytest.mark.parametrize("place", IMAGE_PLACES, ids=str)
def test_every_rule_is_told_under_the_callers_field_with_what_is_allowed(place: Place, tmp_path: Path) -> None:
    files = {"good": whole(GOOD), **{name.replace(" ", "-"): said for name, (said, _, _) in BROKEN.items()}}

    async def story() -> None:
        async with hosting(by_path(files)) as host, world(tmp_path, OPENED + SELLERS) as it:
            for name, (_, rule, allowed) in BROKEN.items():
                order = place.order(f"{host.url}/{name.replace(' ', '-')}", f"{host.url}/good")
                for answer in (await create(it, place.dialect, order), await try_out(it, place.dialect, order)):
                    (problem,) = problems(place.dialect, answer)
                    assert problem["param"] == place.field, name
                    assert rule in problem["message"], name
                    assert allowed in ", ".join(problem["allowed"]), name
            assert_untouched(it)
            good = await create(it, place.dialect, place.order(f"{host.url}/good", f"{host.url}/good"))
            assert id_of(good)

    run(story())


@pytest.mark.parametrize("place", [place for place in IMAGE_PLACES if place.dialect != "toapis"], ids=str)
def test_an_inline_image_is_judged_where_it_is(place: Place, tmp_path: Path) -> None:
    """ToAPIs takes addresses alone, which its dialect says."""

    async def story() -> None:
        async with world(tmp_path, "preflight: {}\n" + SELLERS) as it:
            good = _inline(GOOD)
            for data, rule in ((png_header(300, 700), "short edge"), (GIF, "GIF"), (b"", "empty")):
                (problem,) = problems(place.dialect, await create(it, place.dialect, place.order(_inline(data), good)))
                assert (problem["param"], rule in problem["message"]) == (place.field, True), problem
            assert_untouched(it)
            assert id_of(await create(it, place.dialect, place.order(good, good)))

    run(story())


def test_a_file_in_a_form_is_judged_like_any_image(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "preflight: {}\n" + SELLERS) as it:
            form = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship"}
            headers = {"authorization": "Bearer sk-rg-alice-key"}
            for data, status in ((png_header(300, 700), 400), (GOOD, 200)):
                files = {"input_reference": ("frame.png", data, "image/jpeg")}
                answer = await it.http.post("/v1/videos", data=form, files=files, headers=headers)
                assert answer.status_code == status, answer.text
            assert len(it.videos()) == 1

    run(story())


@pytest.mark.parametrize(
    ("said", "is_fine"),
    [
        (part(GOOD, BYTES_END - 1), True),
        (part(GOOD, BYTES_END), False),
        (whole(GOOD), True),
        # Without ranges: a host that says "too large" is believed, whatever it says else proves nothing.
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BYTES_END + GOOD, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BYTES_END - 1) + GOOD, True),
        (b"HTTP/1.1 200 OK\r\n\r\n" + GOOD, True),
    ],
)
def test_the_size_of_the_file_is_taken_from_who_cannot_lie(said: bytes, is_fine: bool, tmp_path: Path) -> None:
    async def story() -> None:
        async with hosting(by_path({"a.jpg": said})) as host, world(tmp_path, OPENED + SELLERS) as it:
            place = IMAGE_PLACES[0]
            answer = await try_out(it, place.dialect, place.order(f"{host.url}/a.jpg"))
            assert (answer.status_code == 200) is is_fine, answer.text
            if not is_fine:
                assert "20971520" in answer.text

    run(story())


UNSEEN: Mapping[str, bytes] = {
    "404": whole(b"not here", status="404 Not Found"),
    "500": whole(GOOD, status="500 Oops"),
    "304 unasked": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "compressed": whole(GOOD, "Content-Encoding: gzip"),
    "broken off": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + GOOD[:15],
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "another range": whole(GOOD[100:], "Content-Range: bytes 100-199/500", status="206 Partial Content"),
    "a range of nothing": whole(GOOD, status="206 Partial Content"),
    "too small a range": part(GOOD[:15], len(GOOD)),
    "a range of who knows": part(GOOD[:15], "*"),
}


@pytest.mark.parametrize("images", ["strict", "lenient", "off"])
def test_an_image_that_cannot_be_seen_is_refused_or_said_or_nobodys_business(images: str, tmp_path: Path) -> None:
    config = f'preflight: {{images: "{images}", allow_private_networks: ["127.0.0.0/8"]}}\n{SELLERS}'
    place = IMAGE_PLACES[0]
    sentence = POLICIES[Kind.IMAGE].sentence

    async def story() -> None:
        async with hosting(by_path({name.replace(" ", "-"): said for name, said in UNSEEN.items()})) as host:
            links = [f"{host.url}/{name.replace(' ', '-')}" for name in UNSEEN]
            links += ["http://127.0.0.1:1/nobody", "http://10.0.0.5/inside", "http://user:word@127.0.0.1/"]
            async with world(tmp_path, config) as it:
                for link in links:
                    answer = await try_out(it, place.dialect, place.order(link))
                    if images == "strict":
                        (problem,) = problems(place.dialect, answer)
                        assert (problem["param"], problem["message"]) == ("image_urls[0]", sentence), link
                    else:
                        said = [f"image_urls[0]: {sentence}"] if images == "lenient" else []
                        assert answer.json()["warnings"] == said, link
                assert len(host.visits) == (0 if images == "off" else len(UNSEEN))
                broken = await try_out(it, place.dialect, place.order(_inline(png_header(300, 700))))
                assert (broken.status_code == 200) is (images == "off"), "a rule is a rule, also where it is lenient"
                assert_untouched(it)

    run(story())


def test_both_frames_are_told_of_and_looked_at_at_the_same_time(tmp_path: Path) -> None:
    both = asyncio.Event()
    seen: list[str] = []

    async def answer(path: str, headers: dict[str, str]) -> bytes:
        seen.append(path)
        if len(seen) == 2:
            both.set()
        await both.wait()  # whoever asks for one after the other never gets an answer
        return whole(png_header(300, 700))

    async def story() -> None:
        place = IMAGE_PLACES[1]
        async with hosting(answer) as host, world(tmp_path, OPENED + SELLERS) as it:
            refused = await create(it, place.dialect, place.order(f"{host.url}/last", f"{host.url}/first"))
            assert [problem["param"] for problem in problems(place.dialect, refused)] == [
                "image_urls[0]",
                "image_urls[1]",
            ]
            assert sorted(seen) == ["/first", "/last"]

    run(story())


def test_one_link_said_twice_is_asked_for_once(tmp_path: Path) -> None:
    async def story() -> None:
        place = IMAGE_PLACES[1]
        async with hosting(by_path({"a.jpg": whole(GOOD)})) as host, world(tmp_path, OPENED + SELLERS) as it:
            link = f"{host.url}/a.jpg"
            assert (await try_out(it, place.dialect, place.order(link, link))).status_code == 200
            assert len(host.visits) == 1

    run(story())


def test_what_is_wrong_beside_the_image_is_told_with_it_and_a_useless_image_is_not_fetched(tmp_path: Path) -> None:
    async def story() -> None:
        place = IMAGE_PLACES[0]
        async with hosting(by_path({"a": whole(png_header(300, 700))})) as host, world(tmp_path, OPENED) as it:
            order = place.order(f"{host.url}/a", quality="512p", duration=7)
            found = [problem["param"] for problem in problems("evolink", await create(it, "evolink", order))]
            assert sorted(found) == ["duration", "image_urls[0]", "quality"]
            assert len(host.visits) == 1
            order = {**order, "model": "T2V-01"}
            assert (await create(it, "evolink", order)).status_code == 400
            assert len(host.visits) == 1

    run(story())


def test_only_the_beginning_of_a_file_is_asked_for_and_read(tmp_path: Path) -> None:
    sent = 0

    async def endless(path: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            nonlocal sent
            yield b"HTTP/1.1 200 OK\r\n\r\n" + GOOD
            for _ in range(1000):
                sent += 1 << 16
                yield bytes(1 << 16)

        return pieces()

    async def story() -> None:
        async with hosting(endless) as host, world(tmp_path, OPENED + SELLERS) as it:
            answer = await try_out(it, "evolink", IMAGE_PLACES[0].order(f"{host.url}/a"))
            assert answer.status_code == 200
            assert host.visits[0][1]["range"] == f"bytes=0-{HEAD_BYTES_MAX - 1}"
            assert sent < 32 << 20  # what two kernels hold, and not the whole of it

    run(story())


def test_an_endless_drip_ends_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POLICIES, Kind.IMAGE, replace(POLICIES[Kind.IMAGE], total_s=0.5))

    async def dripping(path: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
        async def drops() -> AsyncIterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8"
            while True:
                await asyncio.sleep(0.02)
                yield b"\xff"

        return drops()

    async def story() -> None:
        async with hosting(dripping) as host, world(tmp_path, OPENED + SELLERS) as it:
            place = IMAGE_PLACES[1]
            started = time.monotonic()
            answer = await create(it, place.dialect, place.order(f"{host.url}/a", f"{host.url}/b"))
            assert 0.4 < time.monotonic() - started < 10  # both of them, within one deadline
            assert len(problems(place.dialect, answer)) == 2
            assert_untouched(it)

    run(story())


class Changing:
    """A host whose picture changes, and whose ETag says so."""

    def __init__(self, validator: str = 'ETag: "{}"', question: str = "if-none-match") -> None:
        self.version, self.data = 1, GOOD
        self.asked: list[str | None] = []
        self._validator, self._question = validator, question

    async def answer(self, path: str, headers: dict[str, str]) -> bytes:
        self.asked.append(headers.get(self._question))
        line = self._validator.format(self.version)
        if headers.get(self._question) == line.partition(": ")[2]:
            return b"HTTP/1.1 304 Not Modified\r\n\r\n"
        return whole(self.data, *([line] if line else []))


@pytest.mark.parametrize(
    ("validator", "question"),
    [
        ('ETag: "v{}"', "if-none-match"),
        ('ETag: W/"v{}"', "if-none-match"),
        ("Last-Modified: Mon, 0{} Sep 2025 10:00:00 GMT", "if-modified-since"),
    ],
)
def test_what_was_found_is_kept_until_its_validator_changes_or_a_minute_is_over(
    validator: str, question: str, tmp_path: Path
) -> None:
    async def story() -> None:
        changing = Changing(validator, question)
        async with hosting(changing.answer) as host, world(tmp_path, OPENED + SELLERS) as it:

            async def ask() -> int:
                return (await try_out(it, "evolink", IMAGE_PLACES[0].order(f"{host.url}/a"))).status_code

            assert [await ask(), await ask()] == [200, 200]
            assert changing.asked[0] is None
            assert changing.asked[1] is not None, "it was asked whether it changed"
            changing.version, changing.data = 2, png_header(300, 700)
            assert await ask() == 400, "the picture changed, and what was kept of it is not used"
            assert await ask() == 400
            (kept,) = it.parts.memory.pictures.values()
            it.parts.memory.pictures[f"{host.url}/a"] = replace(kept, kept_at=kept.kept_at - 60)
            assert await ask() == 400
            assert changing.asked[-1] is None, "after a minute it is read anew"

    run(story())


@pytest.mark.parametrize("validator", ["", 'ETag: "' + "x" * 300 + '{}"', 'ETag: "\xff{}"'])
def test_without_a_validator_that_can_be_asked_nothing_is_kept(validator: str, tmp_path: Path) -> None:
    async def story() -> None:
        data = whole(GOOD, *([validator.format(1)] if validator else []))
        async with hosting(by_path({"a": data})) as host, world(tmp_path, OPENED + SELLERS) as it:
            for _ in range(2):
                answer = await try_out(it, "evolink", IMAGE_PLACES[0].order(f"{host.url}/a"))
                assert answer.status_code == 200
            assert len(it.parts.memory.pictures) == 0
            assert all("if-none-match" not in headers for _, headers in host.visits)

    run(story())


def test_a_key_that_may_not_use_the_model_makes_nobody_fetch_anything(tmp_path: Path) -> None:
    keys = 'virtual_keys: [{id: alice, value: sk-rg-alice-key, models: ["T2V-*"]}]\n'

    async def story() -> None:
        async with hosting(by_path({"a": whole(GOOD)})) as host, world(tmp_path, OPENED + keys) as it:
            answer = await create(it, "evolink", IMAGE_PLACES[0].order(f"{host.url}/a"))
            assert answer.status_code == 403
            assert host.visits == []

    run(story())


def test_a_request_without_addresses_touches_neither_door_nor_loop(tmp_path: Path, monkeypatch) -> None:
    async def story() -> None:
        async with world(tmp_path, OPENED + SELLERS) as it:
            forbidden = _Forbidden()
            monkeypatch.setattr("gateway.flows.preflight._judge_addresses", forbidden)
            assert id_of(await create(it, "evolink", {"model": "MiniMax-Hailuo-2.3", "prompt": "a [Push in] ship"}))

    run(story())


class _Forbidden:
    def __call__(self, *arguments: object) -> None:
        raise AssertionError("a request without addresses was asked about some")


def _inline(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def test_a_host_that_is_slower_than_a_create_may_be_is_waited_for_no_longer(tmp_path: Path) -> None:
    """A create is answered in time, whoever is slow: here the host of its picture, which gives nothing at all."""

    async def story() -> None:
        over = asyncio.Event()

        async def silent(path: str, headers: dict[str, str]) -> bytes:
            await over.wait()
            return b""

        async with hosting(silent) as host, world(tmp_path, OPENED + SELLERS + QUICK) as it:
            started = time.perf_counter()
            order = IMAGE_PLACES[0].order(f"{host.url}/a")
            (problem,) = problems("evolink", await create(it, "evolink", order))
            assert problem["message"] == POLICIES[Kind.IMAGE].sentence
            assert time.perf_counter() - started < POLICIES[Kind.IMAGE].total_s
            over.set()
            assert_untouched(it)

    run(story())
