"""The rules for pictures, at their edges: one pixel, one byte."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Problem
from gateway.images import BYTES_END, Finding, Flaw, Format, Header, Unreadable, judge
from tests.images.files import bomb_png, encode, exif
from tests.images.reading import read

EDGE = "its short edge must have 301 pixels or more"
ASPECT = "its aspect ratio must lie between 2:5 and 5:2"
PIXELS = "in all; it must have 268402689 pixels or fewer"


def rules_broken(width: int, height: int, byte_count: int | None = 1_000) -> list[str]:
    return [problem.message for problem in judge("image_urls[0]", Header(Format.PNG, width, height), byte_count)]


@pytest.mark.parametrize(
    ("width", "height", "rules"),
    [
        (301, 301, []),
        (300, 301, [EDGE]),
        (301, 300, [EDGE]),
        (300, 300, [EDGE]),
        (300, 750, [EDGE]),
        (301, 752, []),
        (301, 753, [ASPECT]),
        (752, 301, []),
        (753, 301, [ASPECT]),
        (400, 1_000, []),
        (399, 1_000, [ASPECT]),
        (401, 1_000, []),
        (400, 999, []),
        (400, 1_001, [ASPECT]),
        (1_000, 400, []),
        (1_000, 399, [ASPECT]),
        (1_001, 400, [ASPECT]),
        (1_001, 401, []),
        (1, 1, [EDGE]),
        (1, 3, [EDGE, ASPECT]),
        (16_383, 16_383, []),
        (16_383, 16_384, [PIXELS]),
        (2**31 - 1, 2**31 - 1, [PIXELS]),
        (2**31 - 1, 1, [EDGE, ASPECT, PIXELS]),
    ],
)
def test_a_rule_begins_at_its_pixel(width: int, height: int, rules: list[str]) -> None:
    found = rules_broken(width, height)
    assert [message.endswith(rule) for message, rule in zip(found, rules, strict=True)] == [True] * len(rules)
    assert all(f"{width} x {height} pixels" in message for message in found)


@given(st.integers(301, 20_000), st.integers(301, 20_000))
def test_the_aspect_is_that_of_exact_fractions(width: int, height: int) -> None:
    is_fine = Fraction(2, 5) <= Fraction(width, height) <= Fraction(5, 2)
    assert any("aspect" in message for message in rules_broken(width, height)) is not is_fine


@given(st.integers(1, 2**31), st.integers(1, 2**31))
def test_a_picture_on_its_side_breaks_the_same_rules(width: int, height: int) -> None:
    lying, standing = (judge("x", Header(Format.JPEG, *size), 1) for size in ((width, height), (height, width)))
    assert [problem.allowed for problem in lying] == [problem.allowed for problem in standing]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_in_exif_changes_no_verdict(orientation: int) -> None:
    narrow = encode("L", (752, 301), "JPEG", exif=exif(orientation))
    narrower = encode("L", (753, 301), "JPEG", exif=exif(orientation))
    assert judge("x", read(narrow), len(narrow)) == []
    assert [problem.allowed for problem in judge("x", read(narrower), len(narrower))] == [("2:5 to 5:2",)]


def test_twenty_megabytes_are_too_many_and_one_byte_less_is_not() -> None:
    assert BYTES_END == 20_971_520
    assert rules_broken(640, 480, BYTES_END - 1) == []
    rule = "the image has 20971520 bytes; it must have fewer than 20971520 (20 MiB)"
    assert rules_broken(640, 480, BYTES_END) == [rule]


def test_a_size_nobody_knows_breaks_no_rule() -> None:
    assert rules_broken(640, 480, None) == []


def test_a_bomb_is_refused_for_its_pixels_without_one_of_them_being_decoded() -> None:
    bomb = bomb_png(65_000, 65_000)
    assert len(bomb) == 65
    assert judge("image_urls[0]", read(bomb), len(bomb)) == [
        Problem(
            "image_urls[0]",
            "the image has 65000 x 65000 pixels, 4225000000 in all; it must have 268402689 pixels or fewer",
            ("268402689 pixels or fewer",),
        )
    ]


def test_everything_wrong_is_said_at_once() -> None:
    found = rules_broken(9_000_000, 300, BYTES_END + 5)
    assert [message.split("; ")[1][:12] for message in found] == [
        "it must have",
        "its short ed",
        "its aspect r",
        "it must have",
    ]


@pytest.mark.parametrize(
    ("finding", "message"),
    [
        (Unreadable(Flaw.EMPTY), "the image is empty"),
        (Unreadable(Flaw.NOT_AN_IMAGE), "this is not an image: its content is not in a known format"),
        (Unreadable(Flaw.OTHER_FORMAT, "GIF"), "this is not an image of an accepted format: its content is GIF"),
        (Unreadable(Flaw.TRUNCATED), "the image is cut short: it ends inside its own header"),
        (Unreadable(Flaw.CORRUPT, "its {header} is wrong"), "the image is damaged: its {header} is wrong"),
        (
            Unreadable(Flaw.OVERLONG, "its first 1048576 bytes"),
            "the size of the image is not to be found in its first 1048576 bytes; save it with less metadata",
        ),
    ],
)
def test_a_flaw_is_told_with_the_formats_that_are_taken(finding: Finding, message: str) -> None:
    assert judge("image", finding, 10) == [Problem("image", message, ("JPEG", "PNG", "WebP"))]
    assert [problem.message for problem in judge("image", finding, BYTES_END)][1:] == [message]
