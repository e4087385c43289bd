"""The header reader: what it finds in files of every kind, whole or in pieces, and how much work it does for it."""

import struct
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.images import HEAD_BYTES_MAX, Flaw, Format, Header, HeaderReader, Unreadable
from tests.images.files import (
    canvas,
    encode,
    jpeg_frame,
    jpeg_segment,
    lossless,
    lossy,
    png_header,
    real_files,
    webp,
)
from tests.images.mutants import mutant, originals
from tests.images.reading import cut, read, steps_of

JPEG_START = b"\xff\xd8"
SCAN = jpeg_segment(0xDA, bytes(10))
SIZES = st.integers(1, 0xFFFF)
# Calls and resumptions: some twenty for a plain file, a dozen for each of the thousand segments that are read at most.
STEPS_MAX = 20_000


@pytest.mark.parametrize("name", real_files())
def test_one_byte_at_a_time_finds_the_same_as_the_whole_file(name: str) -> None:
    data = real_files()[name]
    assert read(*(data[at : at + 1] for at in range(len(data)))) == read(data)


@pytest.mark.parametrize("name", real_files())
def test_the_header_is_found_before_the_file_ends(name: str) -> None:
    data, reader = real_files()[name], HeaderReader()
    fed = 0
    while reader.feed(data[fed : fed + 1_024]) is None:
        fed += 1_024
    assert fed <= (310_000 if "300 KB" in name else 66_000)
    assert isinstance(reader.finding, Header)


@given(SIZES, SIZES, st.sampled_from(sorted({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})), st.data())
def test_a_jpeg_of_any_segments_gives_the_size_of_its_frame(
    width: int, height: int, marker: int, data: st.DataObject
) -> None:
    markers = st.sampled_from([0xC4, 0xC8, 0xCC, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)])
    contents = st.binary(max_size=40) | st.just(jpeg_frame(7, 7)) | st.just(real_files()["jpeg with thumbnail"])
    junk = st.sampled_from([b"", b"", b"\xff", b"\xff\xff\xff", b"\0\0", b"\xff\0", b"junk", b"\xff\xd0", b"\xff\xd8"])
    before = b"".join(
        jpeg_segment(*segment) + data.draw(junk)
        for segment in data.draw(st.lists(st.tuples(markers, contents), max_size=6))
    )
    file = JPEG_START + b"\xff\xfe\0\x00" + before + jpeg_frame(width, height, marker=marker) + SCAN
    assert read(file) == Header(Format.JPEG, width, height)


