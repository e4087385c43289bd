"""Creates that do not fit: refused before anything of them is begun, in everybody's own words, and not for long."""

import asyncio
import base64
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.egress import resolving
from gateway.web import body
from tests.dashboard.visitor import CONFIG, number_of, visitor
from tests.fakes.upstream import FakeUpstream, accept, gated
from tests.images.files import LARGE, real_files
from tests.overload.conftest import Run
from tests.overload.world import assert_alive, assert_refused, begin, order_count, until
from tests.preflight.hosts import hosting, whole
from tests.preflight.orders import PATHS
from tests.world import ALICE, BOB, SPEECHES, World, bearer, error_of, id_of, world

PICTURE = whole(real_files(LARGE)["jpeg"], "Content-Type: image/jpeg")
CREATE = SPEECHES["evolink"].create
PLAYGROUND = "/dashboard/playground"


def test_creates_that_hang_upstream_leave_room_for_others_and_what_does_not_fit_reserves_nothing(
    run: Run, tmp_path: Path
) -> None:
    async def story() -> None:
        gate = asyncio.Event()
        fake = FakeUpstream([gated(gate, accept()) for _ in range(6)])
        async with fake, world(tmp_path, "bounds: {creates: 5}", upstream=fake.url) as it:
            stuck = await begin(it.parts.bounds.creates, 4, it.create)
            for dialect in SPEECHES:
                answer = await it.create(dialect)
                await assert_refused(it, "creates", answer, is_create=True)
                assert error_of(dialect, answer)["code"] in ("service_unavailable", "do_request_failed")
            stuck += await begin(it.parts.bounds.creates, 1, lambda: it.create(key=BOB))
            await assert_refused(it, "creates", await it.create(key=BOB), is_create=True)
            await fake.wait_for_posts(5)
            assert await order_count(it) == 5
            await assert_alive(it)
            gate.set()
            assert len({id_of(answer) for answer in await asyncio.gather(*stuck)}) == 5
            assert id_of(await it.create())
            assert (len(fake.posts), fake.accepted) == (6, 6)
            await until(lambda: it.parts.bounds.creates.taken == 0)

    run(story)


def test_every_dialect_says_it_in_its_own_words(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "bounds: {creates: 1}") as it:
            with it.parts.bounds.creates.take("somebody"):
                for dialect, path in PATHS.items():
                    answer = await it.http.post(path, json={}, headers=bearer(ALICE))
                    assert int(answer.headers["retry-after"]) >= 1
                    assert answer.headers["x-should-retry"] == "true"
                    if dialect == "minimax":
                        assert (answer.status_code, answer.json()["base_resp"]["status_code"]) == (200, 1033)
                    else:
                        assert answer.status_code == 503
            assert await order_count(it) == 0
            assert it.requests() == []

    run(story)


