"""A film is kept whole or not at all, and served by ranges."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gateway.archive import PART_BYTES, Archive, ArchiveFailed, Kept, Spoilt

FILM = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 4


async def chunks(parts: Sequence[bytes], trouble: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if trouble is not None:
        raise trouble


async def read(kept: Kept | None) -> bytes:
    assert kept is not None
    return b"".join([chunk async for chunk in kept.chunks])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def test_a_film_comes_back_as_it_came(archive: Archive, place: tuple[str, Path]) -> None:
    async def story() -> None:
        assert await archive.keep("video_a", chunks([FILM[:3], FILM[3:9], FILM[9:]]), len(FILM)) == len(FILM)
        kept = await archive.read("video_a", None)
        assert kept is not None
        assert (kept.status, kept.headers[b"content-length"]) == (200, b"%d" % len(FILM))
        assert await read(kept) == FILM
        assert names(place[1]) == ["video_a.mp4"]
        await archive.drop("video_a")
        await archive.drop("video_a")  # there is none already
        assert await archive.read("video_a", None) is None
        assert names(place[1]) == []

    asyncio.run(story())


def test_a_film_of_several_parts_comes_back_as_it_came(archive: Archive) -> None:
    long = FILM + b"\xa5" * (2 * PART_BYTES + 12_345)

    async def story() -> None:
        pieces = [long[at : at + 100_000] for at in range(0, len(long), 100_000)]
        assert await archive.keep("video_long", chunks(pieces), len(long)) == len(long)
        assert await read(await archive.read("video_long", None)) == long
        assert await read(await archive.read("video_long", f"bytes={PART_BYTES}-{PART_BYTES + 9}")) == b"\xa5" * 10

    asyncio.run(story())


@pytest.mark.parametrize(
    ("parts", "length", "trouble", "told"),
    [
        ([b"<html>not here</html>"], None, None, Spoilt),
        ([b""], None, None, Spoilt),
        ([FILM[:7]], None, None, Spoilt),
        ([FILM[:-1]], len(FILM), None, Spoilt),
        ([FILM, b"x"], len(FILM), None, Spoilt),
        ([FILM[:500]], len(FILM), ConnectionResetError("broke off"), ConnectionResetError),
    ],
    ids=["a page", "nothing", "too little to tell", "truncated", "too long", "broke off"],
)
def test_what_is_no_whole_film_is_not_kept(
    archive: Archive, place: tuple[str, Path], parts: list[bytes], length: int | None, trouble: Exception, told: type
) -> None:
    async def story() -> None:
        with pytest.raises(told):
            await archive.keep("video_b", chunks(parts, trouble), length)
        assert await archive.read("video_b", None) is None
        assert names(place[1]) == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("asked", "status", "found", "told"),
    [
        ("bytes=0-9", 206, FILM[:10], b"bytes 0-9/1036"),
        ("bytes=1000-", 206, FILM[1000:], b"bytes 1000-1035/1036"),
        ("bytes=-6", 206, FILM[-6:], b"bytes 1030-1035/1036"),
        ("bytes=-9999", 206, FILM, b"bytes 0-1035/1036"),
        ("bytes=1000-99999", 206, FILM[1000:], b"bytes 1000-1035/1036"),
        ("bytes=1036-", 416, b"", b"bytes */1036"),
        ("bytes=-0", 416, b"", b"bytes */1036"),
        ("bytes=5-2", 200, FILM, None),
        ("bytes=0-1,3-4", 200, FILM, None),
        ("bytes=-", 200, FILM, None),
    ],
)
def test_ranges_are_served_as_http_says(
    archive: Archive, asked: str, status: int, found: bytes, told: bytes | None
) -> None:
    async def story() -> None:
        await archive.keep("video_c", chunks([FILM]), None)
        kept = await archive.read("video_c", asked)
        assert kept is not None
        assert (kept.status, kept.headers.get(b"content-range")) == (status, told)
        assert kept.headers[b"content-length"] == b"%d" % len(found)
        assert await read(kept) == found

    asyncio.run(story())


def test_a_range_of_another_film_than_this_one_is_ignored(archive: Archive) -> None:
    async def story() -> None:
        await archive.keep("video_d", chunks([FILM]), None)
        whole = await archive.read("video_d", None)
        assert whole is not None
        tag = whole.headers[b"etag"].decode()
        for said, asked, status in (
            (tag, "bytes=0-9", 206),
            (tag, "bytes=9999-", 416),
            (None, "bytes=0-9", 206),
            ('"nomatch"', "bytes=0-9", 200),
            ('"nomatch"', "bytes=9999-", 200),
            ("Mon, 01 Sep 2025 10:00:00 GMT", "bytes=0-9", 200),  # nobody was told a date of a kept film
        ):
            kept = await archive.read("video_d", asked, tag=said)
            assert kept is not None
            assert kept.status == status, (said, asked)
            assert status != 200 or await read(kept) == FILM

    asyncio.run(story())


def test_a_directory_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(ArchiveFailed, match="file"):
        Archive.open(str(tmp_path / "file" / "films"))
