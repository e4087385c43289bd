"""A secret is covered in every spelling that a JSON writer has for it, wherever a stream is cut."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.masking import Mask

SECRETS = ("sk-secret", "sk-a/b+c=", "a&b<c>", "/\\\"'", "//", "aab/aac", "x", "eyJ0eXAi.eyJncm91cCI.s_ig-")
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)


def spelt(secret: str) -> dict[str, str]:
    """How other people's writers put a secret into a JSON string."""

    def escaped(letter: str, hexadecimal: str) -> str:
        return letter if letter.isalnum() else f"\\u{ord(letter):{hexadecimal}}"

    within = json.dumps(secret)[1:-1]
    return {
        "as it is": secret,
        "in JSON": within,
        "by PHP": within.replace("/", "\\/"),
        "by Go": within.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        "with all of it escaped": "".join(escaped(letter, "04x") for letter in secret),
        "with all of it escaped, in capitals": "".join(escaped(letter, "04X") for letter in secret),
    }


def streamed(mask: Mask, pieces: Sequence[bytes]) -> list[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def read() -> list[bytes]:
        return [chunk async for chunk in mask.cover_each(chunks())]

    return asyncio.run(read())


@pytest.mark.parametrize("secret", SECRETS)
def test_every_spelling_is_covered(secret: str) -> None:
    mask = Mask(secret)
    for spelling in spelt(secret).values():
        text = f"no {spelling}, {spelling}".encode()
        assert mask.is_needed(text)
        assert mask.cover(text) == b"no ***, ***"
        stars = "*" * len(spelling)
        assert b"".join(streamed(mask, [text])) == f"no {stars}, {stars}".encode()


@pytest.mark.parametrize("secret", SECRETS)
def test_every_spelling_is_covered_wherever_the_stream_is_cut(secret: str) -> None:
    mask = Mask(secret)
    for spelling in spelt(secret).values():
        text = f"1 {spelling} 2".encode()
        covered = f"1 {'*' * len(spelling)} 2".encode()
        for at in range(len(text)):
            assert b"".join(streamed(mask, [text[:at], text[at:]])) == covered
        assert b"".join(streamed(mask, [bytes([byte]) for byte in text])) == covered


@given(PRINTABLE, st.lists(st.binary(max_size=8) | st.text("as/\\u0026f", max_size=4).map(str.encode)))
def test_no_byte_is_lost_and_nothing_else_is_covered(secret: str, pieces: list[bytes]) -> None:
    mask, text = Mask(secret), b"".join(pieces)
    got = b"".join(streamed(mask, pieces))
    assert len(got) == len(text)
    if not mask.is_needed(text):
        assert got == mask.cover(text) == text


def test_a_piece_is_held_back_only_while_it_may_be_the_beginning_of_a_secret() -> None:
    mask = Mask("sk-a/b")
    pieces = [b'data: {"x": "us', b"ual \\", b'n"}\n\n', b"sk-a\\u002", b"6", b"sk-a\\", b"/", b"c", b"sk-"]
    assert streamed(mask, pieces) == [
        b'data: {"x": "u', b"sual \\", b'n"}\n\n', b"sk-a\\u0026", b"sk-a\\/c", b"sk-",
    ]  # fmt: skip


def test_an_event_is_passed_on_at_once() -> None:
    events = [f'data: {{"delta": "{word}"}}\n\n'.encode() for word in ("s", "sk", "sk-", "\\/", "\\u002f")]
    assert streamed(Mask("sk-a/b"), events) == events
