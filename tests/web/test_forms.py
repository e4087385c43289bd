"""Creates that come as multipart forms, as new-api takes them (FACTS 3.2); OpenAI's are driven by its own SDK."""

import asyncio
from pathlib import Path
from typing import Any

from tests.images.files import encode
from tests.world import ALICE, bearer, error_of, problems_of, world

PATH = "/v1/video/generations"
MODEL = "MiniMax-Hailuo-2.3"


def as_form(fields: dict[str, Any], **files: bytes) -> dict[str, Any]:
    """What httpx sends as multipart, also where there is no file."""
    return {
        "files": [(name, (None, text)) for name, text in fields.items()]
        + [(name, ("frame.jpg", data, "image/jpeg")) for name, data in files.items()]
    }


def test_a_form_orders_what_the_same_json_orders(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            headers = {**bearer(ALICE), "idempotency-key": "one"}
            form = {"model": MODEL, "prompt": "a ship", "seconds": "6", "resolution": "1080P"}
            body = {"model": MODEL, "prompt": "a ship", "duration": 6, "metadata": {"resolution": "1080P"}}
            ordered = await it.http.post(PATH, headers=headers, **as_form(form))
            assert ordered.status_code == 200, ordered.text
            again = await it.http.post(PATH, headers=headers, json=body)
            assert again.headers["idempotent-replayed"] == "true"
            assert again.json()["task_id"] == ordered.json()["task_id"]
            assert len(it.videos()) == 1

    asyncio.run(scenario())


def test_a_file_in_a_form_is_the_first_frame(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            headers = {**bearer(ALICE), "x-reelgate-dry-run": "true"}
            for name in ("image", "input_reference", "first_frame_image", "images[]"):
                form = as_form({"model": MODEL, "prompt": "a ship"}, **{name: encode("RGB", (640, 480), "PNG")})
                quoted = await it.http.post(PATH, headers=headers, **form)
                assert quoted.status_code == 200, quoted.text
                assert quoted.json()["mode"] == "i2v"

    asyncio.run(scenario())


def test_a_form_is_refused_by_its_own_field_and_with_a_way_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            fields = [("model", MODEL), ("prompt", "a ship"), ("images", "https://a.example/1.png")]
            for parts, way_out in ((fields, "images[]"), ([*fields, fields[-1]], "name[]")):
                files = [(name, (None, text)) for name, text in parts]
                refused = await it.http.post(PATH, headers=bearer(ALICE), files=files)
                assert refused.status_code == 400
                assert problems_of("newapi", refused) == ["images"]
                assert way_out in error_of("newapi", refused)["message"]
            assert it.requests() == []

    asyncio.run(scenario())
