"""The rules of a create, as EvoLink's documents give them (FACTS 1.2)."""

from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., Any]
FAST, HAILUO_02 = "MiniMax-Hailuo-2.3-Fast", "MiniMax-Hailuo-02"
IMAGE = "https://example.com/first.jpg"
OTHER_IMAGE = "http://example.com/last.png"

GOOD = [
    {},
    {"quality": "768p", "duration": 6},
    {"duration": 10},
    {"quality": "1080p"},
    {"image_urls": []},
    {"image_urls": [IMAGE]},
    {"image_urls": [IMAGE], "prompt": None},
    {"prompt": "x" * 2000},
    {"model_params": {"prompt_optimizer": False, "fast_pretreatment": True}},
    {"callback_url": "https://example.com/hook"},
    {"model": FAST, "image_urls": [IMAGE], "duration": 10},
    {"model": FAST, "image_urls": [IMAGE], "quality": "1080p"},
    {"model": HAILUO_02, "image_urls": [IMAGE], "quality": "512p", "duration": 10},
    {"model": HAILUO_02, "image_urls": [IMAGE, OTHER_IMAGE], "prompt": None},
]

# (what is said, the field named in the refusal, a word of the message)
BAD = [
    ({"model": None}, "model", "MiniMax-Hailuo-02"),
    ({"model": 3}, "model", "string"),
    ({"model": "minimax-hailuo-2.3"}, "model", "not a model"),
    ({"model": "T2V-01"}, "model", "not a model"),  # not sold here
    ({"prompt": None}, "prompt", "required"),
    ({"prompt": "  "}, "prompt", "required"),
    ({"prompt": ["a"]}, "prompt", "string"),
    ({"prompt": "x" * 2001}, "prompt", "2001"),
    ({"image_urls": IMAGE}, "image_urls", "array"),
    ({"image_urls": [IMAGE, OTHER_IMAGE]}, "image_urls", "image-to-video"),
    ({"image_urls": ["data:image/png;base64,AAAA"]}, "image_urls[0]", "inline"),
    ({"image_urls": [7]}, "image_urls[0]", "URL"),
    ({"image_urls": ["https://"]}, "image_urls[0]", "URL"),
    ({"model": HAILUO_02, "image_urls": [IMAGE, "ftp://x/y"]}, "image_urls[1]", "URL"),
    ({"model": HAILUO_02, "image_urls": [IMAGE] * 3}, "image_urls", "3 images"),
    ({"model": FAST}, "image_urls", "0 images"),
    ({"model": FAST, "image_urls": [IMAGE, OTHER_IMAGE]}, "image_urls", "2 images"),
    ({"quality": "512p"}, "quality", "768p"),
    ({"quality": "720p"}, "quality", "768p"),
    ({"quality": "768P"}, "quality", "768p"),
    ({"quality": 768}, "quality", "string"),
    ({"quality": None, "duration": 5}, "duration", "6, 10"),
    ({"model": HAILUO_02, "quality": "512p"}, "quality", "text-to-video"),
    ({"model": HAILUO_02, "quality": "512p", "image_urls": [IMAGE, OTHER_IMAGE]}, "quality", "first-and-last"),
    ({"quality": "1080p", "duration": 10}, "duration", "1080p"),
    ({"duration": "6"}, "duration", "integer"),
    ({"duration": 6.0}, "duration", "integer"),
    ({"duration": True}, "duration", "integer"),
    ({"model_params": []}, "model_params", "object"),
    ({"model_params": {"prompt_optimizer": "true"}}, "model_params.prompt_optimizer", "boolean"),
    ({"model_params": {"aigc_watermark": True}}, "model_params.aigc_watermark", "prompt_optimizer"),
    ({"callback_url": "http://example.com/hook"}, "callback_url", "https"),
    ({"callback_url": "https://127.0.0.1/hook"}, "callback_url", "internal"),
    ({"callback_url": "https://localhost/hook"}, "callback_url", "internal"),
    ({"callback_url": "https://[bad/hook"}, "callback_url", "https"),
    ({"callback_url": f"https://example.com/{'x' * 2048}"}, "callback_url", "2048"),
    ({"resolution": "768P"}, "resolution", "quality"),
    ({"metadata": {}}, "metadata", "not a field"),
]


@pytest.mark.parametrize("said", GOOD, ids=str)
def test_a_documented_request_is_accepted(create: Create, said: dict[str, Any]) -> None:
    answer = create(**said)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("said", "param", "word"), BAD, ids=lambda value: str(value)[:60])
def test_a_request_against_a_rule_is_refused_by_the_name_of_its_field(
    client: Any, create: Create, said: dict[str, Any], param: str, word: str
) -> None:
    answer = create(**said)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["type"], error["param"]) == ("invalid_request", "invalid_request_error", param)
    assert word in error["message"]
    assert client.get("/_sandbox/videos").json() == []


def test_an_explicit_null_is_no_way_to_leave_a_field_out(client: Any) -> None:
    body = {"model": "MiniMax-Hailuo-2.3", "prompt": "x", "quality": None}
    answer = client.post("/evolink/v1/videos/generations", json=body)
    assert answer.json()["error"]["param"] == "quality"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"duration": NaN}', b"\xff", b"[" * 100_000], ids=repr)
def test_a_body_that_is_no_json_object_is_refused(client: Any, body: bytes) -> None:
    answer = client.post("/evolink/v1/videos/generations", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"
