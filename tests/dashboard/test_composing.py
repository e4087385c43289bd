"""The playground's bodies: each dialect's own reader understands them as what was meant."""

import json
import shlex
from collections.abc import Iterator

import pytest

from gateway.catalog import Catalog
from gateway.dialects import DIALECTS
from gateway.errors import InvalidRequest
from gateway.structs import replace
from gateway.video import Mode, Offer, VideoRequest
from gateway.web.dashboard import composing

LINK = "https://example.com/frame.png"
IMAGES = {
    Mode.TEXT: {},
    Mode.IMAGE: {"first_frame_image": LINK},
    Mode.FIRST_LAST: {"first_frame_image": LINK, "last_frame_image": f"{LINK}?last"},
    Mode.SUBJECT: {"subject_reference": LINK},
}


def wishes() -> Iterator[VideoRequest]:
    """Every line of the price list, plain and with every option turned from its default."""
    for model in Catalog.shipped().models:
        for offer in model.offers:
            plain = wish(offer)
            yield plain
            yield replace(plain, **{name: name != "prompt_optimizer" for name in model.options})


def wish(offer: Offer) -> VideoRequest:
    return VideoRequest(
        model=offer.model,
        prompt='it\'s a "cat"\n[Zoom in]',
        resolution=offer.resolution,
        duration_s=offer.duration_s,
        **IMAGES[offer.mode],
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whatever_is_on_sale_can_be_said_and_is_understood_or_is_refused_by_the_name_of_what_is_lacking(
    dialect: str,
) -> None:
    said = 0
    for meant in wishes():
        lacking = {
            name
            for name in DIALECTS[dialect].LACKS
            if name in meant.options() or (name == "subject_reference" and meant.subject_reference is not None)
        }
        if lacking:
            with pytest.raises(InvalidRequest) as refused:
                composing.compose(meant, dialect)
            assert {problem.param for problem in refused.value.problems} == lacking
            continue
        understood = DIALECTS[dialect].parse(composing.compose(meant, dialect))
        assert understood.problems == ()
        assert understood.canonical() == meant.canonical()
        said += 1
    assert said > 10


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_finding_is_told_beside_the_field_of_the_form_that_it_is_about(dialect: str) -> None:
    understood = DIALECTS[dialect].parse({})
    lacking = DIALECTS[dialect].LACKS | {"callback_url"}
    for name, spelling in understood.params.items():
        if name not in lacking:
            assert composing.field_of(dialect, spelling) in (name, "first_frame_image", "resolution")
    assert composing.field_of(dialect, understood.params["resolution"]) == "resolution"
    assert composing.field_of(dialect, understood.params["duration_s"]) == "duration_s"
    assert composing.field_of(dialect, "x-reelgate-max-price") == "x-reelgate-max-price"


def test_a_list_with_a_gap_cannot_be_said() -> None:
    lonely = VideoRequest(model="MiniMax-Hailuo-02", last_frame_image=LINK)
    with pytest.raises(InvalidRequest, match="without a first frame") as refused:
        composing.compose(lonely, "evolink")
    assert refused.value.param == "last_frame_image"
    assert composing.compose(lonely, "toapis")["metadata"] == {"last_frame_image": LINK}


def test_the_curl_line_is_what_a_shell_takes_for_the_very_body() -> None:
    body = composing.compose(wish(Offer("MiniMax-Hailuo-2.3", Mode.TEXT, "768P", 6, None)), "openai")
    words = shlex.split(composing.curl("http://127.0.0.1:8080", "openai", body))
    assert words[:2] == ["curl", "http://127.0.0.1:8080/openai/v1/videos"]
    assert json.loads(words[words.index("-d") + 1]) == body
    assert body["seconds"] == "6"


def test_an_inline_image_is_shown_by_its_beginning() -> None:
    image = "data:image/png;base64," + "A" * 5_000_000
    line = composing.curl("http://h", "minimax", {"model": "m", "subject_reference": [{"image": [image]}]})
    assert len(line) < 500
    assert "AAAA…" in line
