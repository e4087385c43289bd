"""EvoLink's file host (FACTS 1.6)."""

import base64
from typing import Any

import pytest

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
UPLOAD = "/evolink/api/v1/files/upload/base64"


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPrest", "image/webp"),
        (b"GIF89arest", "image/gif"),
    ],
)
def test_an_upload_is_described_and_can_be_fetched(client: Any, data: bytes, mime_type: str) -> None:
    text = "data:image/jpeg;base64," + base64.b64encode(data).decode()
    body = {"base64_data": text, "upload_path": "frames", "file_name": "my first frame.png"}
    answer = client.post(UPLOAD, json=body).json()
    assert (answer["success"], answer["code"]) == (True, 200)
    described = answer["data"]
    assert described["mime_type"] == mime_type
    assert described["original_name"] == "my first frame.png"
    assert (described["file_size"], described["upload_path"]) == (len(data), "frames")
    assert (described["upload_time"], described["expires_at"]) == (
        "2025-09-06T14:42:23+00:00",
        "2025-09-09T14:42:23+00:00",
    )
    fetched = client.get(described["file_url"], headers={"authorization": ""})
    assert (fetched.content, fetched.headers["content-type"]) == (data, mime_type)
    assert client.get(described["download_url"]).content == data


def test_an_upload_is_gone_after_three_days(client: Any, clock: Any) -> None:
    url = client.post(UPLOAD, json={"base64_data": base64.b64encode(PNG).decode()}).json()["data"]["file_url"]
    clock.walk(72 * 3600 - 1)
    assert client.get(url).status_code == 200
    clock.walk(1)
    assert client.get(url).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"base64_data": 5},
        {"base64_data": "not base64!"},
        {"base64_data": base64.b64encode(b"plain words").decode()},
        {"base64_data": base64.b64encode(PNG).decode(), "file_name": 5},
        {"base64_data": base64.b64encode(PNG).decode(), "other": 5},
    ],
    ids=str,
)
def test_a_bad_upload_is_refused(client: Any, body: dict[str, Any]) -> None:
    answer = client.post(UPLOAD, json=body)
    assert answer.status_code == 400
    assert (answer.json()["success"], answer.json()["data"]) == (False, None)


def test_the_oldest_uploads_make_room(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sandbox.uploads._KEPT_BYTES_MAX", 250)
    body = {"base64_data": base64.b64encode(PNG).decode()}
    urls = [client.post(UPLOAD, json=body).json()["data"]["file_url"] for _ in range(3)]
    assert [client.get(url).status_code for url in urls] == [404, 200, 200]
