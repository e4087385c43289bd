"""The schemas of creates against the code that reads and judges them: what the one takes, the other takes."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import Catalog, judge
from gateway.dialects import DIALECTS, reading
from gateway.dialects.fields import Field, Item
from gateway.dialects.reading import Kind
from gateway.web.openapi import Terms, document

CATALOG = Catalog.shipped()
SCHEMAS = document(Terms(models=CATALOG.models))["components"]["schemas"]
FIRST, LAST = "https://example.com/first.png", "https://example.com/last.png"
SUBJECT = [{"type": "character", "image": [FIRST]}]

KINDS = {
    name: kind
    for name, kind in {**vars(reading), "RESOLUTION": reading.resolution("768P")}.items()
    if isinstance(kind, Kind)
}
_WORDS = ("", " ", "true", "false", "6", "06", "768P", "1080p", "1366x768", "1920x1080", "http://", "HTTP://a", FIRST)
_VALUES = st.one_of(
    st.recursive(
        st.none() | st.booleans() | st.integers(-3, 12) | st.sampled_from(_WORDS) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("type", "image", "a")), inner),
        max_leaves=6,
    ),
    st.from_regex(r"[0-9]{1,6}[pP]?"),
    st.from_regex(r"(?i)https?://"),
    st.from_regex(r"(?i)data:image/[a-z]{1,4};base64,"),
    st.builds(lambda image: [{"type": "character", "image": [image]}], st.sampled_from(_WORDS)),
)


@pytest.mark.parametrize("name", KINDS)
def test_the_schema_of_a_kind_takes_what_its_reader_takes(name: str) -> None:
    kind = KINDS[name]
    schema = jsonschema_rs.validator_for(dict(kind.schema))

    @given(_VALUES)
    def agree(value: Any) -> None:
        is_read = kind.read(value) is not None
        if name == "OBJECT_OR_JSON" and isinstance(value, str):
            return  # no schema can say what stands in a text
        assert schema.is_valid(value) is is_read, value

    agree()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((kind, 6) for kind in (reading.SECONDS, reading.SECONDS_NUMERAL, reading.SECONDS_EITHER)),
        *((kind, True) for kind in (reading.BOOLEAN, reading.BOOLEAN_EITHER)),
        *((kind, "768P") for kind in (reading.SIZE, reading.resolution("768P"))),
    ],
)
def test_every_way_to_write_a_value_is_read_as_that_value(kind: Kind[Any], value: Any) -> None:
    words = kind.spellings(value)
    assert words
    assert [kind.read(word) for word in words] == [value] * len(words)


@cache
def validator(name: str) -> Any:
    return jsonschema_rs.validator_for(SCHEMAS[name])


@pytest.mark.parametrize("name", DIALECTS)
def test_a_schema_takes_exactly_what_the_catalog_sells(name: str) -> None:
    """Every model, in every mode, resolution and duration, with and without a prompt, in the first spelling of each."""
    dialect, schema, taken = DIALECTS[name], validator(f"{name.title()}Create"), 0
    for body in orders(name):
        request = dialect.parse(body)
        model = CATALOG.find(request.model)
        assert model is not None
        offer, problems = judge(request, model, prompt_required=dialect.prompt_required(model.name))
        is_taken = offer is not None and not problems and not request.problems
        assert schema.is_valid(body) is is_taken, (body, problems, request.problems)
        taken += is_taken
    assert taken > 50


def orders(name: str) -> Iterator[dict[str, Any]]:
    fields = DIALECTS[name].FIELDS.wanted
    images = [name for name in ("first_frame_image", "last_frame_image", "subject_reference") if fields[name]]
    pictures = {"first_frame_image": FIRST, "last_frame_image": LAST, "subject_reference": SUBJECT}
    models = [word for model in CATALOG.models for word in (model.name, *model.aliases)]
    for model, said, resolution, duration, prompt in product(
        models,
        product((True, False), repeat=len(images)),
        (None, "512P", "720P", "768P", "1080P", "2000P"),
        (None, 5, 6, 10),
        (None, " \x1d\x85\u2003", "a ship at dawn"),
    ):
        values: dict[str, Any] = {"model": model, "prompt": prompt, "resolution": resolution, "duration_s": duration}
        given_images = {image: pictures[image] for image, is_said in zip(images, said, strict=True) if is_said}
        body: dict[str, Any] = {}
        if all(put(body, fields[name][0], value) for name, value in (values | given_images).items()):
            yield body


def put(body: dict[str, Any], spelling: Field | Item, value: Any) -> bool:
    """Say a thing; False where that cannot be said, because what stands before it in a list is missing."""
    if value is None:
        return True
    if isinstance(spelling, Item):
        items = body.setdefault(spelling.items.path, [])
        items.append(value)
        return len(items) == spelling.place + 1
    *outer, last = spelling.path.split(".")
    for step in outer:
        body = body.setdefault(step, {})
    body[last] = next(iter(spelling.kind.spellings(value)), value)
    return True


@pytest.mark.parametrize("name", DIALECTS)
def test_a_schema_knows_every_spelling_and_no_other(name: str) -> None:
    schema = validator(f"{name.title()}Create")
    good = {"model": "MiniMax-Hailuo-02", "prompt": "a ship at dawn"}
    words = {"first_frame_image": FIRST, "resolution": "768P", "duration_s": 6} | dict.fromkeys(
        ("prompt_optimizer", "fast_pretreatment", "aigc_watermark"), True
    )
    for wanted, value in words.items():
        for spelling in DIALECTS[name].FIELDS.wanted[wanted]:
            if isinstance(spelling, Field):
                body: dict[str, Any] = {**good}
                put(body, spelling, value)
                assert schema.is_valid(body), body
                assert DIALECTS[name].parse(body).problems == ()
    for unknown in ("seed", "n", "Model", ""):
        assert not schema.is_valid({**good, unknown: 1})
        assert DIALECTS[name].parse({**good, unknown: 1}).problems


@pytest.mark.parametrize(
    ("form", "is_taken"),
    [
        ({"resolution": "768P", "seconds": "6"}, True),
        ({"size": "1366x768", "duration": "6"}, True),
        ({"first_frame_image": FIRST, "last_frame_image": LAST, "prompt_optimizer": "false"}, True),
        ({"image": FIRST, "aigc_watermark": "true"}, True),
        ({"images[]": [FIRST, LAST]}, True),
        ({"resolution": "2000P"}, False),
        ({"prompt_optimizer": "no"}, False),
        ({"quality": "768p"}, False),
        ({"metadata[resolution]": "768P"}, False),
    ],
    ids=str,
)
def test_a_form_of_new_api_has_at_the_top_what_json_has_in_metadata(form: dict[str, Any], is_taken: bool) -> None:
    body = {"model": "MiniMax-Hailuo-02", "prompt": "a ship at dawn", **form}
    assert validator("NewapiCreateForm").is_valid(body) is is_taken