@given(st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_a_png_may_have_any_size_of_31_bits(width: int, height: int) -> None:
    assert read(png_header(width, height)) == Header(Format.PNG, width, height)


@given(st.integers(1, 0x3FFF), st.integers(1, 0x3FFF), st.integers(0, 3))
def test_a_lossy_webp_has_14_bits_and_a_scale_that_does_not_count(width: int, height: int, scale: int) -> None:
    file = webp(b"VP8 ", lossy(width | scale << 14, height | scale << 14))
    assert read(file) == Header(Format.WEBP, width, height)


@given(st.integers(1, 0x4000), st.integers(1, 0x4000), st.booleans())
def test_a_lossless_webp_has_14_bits_from_one(width: int, height: int, has_alpha: bool) -> None:
    chunk = bytearray(lossless(width, height))
    chunk[4] |= has_alpha << 4
    assert read(webp(b"VP8L", bytes(chunk))) == Header(Format.WEBP, width, height)


@given(st.integers(1, 2**24), st.integers(1, 2**24))
@example(2**16, 2**16)
def test_a_canvas_has_24_bits_from_one_and_fewer_than_4_gigapixels(width: int, height: int) -> None:
    found = read(webp(b"VP8X", canvas(width, height)))
    if width * height < 2**32:
        assert found == Header(Format.WEBP, width, height)
    else:
        assert found == Unreadable(Flaw.CORRUPT, "its VP8X header makes no sense")


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("GIF", encode("L", (9, 9), "GIF")),
        ("BMP", encode("L", (9, 9), "BMP")),
        ("TIFF", encode("L", (9, 9), "TIFF")),
        ("AVIF", encode("RGB", (64, 64), "AVIF")),
        ("ICO", encode("RGB", (64, 64), "ICO")),
        ("JPEG 2000", encode("RGB", (64, 64), "JPEG2000")),
        ("PDF", encode("RGB", (9, 9), "PDF")),
        ("TIFF", b"MM\0*\0\0\0\x08"),
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("HEIF", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"),
        ("MP4 or QuickTime", b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2"),
        ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n"),
        ("JPEG XL", b"\xff\x0a\x7a\x1f"),
        ("Photoshop", b"8BPS\0\x01"),
        ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("SVG or other XML", b'\xef\xbb\xbf\n<?xml version="1.0"?><svg/>'),
        ("HTML", b"  <!DOCTYPE html><title>Not found</title>"),
        ("HTML", b"<HTML>"),
    ],
)
def test_a_format_that_is_not_taken_is_called_by_its_name(name: str, lead: bytes) -> None:
    assert read(lead) == Unreadable(Flaw.OTHER_FORMAT, name)


@pytest.mark.parametrize(
    ("flaw", "data"),
    [
        (Flaw.EMPTY, b""),
        (Flaw.NOT_AN_IMAGE, b"n"),
        (Flaw.NOT_AN_IMAGE, b"not an image at all"),
        (Flaw.NOT_AN_IMAGE, b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0"),
        (Flaw.NOT_AN_IMAGE, b'{"error": "gone"}'),
        (Flaw.NOT_AN_IMAGE, bytes(1_000)),
        (Flaw.TRUNCATED, b"\xff"),
        (Flaw.TRUNCATED, b"\x89PNG"),
        (Flaw.TRUNCATED, b"RIFF\x24\0\0\0WEB"),
        (Flaw.TRUNCATED, b"RIFF\x24\0\0\0WEBPVP8 "),
        (Flaw.TRUNCATED, JPEG_START + jpeg_segment(0xE0, b"JFIF")[:-1]),
        (Flaw.TRUNCATED, JPEG_START + jpeg_segment(0xE0, b"JFIF")),
        (Flaw.TRUNCATED, JPEG_START + jpeg_frame(640, 480)[:8]),
        (Flaw.CORRUPT, JPEG_START + SCAN + jpeg_frame(640, 480)),
        (Flaw.CORRUPT, JPEG_START + b"\xff\xd9" + jpeg_frame(640, 480)),
        (Flaw.CORRUPT, JPEG_START + b"\xff\xc0\0\x01" + jpeg_frame(640, 480)[4:]),
        (Flaw.CORRUPT, JPEG_START + b"\xff\x02\0\x02" + jpeg_frame(640, 480)),
        (Flaw.CORRUPT, JPEG_START + jpeg_frame(640, 0)),
        (Flaw.CORRUPT, JPEG_START + jpeg_frame(0, 480)),
        (Flaw.CORRUPT, JPEG_START + jpeg_frame(640, 480, components=0)),
        (Flaw.CORRUPT, JPEG_START + jpeg_segment(0xC0, bytes(5) + b"\x03" + bytes(8))),
        (Flaw.CORRUPT, JPEG_START + b"\xff\xe0\0\x02" * 1_000 + jpeg_frame(640, 480)),
        (Flaw.CORRUPT, png_header(0, 480)),
        (Flaw.CORRUPT, png_header(640, 2**31)),
        (Flaw.CORRUPT, png_header(640, 480, depth=3)),
        (Flaw.CORRUPT, png_header(640, 480, colour=2, depth=4)),
        (Flaw.CORRUPT, png_header(640, 480, colour=5)),
        (Flaw.CORRUPT, png_header(640, 480, interlace=2)),
        (Flaw.CORRUPT, png_header(640, 480)[:-1] + b"\0"),
        (Flaw.CORRUPT, png_header(640, 480).replace(b"IHDR", b"CgBI")),
        (Flaw.CORRUPT, webp(b"VP8 ", lossy(0, 480))),
        (Flaw.CORRUPT, webp(b"VP8 ", b"\x11" + lossy(640, 480)[1:])),
        (Flaw.CORRUPT, webp(b"VP8 ", b"\x00" + lossy(640, 480)[1:])),
        (Flaw.CORRUPT, webp(b"VP8 ", lossy(640, 480).replace(b"\x9d", b"\x9c"))),
        (Flaw.CORRUPT, webp(b"VP8L", b"\x2e" + lossless(640, 480)[1:])),
        (Flaw.CORRUPT, webp(b"VP8L", lossless(640, 480)[:4] + b"\x20")),
        (Flaw.CORRUPT, webp(b"VP8L", b"")[:-4] + bytes(4) + lossless(640, 480)),
        (Flaw.CORRUPT, webp(b"ALPH", bytes(20))),
        (Flaw.OVERLONG, JPEG_START + jpeg_segment(0xE1, bytes(65_000)) * 17 + jpeg_frame(640, 480)),
        (Flaw.OVERLONG, JPEG_START + b"\xff" + bytes(2 << 20) + jpeg_frame(640, 480)),
    ],
)
def test_what_has_no_header_has_one_of_six_flaws(flaw: Flaw, data: bytes) -> None:
    found = read(data)
    assert isinstance(found, Unreadable)
    assert found.flaw is flaw


def test_the_last_segment_that_may_stand_before_the_frame_is_the_999th() -> None:
    assert read(JPEG_START + b"\xff\xe0\0\x02" * 999 + jpeg_frame(640, 480)) == Header(Format.JPEG, 640, 480)


def test_a_header_may_end_exactly_where_reading_ends() -> None:
    frame = jpeg_frame(640, 480)[:10]
    padding = b"\xff" * (HEAD_BYTES_MAX - len(JPEG_START) - len(frame))
    assert read(JPEG_START + padding + frame + bytes(99)) == Header(Format.JPEG, 640, 480)
    found = read(JPEG_START + padding + b"\xff" + frame + bytes(99))
    assert isinstance(found, Unreadable)
    assert found.flaw is Flaw.OVERLONG


def test_after_the_finding_no_byte_counts_any_more() -> None:
    reader = HeaderReader()
    assert reader.feed(png_header(640, 480)) == Header(Format.PNG, 640, 480)
    assert reader.feed(b"\xff\xd8\xff") == Header(Format.PNG, 640, 480)
    assert reader.finish() == Header(Format.PNG, 640, 480)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", png_header(1, 1)[:16], b"RIFF\0\0\0\0WEBPVP8X"]))
def test_any_bytes_at_all_give_a_finding(data: bytes, beginning: bytes) -> None:
    assert isinstance(read(beginning + data), Header | Unreadable)


@pytest.mark.parametrize("seed", range(0, 10_000, 500))
def test_ten_thousand_broken_pictures_raise_nothing_and_cost_little(seed: int) -> None:
    for number in range(seed, seed + 500):
        data = mutant(number, originals(small=False))
        found, steps = steps_of(lambda data=data: read(data))
        assert isinstance(found, Header | Unreadable)
        assert steps <= STEPS_MAX, f"mutant {number}"
        assert read(*cut(data, Random(number))) == found, f"mutant {number}"


@pytest.mark.parametrize(
    "storm",
    [
        b"\xff",
        b"\xff\0",
        b"\xff\xd0",
        b"\xff\xfe\0\x02",
        b"\0",
        b"\xff\xe1\x01\x00" + bytes(254),
        b"\xff\xff\xff\xfe\0\x02",
    ],
)
def test_a_megabyte_made_to_keep_the_reader_busy_does_not(storm: bytes) -> None:
    found, steps = steps_of(lambda: read(JPEG_START + b"\xff" + storm * (HEAD_BYTES_MAX // len(storm) + 1)))
    assert isinstance(found, Unreadable)
    assert steps <= STEPS_MAX


@pytest.mark.parametrize("storm", [b"\xff", b"\xff\0", b"\0", b"\xff\xe1\xff\xff" + bytes(65_533)])
def test_a_drip_costs_the_same_for_every_byte(storm: bytes) -> None:
    def drip(count: int) -> int:
        data = (JPEG_START + b"\xff" + storm * (count // len(storm) + 1))[:count]
        return steps_of(lambda: read(*struct.unpack(f"{count}c", data)))[1]

    assert drip(20_000) <= 2.2 * drip(10_000)


def test_the_reader_holds_next_to_nothing_of_what_it_has_read() -> None:
    reader = HeaderReader()
    reader.feed(JPEG_START + b"\xff")
    for _ in range(100):
        assert reader.feed(jpeg_segment(0xE1, bytes(9_000))) is None
        assert len(reader._intake._held) < 20
