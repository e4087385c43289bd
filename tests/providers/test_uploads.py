"""EvoLink takes images by address, so data URLs are uploaded first; whatever fails there, nothing was bought."""

from typing import Any

import pytest

from gateway import errors
from gateway.errors import Again, Spent, UpstreamError
from gateway.providers.protocol import Site
from gateway.video import Receipt
from gateway.wire import Reply
from tests.providers.fakes import CREATED, DATA, FIRST, answer, ask, submit

FILE_URL = "https://files.example/avatars/avatar.png"
UPLOADED = {
    "success": True, "code": 200, "msg": "ok",
    "data": {
        "file_id": "file_abc123", "file_name": "avatar.png", "original_name": "avatar.png", "file_size": 2048,
        "mime_type": "image/png", "upload_path": "avatars", "file_url": FILE_URL,
        "download_url": "https://files.example/api/v1/files/download/file_abc123",
        "upload_time": "2025-10-09T00:00:00+08:00", "expires_at": "2025-10-12T00:00:00+08:00",
    },
}  # fmt: skip
REQUEST = ask(first_frame_image=DATA)


def uploaded(url: str) -> Reply:
    return answer({**UPLOADED, "data": {"file_url": url}})


def test_an_image_is_uploaded_and_then_ordered_by_its_address() -> None:
    receipt, upstream = submit("evolink", answer(UPLOADED), answer(CREATED["evolink"]), request=REQUEST)
    assert receipt == Receipt("task-1")
    assert upstream.operations == ["upload", "submit"]
    call = upstream.calls[0]
    assert (call.method, call.url) == ("POST", "https://files.example/api/v1/files/upload/base64")
    assert upstream.body(0) == {"base64_data": DATA}
    assert upstream.body()["image_urls"] == [FILE_URL]


def test_both_frames_keep_their_order_and_an_address_is_left_as_it_is() -> None:
    both = ask("MiniMax-Hailuo-02", first_frame_image=DATA, last_frame_image=DATA.replace("data:", "DATA:"))
    created = answer(CREATED["evolink"])
    _, upstream = submit(
        "evolink", uploaded("https://f.example/1"), uploaded("https://f.example/2"), created, request=both
    )
    assert upstream.operations == ["upload", "upload", "submit"]
    assert upstream.body()["image_urls"] == ["https://f.example/1", "https://f.example/2"]

    one = ask("MiniMax-Hailuo-02", first_frame_image=FIRST, last_frame_image=DATA)
    _, upstream = submit("evolink", uploaded("https://f.example/2"), created, request=one)
    assert upstream.body()["image_urls"] == [FIRST, "https://f.example/2"]


def test_a_trailing_slash_of_the_file_host_is_not_doubled() -> None:
    _, upstream = submit(
        "evolink", answer(UPLOADED), answer(CREATED["evolink"]), request=REQUEST, site=Site("https://u", "https://f/")
    )
    assert upstream.calls[0].url == "https://f/api/v1/files/upload/base64"


def test_without_a_file_host_nothing_is_sent() -> None:
    error, upstream = submit("evolink", request=REQUEST, site=Site("https://up.example"))
    assert isinstance(error, errors.Misconfigured)
    assert (error.again, upstream.calls) == (Again.ANOTHER_UPSTREAM, [])


