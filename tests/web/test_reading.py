"""Reading a task: through every dialect, by whoever may, from one look at the upstream however many ask."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import ids
from tests.world import (
    ALICE,
    BOB,
    PROMPT_S,
    SLOW,
    SPEECHES,
    Clock,
    bearer,
    error_of,
    id_of,
    make_config,
    problems_of,
    world,
)

EVERYBODY = "virtual_keys: []"
TEAMS = f"""
teams: [{{id: films}}, {{id: sales}}]
virtual_keys:
  - {{id: alice, value: {ALICE}, team: films}}
  - {{id: bob, value: {BOB}, team: films}}
  - {{id: carol, value: sk-rg-carol-key, team: sales}}
  - {{id: dave, value: sk-rg-dave-key}}
"""

# What a dialect says to somebody who asks for a task that is not there for them: status and code.
UNKNOWN: Mapping[str, tuple[int, Any]] = {
    "evolink": (404, 404),
    "toapis": (404, "task_not_found"),
    "newapi": (400, "task_not_exist"),
}


def assert_unknown(dialect: str, answer: httpx.Response) -> None:
    status, code = UNKNOWN[dialect]
    error = error_of(dialect, answer)
    assert (answer.status_code, error["code"]) == (status, code)
    if dialect == "evolink":
        assert error["type"] == "not_found_error"


def assert_shape(dialect: str, answer: Any, word: str, state: int) -> None:
    """The dialect's own poll answer for a task of this id, in this state (an index into its words)."""
    said = SPEECHES[dialect].words[state]
    if dialect == "evolink":
        assert (answer["object"], answer["id"], answer["status"]) == ("video.generation.task", word, said)
        assert answer["type"] == "video"
        assert "can_cancel" in answer["task_info"]
    elif dialect == "toapis":
        assert (answer["object"], answer["id"], answer["status"]) == ("generation.task", word, said)
        assert isinstance(answer["created_at"], int)
    else:
        assert (answer["code"], answer["task_id"], answer["data"]["task_id"]) == ("success", word, word)
        assert answer["data"]["status"] == said
        assert answer["data"]["progress"].endswith("%")
        assert answer["status"] in ("queued", "in_progress", "completed", "failed")


