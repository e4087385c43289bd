"""What the sandbox remembers of requests, and of purchases (CONTRACT 6)."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.sandbox import create_app, journal

Create = Callable[..., Any]


def test_every_request_under_a_protocol_is_written_down(client: Any, create: Create) -> None:
    create(prompt="a ship", quality="768p")
    client.get("/evolink/v1/nothing?x=1&y=2")
    client.get("/_sandbox/videos")
    first, second = client.get("/_sandbox/requests").json()
    assert (first["method"], first["path"], first["status"]) == ("POST", "/evolink/v1/videos/generations", 200)
    assert first["json"] == {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship", "quality": "768p"}
    assert first["time"] == 1_757_169_743.0
    assert first["headers"]["content-type"] == "application/json"
    assert (second["path"], second["query"], second["status"]) == ("/evolink/v1/nothing", "x=1&y=2", 404)
    assert second["json"] is None


def test_what_is_asked_for_outside_of_every_protocol_is_written_down_too(
    client: Any, create: Create, create_minimax: Create, clock: Any
) -> None:
    task_id, other_id = create().json()["id"], create_minimax().json()["task_id"]
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
    upload = client.post("/evolink/api/v1/files/upload/base64", json={"base64_data": image}).json()["data"]["file_url"]
    film = f"/films/{task_id}.mp4"
    assert client.get(film).status_code == 404
    clock.walk(60)
    file_id = client.get(f"/minimax/v1/query/video_generation?task_id={other_id}").json()["file_id"]
    link = client.get(f"/minimax/v1/files/retrieve?file_id={file_id}").json()["file"]["download_url"]
    client.request("DELETE", "/_sandbox/requests")
    client.get(film, headers={"range": "bytes=0-9"})
    client.request("HEAD", film)
    client.request("DELETE", film)
    client.get(link)
    client.get(upload)
    client.post("/v1/videos/generations?key=1", json={"model": "a"})
    for path in ("/", "/evolink", "/evolink/", "/films/", "/links/nobody.mp4"):
        client.get(path)
    for path in ("/_sandbox/words", "/_sandbox/nothing"):  # what asks about the sandbox itself
        client.get(path)
    entries = client.get("/_sandbox/requests").json()
    assert [(entry["method"], entry["path"], entry["status"]) for entry in entries] == [
        ("GET", film, 206),
        ("HEAD", film, 200),
        ("DELETE", film, 405),
        ("GET", urlsplit(link).path, 200),
        ("GET", urlsplit(upload).path, 200),
        ("POST", "/v1/videos/generations", 404),
        ("GET", "/", 404),
        ("GET", "/evolink", 404),
        ("GET", "/evolink/", 404),
        ("GET", "/films/", 404),
        ("GET", "/links/nobody.mp4", 404),
    ]
    assert [entry["provider"] for entry in entries].count(None) == len(entries) - 1
    assert (entries[0]["headers"]["range"], entries[0]["time"]) == ("bytes=0-9", clock.now)
    assert (entries[5]["query"], entries[5]["json"], entries[5]["key"]) == ("key=1", {"model": "a"}, "…lice")


def test_the_log_stays_bounded_whatever_is_asked_for(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "REQUESTS_MAX", 3)
    small = type(client)(create_app())
    for number in range(5):
        small.get(f"/films/{number}.mp4")
    assert [entry["path"] for entry in small.get("/_sandbox/requests").json()] == [
        f"/films/{number}.mp4" for number in (2, 3, 4)
    ]


def test_no_key_is_shown_anywhere(client: Any, create: Create) -> None:
    key = "sk-evo-secret-0123456789"
    create(key=key)
    client.get(f"/evolink/v1/credits?key={key}", headers={"authorization": f"Bearer {key}", "x-other": f"<{key}>"})
    client.get("/evolink/v1/credits", headers={"authorization": key, "x-api-key": key})
    client.get("/evolink/v1/credits", headers={"authorization": "Bearer abc"})
    client.get(f"/v1/models?key={key}", headers={"authorization": f"Bearer {key}"})
    shown = client.get("/_sandbox/requests").text + client.get("/_sandbox/videos").text
    assert "secret" not in shown
    assert "Bearer abc" not in shown
    first = client.get("/_sandbox/requests").json()[0]
    assert first["headers"]["authorization"] == "Bearer …6789"
    assert first["key"] == "…6789"


def test_keys_can_be_told_apart(client: Any, create: Create) -> None:
    for key in ("sk-one-0000", "sk-two-0000", "sk-one-0000"):
        create(key=key)
    one, two, again = (entry["key_id"] for entry in client.get("/_sandbox/requests").json())
    assert one == again != two


def test_every_purchase_is_listed_with_its_state(client: Any, create: Create, clock: Any) -> None:
    task_id = create().json()["id"]
    create(quality="999p")
    assert client.get("/_sandbox/videos").json() == [
        {
            "id": task_id,
            "provider": "evolink",
            "key": "…lice",
            "price": "0.28",
            "request": {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship at dawn"},
            "state": "pending",
            "created": 1_757_169_743.0,
        }
    ]
    clock.walk(30)
    assert client.get("/_sandbox/videos").json()[0]["state"] == "completed"


def test_clearing_forgets_both_lists_but_no_task(client: Any, create: Create) -> None:
    task_id = create().json()["id"]
    assert client.request("DELETE", "/_sandbox/requests").status_code == 204
    assert client.get("/_sandbox/requests").json() == client.get("/_sandbox/videos").json() == []
    assert client.get(f"/evolink/v1/tasks/{task_id}").status_code == 200


def test_overlong_texts_are_cut_in_the_log(client: Any) -> None:
    body = {"base64_data": "A" * 100_000, "list": [{"x": "b" * 5000}], "n": list(range(3))}
    client.post("/evolink/api/v1/files/upload/base64", json=body)
    entry = client.get("/_sandbox/requests").json()[0]
    assert entry["json"]["base64_data"].endswith("(100000 characters)")
    assert entry["json"]["list"][0]["x"].endswith("(5000 characters)")
    assert entry["json"]["n"] == [0, 1, 2]
    client.post("/evolink/api/v1/files/upload/base64", json={"many": ["word"] * 50_000})
    assert client.get("/_sandbox/requests").json()[1]["json"] is None


def test_the_script_words_can_be_asked_for(client: Any) -> None:
    words = client.get("/_sandbox/words").json()
    assert words["#sandbox:429"]
