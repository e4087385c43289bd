"""A video's life at MiniMax, its files, and its errors inside HTTP 200 (FACTS 4.1, 4.5)."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.downloads import film_path
from gateway.sandbox.sales import Offer

Create = Callable[..., Any]
CREATE, QUERY = "/minimax/v1/video_generation", "/minimax/v1/query/video_generation"
RETRIEVE, CONTENT = "/minimax/v1/files/retrieve", "/minimax/v1/files/retrieve_content"
OK = {"status_code": 0, "status_msg": "success"}
IMAGE = "https://example.com/first.jpg"
FILM = film_path(Offer("MiniMax-Hailuo-2.3", "t2v", "768P", 6, 0)).read_bytes()

CODES = {"400": 2013, "401": 2049, "402": 1008, "403": 2061, "422": 1026, "429": 1002, "429-bare": 1002, "500": 1000}


@pytest.fixture
def film_file(client: Any, create_minimax: Create, clock: Any) -> Callable[..., str]:
    """Make a video to its end; gives the number of its file."""

    def film_file(**said: Any) -> str:
        task_id = create_minimax(**said).json()["task_id"]
        clock.walk(100)
        return str(client.get(QUERY, params={"task_id": task_id}).json()["file_id"])

    return film_file


def test_a_create_answers_in_the_documented_shape(create_minimax: Create) -> None:
    answer = create_minimax().json()
    assert re.fullmatch(r"[1-9][0-9]{14}", answer.pop("task_id"))
    assert answer == {"base_resp": OK}


def test_a_task_goes_through_all_four_words_to_success(client: Any, create_minimax: Create, clock: Any) -> None:
    task_id = create_minimax().json()["task_id"]

    def look() -> dict[str, Any]:
        answer = client.get(QUERY, params={"task_id": task_id})
        assert answer.status_code == 200
        return dict(answer.json())

    assert look() == {"task_id": task_id, "status": "Preparing", "base_resp": OK}
    clock.walk(1.5)
    assert look() == {"task_id": task_id, "status": "Queueing", "base_resp": OK}
    clock.walk(1.5)
    assert look() == {"task_id": task_id, "status": "Processing", "base_resp": OK}
    clock.walk(27)
    last = look()
    file_id = last.pop("file_id")
    assert re.fullmatch(r"[0-9]{15}", file_id)
    assert file_id != task_id
    assert last == {
        "task_id": task_id,
        "status": "Success",
        "video_width": 1366,
        "video_height": 768,
        "base_resp": OK,
    }


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ({"resolution": "1080P"}, (1920, 1080)),
        ({"model": "MiniMax-Hailuo-02", "resolution": "512P", "first_frame_image": IMAGE}, (912, 512)),
        ({"model": "T2V-01"}, (1280, 720)),
        ({"model": "S2V-01", "subject_reference": [{"type": "character", "image": [IMAGE]}]}, (1280, 720)),
    ],
)
def test_the_size_is_that_of_the_film(
    client: Any, create_minimax: Create, clock: Any, said: dict[str, Any], size: tuple[int, int]
) -> None:
    task_id = create_minimax(**said).json()["task_id"]
    clock.walk(100)
    answer = client.get(QUERY, params={"task_id": task_id}).json()
    assert (answer["video_width"], answer["video_height"]) == size


@pytest.mark.parametrize(("word", "code"), [("fail-content", 1027), ("fail-generation", 1000)])
def test_a_failed_task_says_why(client: Any, create_minimax: Create, clock: Any, word: str, code: int) -> None:
    task_id = create_minimax(prompt=f"a ship #sandbox:{word}").json()["task_id"]
    clock.walk(30)
    answer = client.get(QUERY, params={"task_id": task_id}).json()
    assert answer.pop("base_resp")["status_code"] == code
    assert answer == {"task_id": task_id, "status": "Fail"}


def test_a_file_is_described_with_its_number_as_an_integer(client: Any, film_file: Callable[..., str]) -> None:
    file_id = film_file()
    answer = client.get(RETRIEVE, params={"file_id": file_id}).json()
    url = answer["file"].pop("download_url")
    assert answer == {
        "file": {
            "file_id": int(file_id),
            "bytes": len(FILM),
            "created_at": 1757169773,
            "filename": "output_aigc.mp4",
            "purpose": "video_generation",
        },
        "base_resp": OK,
    }
    assert re.fullmatch(r"http://sandbox\.test/links/[a-z0-9]{24}\.mp4", url)
    fetched = client.get(url, headers={"authorization": ""})
    assert (fetched.content, fetched.headers["content-type"]) == (FILM, "video/mp4")
    assert client.get(url, headers={"range": "bytes=0-9"}).content == FILM[:10]


def test_a_link_lives_an_hour_and_a_new_one_is_made_each_time(
    client: Any, film_file: Callable[..., str], clock: Any
) -> None:
    file_id = film_file()

    def link() -> str:
        return str(client.get(RETRIEVE, params={"file_id": file_id}).json()["file"]["download_url"])

    first = link()
    clock.walk(1800)
    second = link()
    assert first != second
    clock.walk(1799)
    assert client.get(first).status_code == 200
    clock.walk(1)
    assert [client.get(url).status_code for url in (first, second)] == [410, 200]
    clock.walk(30 * 24 * 3600)
    assert [client.get(url).status_code for url in (second, link())] == [410, 200]


def test_an_expired_link_is_dead_at_once_and_the_content_is_not(client: Any, film_file: Callable[..., str]) -> None:
    file_id = film_file(prompt="#sandbox:expired-link")
    url = client.get(RETRIEVE, params={"file_id": file_id}).json()["file"]["download_url"]
    assert client.get(url).status_code == 410
    assert client.get(CONTENT, params={"file_id": file_id}).content == FILM


def test_an_unknown_link_is_not_found(client: Any) -> None:
    assert client.get("/links/abc.mp4").status_code == 404


def test_the_content_of_a_file_needs_the_key(client: Any, film_file: Callable[..., str]) -> None:
    file_id = film_file()
    answer = client.get(CONTENT, params={"file_id": file_id})
    assert (answer.content, answer.headers["content-type"]) == (FILM, "video/mp4")
    bare = client.get(CONTENT, params={"file_id": file_id}, headers={"authorization": ""})
    assert bare.json()["base_resp"]["status_code"] == 1004


def test_what_is_not_there_is_a_bad_parameter(client: Any, create_minimax: Create, film_file: Any, clock: Any) -> None:
    file_id = film_file()
    task_id = create_minimax().json()["task_id"]
    young_file_id = str(int(task_id) + 166_051_840)
    bob = {"authorization": "Bearer sk-bob"}
    answers = [
        client.get(QUERY),
        client.get(QUERY, params={"task_id": "106916112212032"}),
        client.get(f"{QUERY}?task_id={task_id}&task_id={task_id}"),
        client.get(QUERY, params={"task_id": task_id}, headers=bob),
        *(
            client.get(path, **said)
            for path in (RETRIEVE, CONTENT)
            for said in (
                {},
                {"params": {"file_id": "abc"}},
                {"params": {"file_id": task_id}},
                {"params": {"file_id": young_file_id}},  # not made yet
                {"params": {"file_id": file_id}, "headers": bob},
            )
        ),
    ]
    assert {(answer.status_code, answer.json()["base_resp"]["status_code"]) for answer in answers} == {(200, 2013)}
    assert client.get(RETRIEVE, params={"file_id": file_id}).json()["base_resp"] == OK


@pytest.mark.parametrize(("word", "code"), CODES.items())
def test_a_status_word_is_a_code_inside_200_and_sells_nothing(
    client: Any, create_minimax: Create, word: str, code: int
) -> None:
    answer = create_minimax(prompt=f"a ship #sandbox:{word} at dawn")
    assert (answer.status_code, answer.headers.get("retry-after")) == (200, None)
    assert set(answer.json()) == {"task_id", "base_resp"}
    assert (answer.json()["task_id"], answer.json()["base_resp"]["status_code"]) == ("", code)
    assert answer.json()["base_resp"]["status_msg"]
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize(("word", "status", "retry_after"), [("502", 502, None), ("503", 503, "5")])
def test_an_edge_speaks_in_http_statuses(
    client: Any, create_minimax: Create, word: str, status: int, retry_after: str | None
) -> None:
    answer = create_minimax(prompt=f"#sandbox:{word}")
    assert (answer.status_code, answer.headers.get("retry-after")) == (status, retry_after)
    error = answer.json()["error"]
    assert (set(answer.json()), error["http_code"]) == ({"type", "error", "request_id"}, str(status))
    assert client.get("/_sandbox/videos").json() == []


@pytest.mark.parametrize("code", [0, 1001, 1013, 1024, 1027, 1033, 1039, 1041, 1042, 2038, 2045, 2056, 2061, 424242])
def test_any_code_can_be_asked_for(client: Any, create_minimax: Create, code: int) -> None:
    for _ in range(2):
        answer = create_minimax(prompt=f"a ship #sandbox:base-resp={code}")
        assert answer.status_code == 200
        assert answer.json()["task_id"] == ""
        assert answer.json()["base_resp"]["status_code"] == code
    assert client.get("/_sandbox/videos").json() == []


def test_a_code_is_a_whole_number_and_1000_if_unsaid(create_minimax: Create) -> None:
    assert create_minimax(prompt="#sandbox:base-resp").json()["base_resp"]["status_code"] == 1000
    answer = create_minimax(prompt="#sandbox:base-resp=1.5").json()["base_resp"]
    assert (answer["status_code"], "whole number" in answer["status_msg"]) == (2013, True)


def test_keys_are_refused_in_codes(client: Any, create_minimax: Create) -> None:
    assert create_minimax(key="sk-bad-one").json()["base_resp"]["status_code"] == 2049
    assert create_minimax(key="sk-empty-one").json()["base_resp"]["status_code"] == 1008
    for method, path in (("POST", CREATE), ("GET", QUERY), ("GET", RETRIEVE), ("GET", CONTENT)):
        answer = client.request(method, path, headers={"authorization": ""})
        assert (answer.status_code, answer.json()["base_resp"]["status_code"]) == (200, 1004)


@pytest.mark.parametrize(("word", "code"), [("poll-404", 2013), ("poll-429", 1002), ("poll-500", 1000)])
def test_the_first_looks_can_go_wrong(client: Any, create_minimax: Create, word: str, code: int) -> None:
    task_id = create_minimax(prompt=f"#sandbox:{word}=1").json()["task_id"]
    answer = client.get(QUERY, params={"task_id": task_id})
    assert (answer.status_code, answer.json()["base_resp"]["status_code"]) == (200, code)
    assert "task_id" not in answer.json()
    assert client.get(QUERY, params={"task_id": task_id}).json()["status"] == "Preparing"


def test_an_unknown_status_and_a_missing_result(client: Any, create_minimax: Create, clock: Any) -> None:
    task_id = create_minimax(prompt="#sandbox:unknown-status #sandbox:no-result").json()["task_id"]
    clock.walk(15)
    assert client.get(QUERY, params={"task_id": task_id}).json()["status"] == "rendering"
    clock.walk(15)
    assert client.get(QUERY, params={"task_id": task_id}).json() == {
        "task_id": task_id,
        "status": "Success",
        "base_resp": OK,
    }
    file_id = str(int(task_id) + 166_051_840)
    assert client.get(RETRIEVE, params={"file_id": file_id}).json()["base_resp"]["status_code"] == 2013


def test_what_has_no_path_is_said_by_an_edge(client: Any, create_minimax: Create) -> None:
    missing, wrong = client.get("/minimax/v1/<b>"), client.get(CREATE)
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert "<b>" not in missing.text
    assert create_minimax(prompt="#sandbox:404").status_code == 404
