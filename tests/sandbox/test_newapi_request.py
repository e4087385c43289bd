"""The rules of a create, as new-api's Hailuo channel has them (FACTS 3.2)."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., Any]
FAST, HAILUO_02 = "MiniMax-Hailuo-2.3-Fast", "MiniMax-Hailuo-02"
IMAGE = "https://example.com/first.jpg"
INLINE = "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xff\xe0picture").decode()
SUBJECT = [{"type": "character", "image": [IMAGE]}]

GOOD = [
    {},
    {"metadata": {}},
    {"duration": 10},
    {"duration": "10"},
    {"metadata": {"resolution": "1080P"}},
    {"metadata": {"first_frame_image": IMAGE}},
    {"metadata": {"first_frame_image": INLINE}},
    {"duration": 5, "metadata": {"duration": 10}},  # the inner one is laid over the outer one
    {"metadata": {"prompt_optimizer": False, "fast_pretreatment": True, "aigc_watermark": True}},
    {"metadata": {"callback_url": "http://example.com/hook"}},
    {"model": FAST, "metadata": {"first_frame_image": IMAGE, "resolution": "1080P"}},
    {"model": HAILUO_02, "metadata": {"first_frame_image": IMAGE, "resolution": "512P"}, "duration": 10},
    {"model": HAILUO_02, "metadata": {"first_frame_image": IMAGE, "last_frame_image": INLINE}},
    {"model": "T2V-01-Director"},
    {"model": "I2V-01-live", "metadata": {"first_frame_image": IMAGE, "resolution": "720P"}, "duration": 6},
    {"model": "S2V-01", "metadata": {"subject_reference": SUBJECT}},
]

# (what is said, the field named at the front of the message, a word of it)
BAD = [
    ({"model": "minimax-hailuo-2.3"}, "model:", "T2V-01"),
    ({"model": 3}, "model:", "string"),
    ({"prompt": None}, "prompt:", "required"),
    ({"prompt": " \n", "metadata": {"first_frame_image": IMAGE}}, "prompt:", "image-to-video"),  # in every mode
    ({"model": "S2V-01", "prompt": "", "metadata": {"subject_reference": SUBJECT}}, "prompt:", "required"),
    ({"prompt": "x" * 2001}, "prompt:", "2001"),
    ({"model": FAST}, "metadata.first_frame_image:", "required"),
    ({"model": "S2V-01"}, "metadata.subject_reference:", "required"),
    ({"metadata": {"last_frame_image": IMAGE}}, "metadata.last_frame_image:", "not taken"),
    ({"model": "T2V-01", "metadata": {"first_frame_image": IMAGE}}, "metadata.first_frame_image:", "not taken"),
    ({"metadata": {"subject_reference": SUBJECT}}, "metadata.subject_reference:", "not taken"),
    ({"metadata": {"first_frame_image": "data:image/png;base64,!!!"}}, "metadata.first_frame_image:", "not base64"),
    ({"metadata": {"first_frame_image": "data:image/png;base64,AA A"}}, "metadata.first_frame_image:", "not base64"),
    ({"metadata": {"first_frame_image": "data:text/plain;base64,AAAA"}}, "metadata.first_frame_image:", "PNG"),
    ({"metadata": {"resolution": "768p"}}, "metadata.resolution:", "768P"),
    ({"metadata": {"resolution": "720P"}}, "metadata.resolution:", "768P"),
    ({"model": "T2V-01", "metadata": {"resolution": "768P"}}, "metadata.resolution:", "1080P, 720P"),
    ({"duration": 10, "metadata": {"resolution": "1080P"}}, "duration:", "1080P"),
    ({"duration": 5}, "duration:", "6, 10"),
    ({"duration": "six"}, "duration:", "integer"),
    ({"duration": "9" * 5000}, "duration:", "integer"),
    ({"metadata": {"duration": 5}}, "metadata.duration:", "6, 10"),
    ({"metadata": {"duration": "6"}}, "metadata.duration:", "integer"),
    ({"metadata": "{}"}, "metadata:", "object"),
    ({"metadata": {"prompt_optimizer": "true"}}, "metadata.prompt_optimizer:", "boolean"),
    ({"model": "T2V-01", "metadata": {"fast_pretreatment": True}}, "metadata.fast_pretreatment:", "not taken"),
    ({"metadata": {"prompt": "another"}}, "metadata.prompt:", "not a field"),
    ({"metadata": {"callback_url": "hook"}}, "metadata.callback_url:", "URL"),
    ({"image": IMAGE}, "image:", "metadata"),  # dropped in silence, it would make another video
    ({"size": "1920x1080"}, "size:", "not a field"),
    ({"image_urls": [IMAGE]}, "image_urls:", "not a field"),
]


@pytest.mark.parametrize("said", GOOD, ids=lambda value: str(value)[:60])
def test_a_documented_request_is_accepted(create_newapi: Create, said: dict[str, Any]) -> None:
    answer = create_newapi(**said)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("said", "param", "word"), BAD, ids=lambda value: str(value)[:60])
def test_a_request_against_a_rule_is_refused_by_the_name_of_its_field(
    client: Any, create_newapi: Create, said: dict[str, Any], param: str, word: str
) -> None:
    answer = create_newapi(**said)
    assert answer.status_code == 400
    content = answer.json()
    assert (content["code"], content["data"], set(content)) == ("invalid_request", None, {"code", "message", "data"})
    assert content["message"].startswith(param)
    assert word in content["message"]
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize("model", [None, ""])
def test_a_missing_model_has_a_code_of_its_own(create_newapi: Create, model: str | None) -> None:
    answer = create_newapi(model=model)
    assert answer.status_code == 400
    assert answer.json() == {"code": "missing_model", "message": "model is required", "data": None}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"duration": NaN}'], ids=repr)
def test_a_body_that_is_no_json_object_is_refused(client: Any, body: bytes) -> None:
    answer = client.post("/newapi/v1/video/generations", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")
