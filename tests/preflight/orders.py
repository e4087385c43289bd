"""How each dialect names the images and the callback of an order, and how it says that one of them is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.world import ALICE, World, bearer

PATHS = {
    "evolink": "/evolink/v1/videos/generations",
    "toapis": "/toapis/v1/videos/generations",
    "newapi": "/newapi/v1/video/generations",
    "openai": "/openai/v1/videos",
    "minimax": "/minimax/v1/video_generation",
}
TWO_THREE, ZERO_TWO = "MiniMax-Hailuo-2.3", "MiniMax-Hailuo-02"
# Everybody sells; the last two can say all there is.
SELLERS = """
upstreams:
  - {name: minimax, provider: minimax, base_url: "${UPSTREAM}/minimax", keys: [{value: sk-up}]}
  - {name: evolink, provider: evolink, base_url: "${UPSTREAM}/evolink", keys: [{value: sk-up}], priority: 1}
"""


@dataclass(frozen=True)
class Place:
    """A field that takes an address. In `body`, `$` stands for it and `%` for a first frame that is as it should be."""

    dialect: str
    field: str
    model: str
    body: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.dialect} {self.field}"

    def order(self, address: str, good: str = "", **more: Any) -> dict[str, Any]:
        body: dict[str, Any] = _filled(self.body, {"$": address, "%": good})
        return {"model": self.model, "prompt": "a ship at dawn", **body, **more}


IMAGE_PLACES = (
    Place("evolink", "image_urls[0]", TWO_THREE, {"image_urls": ["$"]}),
    Place("evolink", "image_urls[1]", ZERO_TWO, {"image_urls": ["%", "$"]}),
    Place("toapis", "image_urls[0]", TWO_THREE, {"image_urls": ["$"]}),
    Place(
        "toapis", "metadata.last_frame_image", ZERO_TWO, {"image_urls": ["%"], "metadata": {"last_frame_image": "$"}}
    ),
    Place("newapi", "metadata.first_frame_image", TWO_THREE, {"metadata": {"first_frame_image": "$"}}),
    Place(
        "newapi",
        "metadata.last_frame_image",
        ZERO_TWO,
        {"metadata": {"first_frame_image": "%", "last_frame_image": "$"}},
    ),
    Place("openai", "input_reference.image_url", TWO_THREE, {"input_reference": {"image_url": "$"}}),
    Place(
        "openai",
        "metadata.last_frame_image",
        ZERO_TWO,
        {"input_reference": {"image_url": "%"}, "metadata": {"last_frame_image": "$"}},
    ),
    Place("minimax", "first_frame_image", TWO_THREE, {"first_frame_image": "$"}),
    Place("minimax", "last_frame_image", ZERO_TWO, {"first_frame_image": "%", "last_frame_image": "$"}),
    Place("minimax", "subject_reference", "S2V-01", {"subject_reference": [{"type": "character", "image": ["$"]}]}),
)
CALLBACK_PLACES = (
    Place("evolink", "callback_url", TWO_THREE, {"callback_url": "$"}),
    Place("toapis", "metadata.callback_url", TWO_THREE, {"metadata": {"callback_url": "$"}}),
    Place("newapi", "metadata.callback_url", TWO_THREE, {"metadata": {"callback_url": "$"}}),
    Place("minimax", "callback_url", TWO_THREE, {"callback_url": "$"}),
)


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _filled(item, words) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    return words.get(value, value)


async def create(
    it: World, dialect: str, body: Mapping[str, Any], *, key: str = ALICE, **headers: str
) -> httpx.Response:
    sent = {**bearer(key), "content-type": "application/json", **headers}
    return await it.http.post(PATHS[dialect], content=json.dumps(body), headers=sent)


async def try_out(it: World, dialect: str, body: Mapping[str, Any], *, key: str = ALICE) -> httpx.Response:
    """The dry run of the same."""
    return await create(it, dialect, body, key=key, **{"x-reelgate-dry-run": "true"})


def is_refused(dialect: str, answer: httpx.Response) -> bool:
    """As a bad request, in the dialect's own way."""
    if dialect == "minimax":
        return answer.status_code == 200 and answer.json()["base_resp"]["status_code"] == 2013
    return answer.status_code == 400 and "x-reelgate-task-id" not in answer.headers


def problems(dialect: str, answer: httpx.Response) -> list[dict[str, Any]]:
    """What a refusal complains about."""
    assert is_refused(dialect, answer), answer.text
    body = answer.json()
    found: list[dict[str, Any]] = (body if dialect in ("newapi", "minimax") else body["error"])["problems"]
    return found


def assert_untouched(it: World) -> None:
    """Nothing was sent upstream."""
    assert it.requests() == []
    assert it.videos() == []
