"""Canonical request and offer in, the exact call out, for every provider (FACTS 1.2, 2.1, 3.2, 4.2)."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.catalog import Catalog, judge
from gateway.providers import PROVIDERS
from gateway.video import Mode, Offer, VideoRequest
from tests.providers.fakes import DATA, FIRST, LAST, SITE, SUBJECT, ask, offer

URLS = {
    "evolink": "https://up.example/v1/videos/generations",
    "toapis": "https://up.example/v1/videos/generations",
    "newapi": "https://up.example/v1/video/generations",
    "minimax": "https://up.example/v1/video_generation",
}
H23, FAST, H02 = "MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast", "MiniMax-Hailuo-02"
UNSAID = frozenset({"resolution", "duration"})
PERSON = [{"type": "character", "image": [SUBJECT]}]
OPTIONS: dict[str, Any] = {"prompt_optimizer": False, "fast_pretreatment": True}


@dataclass(frozen=True)
class Case:
    """One request, and what each provider that can say it is sent."""

    what: str
    request: VideoRequest
    offer: Offer
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.what


CASES = [
    Case(
        "text alone",
        ask(),
        offer(),
        {
            "evolink": {"model": H23, "prompt": "a ship", "quality": "768p", "duration": 6},
            "toapis": {"model": H23, "prompt": "a ship", "resolution": "768P", "duration": 6},
            "newapi": {"model": H23, "prompt": "a ship", "duration": 6, "metadata": {"resolution": "768P"}},
            "minimax": {"model": H23, "prompt": "a ship", "resolution": "768P", "duration": 6},
        },
    ),
    Case(
        "an alias is sent as the offer's own name",
        ask("hailuo-2.3"),
        offer(resolution="1080P"),
        {
            "evolink": {"model": H23, "prompt": "a ship", "quality": "1080p", "duration": 6},
            "minimax": {"model": H23, "prompt": "a ship", "resolution": "1080P", "duration": 6},
        },
    ),
    Case(
        "a first frame without a prompt",
        ask(H02, None, first_frame_image=FIRST),
        offer(H02, "512P", 10, mode=Mode.IMAGE),
        {
            "evolink": {"model": H02, "image_urls": [FIRST], "quality": "512p", "duration": 10},
            "toapis": {"model": H02, "image_urls": [FIRST], "resolution": "512P", "duration": 10},
            "minimax": {"model": H02, "first_frame_image": FIRST, "resolution": "512P", "duration": 10},
        },
    ),
    Case(
        "first and last frame",
        ask(H02, first_frame_image=FIRST, last_frame_image=LAST),
        offer(H02, mode=Mode.FIRST_LAST),
        {
            "evolink": {
                "model": H02, "prompt": "a ship", "image_urls": [FIRST, LAST], "quality": "768p", "duration": 6,
            },
            "toapis": {
                "model": H02, "prompt": "a ship", "image_urls": [FIRST], "resolution": "768P", "duration": 6,
                "metadata": {"last_frame_image": LAST},
            },
            "newapi": {
                "model": H02, "prompt": "a ship", "duration": 6,
                "metadata": {"first_frame_image": FIRST, "last_frame_image": LAST, "resolution": "768P"},
            },
            "minimax": {
                "model": H02, "prompt": "a ship", "first_frame_image": FIRST, "last_frame_image": LAST,
                "resolution": "768P", "duration": 6,
            },
        },
    ),
    Case(
        "a last frame alone",
        ask(H02, last_frame_image=LAST),
        offer(H02, mode=Mode.FIRST_LAST),
        {
            "newapi": {
                "model": H02, "prompt": "a ship", "duration": 6,
                "metadata": {"last_frame_image": LAST, "resolution": "768P"},
            },
            "minimax": {
                "model": H02, "prompt": "a ship", "last_frame_image": LAST, "resolution": "768P", "duration": 6,
            },
        },
    ),
    Case(
        "options that differ from their defaults",
        ask(FAST, first_frame_image=FIRST, aigc_watermark=True, **OPTIONS),
        offer(FAST, mode=Mode.IMAGE),
        {
            "toapis": {
                "model": FAST, "prompt": "a ship", "image_urls": [FIRST], "resolution": "768P", "duration": 6,
                "metadata": {**OPTIONS, "aigc_watermark": True},
            },
            "newapi": {
                "model": FAST, "prompt": "a ship", "duration": 6,
                "metadata": {"first_frame_image": FIRST, "resolution": "768P", **OPTIONS, "aigc_watermark": True},
            },
            "minimax": {
                "model": FAST, "prompt": "a ship", "first_frame_image": FIRST, "resolution": "768P", "duration": 6,
                **OPTIONS, "aigc_watermark": True,
            },
        },
    ),
    *(
        Case(
            f"evolink takes fast_pretreatment for {model}",
            ask(model, first_frame_image=FIRST, **OPTIONS),
            offer(model, mode=Mode.IMAGE),
            {
                "evolink": {
                    "model": model, "prompt": "a ship", "image_urls": [FIRST], "quality": "768p", "duration": 6,
                    "model_params": OPTIONS,
                },
            },
        )
        for model in (H23, FAST, H02)
    ),
    Case(
        "a data URL",
        ask(first_frame_image=DATA),
        offer(mode=Mode.IMAGE),
        {
            # As a dry run shows it: nothing has been uploaded.
            "evolink": {
                "model": H23, "prompt": "a ship", "image_urls": ["(upload of first_frame_image)"],
                "quality": "768p", "duration": 6,
            },
            "newapi": {
                "model": H23, "prompt": "a ship", "duration": 6,
                "metadata": {"first_frame_image": DATA, "resolution": "768P"},
            },
            "minimax": {
                "model": H23, "prompt": "a ship", "first_frame_image": DATA, "resolution": "768P", "duration": 6,
            },
        },
    ),
    Case(
        "the 01 series, whose only values go unsaid",
        ask("I2V-01", first_frame_image=FIRST),
        offer("I2V-01", "720P", 6, mode=Mode.IMAGE, unsaid=UNSAID),
        {
            "newapi": {"model": "I2V-01", "prompt": "a ship", "metadata": {"first_frame_image": FIRST}},
            "minimax": {"model": "I2V-01", "prompt": "a ship", "first_frame_image": FIRST},
        },
    ),
    Case(
        "the 01 series from text alone",
        ask("T2V-01"),
        offer("T2V-01", "720P", 6, unsaid=UNSAID),
        {
            "newapi": {"model": "T2V-01", "prompt": "a ship"},
            "minimax": {"model": "T2V-01", "prompt": "a ship"},
        },
    ),
    Case(
        "the 01 series at 1080P, said in so many words",
        ask("T2V-01"),
        offer("T2V-01", "1080P", 6),
        {
            "newapi": {"model": "T2V-01", "prompt": "a ship", "duration": 6, "metadata": {"resolution": "1080P"}},
            "minimax": {"model": "T2V-01", "prompt": "a ship", "duration": 6, "resolution": "1080P"},
        },
    ),
    Case(
        "a subject, for a model without resolution and duration",
        ask("S2V-01", subject_reference=SUBJECT),
        offer("S2V-01", None, None, mode=Mode.SUBJECT),
        {
            "newapi": {"model": "S2V-01", "prompt": "a ship", "metadata": {"subject_reference": PERSON}},
            "minimax": {"model": "S2V-01", "prompt": "a ship", "subject_reference": PERSON},
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "provider"),
    [(case, provider) for case in CASES for provider in case.bodies],
    ids=lambda value: str(value).replace(" ", "-"),
)
def test_a_request_becomes_exactly_this_call(case: Case, provider: str) -> None:
    call = PROVIDERS[provider].submission(case.request, case.offer, SITE)
    assert call.body is not None
    assert (call.operation, call.method, call.url) == ("submit", "POST", URLS[provider])
    assert json.loads(call.body) == case.bodies[provider]
    assert PROVIDERS[provider].unsayable(case.request) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_callback_address_is_never_sent_upstream(provider: str) -> None:
    """What an upstream would push is not what the caller's dialect promises (FACTS 7.2)."""
    call = PROVIDERS[provider].submission(ask(callback_url="https://caller.example/hook"), offer(), SITE)
    assert call.body is not None
    assert b"caller.example" not in call.body


