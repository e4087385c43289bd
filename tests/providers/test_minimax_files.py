"""MiniMax's looks (FACTS 4.1, 4.5; FAILURES sections 4, 5): errors inside HTTP 200, a second call for the link."""

import asyncio
from typing import Any

import pytest

from gateway.errors import LookFailed
from gateway.providers import minimax
from gateway.video import Failure, Look, Status
from tests.providers.fakes import LINK, SITE, Upstream, answer, poll

OK = {"status_code": 0, "status_msg": "success"}
SUCCESS = {
    "task_id": "task-1", "status": "Success", "file_id": "176844028768320", "video_width": 1920, "video_height": 1080,
    "base_resp": OK,
}  # fmt: skip


def file(**said: Any) -> dict[str, Any]:
    known = {"file_id": 176844028768320, "bytes": 0, "created_at": 1700469398, "filename": "output_aigc.mp4"}
    return {"file": {**known, "purpose": "video_generation", **said}, "base_resp": OK}


def complaint(code: object, message: str = "no", **said: Any) -> dict[str, Any]:
    return {"task_id": "", "base_resp": {"status_code": code, "status_msg": message}, **said}


@pytest.mark.parametrize("file_id", ["176844028768320", 176844028768320])
@pytest.mark.parametrize("word", ["Success", "success"])
def test_a_success_is_asked_for_its_file(file_id: object, word: str) -> None:
    first = answer({**SUCCESS, "file_id": file_id, "status": word})
    look, upstream = poll("minimax", first, answer(file(download_url=LINK)))
    assert look == Look(Status.COMPLETED, link=LINK)
    assert upstream.operations == ["poll", "locate"]
    assert upstream.calls[1].url == "https://up.example/v1/files/retrieve?file_id=176844028768320"


LINKS = [
    ({"download_url": "www.downloadurl.com"}, "https://www.downloadurl.com"),
    ({"download_url": "cdn.example:8443/a/b.mp4?sig=x"}, "https://cdn.example:8443/a/b.mp4?sig=x"),
    ({"download_url": "//cdn.example/a.mp4"}, "https://cdn.example/a.mp4"),
    ({"download_url": "http://cdn.example/a.mp4"}, "http://cdn.example/a.mp4"),
    ({"download_url": "", "backup_download_url": LINK}, LINK),
    ({"download_url": "ftp://cdn.example/a.mp4"}, None),
    ({"download_url": "/etc/passwd"}, None),
    ({"download_url": "not a link"}, None),
    ({"download_url": 7}, None),
    ({}, None),
]


@pytest.mark.parametrize(("said", "link"), LINKS)
def test_a_link_without_a_scheme_gets_the_safe_one(said: dict[str, Any], link: str | None) -> None:
    assert poll("minimax", answer(SUCCESS), answer(file(**said)))[0] == Look(Status.COMPLETED, link=link)


@pytest.mark.parametrize("file_id", [None, "", 0, [], "  "])
def test_a_success_without_a_file_is_completed_without_a_link(file_id: object) -> None:
    look, upstream = poll("minimax", answer({**SUCCESS, "file_id": file_id}))
    assert look == Look(Status.COMPLETED)
    assert upstream.operations == ["poll"]


@pytest.mark.parametrize(
    "gone",
    [*(answer(complaint(code)) for code in (2013, 1026, 1027)), answer(complaint(2013), 400), answer("", 404)],
)
def test_a_file_that_is_not_kept_leaves_a_completed_task_without_a_link(gone: Any) -> None:
    assert poll("minimax", answer(SUCCESS), gone)[0] == Look(Status.COMPLETED)


@pytest.mark.parametrize(
    "nothing",
    [answer(complaint(code)) for code in (1000, 1001, 1002, 1004, 1008, 1024, 1033, 2049, 9999)]
    + [answer(file(download_url=LINK), 500), answer("<html>"), answer({"base_resp": OK})]
    + [answer(file(download_url=LINK), is_whole=False), LookFailed("broke", row="P")],
)
def test_a_file_that_could_not_be_asked_for_teaches_nothing(nothing: Any) -> None:
    failure, _ = poll("minimax", answer(SUCCESS), nothing)
    assert isinstance(failure, LookFailed)
    assert not failure.is_missing


@pytest.mark.parametrize("code", [1002, 1004, 1008, 1028, 1030, 1039, 1041, 2038, 2045, 2049, 2056, 2061, "1002"])
@pytest.mark.parametrize("word", ["", "Processing", "Fail", "Success"])
def test_trouble_with_the_key_teaches_nothing_about_the_task(code: object, word: str) -> None:
    failure, upstream = poll("minimax", answer(complaint(code, status=word)))
    assert isinstance(failure, LookFailed)
    assert (failure.is_missing, failure.row, len(upstream.calls)) == (False, f"M{code}", 1)


@pytest.mark.parametrize("code", [1026, 1027, "1027"])
@pytest.mark.parametrize("said", [{"status": "Fail"}, {"status": "failed"}, {"status": ""}, {}])
def test_flagged_content_is_a_failed_task(code: object, said: dict[str, Any]) -> None:
    look, _ = poll("minimax", answer(complaint(code, "output new_sensitive", **said)))
    failure = Failure("content_policy_violation", "output new_sensitive")
    assert look == Look(Status.FAILED, failure=failure)


@pytest.mark.parametrize("code", [0, 1000, 1033])
def test_any_other_failed_task_is_a_failed_generation(code: int) -> None:
    message = "internal error" if code else "success"
    look, _ = poll("minimax", answer(complaint(code, message, status="Fail")))
    reason = "internal error" if code else "the upstream could not make this video"
    assert look == Look(Status.FAILED, failure=Failure("generation_failed", reason))


@pytest.mark.parametrize("code", [1000, 1001, 1013, 1024, 1033, 9999])
def test_a_complaint_without_a_word_teaches_nothing(code: int) -> None:
    failure, _ = poll("minimax", answer(complaint(code)))
    assert isinstance(failure, LookFailed)
    assert not failure.is_missing


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (2013, "invalid params"),
        (2013, "invalid task_id"),
        (1000, "Invalid task id: 7"),
        (1013, "task not found"),
        (2013, "task_id is not found"),
        (1000, "the task does not exist"),
    ],
)
def test_a_task_it_does_not_know_is_missing(code: int, message: str) -> None:
    for status in (200, 400):
        failure, _ = poll("minimax", answer(complaint(code, message, status=""), status))
        assert isinstance(failure, LookFailed)
        assert failure.is_missing
    failure, _ = poll("minimax", answer(complaint(code, message), 500))
    assert isinstance(failure, LookFailed)
    assert not failure.is_missing


def test_there_is_no_progress_to_tell() -> None:
    look, _ = poll("minimax", answer({"task_id": "1", "status": "Processing", "progress": 50, "base_resp": OK}))
    assert look == Look(Status.PROCESSING)


def test_a_link_lives_an_hour_and_is_located_by_asking_anew() -> None:
    assert minimax.LINK_LIFE_S == 3600
    upstream = Upstream(answer(SUCCESS), answer(file(download_url=LINK)))
    assert asyncio.run(minimax.locate("task-1", SITE, upstream.send)) == LINK
    assert upstream.operations == ["poll", "locate"]
    upstream = Upstream(answer(SUCCESS), answer(complaint(2013)))
    assert asyncio.run(minimax.locate("task-1", SITE, upstream.send)) is None
