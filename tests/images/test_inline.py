"""Pictures as data URLs: strict base64, the size from the text's length, the header from its beginning."""

import base64
import binascii

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.images import BYTES_END, Header, Unreadable, judge, judge_inline
from tests.images.files import encode, exif, jpeg_frame, jpeg_segment, png_header, real_files
from tests.images.mutants import mutant, originals
from tests.images.reading import data_url, read, steps_of

PREFIX = "data:image/png;base64,"
NOT_STRICT = "the data URL is not strict base64: standard alphabet, padded, without blanks"
PNG = png_header(640, 480)  # 33 bytes: 44 characters, without padding


def messages(url: str) -> list[str]:
    return [problem.message for problem in judge_inline("first_frame_image", url)]


@pytest.mark.parametrize("name", real_files())
def test_a_picture_inside_the_request_is_judged_like_one_elsewhere(name: str) -> None:
    data = real_files()[name]
    assert judge_inline("x", data_url(data)) == judge("x", read(data), len(data)) == []
    small = real_files((300, 900))[name]
    assert judge_inline("x", data_url(small)) == judge("x", read(small), len(small))
    assert len(judge_inline("x", data_url(small))) == 2


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/gif", "image/svg+xml", "IMAGE/X-ANYTHING"])
def test_the_declared_type_does_not_matter(kind: str) -> None:
    assert messages(data_url(PNG, kind)) == []


@pytest.mark.parametrize(
    "beginning",
    [
        "",
        "data:",
        "data:image/png,",
        "data:image/png;base64",
        "data:;base64,",
        "data:image/;base64,",
        "data:text/html;base64,",
        "data:image/png;charset=utf-8;base64,",
        "data:image/png ;base64,",
        " data:image/png;base64,",
        "https://example.com/",
    ],
)
def test_an_address_that_begins_otherwise_is_no_data_url(beginning: str) -> None:
    assert messages(beginning + base64.b64encode(PNG).decode()) == ["a data URL must begin with data:image/…;base64,"]


@pytest.mark.parametrize(
    "tail",
    [
        *("A", "AA", "AAA", "A===", "====", "AA=", "AAA", "AAA=A===", "AA==AAAA", "AAAA=", "AAAA====", "=AAA", "A=AA"),
        *("AAAA\n", "\nAAAA", "AA AA", "AAA\t", "AA\r\n", "AAA\0"),
        *("AA-_", "AA%3D", "AA*=", "ＡＡＡＡ", "AAAé", "AAA\ud800", "AAA."),
        *("AB==", "Af==", "AAB=", "AA/="),  # bits left over
    ],
)
def test_base64_that_only_some_decoders_take_is_refused(tail: str) -> None:
    url = PREFIX + base64.b64encode(PNG).decode()
    assert messages(url) == []
    assert messages(url + tail) == [NOT_STRICT]


@pytest.mark.parametrize("tail", ["AAAA", "AA==", "Aw==", "Ag==", "AAA=", "AAE=", "AA8=", "+/+/"])
def test_strict_base64_may_end_in_every_documented_way(tail: str) -> None:
    assert messages(PREFIX + base64.b64encode(PNG).decode() + tail) == []


@given(st.text(alphabet="AQgw8+/=-_ \n", max_size=12))
@example("A===")
def test_strict_is_what_a_strict_decoder_takes_and_an_encoder_writes(tail: str) -> None:
    text = base64.b64encode(PNG).decode() + tail
    try:
        is_strict = base64.b64encode(binascii.a2b_base64(text, strict_mode=True)).decode() == text
    except binascii.Error:
        is_strict = False
    assert messages(PREFIX + text) == ([] if is_strict else [NOT_STRICT])


def test_a_wrong_character_is_found_wherever_it_stands() -> None:
    text = base64.b64encode(PNG + bytes(900_000)).decode()
    assert not text.endswith("=")
    for at in (0, 43, 262_143, 262_144, 262_145, 524_288, len(text) - 5, len(text) - 4):
        for wrong in "~=é\ud800":
            assert messages(f"{PREFIX}{text[:at]}{wrong}{text[at + 1 :]}") == [NOT_STRICT]


def test_nothing_is_no_picture() -> None:
    assert messages(PREFIX) == ["the image is empty"]


@pytest.mark.parametrize("byte_count", [BYTES_END - 3, BYTES_END - 2, BYTES_END - 1])
def test_one_byte_below_the_limit_is_taken(byte_count: int) -> None:
    assert messages(data_url(PNG + bytes(byte_count - len(PNG)))) == []


@pytest.mark.parametrize("byte_count", [BYTES_END, BYTES_END + 1, BYTES_END + 2])
def test_a_text_too_long_is_refused_for_its_length_and_not_looked_at(byte_count: int) -> None:
    text = "~" * (-(-byte_count // 3) * 4)
    padding = "=" * (-byte_count % 3)
    url = PREFIX + text[: len(text) - len(padding)] + padding
    assert messages(url) == [f"the image has {byte_count} bytes; it must have fewer than 20971520 (20 MiB)"]


def test_a_header_behind_a_long_profile_is_found() -> None:
    late = b"\xff\xd8" + jpeg_segment(0xE2, bytes(65_000)) * 12 + jpeg_frame(640, 480)
    assert messages(data_url(late + bytes(100_000))) == []


def test_the_work_grows_with_the_text_and_not_faster() -> None:
    def steps(count: int) -> int:
        return steps_of(lambda: messages(data_url(PNG + bytes(count))))[1]

    assert steps(8_000_000) <= 2.2 * steps(4_000_000)


def test_broken_pictures_are_judged_like_the_same_bytes_from_elsewhere() -> None:
    for number in range(2_000):
        data = mutant(number, originals(small=True))
        finding = read(data)
        assert isinstance(finding, Header | Unreadable)
        assert judge_inline("x", data_url(data)) == judge("x", finding, len(data)), f"mutant {number}"


def test_a_picture_with_the_wrong_label_is_known_by_its_bytes() -> None:
    gif = encode("L", (640, 480), "GIF")
    assert messages(data_url(gif, "image/png")) == ["this is not an image of an accepted format: its content is GIF"]
    assert messages(data_url(encode("L", (640, 480), "WEBP", exif=exif(6)), "image/jpeg")) == []