FAILED: list[tuple[Reply | UpstreamError, type[UpstreamError], str]] = [
    (errors.Unreachable("none", row="T2"), errors.Unreachable, "T2"),
    (errors.Distrusted("none", row="T4"), errors.Distrusted, "T4"),
    (errors.InDoubt("broke", row="T7"), errors.Unreachable, "U-T7"),
    (errors.InDoubt("late", row="T9"), errors.Unreachable, "U-T9"),
    (errors.LookFailed("broke", row="P"), errors.Unreachable, "U-P"),
    (answer({"success": False, "code": 400, "msg": "no image", "data": None}, 400), errors.BadCall, "U-H9"),
    (answer({"success": False, "code": 400, "msg": "no image", "data": None}), errors.BadCall, "U-H9"),
    (answer({"success": False, "msg": "sensitive image"}, 400), errors.ContentRejected, "U-H9"),
    (answer({"success": False, "code": 401, "msg": "no such key"}, 401), errors.KeyRejected, "U-H10"),
    (answer({"success": False, "code": 401, "msg": "no such key"}), errors.KeyRejected, "U-H10"),
    (answer({"success": False, "code": 402, "msg": "no quota"}, 402), errors.KeyExhausted, "U-H11"),
    (answer("<html>", 403), errors.Walled, "U-H13"),
    (answer("", 404), errors.Misconfigured, "U-H14"),
    (answer("", 413), errors.CallTooLarge, "U-H17"),
    (answer("", 429), errors.KeyBusy, "U-H21"),
    (answer("", 302), errors.Misconfigured, "U-H7"),
    (answer("", 409), errors.Overloaded, "U-H16"),
    (answer("", 500), errors.Overloaded, "U-H22"),
    (answer("<html>", 503), errors.Overloaded, "U-H25"),
    (answer("", 525), errors.EdgeDown, "U-H27"),
    (answer({"success": False, "code": 503, "msg": "busy"}), errors.Overloaded, "U-H24"),
    (answer({"success": False, "code": True, "msg": "?"}), errors.Overloaded, "U-H4"),
    (answer({"success": False, "data": {"file_url": FILE_URL}}), errors.Overloaded, "U-H4"),
    (answer(UPLOADED, is_whole=False), errors.Overloaded, "U-T10"),
    (answer({**UPLOADED, "data": {"file_url": "files/1"}}), errors.Overloaded, "U-H4"),
    (answer({**UPLOADED, "data": []}), errors.Overloaded, "U-H4"),
    (answer("<html>"), errors.Overloaded, "U-H4"),
    (answer(""), errors.Overloaded, "U-H4"),
]


@pytest.mark.parametrize(("failure", "kind", "row"), FAILED)
def test_a_failed_upload_is_a_refusal_and_nothing_is_ordered(failure: Any, kind: type[UpstreamError], row: str) -> None:
    error, upstream = submit("evolink", failure, request=REQUEST)
    assert isinstance(error, errors.Refused)
    assert (type(error), error.row, error.spent) == (kind, row, Spent.NO)
    assert upstream.operations == ["upload"]


@pytest.mark.parametrize(
    ("status", "param"), [(400, "last_frame_image"), (413, "last_frame_image"), (422, "last_frame_image"), (401, None)]
)
def test_a_complaint_about_an_image_names_the_frame(status: int, param: str | None) -> None:
    request = ask("MiniMax-Hailuo-02", first_frame_image=DATA, last_frame_image=DATA)
    body = {"error": {"message": "no", "param": "base64_data"}}
    error, upstream = submit("evolink", answer(UPLOADED), answer(body, status), request=request)
    assert isinstance(error, errors.Refused)
    assert (error.param, upstream.operations) == (param, ["upload", "upload"])


def test_a_file_hosts_retry_after_rests_the_key() -> None:
    error, _ = submit("evolink", answer("", 429, retry_after="12"), request=REQUEST)
    assert isinstance(error, errors.KeyBusy)
    assert error.retry_after == 12


def test_doubt_about_the_create_stays_doubt_after_an_upload() -> None:
    for create in (answer("", 500), errors.InDoubt("broke", row="T7")):
        error, upstream = submit("evolink", answer(UPLOADED), create, request=REQUEST)
        assert isinstance(error, errors.InDoubt)
        assert upstream.operations == ["upload", "submit"]


def test_no_other_provider_uploads_anything() -> None:
    for provider in ("newapi", "minimax"):
        _, upstream = submit(provider, answer(CREATED[provider]), request=REQUEST)
        assert upstream.operations == ["submit"]
