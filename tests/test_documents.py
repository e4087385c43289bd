"""Strict YAML: what a mapping merges it may say otherwise, and what it says twice is a mistake."""

from typing import Any

import pytest

from gateway.documents import DocumentError, read_yaml

SHARED = "{a: 1, b: 2}"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (f"x: &x {SHARED}\ny: {{<<: *x, b: 3, c: 4}}", {"a": 1, "b": 3, "c": 4}),
        (f"x: &x {SHARED}\ny: {{b: 3, <<: *x}}", {"a": 1, "b": 3}),
        (f"x: &x {SHARED}\nz: &z {{b: 5, d: 6}}\ny: {{<<: [*z, *x]}}", {"a": 1, "b": 5, "d": 6}),
        # A mapping that is merged has itself merged something, and said it otherwise.
        (f"x: &x {SHARED}\nz: &z {{<<: *x, b: 7}}\ny: {{<<: *z, a: 8}}", {"a": 8, "b": 7}),
        (f"v: [&x {SHARED}, &z {{<<: *x, b: 7}}]\ny: {{w: 1, <<: *z}}", {"a": 1, "b": 7, "w": 1}),
        ("y: &y {<<: *y, a: 1}", {"a": 1}),
    ],
)
def test_what_is_merged_may_be_said_otherwise(text: str, read: Any) -> None:
    assert read_yaml(text)["y"] == read


@pytest.mark.parametrize("merged", ["*x", "[*x, 1]", "text"])
def test_only_mappings_are_merged(merged: str) -> None:
    with pytest.raises(DocumentError, match="expected a mapping"):
        read_yaml(f"x: &x [1]\ny: {{<<: {merged}}}")


def test_merges_of_merges_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    lines += [f"a{number}: &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 10)}]}}" for number in range(1, 12)]
    with pytest.raises(DocumentError, match="more than 10000 entries are merged"):
        read_yaml("\n".join(lines))
