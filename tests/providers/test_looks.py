"""What a look finds (FAILURES section 5; FACTS 1.4, 2.2, 3.4, 7.4), but for MiniMax's, which has a file of its own."""

from typing import Any

import pytest

from gateway.errors import InDoubt, LookFailed
from gateway.providers import PROVIDERS
from gateway.video import Failure, Look, Status
from tests.providers.fakes import LINK, answer, poll

NO_REASON = "the upstream could not make this video"
PENDING, PROCESSING, COMPLETED, FAILED = Status

WORDS: dict[str, dict[Status, list[str]]] = {
    "evolink": {PENDING: ["pending"], PROCESSING: ["processing"], COMPLETED: ["completed"],
                FAILED: ["failed", "cancelled"]},
    "toapis": {PENDING: ["queued", "submitted"], PROCESSING: ["in_progress"], COMPLETED: ["completed"],
               FAILED: ["failed"]},
    "newapi": {PENDING: ["NOT_START", "SUBMITTED", "QUEUED", "Preparing", "Queueing"],
               PROCESSING: ["IN_PROGRESS", "processing"], COMPLETED: ["SUCCESS", "completed", "succeeded"],
               FAILED: ["FAILURE", "failed", "Fail"]},
    "minimax": {PENDING: ["Preparing", "Queueing"], PROCESSING: ["Processing"], COMPLETED: ["Success"],
                FAILED: ["Fail", "failed", "Failed"]},
}  # fmt: skip
ALL_WORDS = [(name, status, word) for name, table in WORDS.items() for status in table for word in table[status]]


@pytest.mark.parametrize(("provider", "status", "word"), ALL_WORDS)
def test_every_documented_word_is_understood_in_any_letter_case(provider: str, status: Status, word: str) -> None:
    for spelling in (word, word.lower(), word.upper(), f" {word} "):
        bodies: list[Any] = [{"status": spelling}]
        if provider == "newapi":
            bodies.append({"code": "success", "message": "", "data": {"status": spelling}})
        for body in bodies:
            look, _ = poll(provider, answer(body))
            assert isinstance(look, Look)
            assert (look.status, look.strange, look.link) == (status, None, None)
            assert look.failure == (Failure("generation_failed", NO_REASON) if status is FAILED else None)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("word", ["UNKNOWN", "hibernating", "erfolgreich", "x" * 500])
def test_a_word_of_no_document_counts_as_processing_and_is_told_as_strange(provider: str, word: str) -> None:
    assert poll(provider, answer({"status": word}))[0] == Look(PROCESSING, strange=word[:64])


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("body", [{}, [], None, "x", b"", b"<html>", {"status": ""}, {"status": 1}, {"status": None}])
def test_an_answer_without_a_word_teaches_nothing(provider: str, body: Any) -> None:
    failure, _ = poll(provider, answer(body))
    assert isinstance(failure, LookFailed)
    assert not failure.is_missing


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 408, 410, 429, 500, 502, 503, 504, 524])
def test_any_other_status_teaches_nothing_whatever_the_body_says(provider: str, status: int) -> None:
    failure, upstream = poll(provider, answer({"status": "failed"}, status))
    assert isinstance(failure, LookFailed)
    assert (failure.is_missing, failure.http_status) == (False, status)
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_whole_answer_cut_short_teaches_nothing(provider: str) -> None:
    failure, _ = poll(provider, answer({"status": "failed"}, is_whole=False))
    assert isinstance(failure, LookFailed)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_404_says_that_the_task_is_missing(provider: str) -> None:
    failure, _ = poll(provider, answer({"error": {"message": "Task not found"}}, 404))
    assert isinstance(failure, LookFailed)
    assert failure.is_missing


def test_new_api_says_that_a_task_is_missing_with_400_and_a_word() -> None:
    for status, is_missing in ((400, True), (500, False)):
        failure, _ = poll("newapi", answer({"code": "task_not_exist", "message": "no", "data": None}, status))
        assert isinstance(failure, LookFailed)
        assert failure.is_missing is is_missing


