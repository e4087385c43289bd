"""The films are real, and served as a file host serves them."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.downloads import film_path
from gateway.sandbox.sales import Offer, Sales

Create = Callable[..., Any]
HAILUO_02 = "MiniMax-Hailuo-02"
IMAGE = "https://example.com/first.jpg"
SIZES = {"512P": (912, 512), "720P": (1280, 720), "768P": (1366, 768), "1080P": (1920, 1080)}
HEADER_BYTES = 8
CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of every box of an MP4, containers opened, in the order of the file."""
    position = 0
    while position < len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        assert size >= HEADER_BYTES
        content = data[position + HEADER_BYTES : position + size]
        assert len(content) == size - HEADER_BYTES
        yield name, content
        if name in CONTAINERS:
            yield from boxes(content)
        position += size


def read_film(data: bytes) -> tuple[int, int, float, int]:
    """Width, height, seconds and frames of a film, by its boxes (ISO 14496-12)."""
    found = dict(boxes(data))
    timescale, duration = struct.unpack_from(">II", found[b"mvhd"], 12)  # version 0
    width, height = struct.unpack(">II", found[b"tkhd"][-8:])
    (frames,) = struct.unpack_from(">I", found[b"stsz"], 8)
    assert b"avc1" in found[b"stsd"]
    return width >> 16, height >> 16, duration / timescale, frames


def every_offer() -> list[Offer]:
    names = Sales.shipped().names("minimax")
    models = [Sales.shipped().find(name, "minimax") for name in names]
    return [offer for model in models if model is not None for offer in model.offers]


@pytest.mark.parametrize("offer", every_offer(), ids=lambda offer: f"{offer.model}-{offer.mode}-{offer.resolution}")
def test_there_is_a_film_for_everything_on_sale(offer: Offer) -> None:
    data = film_path(offer).read_bytes()
    width, height, seconds, frames = read_film(data)
    assert (width, height) == SIZES[offer.resolution or "720P"]
    assert abs(seconds - (offer.duration_s or 6)) < 0.1
    assert frames == 24 * (offer.duration_s or 6)


def test_films_are_small_and_can_be_played_before_they_are_whole() -> None:
    paths = sorted(Path(film_path(every_offer()[0])).parent.glob("*.mp4"))
    assert len(paths) == 6
    assert sum(path.stat().st_size for path in paths) < 400_000
    for path in paths:
        names = [name for name, _ in boxes(path.read_bytes())]
        assert path.stat().st_size < 60_000
        assert names[0] == b"ftyp"
        assert names.index(b"moov") < names.index(b"mdat")


def make_film(client: Any, create: Create, clock: Any, **said: Any) -> str:
    task_id = create(**said).json()["id"]
    assert client.get(f"/films/{task_id}.mp4").status_code == 404  # not before it is made
    clock.walk(100)
    return str(client.get(f"/evolink/v1/tasks/{task_id}").json()["results"][0])


@pytest.mark.parametrize(
    ("said", "size", "seconds"),
    [
        ({}, "768P", 6),
        ({"duration": 10}, "768P", 10),
        ({"quality": "1080p"}, "1080P", 6),
        ({"model": HAILUO_02, "quality": "512p", "image_urls": [IMAGE]}, "512P", 6),
        ({"model": HAILUO_02, "quality": "512p", "image_urls": [IMAGE], "duration": 10}, "512P", 10),
    ],
    ids=str,
)
def test_a_video_has_the_size_and_length_that_was_asked_for(
    client: Any, create: Create, clock: Any, said: dict[str, Any], size: str, seconds: int
) -> None:
    answer = client.get(make_film(client, create, clock, **said), headers={"authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["accept-ranges"] == "bytes"
    width, height, length, _ = read_film(answer.content)
    assert ((width, height), round(length)) == (SIZES[size], seconds)


def test_a_part_of_a_film_can_be_asked_for(client: Any, create: Create, clock: Any) -> None:
    url = make_film(client, create, clock)
    whole = client.get(url).content
    part = client.get(url, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert client.get(url, headers={"range": "bytes=-10"}).content == whole[-10:]
    assert client.get(url, headers={"range": f"bytes={len(whole)}-"}).status_code == 416
    head = client.request("HEAD", url)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(whole)))


def test_a_link_dies_after_a_day(client: Any, create: Create, clock: Any) -> None:
    url = make_film(client, create, clock)
    clock.walk(24 * 3600 - 100)
    assert client.get(url).status_code == 200
    clock.walk(100)
    assert client.get(url).status_code == 410


def test_a_script_can_let_a_link_die_at_once(client: Any, create: Create, clock: Any) -> None:
    url = make_film(client, create, clock, prompt="a ship #sandbox:expired-link")
    assert client.get(url).status_code == 410


def test_an_unknown_film_is_not_found(client: Any) -> None:
    assert client.get("/films/task-unified-1-abcdefgh.mp4").status_code == 404
