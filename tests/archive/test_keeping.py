"""Every finished film is fetched once, and served when its link is dead."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from gateway import ids, sandbox
from gateway.archive import Archive, ArchiveFailed, Kept
from gateway.flows import keeping
from gateway.parts import Parts
from tests.fakes.upstream import FakeUpstream, accept, look
from tests.overload.world import eventually
from tests.passthrough.upstream import Upstream, Visit
from tests.world import World, world

FILM = (Path(sandbox.__file__).parent / "films" / "768P-6.mp4").read_bytes()


def config(place: tuple[str, Path], **results: Any) -> str:
    told = ", ".join(f"{name}: {value}" for name, value in {"archive": place[0], **results}.items())
    return f"results: {{{told}}}"


async def keep_due(parts: Parts) -> None:
    """Fetch what is due now."""
    await asyncio.gather(*await keeping.begin_due(parts, keeping.AT_ONCE))


async def until_kept(parts: Parts, word: str) -> bool | None:
    number = ids.number_of(word)
    assert number is not None
    async with asyncio.timeout(60):
        while (await parts.registry.film_is_kept(number)) is None:
            await keep_due(parts)
            await asyncio.sleep(0.02)
    return await parts.registry.film_is_kept(number)


async def film_is_kept(parts: Parts, word: str) -> bool | None:
    number = ids.number_of(word)
    assert number is not None
    return await parts.registry.film_is_kept(number)


def tries_in_vain(connection: Connection) -> int:
    """How often the only film was asked for."""
    return int(connection.exec_driver_sql("SELECT tries FROM films").scalar_one())


def downloads(it: World) -> int:
    return sum(".mp4" in entry["path"] for entry in it.requests("GET"))


def test_a_kept_film_outlives_its_link_and_is_fetched_once(place: tuple[str, Path], tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, config(place)) as it:
            word = await it.finished_film()
            assert await until_kept(it.parts, word)
            assert [path.name for path in place[1].rglob("*.mp4")] == [f"{word}.mp4"]
            fetched = downloads(it)
            it.parts.memory.tasks.clear()
            number = ids.number_of(word)
            assert number is not None
            await it.parts.registry.relocate(number, "https://gone.invalid/film.mp4", now=it.parts.clock())
            whole = await it.http.get(f"/v1/videos/{word}/content", headers={"authorization": "Bearer sk-rg-alice-key"})
            assert whole.status_code == 200
            assert whole.content[4:8] == b"ftyp"
            assert whole.headers["content-type"] == "video/mp4"
            link = (await it.read(word)).json()["results"][0]
            assert link.startswith("http://127.0.0.1/")  # a link of ours, which lives as long as the film
            part = await it.http.get(link, headers={"range": "bytes=4-7"})
            assert (part.status_code, part.content) == (206, b"ftyp")
            assert (await it.http.head(link)).headers["content-length"] == str(len(whole.content))
            for tag, status in ((whole.headers["etag"], 206), ('"nomatch"', 200)):
                found = await it.http.get(link, headers={"range": "bytes=4-7", "if-range": tag})
                assert (found.status_code, found.content) == (status, b"ftyp" if status == 206 else whole.content)
            beyond = await it.http.get(link, headers={"range": f"bytes={len(whole.content)}-"})
            assert (beyond.status_code, beyond.json()["error"]["param"]) == (416, "range")
            assert beyond.headers["content-range"] == f"bytes */{len(whole.content)}"
            assert downloads(it) == fetched
            assert "reelgate_results_expiring 0.0" in (await it.http.get("/metrics")).text

    asyncio.run(story())


@pytest.mark.parametrize("pieces", [[], [FILM[:100]]])
def test_an_archive_that_fails_at_once_is_passed_by_and_later_breaks_the_film_off(
    pieces: list[bytes], place: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        raise ArchiveFailed("gone")

    async def read(self: Archive, name: str, byte_range: str | None, *, tag: str | None) -> Kept:
        return Kept(200, {b"content-length": b"%d" % len(FILM)}, failing())

    async def story() -> None:
        async with world(tmp_path, config(place), on_socket=True) as it:
            word = await it.finished_film()
            assert await until_kept(it.parts, word)
            monkeypatch.setattr(Archive, "read", read)
            ask = it.http.get(f"/v1/videos/{word}/content", headers={"authorization": "Bearer sk-rg-alice-key"})
            if pieces:
                with pytest.raises(httpx.RemoteProtocolError):
                    await ask
            else:
                assert (await ask).content == FILM  # the upstream's

    asyncio.run(story())


def test_a_film_that_cannot_be_fetched_is_tried_again_later_and_counted(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, config((str(tmp_path / "films"), tmp_path))) as it:
            word = await it.finished_film(prompt="p #sandbox:expired-link")
            number = ids.number_of(word)
            assert number is not None
            async with asyncio.timeout(60):
                while not await it.parts.database.read(tries_in_vain):
                    await keep_due(it.parts)
                    await asyncio.sleep(0.02)
            assert await it.parts.registry.film_is_kept(number) is None
            assert await it.parts.registry.claim_films(it.parts.clock(), lease_s=1, limit=9) == []
            ((task, tries),) = await it.parts.registry.claim_films(it.parts.clock() + 4_000, lease_s=1, limit=9)
            assert (task.id, tries) == (number, 1)
            assert "reelgate_results_expiring 1.0" in (await it.http.get("/metrics")).text
            assert await it.parts.registry.forget_films(it.parts.clock() + 1) == 1  # its link is dead for good
            assert "reelgate_results_expiring 0.0" in (await it.http.get("/metrics")).text
            gone = await it.http.get(f"/v1/videos/{word}/content", headers={"authorization": "Bearer sk-rg-alice-key"})
            assert gone.status_code == 410

    asyncio.run(story())


def test_a_film_is_kept_for_as_long_as_the_configuration_says(place: tuple[str, Path], tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, config(place, keep_s=0.001)) as it:
            word = await it.finished_film()
            assert await until_kept(it.parts, word)
            await asyncio.sleep(0.01)
            assert await keeping.drop_expired(it.parts) == 1
            assert list(place[1].rglob("*.mp4")) == []
            number = ids.number_of(word)
            assert number is not None
            assert await it.parts.registry.film_is_kept(number) is False

    asyncio.run(story())


def test_all_that_was_kept_for_long_enough_goes_however_much_it_is(
    place: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "DROPPED_AT_ONCE", 2)

    async def story() -> None:
        async with world(tmp_path, config(place, keep_s=0.001)) as it:
            for _ in range(5):
                assert await until_kept(it.parts, await it.finished_film())
            await asyncio.sleep(0.01)
            assert await keeping.drop_expired(it.parts) == 5
            assert list(place[1].rglob("*.mp4")) == []

    asyncio.run(story())


def test_a_film_whose_host_is_slow_holds_up_no_other(tmp_path: Path) -> None:
    async def show(visit: Visit) -> None:
        await visit.read()
        if "stuck" in visit.target:
            await visit.start(200, [("Content-Type", "video/mp4")])
            await visit.is_left()
        else:
            await visit.answer(200, FILM, [("Content-Type", "video/mp4")])

    async def story() -> None:
        good = keeping.AT_ONCE * 2
        async with Upstream(show) as host, FakeUpstream([accept() for _ in range(good + 1)]) as fake:
            fake.looks.append(look("completed", results=[f"{host.url}/stuck.mp4"]))
            fake.looks.extend(look("completed", results=[f"{host.url}/good.mp4"]) for _ in range(good))
            opened = 'preflight: {images: "off", allow_private_networks: ["127.0.0.0/8"]}\n'
            settings = opened + config((str(tmp_path / "films"), tmp_path))
            async with world(tmp_path, settings, upstream=fake.url) as it:
                stuck, *others = [await it.finished_film() for _ in range(good + 1)]
                for word in others:
                    await eventually(partial(film_is_kept, it.parts, word))
                assert not await film_is_kept(it.parts, stuck)

    asyncio.run(story())


def test_two_processes_never_fetch_the_same_film(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            for _ in range(3):
                await it.finished_film()
            registry, now = it.parts.registry, it.parts.clock()
            claims = await asyncio.gather(*(registry.claim_films(now, lease_s=60, limit=2) for _ in range(4)))
            claimed = [task.id for claim in claims for task, _ in claim]
            assert len(claimed) == len(set(claimed)) == 3

    asyncio.run(story())


@pytest.mark.parametrize("place", ["directory"], indirect=True)
def test_without_an_archive_films_are_only_counted(tmp_path: Path, place: tuple[str, Path]) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.finished_film()
            assert await keeping.begin_due(it.parts, keeping.AT_ONCE) == []
            assert "reelgate_results_expiring 1.0" in (await it.http.get("/metrics")).text
            assert not place[1].exists()

    asyncio.run(story())