@pytest.mark.parametrize("provider", ["evolink", "toapis", "newapi"])
@pytest.mark.parametrize(
    ("said", "progress"),
    [
        *[(50, 50), (50.9, 50), ("50", 50), ("50%", 50), (" 50 % ", 50), ("100%", 100), (-1, 0), (250, 100)],
        *[("9" * 5000, None), (10**300, 100), ("-1.5", 0), ("49.9%", 49), ("1_0", None), ("³", None)],
        *[(None, None), (True, None), ("half", None), ("", None), ("٥٠%", None), ([], None), ("1e999", None)],
    ],
)
def test_progress_is_read_from_a_number_and_from_text(provider: str, said: object, progress: int | None) -> None:
    word = WORDS[provider][PROCESSING][0]
    assert poll(provider, answer({"status": word, "progress": said}))[0] == Look(PROCESSING, progress)


def completed(**said: Any) -> dict[str, Any]:
    return {"status": "completed", "progress": 100, **said}


def dto(**said: Any) -> dict[str, Any]:
    """The shape of new-api's implementation."""
    data = {"id": 1, "task_id": "task-1", "platform": "35", "status": "SUCCESS", "progress": "100%", "data": {}}
    return {"code": "success", "message": "", "data": {**data, **said}}


LINKS = [
    ("evolink", completed(id="task-1", results=[LINK, "https://cdn.example/2.mp4"])),
    ("evolink", completed(results=[], result_data=[{"video_url": LINK}])),
    ("evolink", completed(results=[None, "ftp://x/1", "file:///etc/passwd", "https://", "https://a b", LINK])),
    ("toapis", completed(expires_at=1768466914, result={"type": "video", "data": [{"url": LINK, "format": "mp4"}]})),
    ("toapis", completed(url=LINK)),
    ("toapis", completed(result={"type": "video", "data": [{"url": LINK}]}, url="https://cdn.example/2.mp4")),
    ("toapis", completed(url=LINK, result={"type": "video", "data": []})),
    ("toapis", completed(result={"url": LINK})),
    ("newapi", dto(result_url=LINK, fail_reason="", submit_time=0, start_time=0, finish_time=0, properties={})),
    ("newapi", dto(result_url="", fail_reason=LINK)),
    ("newapi", {"code": "200", "message": "", "data": {"status": "Success", "progress": "100", "result_url": LINK}}),
    (
        "newapi",
        completed(task_id="task-1", url=LINK, format="mp4", metadata={"duration": 5}, error={"code": 0, "message": ""}),
    ),
    ("newapi", {"task_id": "task-1", "status": "succeeded", "progress": 100, "url": LINK, "error": None}),
    ("newapi", completed(id="task-1", task_id="task-1", object="video", metadata={"url": LINK})),
]


@pytest.mark.parametrize(("provider", "body"), LINKS)
def test_every_documented_shape_of_a_finished_task_gives_its_link(provider: str, body: Any) -> None:
    assert poll(provider, answer(body))[0] == Look(COMPLETED, 100, LINK)


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("evolink", completed(results=LINK)),
        ("evolink", completed(results=[f"javascript:{LINK}", 7, {}])),
        ("toapis", completed(result=[LINK])),
        ("newapi", dto(result_url="data:video/mp4;base64,AAAA")),
        ("newapi", dto(result_url="https://cdn.example/" + "x" * 9000)),
    ],
)
def test_a_finished_task_without_a_usable_link_is_completed_without_one(provider: str, body: Any) -> None:
    assert poll(provider, answer(body))[0] == Look(COMPLETED, 100)


