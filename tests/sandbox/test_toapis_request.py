"""The rules of a create, as ToAPIs' newest page gives them (FACTS 2.1)."""

from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., Any]
FAST, HAILUO_02 = "MiniMax-Hailuo-2.3-Fast", "MiniMax-Hailuo-02"
IMAGE = "https://example.com/first.jpg"
LAST = "http://example.com/last.png"

GOOD = [
    {},
    {"resolution": "768P", "duration": 6},
    {"duration": 10},
    {"resolution": "1080P"},
    {"image_urls": []},
    {"image_urls": [IMAGE]},
    {"prompt": "x" * 2000},
    {"metadata": {}},
    {"metadata": {"prompt_optimizer": False, "fast_pretreatment": True, "aigc_watermark": True}},
    {"metadata": {"callback_url": "https://example.com/hook"}},
    {"model": FAST, "image_urls": [IMAGE], "duration": 10},
    {"model": HAILUO_02, "image_urls": [IMAGE], "prompt": None, "resolution": "512P", "duration": 10},
    {"model": HAILUO_02, "image_urls": [IMAGE], "metadata": {"last_frame_image": LAST}, "prompt": None},
]

# (what is said, the field named in the refusal, a word of the message)
BAD = [
    ({"model": None}, "model", "MiniMax-Hailuo-02"),
    ({"model": "T2V-01"}, "model", "not a model"),  # not sold here
    ({"prompt": None}, "prompt", "required"),
    ({"prompt": " ", "image_urls": [IMAGE]}, "prompt", "required"),  # with an image too
    ({"model": FAST, "image_urls": [IMAGE], "prompt": None}, "prompt", "required"),
    ({"model": HAILUO_02, "prompt": None}, "prompt", "required"),
    ({"prompt": "x" * 2001}, "prompt", "2001"),
    ({"image_urls": IMAGE}, "image_urls", "array"),
    ({"image_urls": ["data:image/png;base64,AAAA"]}, "image_urls[0]", "inline"),
    ({"image_urls": ["AAAA"]}, "image_urls[0]", "URL"),
    ({"model": FAST}, "image_urls", "required"),
    ({"model": HAILUO_02, "image_urls": [IMAGE, LAST]}, "image_urls", "2 images"),  # the last frame is elsewhere
    ({"model": HAILUO_02, "metadata": {"last_frame_image": LAST}}, "metadata.last_frame_image", "first frame"),
    (
        {"model": HAILUO_02, "image_urls": [IMAGE], "metadata": {"last_frame_image": "data:image/png;base64,AAAA"}},
        "metadata.last_frame_image",
        "inline",
    ),
    ({"image_urls": [IMAGE], "metadata": {"last_frame_image": LAST}}, "metadata.last_frame_image", "not a field"),
    ({"resolution": "768p"}, "resolution", "768P"),
    ({"resolution": "512P"}, "resolution", "1080P, 768P"),
    ({"resolution": 768}, "resolution", "string"),
    ({"model": HAILUO_02, "resolution": "512P"}, "resolution", "text-to-video"),
    (
        {
            "model": HAILUO_02,
            "resolution": "512P",
            "image_urls": [IMAGE],
            "metadata": {"last_frame_image": LAST},
        },
        "resolution",
        "first-and-last",
    ),
    ({"resolution": "1080P", "duration": 10}, "duration", "1080P"),
    ({"duration": 5}, "duration", "6, 10"),
    ({"duration": "6"}, "duration", "integer"),
    ({"metadata": []}, "metadata", "object"),
    ({"metadata": {"prompt_optimizer": "true"}}, "metadata.prompt_optimizer", "boolean"),
    ({"metadata": {"aigc_watermark": 1}}, "metadata.aigc_watermark", "boolean"),
    ({"metadata": {"watermark": True}}, "metadata.watermark", "not a field"),  # the page's middle generation
    ({"metadata": {"first_frame_image": IMAGE}}, "metadata.first_frame_image", "not a field"),
    ({"metadata": {"resolution": "768P"}}, "metadata.resolution", "not a field"),
    ({"metadata": {"callback_url": "example.com"}}, "metadata.callback_url", "URL"),
    ({"callback_url": "https://example.com/hook"}, "callback_url", "not a field"),
    ({"quality": "768p"}, "quality", "resolution"),
]


@pytest.mark.parametrize("said", GOOD, ids=str)
def test_a_documented_request_is_accepted(create_toapis: Create, said: dict[str, Any]) -> None:
    answer = create_toapis(**said)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("said", "param", "word"), BAD, ids=lambda value: str(value)[:60])
def test_a_request_against_a_rule_is_refused_by_the_name_of_its_field(
    client: Any, create_toapis: Create, said: dict[str, Any], param: str, word: str
) -> None:
    answer = create_toapis(**said)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["type"], error["param"]) == ("invalid_request", "invalid_request_error", param)
    assert word in error["message"]
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"duration": NaN}'], ids=repr)
def test_a_body_that_is_no_json_object_is_refused(client: Any, body: bytes) -> None:
    answer = client.post("/toapis/v1/videos/generations", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