@pytest.mark.parametrize("made_in", SPEECHES)
def test_a_task_is_read_through_every_dialect_by_both_spellings_of_its_id(made_in: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            finished = await it.finished_film(made_in)
            failed = await it.finished_film(made_in, prompt="p #sandbox:fail-content")
            for word, state in ((finished, 2), (failed, 3)):
                for dialect, speech in SPEECHES.items():
                    by_number = await it.read(str(ids.number_of(word)), dialect)
                    by_word = await it.read(word, dialect)
                    assert by_word.status_code == 200
                    assert by_number.content == by_word.content
                    assert_shape(dialect, by_word.json(), word, state)
                    if state == 2:
                        assert speech.link(by_word.json()).endswith(".mp4")
                    else:
                        assert "content_policy_violation" in by_word.text
                    unprefixed = await it.http.get(speech.read.format(id=word), headers=bearer(ALICE))
                    assert unprefixed.content == by_word.content

    asyncio.run(scenario())


def test_a_task_that_is_not_over_reads_so_in_every_dialect(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, speed=SLOW) as it:
            word = id_of(await it.create())
            for dialect in SPEECHES:
                assert_shape(dialect, (await it.read(word, dialect)).json(), word, state=0)
            doubtful = id_of(await it.create(prompt="p #sandbox:drop-after-accept"))
            for dialect in SPEECHES:
                answer = (await it.read(doubtful, dialect)).json()
                assert answer["submission"] == "unconfirmed"
                assert answer["status"] == SPEECHES[dialect].words[0] or answer["status"] == "queued"

    asyncio.run(scenario())


def test_the_read_paths_of_one_dialect_are_not_those_of_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            assert (await it.http.get(f"/toapis/v1/tasks/{word}", headers=bearer(ALICE))).status_code == 404
            wrong_method = await it.http.post(f"/v1/tasks/{word}", headers=bearer(ALICE))
            assert wrong_method.status_code == 405
            assert wrong_method.headers["allow"] == "GET"
            assert error_of("evolink", wrong_method)["code"] == 405

    asyncio.run(scenario())


# --- who may


def test_another_keys_task_is_unknown_in_every_dialects_own_form(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            looks = len(it.requests("GET"))
            for dialect in SPEECHES:
                foreign = await it.read(word, dialect, BOB)
                assert_unknown(dialect, foreign)
                missing = await it.read(ids.word(4711), dialect, BOB)
                assert foreign.content == missing.content  # nothing tells the two apart
                film = await it.http.get(f"/{dialect}/v1/videos/{word}/content", headers=bearer(BOB))
                assert film.status_code == UNKNOWN[dialect][0]
            assert len(it.requests("GET")) == looks

    asyncio.run(scenario())


def test_a_team_sees_its_own_tasks_and_nobody_elses(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, TEAMS) as it:
            word = await it.finished_film()
            loner = id_of(await it.create(key="sk-rg-dave-key"))
            for dialect in SPEECHES:
                assert (await it.read(word, dialect, BOB)).status_code == 200
                assert_unknown(dialect, await it.read(word, dialect, "sk-rg-carol-key"))
                assert_unknown(dialect, await it.read(word, dialect, "sk-rg-dave-key"))
                assert_unknown(dialect, await it.read(loner, dialect, ALICE))
                assert (await it.read(loner, dialect, "sk-rg-dave-key")).status_code == 200

    asyncio.run(scenario())


# Spellings that are nobody's id. None of them may reach storage as anything else than "not there".
NOT_IDS = [
    "1",
    "0",
    "-1",
    "00",
    "9" * 19,
    "9" * 400,
    "video_0000000000000",
    "video_zzzzzzzzzzzzz",
    "VIDEO_0B2MEKHE2A4C9",
    "video_",
    "task-unified-1757169743-7cvnl5zw",
    "%00",
    "%20",
    "..%5c..",
    "%F0%9F%8E%AC",
    "%FF",
    "١٢٣",
    "null",
    "{id}",
    "' OR 1=1 --",
    "x" * 4_000,
]


@pytest.mark.parametrize("dialect", SPEECHES)
def test_ids_that_nobody_gave_out_are_unknown(dialect: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for spelling in NOT_IDS:
                assert_unknown(dialect, await it.read(spelling, dialect))
            assert it.requests() == []

    asyncio.run(scenario())


# --- headers


def test_answers_about_a_task_say_what_the_contract_promises_in_their_headers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "polling: {min_interval_s: 2, max_interval_s: 30}", speed=SLOW) as it:
            created = await it.create(prompt="a ship at dawn [dolly in]")
            word = created.json()["id"]
            read = await it.read(word)
            for answer in (created, read):
                assert answer.headers["x-reelgate-task-id"] == word
                assert answer.headers["x-reelgate-upstream"] == "sandbox"
                assert answer.headers["x-reelgate-attempts"] == "1"
                assert answer.headers["x-reelgate-price"] == "0.28 USD"
                assert answer.headers["openai-poll-after-ms"] == "2000"
                assert 2 <= int(answer.headers["retry-after"]) <= 33  # the next look, with its jitter
                assert len(answer.headers["x-request-id"]) >= 16
                assert answer.headers["content-type"] == "application/json"
            (warning,) = json.loads(created.headers["x-reelgate-warnings"])
            assert "Push in" in warning
            assert "x-reelgate-warnings" not in (await it.create()).headers
            for dialect in SPEECHES:
                decimal = await it.read(str(ids.number_of(word)), dialect)
                assert decimal.headers["x-reelgate-task-id"] == word

    asyncio.run(scenario())


@pytest.mark.parametrize(("interval_s", "after_ms"), [(0.02, 1000), (1.5, 1500), (2.0004, 2001), (30, 10_000)])
def test_when_to_poll_again_is_an_integer_that_clients_can_live_with(
    interval_s: float, after_ms: int, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with world(tmp_path, f"polling: {{min_interval_s: {interval_s}, max_interval_s: 30}}", speed=SLOW) as it:
            created = await it.create()
            assert created.headers["openai-poll-after-ms"] == str(after_ms)
            assert int(created.headers["retry-after"]) >= 1

    asyncio.run(scenario())


def test_a_finished_task_does_not_ask_to_be_polled_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            answer = await it.read(await it.finished_film())
            assert not {"openai-poll-after-ms", "retry-after"} & set(answer.headers)

    asyncio.run(scenario())


def test_a_request_id_is_echoed_where_it_is_fit_for_a_header_and_made_where_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for path, headers in (("/healthz", {}), ("/v1/tasks/1", bearer(ALICE)), ("/v1/tasks/1", {}), ("/x", {})):
                echoed = await it.http.get(path, headers={**headers, "x-request-id": "req-é1".replace("é", "e")})
                assert echoed.headers.get_list("x-request-id") == ["req-e1"]
                for unfit in (b"", b"a b", b"x" * 129, b"caf\xe9", b"tab\there"):
                    made = await it.http.get(path, headers=[*headers.items(), ("x-request-id", unfit)])
                    assert made.headers["x-request-id"].encode("latin-1") != unfit
                    assert len(made.headers["x-request-id"]) >= 16
            fresh = {(await it.http.get("/healthz")).headers["x-request-id"] for _ in range(50)}
            assert len(fresh) == 50

    asyncio.run(scenario())


# --- who asks


def credentials() -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        ("none", []),
        ("a wrong one", [("authorization", "Bearer sk-rg-nobody")]),
        ("a wrong x-api-key", [("x-api-key", "sk-rg-nobody")]),
        ("empty", [("authorization", "Bearer ")]),
        ("another scheme", [("authorization", f"Basic {ALICE}")]),
        ("without a scheme", [("authorization", ALICE)]),
        ("a piece", [("authorization", f"Bearer {ALICE[:-1]}")]),
        ("more than it", [("authorization", f"Bearer {ALICE}x")]),
        ("another letter case", [("authorization", f"Bearer {ALICE.upper()}")]),
        ("not ASCII", [("authorization", "Bearer caf\xe9")]),
    ]


@pytest.mark.parametrize("dialect", SPEECHES)
def test_without_a_known_key_nothing_opens(dialect: str, tmp_path: Path) -> None:
    speech = SPEECHES[dialect]

    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            before = len(it.requests())
            for name, headers in credentials():
                raw = [(key.encode(), value.encode("latin-1")) for key, value in headers]
                read = await it.http.get(f"/{dialect}{speech.read.format(id=word)}", headers=raw)
                created = await it.http.post(f"/{dialect}{speech.create}", json=dict(speech.body), headers=raw)
                film = await it.http.get(f"/{dialect}/v1/videos/{word}/content", headers=raw)
                models = await it.http.get(f"/{dialect}/v1/models", headers=raw)
                for answer in (read, created, film, models):
                    error = error_of(dialect, answer)
                    assert answer.status_code == 401, name
                    assert error["type"] == ("new_api_error" if dialect == "newapi" else "authentication_error")
                assert error_of(dialect, created)["code"] == ("" if dialect == "newapi" else "unauthorized")
                assert created.headers["x-should-retry"] == "false"
            assert len(it.requests()) == before

    asyncio.run(scenario())


def test_a_key_opens_as_bearer_token_and_as_x_api_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            path = f"/v1/tasks/{await it.finished_film()}"
            good = [
                [("authorization", f"Bearer {ALICE}")],
                [("authorization", f"bearer  {ALICE} ")],
                [("x-api-key", ALICE)],
                [("authorization", f"Bearer {ALICE}"), ("x-api-key", ALICE)],
                [("authorization", f"Bearer {ALICE}"), ("authorization", f"Bearer {ALICE}")],
            ]
            for headers in good:
                assert (await it.http.get(path, headers=headers)).status_code == 200

    asyncio.run(scenario())


def test_two_credentials_that_disagree_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            before = len(it.requests())
            pairs = [
                [("authorization", f"Bearer {ALICE}"), ("x-api-key", BOB)],
                [("authorization", f"Bearer {ALICE}"), ("authorization", f"Bearer {BOB}")],
                [("x-api-key", ALICE), ("x-api-key", "sk-rg-nobody")],
            ]
            for dialect, speech in SPEECHES.items():
                for headers in pairs:
                    read = await it.http.get(f"/{dialect}{speech.read.format(id=word)}", headers=headers)
                    path = f"/{dialect}{speech.create}"
                    created = await it.http.post(path, json=dict(speech.body), headers=headers)
                    for answer in (read, created):
                        assert answer.status_code == 400
                        assert problems_of(dialect, answer) == ["authorization"]
                        assert not any(key in answer.text for key in (ALICE, BOB, "sk-rg-nobody"))
            assert len(it.requests()) == before

    asyncio.run(scenario())


def test_a_key_in_the_query_opens_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            word = await it.finished_film()
            for name in ("key", "api_key", "apikey", "token", "access_token", "authorization", "x-api-key"):
                for path in (f"/v1/tasks/{word}", f"/v1/videos/{word}/content"):
                    assert (await it.http.get(path, params={name: ALICE})).status_code == 401

    asyncio.run(scenario())


def test_without_virtual_keys_any_bearer_is_the_caller_local_but_none_is_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, EVERYBODY) as it:
            word = id_of(await it.create(key="whatever"))
            assert (await it.read(word, key="something-else")).status_code == 200
            task = await it.parts.registry.get(ids.number_of(word) or 0)
            assert task is not None
            assert task.caller == "local"
            for headers in ({}, {"authorization": "Bearer"}, {"authorization": "Basic eDp5"}):
                assert (await it.http.get(f"/v1/tasks/{word}", headers=headers)).status_code == 401
                assert (await it.http.post("/v1/videos/generations", json={}, headers=headers)).status_code == 401
            assert len(it.videos()) == 1

    asyncio.run(scenario())


# --- looks at the upstream


def test_finished_tasks_are_told_from_storage_after_a_restart_with_the_upstream_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            words = [await it.finished_film(), await it.finished_film(prompt="p #sandbox:fail-generation")]
            before = {(word, name): (await it.read(word, name)).json() for word in words for name in SPEECHES}
        async with world(tmp_path, upstream="http://127.0.0.1:9") as again:
            after = {(word, name): (await again.read(word, name)).json() for word in words for name in SPEECHES}
            assert after == before

    asyncio.run(scenario())


def test_an_unfinished_task_is_told_as_it_was_while_the_upstream_is_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, speed=SLOW) as it:
            word = id_of(await it.create())
        async with world(tmp_path, upstream="http://127.0.0.1:9") as again:
            for dialect in SPEECHES:
                assert_shape(dialect, (await again.read(word, dialect)).json(), word, state=0)

    asyncio.run(scenario())


