"""The rules of a create at MiniMax itself (FACTS 4.2, 4.3)."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

Create = Callable[..., Any]
FAST, HAILUO_02 = "MiniMax-Hailuo-2.3-Fast", "MiniMax-Hailuo-02"
IMAGE = "https://example.com/first.jpg"
INLINE = "data:image/jpeg;base64," + base64.b64encode(b"\xff\xd8\xff\xe0picture").decode()
SUBJECT = [{"type": "character", "image": [IMAGE]}]


def subject(**said: Any) -> dict[str, Any]:
    return {"model": "S2V-01", "subject_reference": [{**SUBJECT[0], **said}]}


GOOD = [
    {},
    {"resolution": "768P", "duration": 6},
    {"duration": 10},
    {"resolution": "1080P"},
    {"first_frame_image": IMAGE},
    {"first_frame_image": INLINE, "prompt": None},
    {"first_frame_image": "DATA:image/WEBP;base64,UklGRg=="},
    {"prompt_optimizer": False, "fast_pretreatment": True, "aigc_watermark": True},
    {"callback_url": "http://example.com/hook"},
    {"model": FAST, "first_frame_image": IMAGE, "duration": 10, "prompt": None},
    {"model": HAILUO_02, "first_frame_image": IMAGE, "resolution": "512P", "duration": 10},
    {"model": HAILUO_02, "first_frame_image": IMAGE, "last_frame_image": INLINE, "prompt": None},
    {"model": HAILUO_02, "last_frame_image": IMAGE},
    {"model": "T2V-01"},
    {"model": "T2V-01-Director", "resolution": "720P", "duration": 6},
    {"model": "T2V-01-Director", "resolution": "1080P"},
    {"model": "I2V-01", "first_frame_image": IMAGE, "duration": 6},
    {"model": "I2V-01-live", "first_frame_image": INLINE, "prompt": None},
    {"model": "I2V-01-Director", "first_frame_image": IMAGE, "prompt_optimizer": True},
    {"model": "S2V-01", "subject_reference": SUBJECT},
    subject(image=[INLINE]) | {"prompt": None},
]

# (what is said, the field named at the front of the message, a word of it)
BAD = [
    ({"model": None}, "model:", "S2V-01"),
    ({"model": "video-01"}, "model:", "not a model"),
    ({"prompt": None}, "prompt:", "required"),
    ({"model": "T2V-01", "prompt": "\t"}, "prompt:", "required"),
    ({"prompt": "x" * 2001}, "prompt:", "2001"),
    ({"model": FAST}, "first_frame_image:", "required"),
    ({"model": "I2V-01"}, "first_frame_image:", "required"),
    ({"model": "S2V-01"}, "subject_reference:", "required"),
    ({"model": "T2V-01", "first_frame_image": IMAGE}, "first_frame_image:", "not taken"),
    ({"first_frame_image": IMAGE, "last_frame_image": IMAGE}, "last_frame_image:", "not taken"),
    ({"model": FAST, "last_frame_image": IMAGE}, "last_frame_image:", "not taken"),
    ({"subject_reference": SUBJECT}, "subject_reference:", "not taken"),
    ({"model": "S2V-01", "subject_reference": SUBJECT, "first_frame_image": IMAGE}, "first_frame_image:", "not taken"),
    ({"first_frame_image": [IMAGE]}, "first_frame_image:", "URL"),
    ({"first_frame_image": "AAAA"}, "first_frame_image:", "data URL"),
    ({"first_frame_image": "data:image/gif;base64,AAAA"}, "first_frame_image:", "PNG"),
    ({"first_frame_image": "data:image/png,AAAA"}, "first_frame_image:", "base64"),
    ({"first_frame_image": "data:image/png;base64,AAA"}, "first_frame_image:", "not base64"),
    ({"first_frame_image": "data:image/png;base64,AAAA\n"}, "first_frame_image:", "not base64"),
    ({"first_frame_image": "data:image/png;base64,AA-_"}, "first_frame_image:", "not base64"),
    ({"first_frame_image": "data:image/png;base64,"}, "first_frame_image:", "0 bytes"),
    ({"model": "S2V-01", "subject_reference": {}}, "subject_reference:", "array"),
    ({"model": "S2V-01", "subject_reference": []}, "subject_reference:", "exactly one"),
    ({"model": "S2V-01", "subject_reference": SUBJECT * 2}, "subject_reference:", "exactly one"),
    ({"model": "S2V-01", "subject_reference": [IMAGE]}, "subject_reference:", "object"),
    (subject(type="object"), "subject_reference[0].type:", "character"),
    (subject(type=None), "subject_reference[0].type:", "string"),
    (subject(image=IMAGE), "subject_reference[0].image:", "array"),
    (subject(image=[IMAGE, IMAGE]), "subject_reference[0].image:", "exactly one"),
    (subject(image=["x"]), "subject_reference[0].image[0]:", "URL"),
    (subject(name="Ada"), "subject_reference[0].name:", "not a field"),
    ({"resolution": "768p"}, "resolution:", "1080P, 768P"),
    ({"resolution": "720P"}, "resolution:", "768P"),
    ({"resolution": "512P"}, "resolution:", "768P"),
    ({"model": HAILUO_02, "resolution": "512P"}, "resolution:", "text-to-video"),
    ({"model": HAILUO_02, "resolution": "512P", "last_frame_image": IMAGE}, "resolution:", "first-and-last"),
    ({"resolution": "1080P", "duration": 10}, "duration:", "1080P"),
    ({"duration": 5}, "duration:", "6, 10"),
    ({"duration": 6.0}, "duration:", "integer"),
    ({"model": "T2V-01", "resolution": "768P"}, "resolution:", "1080P, 720P"),
    ({"model": "T2V-01", "duration": 10}, "duration:", "allowed: 6"),
    (subject() | {"resolution": "720P"}, "resolution:", "not offered"),
    (subject() | {"duration": 6}, "duration:", "not offered"),
    ({"prompt_optimizer": "true"}, "prompt_optimizer:", "boolean"),
    ({"model": "T2V-01", "fast_pretreatment": True}, "fast_pretreatment:", "not taken"),
    ({"callback_url": 5}, "callback_url:", "string"),
    ({"image_urls": [IMAGE]}, "image_urls:", "first_frame_image"),
    ({"quality": "768p"}, "quality:", "not a field"),
    ({"metadata": {}}, "metadata:", "not a field"),
]


@pytest.mark.parametrize("said", GOOD, ids=lambda value: str(value)[:60])
def test_a_documented_request_is_accepted(create_minimax: Create, said: dict[str, Any]) -> None:
    answer = create_minimax(**said)
    assert answer.json()["base_resp"] == {"status_code": 0, "status_msg": "success"}


@pytest.mark.parametrize(("said", "param", "word"), BAD, ids=lambda value: str(value)[:60])
def test_a_request_against_a_rule_is_refused_by_the_name_of_its_field(
    client: Any, create_minimax: Create, said: dict[str, Any], param: str, word: str
) -> None:
    answer = create_minimax(**said)
    assert (answer.status_code, set(answer.json())) == (200, {"task_id", "base_resp"})
    assert (answer.json()["task_id"], answer.json()["base_resp"]["status_code"]) == ("", 2013)
    message = answer.json()["base_resp"]["status_msg"]
    assert message.startswith(f"invalid params, {param}")
    assert word in message
    assert client.get("/_sandbox/videos").json() == []


def test_an_inline_image_is_smaller_than_twenty_megabytes(create_minimax: Create) -> None:
    def answer(size: int) -> Any:
        image = "data:image/png;base64," + base64.b64encode(bytes(size)).decode()
        return create_minimax(first_frame_image=image).json()["base_resp"]["status_code"]

    assert answer(20 * 1024 * 1024 - 1) == 0
    assert answer(20 * 1024 * 1024) == 2013


def test_an_inline_image_is_not_kept(client: Any, create_minimax: Create) -> None:
    image = "data:image/png;base64," + base64.b64encode(bytes(9000)).decode()
    create_minimax(first_frame_image=image, prompt="a ship")
    (video,) = client.get("/_sandbox/videos").json()
    assert video["request"]["prompt"] == "a ship"
    assert video["request"]["first_frame_image"] == f"{image[:100]}… ({len(image)} characters)"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"duration": NaN}'], ids=repr)
def test_a_body_that_is_no_json_object_is_refused(client: Any, body: bytes) -> None:
    answer = client.post("/minimax/v1/video_generation", content=body)
    assert (answer.status_code, answer.json()["base_resp"]["status_code"]) == (200, 2013)
