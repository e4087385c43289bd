"""A Secret leaves by `reveal()` and by no other door."""

import copy
import dataclasses
import hashlib
import json
import pickle
import traceback
from collections.abc import Callable
from functools import partial

import orjson
import pytest

from gateway.secret import Secret

CANARY = "sk-canary-4711"


@dataclasses.dataclass(frozen=True)
class Holder:
    secret: Secret


SHOWINGS: dict[str, Callable[[Secret], object]] = {
    "repr": repr,
    "str": str,
    "f-string": lambda secret: f"{secret} {secret!r} {secret!s} {secret:>40}",
    "format": lambda secret: "{}".format(secret),  # noqa: UP032 - this spelling is under test
    "percent": lambda secret: "%s %r" % (secret, secret),  # noqa: UP031 - this spelling is under test
    "a list": lambda secret: repr([secret]),
    "a dataclass": lambda secret: repr(Holder(secret)),
    "asdict": lambda secret: repr(dataclasses.asdict(Holder(secret))),
    "a copy": lambda secret: repr((copy.copy(secret), copy.deepcopy([secret]))),
    "json with default": lambda secret: json.dumps({"secret": secret}, default=str),
}


@pytest.mark.parametrize("show", SHOWINGS.values(), ids=SHOWINGS.keys())
def test_no_way_of_showing_it_shows_the_text(show: Callable[[Secret], object]) -> None:
    shown = str(show(Secret(CANARY)))
    assert CANARY not in shown
    assert "Secret(***)" in shown


REFUSALS: dict[str, Callable[[Secret], object]] = {
    "json": json.dumps,
    "orjson": orjson.dumps,
    "hash": hash,
    **{f"pickle {number}": partial(pickle.dumps, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("write", REFUSALS.values(), ids=REFUSALS.keys())
def test_writers_are_refused_without_showing_it(write: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as refusal:
        write(Secret(CANARY))
    assert CANARY not in "".join(traceback.format_exception(refusal.value))


def test_the_text_comes_out_by_reveal() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_the_digest_is_the_sha_256_in_hex() -> None:
    assert Secret(CANARY).digest() == hashlib.sha256(CANARY.encode()).hexdigest()


def test_two_secrets_are_equal_exactly_if_their_texts_are() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_a_copy_still_holds_the_text() -> None:
    assert copy.deepcopy({"key": Secret(CANARY)})["key"].reveal() == CANARY


def test_bytes_of_the_environment_that_are_not_utf_8_have_a_digest() -> None:
    text = b"key-\xff".decode("utf-8", "surrogateescape")
    assert Secret(text).digest() == hashlib.sha256(b"key-\xff").hexdigest()
    assert Secret(text) == Secret(text)