def test_a_hundred_polls_before_a_look_is_due_cause_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, "polling: {min_interval_s: 30, max_interval_s: 30}", speed=SLOW) as it:
            word = id_of(await it.create())
            dialects = [name for _ in range(34) for name in SPEECHES][:100]
            answers = await asyncio.gather(*(it.read(word, name) for name in dialects[:50]))
            answers += [await it.read(word, name) for name in dialects[50:]]
            assert {answer.status_code for answer in answers} == {200}
            assert it.requests("GET") == []
            assert "reelgate_polls_saved_total 100.0" in (await it.http.get("/metrics")).text

    asyncio.run(scenario())


@pytest.mark.parametrize("trouble", ["poll-404", "poll-429", "poll-500", "unknown-status"])
def test_a_look_that_goes_wrong_changes_nothing_for_the_client(trouble: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with world(tmp_path, speed=1, clock=clock) as it:
            word = id_of(await it.create(prompt=f"p #sandbox:{trouble}"))
            clock.walk(10)  # of the thirty that it takes
            looks = len(it.requests("GET"))
            async with asyncio.timeout(PROMPT_S):
                while True:
                    if len(it.requests("GET")) >= looks + 2:  # the first may have been on its way before
                        break
                    await asyncio.sleep(0.01)
            answer = await it.read(word)
            assert answer.status_code == 200
            assert answer.json()["status"] == ("processing" if trouble == "unknown-status" else "pending")

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", ["evolink", "toapis"])
def test_a_caller_without_a_budget_reads_as_unlimited(dialect: str, tmp_path: Path) -> None:
    path = {"evolink": "/v1/credits", "toapis": "/v1/balance"}[dialect]

    async def scenario() -> None:
        async with world(tmp_path) as it:
            await it.finished_film()
            for url in (path, f"/{dialect}{path}"):
                answer = (await it.http.get(url, headers=bearer(ALICE))).json()
                if dialect == "evolink":
                    assert answer["data"]["token"] == answer["data"]["user"]
                    assert answer["data"]["user"] == {
                        "remaining_credits": -1.0,
                        "unlimited_credits": True,
                        "used_credits": 0.28,
                    }
                else:
                    assert answer == {
                        "success": True,
                        "remain_balance": -1.0,
                        "used_balance": 0.28,
                        "unlimited_quota": True,
                    }
            bobs = (await it.http.get(path, headers=bearer(BOB))).text
            assert "0.28" not in bobs

    asyncio.run(scenario())


def test_models_are_those_that_an_upstream_here_sells(tmp_path: Path) -> None:
    upstreams = make_config(tmp_path, "http://127.0.0.1:9").upstreams
    narrowed = f"""
upstreams:
  - name: {upstreams[0].name}
    provider: evolink
    base_url: ${{UPSTREAM}}/evolink
    models: ["*-2.3*"]
    keys: [{{id: main, value: sk-up-other-key}}]
"""

    async def scenario() -> None:
        async with world(tmp_path, narrowed) as it:
            for prefix in ("", "/evolink", "/toapis", "/newapi"):
                answer = (await it.http.get(f"{prefix}/v1/models", headers=bearer(ALICE))).json()
                assert answer["object"] == "list"
                assert [model["id"] for model in answer["data"]] == ["MiniMax-Hailuo-2.3", "MiniMax-Hailuo-2.3-Fast"]
            refused = await it.create(model="MiniMax-Hailuo-02")
            assert error_of("evolink", refused)["param"] == "model"
            assert it.requests() == []

    asyncio.run(scenario())


def test_a_key_is_told_the_models_that_it_may_use(tmp_path: Path) -> None:
    keys = 'virtual_keys: [{id: alice, value: sk-rg-alice-key, models: ["*-fast"]}, {id: bob, value: sk-rg-bob-key}]\n'

    async def scenario() -> None:
        async with world(tmp_path, keys) as it:
            mine = (await it.http.get("/v1/models", headers=bearer(ALICE))).json()["data"]
            assert [model["id"] for model in mine] == ["MiniMax-Hailuo-2.3-Fast"]
            all_of_them = (await it.http.get("/v1/models", headers=bearer("sk-rg-bob-key"))).json()["data"]
            assert len(all_of_them) > 1
            assert (await it.create(model="MiniMax-Hailuo-02")).status_code == 403

    asyncio.run(scenario())


def test_whoever_deletes_while_reading_page_by_page_reads_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            words = [id_of(await it.create()) for _ in range(4)]
            read = list[str]()
            page = {"has_more": True, "last_id": None}
            while page["has_more"]:
                after = "" if page["last_id"] is None else f"&after={page['last_id']}"
                page = (await it.http.get(f"/v1/videos?limit=1{after}", headers=bearer(ALICE))).json()
                for video in page["data"]:
                    read.append(video["id"])
                    assert (await it.http.delete(f"/v1/videos/{video['id']}", headers=bearer(ALICE))).status_code == 200
            assert read == words[::-1]
            stranger = await it.http.get(f"/v1/videos?after={words[0]}", headers=bearer("sk-rg-bob-key"))
            assert stranger.status_code == 400

    asyncio.run(scenario())
