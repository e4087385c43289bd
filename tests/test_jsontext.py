"""The bounds of a caller's JSON are the same in a short text and beside a picture."""

import pytest

from gateway.jsontext import JsonError, read_strict

PICTURE = "A" * (1 << 17)
TOO_MUCH = "too many values or is nested too deeply"


@pytest.mark.parametrize("padding", ["", PICTURE], ids=["short", "long"])
@pytest.mark.parametrize(
    ("value", "most"),
    [("[]", 3_998), ("{}", 3_998), ("[{}]", 1_999)],
    ids=["arrays", "objects", "both"],
)
def test_brackets_are_counted_to_the_last(padding: str, value: str, most: int) -> None:
    def body(count: int) -> bytes:
        return f'{{"picture":"{padding}","all":[{",".join([value] * count)}]}}'.encode()

    assert len(read_strict(body(most))["all"]) == most
    with pytest.raises(JsonError, match=TOO_MUCH):
        read_strict(body(most + 1))


@pytest.mark.parametrize("padding", ["", PICTURE], ids=["short", "long"])
def test_values_are_counted_to_the_last(padding: str) -> None:
    def body(commas: int) -> bytes:
        return f'{{"picture":"{padding}","all":[{",".join(["1"] * commas)}]}}'.encode()

    assert len(read_strict(body(20_000))["all"]) == 20_000
    with pytest.raises(JsonError, match=TOO_MUCH):
        read_strict(body(20_001))


def test_a_bytearray_is_read_as_bytes_are() -> None:
    assert read_strict(bytearray(b'{"a":"\xc3\xa9"}')) == {"a": "é"}
    with pytest.raises(JsonError, match="not UTF-8"):
        read_strict(bytearray(b'{"a":"\xff"}'))