UNSAYABLE = [
    ("evolink", ask(aigc_watermark=True), ["aigc_watermark"]),
    ("evolink", ask("S2V-01", subject_reference=SUBJECT), ["subject_reference"]),
    ("evolink", ask(H02, last_frame_image=LAST), ["first_frame_image"]),
    ("evolink", ask(first_frame_image=DATA), []),
    ("evolink", ask(H02, first_frame_image=DATA, last_frame_image="DATA:image/png;base64,aa"), []),
    ("evolink", ask(prompt=None, first_frame_image=FIRST), []),
    ("toapis", ask(aigc_watermark=True), []),
    ("toapis", ask("S2V-01", subject_reference=SUBJECT), ["subject_reference"]),
    ("toapis", ask(H02, last_frame_image=LAST), ["first_frame_image"]),
    ("toapis", ask(first_frame_image=DATA), ["first_frame_image"]),
    ("toapis", ask(H02, first_frame_image=FIRST, last_frame_image="DATA:image/png;base64,aa"), ["last_frame_image"]),
    ("toapis", ask(prompt=None, first_frame_image=FIRST), ["prompt"]),
    ("toapis", ask("hailuo-2.3-FAST", " ", first_frame_image=FIRST), ["prompt"]),
    ("toapis", ask(H02, None, first_frame_image=FIRST), []),
    ("newapi", ask(prompt=None, first_frame_image=FIRST), ["prompt"]),
    ("newapi", ask(H02, " \n", first_frame_image=FIRST), ["prompt"]),
    ("newapi", ask(first_frame_image=DATA, aigc_watermark=True), []),
    ("minimax", ask(H02, None, last_frame_image=DATA, aigc_watermark=True, **OPTIONS), []),
    ("minimax", ask("S2V-01", None, subject_reference=DATA), []),
]