POLICY = {"code": "content_policy_violation", "message": "Content  violates\nthe policy"}
POLICY_FAILURE = Failure("content_policy_violation", "Content violates the policy")
FAILURES = [
    ("evolink", {"status": "failed", "progress": 0, "error": POLICY}, POLICY_FAILURE),
    ("toapis", {"status": "failed", "progress": 0, "error": POLICY}, POLICY_FAILURE),
    ("newapi", {"status": "failed", "progress": 0, "error": POLICY}, POLICY_FAILURE),
    ("newapi", {"status": "failed", "progress": "0", "error": {"code": 0, "message": "no"}},
     Failure("generation_failed", "no")),
    ("newapi", dto(status="FAILURE", progress="0%", fail_reason="out of luck"),
     Failure("generation_failed", "out of luck")),
    ("evolink", {"status": "failed", "progress": 0, "error": {"code": 500, "message": "no"}},
     Failure("generation_failed", "no")),
    ("toapis", {"status": "failed", "progress": 0, "error": {"code": "a b", "message": ""}},
     Failure("generation_failed", NO_REASON)),
    ("toapis", {"status": "failed", "progress": 0, "error": {"code": "content_moderation", "message": "no"}},
     Failure("content_policy_violation", "no")),
    ("toapis", {"status": "failed", "progress": 0, "error": {"code": "generation_failed",
                "message": "Generation failed: Content violates the content policy"}},
     Failure("content_policy_violation", "Generation failed: Content violates the content policy")),
    ("evolink", {"status": "failed", "progress": 0, "error": {"code": "unknown_error", "message": "flagged as nsfw"}},
     Failure("content_policy_violation", "flagged as nsfw")),
    ("evolink", {"status": "failed", "progress": 0, "error": {"code": "quota_exceeded", "message": "of moderation"}},
     Failure("quota_exceeded", "of moderation")),
    ("newapi", dto(status="FAILURE", progress="0%", fail_reason="the content was refused by the content policy"),
     Failure("content_policy_violation", "the content was refused by the content policy")),
    ("newapi", dto(status="FAILURE", progress="0%", fail_reason="output new_sensitive"),
     Failure("content_policy_violation", "output new_sensitive")),
    ("newapi", {"status": "failed", "progress": 0, "error": {"code": "1027", "message": "no"}},
     Failure("content_policy_violation", "no")),
    ("newapi", {"status": "failed", "progress": 0, "error": {"code": 1000, "message": "unknown error"}},
     Failure("generation_failed", "unknown error")),
    ("toapis", {"status": "failed", "progress": 0, "error": {"message": "sk-live-12345 was refused"}},
     Failure("generation_failed", "*** was refused")),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "body", "failure"), FAILURES)
def test_a_failed_task_says_why_in_words_fit_for_a_caller(provider: str, body: Any, failure: Failure) -> None:
    assert poll(provider, answer(body))[0] == Look(FAILED, 0, failure=failure)


def test_a_link_beside_a_task_that_is_not_finished_is_not_believed() -> None:
    assert poll("evolink", answer({"status": "processing", "results": [LINK]}))[0] == Look(PROCESSING)
    assert poll("newapi", answer(dto(status="IN_PROGRESS", progress="50%", result_url=LINK)))[0] == Look(PROCESSING, 50)


ADDRESSES = {
    "evolink": "https://up.example/v1/tasks/",
    "toapis": "https://up.example/v1/videos/generations/",
    "newapi": "https://up.example/v1/video/generations/",
    "minimax": "https://up.example/v1/query/video_generation?task_id=",
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_look_is_one_get_of_the_documented_address(provider: str) -> None:
    _, upstream = poll(provider, answer({"status": "processing"}))
    (call,) = upstream.calls
    assert (call.operation, call.method, call.url, call.body) == ("poll", "GET", ADDRESSES[provider] + "task-1", None)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_id_cannot_lead_a_look_astray(provider: str) -> None:
    _, upstream = poll(provider, answer({"status": "processing"}), upstream_id="a/../b?c=d&e#f%20é")
    assert upstream.calls[0].url == ADDRESSES[provider] + "a%2F..%2Fb%3Fc%3Dd%26e%23f%2520%C3%A9"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_failure_of_the_door_to_upstreams_passes_unchanged(provider: str) -> None:
    for error in (LookFailed("broke", row="P"), InDoubt("broke", row="T7")):
        assert poll(provider, error)[0] is error