def test_a_create_that_was_answered_early_keeps_its_place_until_the_upstream_answers(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        gate = asyncio.Event()
        settings = "bounds: {creates: 1}\nserver: {answer_within_s: 0.01}"
        async with FakeUpstream([gated(gate, accept())]) as fake, world(tmp_path, settings, upstream=fake.url) as it:
            early = await it.create()
            assert early.json()["submission"] == "sending"
            await assert_refused(it, "creates", await it.create(), is_create=True)
            gate.set()
            await until(lambda: it.parts.bounds.creates.taken == 0)

    run(story)


def test_an_order_from_the_playground_stands_in_the_same_bounds_until_the_upstream_answers(
    run: Run, tmp_path: Path
) -> None:
    async def story() -> None:
        gate = asyncio.Event()
        settings = f"{CONFIG}bounds: {{creates: 1}}\nserver: {{answer_within_s: 0.01}}"
        fake = FakeUpstream([gated(gate, accept())])
        async with fake, world(tmp_path, settings, upstream=fake.url) as it, visitor(it, ALICE) as holder:
            bounds = it.parts.bounds
            number = number_of(await holder.gets(PLAYGROUND))
            form = {"dialect": "evolink", "offer": "MiniMax-Hailuo-2.3|768P|6", "prompt": "p", "number": number}
            tried = await holder.sends_files(PLAYGROUND, {**form, "do": "try"}, {})
            assert (tried.status_code, bounds.creates.taken, bounds.body_bytes.taken) == (200, 0, 0)
            early = await holder.sends_files(PLAYGROUND, {**form, "do": "send"}, {})
            assert early.status_code == 303, early.text
            assert bounds.creates.taken == 1
            assert bounds.body_bytes.taken > 0
            await assert_refused(it, "creates", await it.create(), is_create=True)
            await assert_refused(it, "creates", await holder.sends_files(PLAYGROUND, {**form, "do": "try"}, {}))
            assert await order_count(it) == 1
            gate.set()
            await until(lambda: bounds.creates.taken == bounds.body_bytes.taken == 0)

    run(story)


def test_large_forms_of_the_playground_are_read_one_after_the_other_and_beside_everything_else(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[threading.Thread] = []
    under_way, read_form = threading.Lock(), body.read_form

    def watched(data: bytes, content_type: str) -> dict[str, Any]:
        assert under_way.acquire(blocking=False), "two at a time"
        try:
            readers.append(threading.current_thread())
            return read_form(data, content_type)
        finally:
            under_way.release()

    async def story() -> None:
        monkeypatch.setattr(body, "read_form", watched)
        async with world(tmp_path, CONFIG) as it, visitor(it, ALICE) as holder:
            await holder.gets(PLAYGROUND)
            form = {"dialect": "evolink", "offer": "MiniMax-Hailuo-2.3|768P|6", "prompt": "p", "do": "try"}
            files = {"first_frame_image_file": real_files(LARGE)["jpeg"] + bytes(2 << 20)}
            answers = await asyncio.gather(*(holder.sends_files(PLAYGROUND, form, files) for _ in range(3)))
            assert [answer.status_code for answer in answers] == [200] * 3
            assert len(readers) == 3
            assert threading.main_thread() not in readers
            assert it.parts.bounds.body_bytes.taken == 0

    run(story)


class Upload:
    """The body of a create that comes in two halves, the second when the test says so."""

    def __init__(self, prompt_characters: int) -> None:
        body = b'{"model": "MiniMax-Hailuo-2.3", "prompt": "' + b"p" * prompt_characters + b'"}'
        self.first, self.second = body[: len(body) * 9 // 10], body[len(body) * 9 // 10 :]
        self.go_on = asyncio.Event()
        self.is_asked_for = False

    @property
    def length(self) -> int:
        return len(self.first) + len(self.second)

    async def pieces(self) -> AsyncIterator[bytes]:
        self.is_asked_for = True
        yield self.first
        await self.go_on.wait()
        yield self.second

    def send(self, it: World, key: str = ALICE, *, says_length: bool = True) -> "asyncio.Task[httpx.Response]":
        said = {"content-length": str(self.length)} if says_length else {}
        headers = {**bearer(key), "content-type": "application/json", **said}
        return asyncio.ensure_future(it.http.post(CREATE, content=self.pieces(), headers=headers))


def test_bodies_are_weighed_together_and_one_that_says_that_it_does_not_fit_is_not_read(
    run: Run, tmp_path: Path
) -> None:
    async def story() -> None:
        async with world(tmp_path, "bounds: {body_bytes: 100000}") as it:
            slow, told, untold = Upload(60_000), Upload(40_000), Upload(60_000)
            weighed = it.parts.bounds.body_bytes
            sending = slow.send(it)
            await until(lambda: weighed.taken == len(slow.first))
            await assert_refused(it, "body_bytes", await told.send(it), is_create=True)
            assert not told.is_asked_for
            untold.go_on.set()
            await assert_refused(it, "body_bytes", await untold.send(it, says_length=False), is_create=True)
            assert weighed.taken == len(slow.first)
            assert id_of(await it.create(key=BOB))
            await assert_alive(it)
            slow.go_on.set()
            assert (await sending).status_code == 400  # so long a prompt nobody takes
            await until(lambda: weighed.taken == 0)
            assert len(it.videos()) == await order_count(it) == 1

    run(story)


def test_who_only_says_that_much_will_come_holds_nothing_against_anybody(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "bounds: {body_bytes: 100000}") as it:
            liar = Upload(70_000)
            liar.first, liar.second = liar.first[:1], liar.first[1:] + liar.second
            sending = liar.send(it)
            await until(lambda: it.parts.bounds.body_bytes.taken == 1)
            assert (await it.create(prompt="p" * 70_000)).status_code == 400  # it was read
            liar.go_on.set()
            await sending

    run(story)


def test_large_bodies_are_read_one_after_the_other_and_beside_everything_else(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            image = base64.b64encode(real_files(LARGE)["jpeg"] + bytes(3 << 20)).decode()
            order = {"image_urls": [f"data:image/jpeg;base64,{image}"], "prompt": "p"}
            answers = await asyncio.gather(*(it.create(**order) for _ in range(4)))
            assert len({id_of(answer) for answer in answers}) == 4
            assert len(it.videos()) == 4
            await until(lambda: it.parts.bounds.body_bytes.taken == 0)

    run(story)


def test_slow_hosts_of_images_leave_room_for_others_and_what_does_not_fit_asks_nobody(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        gate = asyncio.Event()

        async def late(path: str, headers: dict[str, str]) -> bytes:
            await gate.wait()
            return PICTURE

        settings = 'preflight: {images: strict, allow_private_networks: ["127.0.0.0/8"]}\nbounds: {probes: 5}'
        async with hosting(late) as host, world(tmp_path, settings) as it:
            link = f"{host.url}/ship.jpg"
            stuck = await begin(it.parts.bounds.probes, 4, lambda: it.create(image_urls=[link]))
            await assert_refused(it, "probes", await it.create(image_urls=[link]), is_create=True)
            dry = await it.http.post(
                CREATE,
                json={**SPEECHES["evolink"].body, "image_urls": [link]},
                headers={**bearer(ALICE), "x-reelgate-dry-run": "true"},
            )
            await assert_refused(it, "probes", dry, is_create=True)
            assert id_of(await it.create())  # names no address
            stuck += await begin(it.parts.bounds.probes, 1, lambda: it.create(key=BOB, image_urls=[link]))
            await until(lambda: len(host.visits) == 5)
            assert await order_count(it) == len(it.videos()) == 1
            await assert_alive(it)
            gate.set()
            assert len({id_of(answer) for answer in await asyncio.gather(*stuck)}) == 5
            assert it.parts.bounds.probes.taken == 0

    run(story)


def test_names_that_nobody_answers_for_are_our_trouble_and_no_fault_of_the_next_image(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        async def full(name: str) -> tuple[resolving.IPAddress, ...]:
            raise resolving.LookupsFull("too many look-ups are under way")

        settings = "preflight: {images: strict}"
        async with world(tmp_path, settings, resolve=full) as it:
            for named in ({"image_urls": ["https://cdn.example/a.png"]}, {"callback_url": "https://a.example/hook"}):
                await assert_refused(it, "probes", await it.create(**named), is_create=True)
            assert await order_count(it) == 0
            assert it.parts.bounds.probes.taken == 0

    run(story)