@pytest.mark.parametrize(("provider", "request_", "names"), UNSAYABLE)
def test_what_a_protocol_cannot_say_is_named_by_its_canonical_field(
    provider: str, request_: VideoRequest, names: list[str]
) -> None:
    assert [problem.param for problem in PROVIDERS[provider].unsayable(request_)] == names


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_offer_of_the_catalog_is_written_with_its_own_resolution_and_duration(provider: str) -> None:
    images = {
        Mode.TEXT: {},
        Mode.IMAGE: {"first_frame_image": FIRST},
        Mode.FIRST_LAST: {"first_frame_image": FIRST, "last_frame_image": LAST},
        Mode.SUBJECT: {"subject_reference": SUBJECT},
    }
    written = set()
    for model in Catalog.shipped().models:
        for sold in model.offers if provider in model.sold_by else ():
            request = ask(
                model.name, "a ship", resolution=sold.resolution, duration_s=sold.duration_s, **images[sold.mode]
            )
            assert judge(request, model, prompt_required=True) == (sold, [])
            assert PROVIDERS[provider].unsayable(request) == []
            body = PROVIDERS[provider].submission(request, sold, SITE).body
            assert body is not None
            assert (sold.resolution or "-").lower().encode() in body.lower() or sold.unsaid or not sold.resolution
            assert (b'"duration":%d' % (sold.duration_s or 0) in body) == (
                sold.duration_s is not None and "duration" not in sold.unsaid
            )
            written.add(body)
    assert len(written) == sum(len(m.offers) for m in Catalog.shipped().models if provider in m.sold_by)
