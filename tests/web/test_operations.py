"""What the person who runs the gateway sees: health, readiness, and metrics in which no client has a word."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway import __version__
from gateway.catalog import Catalog
from gateway.errors import KeyBarred, Unreachable
from gateway.flows.submit import Submission
from gateway.video import Task
from tests.fakes.upstream import FakeUpstream, accept, gated
from tests.world import ALICE, BOB, PROMPT_S, SLOW, SPEECHES, World, bearer, id_of, world

ONE_MODEL = """
upstreams:
  - name: sandbox
    provider: evolink
    base_url: ${UPSTREAM}/evolink
    keys: [{id: main, value: "sk-upstream-main"}]
    models: [MiniMax-Hailuo-2.3]
"""
HEALTH = ("/healthz", "/health", "/health/liveliness")
READINESS = ("/readyz", "/health/readiness")

# Every label and all it may say, beside the names in the configuration.
CLOSED: dict[str, set[str]] = {
    "dialect": {"evolink", "toapis", "newapi", "openai", "minimax", "none"},
    "method": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"},
    "fault": {"caller", "policy", "upstream", "gateway"},
    "state": {"queued", "opened", "running", "unconfirmed", "completed", "failed", "refused"}
    | {"ok", "resting", "exhausted", "retired", "barred", "draining"},
    "operation": {"submit", "poll", "locate", "upload", "balance", "passthrough"},
    "upstream": {"sandbox"},
    "key": {"main"},
    "model": {*Catalog.shipped().names(), "other"},
    "resolution": {"768P"},
    "version": {__version__},
    "virtual_key": {"alice", "bob"},
    "what": {"creates", "body_bytes", "probes", "looks", "waits", "streams", "films", "passthrough", "callbacks"}
    | {"listings"},
    "kind": {"status_word", "known_id"},
    "money": {"held", "suspended"},
}


async def metrics(it: World) -> dict[str, float]:
    """Every sample by its name with its labels."""
    answer = await it.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for line in answer.text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    return samples


async def checks(it: World) -> tuple[int, dict[str, bool]]:
    answer = await it.http.get("/readyz")
    found: dict[str, bool] = answer.json()["checks"]
    return answer.status_code, found


def test_health_and_readiness_answer_by_all_their_names_without_a_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for path in HEALTH:
                answer = await it.http.get(path)
                assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": __version__})
            for path in READINESS:
                answer = await it.http.get(path)
                assert answer.status_code == 200
                assert answer.json()["status"] == "ready"
                assert set(answer.json()["checks"].values()) == {True}
            for path in (*HEALTH, *READINESS):
                head = await it.http.head(path)
                assert (head.status_code, head.content) == (200, b"")
                assert (await it.http.post(path)).status_code == 405
            assert it.requests() == []  # neither asks an upstream

    asyncio.run(scenario())


@pytest.mark.parametrize("trouble", ["401", "402"])
def test_it_is_not_ready_when_no_key_is_usable_and_polls_go_on(trouble: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, speed=SLOW) as it:
            word = id_of(await it.create())
            refused = await it.create(prompt=f"p #sandbox:{trouble}")
            assert refused.status_code == 503
            assert await checks(it) == (503, {"storage": True, "keys": False, "accepting": True})
            assert (await it.http.get("/healthz")).status_code == 200
            assert (await it.read(word)).status_code == 200
            state = {"401": "retired", "402": "exhausted"}[trouble]
            assert (await metrics(it))[f'reelgate_key_state{{key="main",state="{state}",upstream="sandbox"}}'] == 1.0
            assert len(it.videos()) == 1

    asyncio.run(scenario())


def test_it_stays_ready_while_a_key_only_rests_for_rate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            assert (await it.create(prompt="p #sandbox:429")).status_code == 429
            assert (await checks(it))[0] == 200

    asyncio.run(scenario())


def test_it_is_not_ready_while_the_upstream_rests_or_every_model_is_barred(tmp_path: Path) -> None:
    """Whatever makes every create a 503."""

    async def scenario() -> None:
        (tmp_path / "again").mkdir()
        async with world(tmp_path, ONE_MODEL) as it:
            pool = it.parts.upstreams._by_name["sandbox"].pool
            now = it.parts.clock()
            pool.learn("main", KeyBarred("not this model", row="H12"), "MiniMax-Hailuo-02", now)
            assert (await checks(it))[0] == 200, "a model that is not sold here"
            pool.learn("main", KeyBarred("not this model", row="H12"), "MiniMax-Hailuo-2.3", now)
            assert (await checks(it))[0] == 503
            assert (await it.create()).status_code == 503
        async with world(tmp_path / "again") as it:
            it.parts.upstreams._by_name["sandbox"].pool.learn(
                "main", Unreachable("no connection", row="T2"), "MiniMax-Hailuo-2.3", it.parts.clock()
            )
            assert (await checks(it))[0] == 503
            assert (await it.create()).status_code == 503

    asyncio.run(scenario())


def test_it_is_not_ready_when_storage_fails_or_a_shutdown_has_begun(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            it.parts.stories.stop_creates()
            assert await checks(it) == (503, {"storage": True, "keys": True, "accepting": False})
            for dialect in SPEECHES:
                drained = await it.create(dialect)
                assert drained.status_code == 503
                assert drained.headers["x-should-retry"] == "true"
                assert int(drained.headers["retry-after"]) > 0
            await it.parts.database.close()
            assert (await checks(it))[1]["storage"] is False
            assert it.requests() == []

    asyncio.run(scenario())


def test_a_path_that_is_not_there_answers_in_json_whatever_the_method(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for path in ("/", "/v1", "/v1/chat/completions", "/admin/keys", "/v1/videos/generations/"):
                for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                    answer = await it.http.request(method, path)
                    assert answer.status_code == 404, (method, path)
                    assert answer.json()["error"]["code"] == "not_found"
            answer = await it.http.get("/nowhere", headers={"x-reelgate-dialect": "newapi"})
            assert answer.json() == {"code": "not_found", "message": "there is no such path here", "data": None}

    asyncio.run(scenario())


def test_below_a_dialects_prefix_a_path_that_is_not_there_is_refused_in_its_words(tmp_path: Path) -> None:
    message = "there is no such path here"
    words = {
        "evolink": {"error": {"code": "not_found", "message": message, "type": "not_found_error"}},
        "toapis": {"error": {"code": "not_found", "message": message, "type": "not_found_error"}},
        "newapi": {"code": "not_found", "message": message, "data": None},
        "openai": {"error": {"code": "not_found", "message": message, "type": "invalid_request_error", "param": None}},
        "minimax": {"base_resp": {"status_code": 2013, "status_msg": message}},
    }

    async def scenario() -> None:
        async with world(tmp_path) as it:
            for dialect, body in words.items():
                for path in ("", "/", "/nope", "/v1", "/v1/nope", "/v1/nope/"):
                    for method in ("GET", "POST", "DELETE"):
                        asked = {"x-reelgate-dialect": "evolink"}
                        answer = await it.http.request(method, f"/{dialect}{path}", headers=asked)
                        assert (answer.status_code, answer.json()) == (404, body), (method, dialect, path)
            for path in ("/minimax/v1/videos/generations", "/newapi/v1/video_generation"):  # another dialect's
                assert (await it.http.post(path)).json() == words[path.split("/")[1]]
            assert (await it.http.get("/newapis/v1/nope")).json() == words["evolink"]  # no prefix of anybody's
            labels = (await it.http.get("/metrics")).text
            assert "nope" not in labels

    asyncio.run(scenario())


def test_metrics_count_what_happened(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for dialect in SPEECHES:
                await it.finished_film(dialect)
            await it.create(model="nobody")
            await it.create(prompt="p #sandbox:drop-after-accept")
            await it.create(prompt="p #sandbox:400")
            found = await metrics(it)
            create = "/evolink/v1/videos/generations"
            requests = f'reelgate_requests_total{{dialect="evolink",method="POST",route="{create}",status='
            assert found[f'{requests}"200"}}'] == 2
            assert found[f'{requests}"400"}}'] == 2
            assert found['reelgate_tasks{state="completed"}'] == 3
            assert found['reelgate_tasks{state="unconfirmed"}'] == 1
            assert found['reelgate_tasks{state="refused"}'] == 1
            assert found['reelgate_preflight_refusals_total{reason="unknown_model"}'] == 1
            assert found['reelgate_errors_total{fault="caller",reason="unknown_model"}'] == 1
            assert found['reelgate_spend_total{model="MiniMax-Hailuo-2.3"}'] == pytest.approx(3 * 0.28)
            assert found[f'reelgate_build_info{{version="{__version__}"}}'] == 1
            submits = 'reelgate_upstream_requests_total{operation="submit",outcome='
            assert found[f'{submits}"2xx",upstream="sandbox"}}'] == 3
            assert found[f'{submits}"4xx",upstream="sandbox"}}'] == 1
            assert sum(value for name, value in found.items() if name.startswith(submits)) == 5

    asyncio.run(scenario())


def test_no_word_of_a_client_ever_becomes_a_label(tmp_path: Path) -> None:
    word = "Xylophone7"

    async def scenario() -> None:
        async with world(tmp_path, on_socket=True) as it:
            await it.finished_film()
            headers = {**bearer(ALICE), "x-reelgate-dialect": word, "x-request-id": word, "user-agent": word}
            good = {"model": "MiniMax-Hailuo-2.3", "prompt": "p"}
            for path in (f"/{word}", f"/v1/tasks/{word}", f"/v1/videos/{word}/content", f"/{word}/v1/videos"):
                for method in ("GET", "POST", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
                    await it.http.request(method, path, headers=headers, params={word: word, "signature": word})
            for changed in ({"model": word}, {"prompt": word, "quality": word}, {word: word}):
                for path in ("/v1/videos/generations", "/toapis/v1/videos/generations", "/v1/video/generations"):
                    await it.http.post(path, json={**good, **changed}, headers=headers)
                    await it.http.post(path, json={**good, **changed}, headers={"authorization": f"Bearer {word}"})
            await it.create(prompt=f"{word} #sandbox:unknown-status")
            text = (await it.http.get("/metrics")).text
            assert word.lower() not in text.lower()
            for secret in (ALICE, BOB, "sk-up"):
                assert secret not in text
            for name, value in re.findall(r'(\w+)="([^"]*)"', text):
                if name in CLOSED:
                    assert value in CLOSED[name], (name, value)
                elif name == "route":
                    assert value == "unknown" or value.startswith("/"), value
                elif name == "status":
                    assert re.fullmatch(r"[1-5]\d\d", value)
                else:
                    assert name in ("le", "reason", "outcome"), name
                    assert re.fullmatch(r"[a-z0-9_.+]+|\+Inf", value), value

    asyncio.run(scenario())


def test_overhead_leaves_out_the_time_a_slow_upstream_takes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            created = await it.create(prompt="p #sandbox:slow=0.5")
            assert created.status_code == 200
            found = await metrics(it)
            route = '{route="/evolink/v1/videos/generations"}'
            took_s = found[f"reelgate_request_duration_seconds_sum{route}"]
            # However long the machine took itself, what the upstream took is none of it.
            assert 0 < found[f"reelgate_overhead_seconds_sum{route}"] < took_s - 0.49
            assert found['reelgate_upstream_duration_seconds_sum{operation="submit",upstream="sandbox"}'] > 0.5

    asyncio.run(scenario())


def test_the_time_in_which_a_create_is_answered_begins_with_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause_s, left = 0.1, list[float | None]()
    answer = Submission.answer

    async def slowly() -> AsyncIterator[bytes]:
        body = json.dumps({"model": "MiniMax-Hailuo-2.3", "prompt": "p", "quality": "768p"}).encode()
        yield body[:9]
        await asyncio.sleep(pause_s)
        yield body[9:]

    async def measured(submission: Submission, within_s: float | None) -> Task:
        left.append(within_s)
        return await answer(submission, within_s)

    monkeypatch.setattr(Submission, "answer", measured)

    async def scenario() -> None:
        async with world(tmp_path, on_socket=True) as it:  # on a real one, because a body in memory is there at once
            headers = {**bearer(ALICE), "content-type": "application/json"}
            id_of(await it.http.post("/v1/videos/generations", content=slowly(), headers=headers))
            (within_s,) = left
            assert within_s is not None
            assert 0 < within_s <= it.parts.settings.answer_within_s - pause_s

    asyncio.run(scenario())


def test_a_create_is_answered_in_time_however_slow_the_upstream_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        gate = asyncio.Event()
        async with (
            FakeUpstream([gated(gate, accept())] * len(SPEECHES)) as fake,
            world(tmp_path, "server: {answer_within_s: 0.1}", upstream=fake.url) as it,
        ):
            async with asyncio.timeout(7):  # less than the time to answer that is the default
                answers = dict(zip(SPEECHES, await asyncio.gather(*map(it.create, SPEECHES)), strict=True))
            for dialect, answer in answers.items():
                assert answer.json()["submission"] == "sending"
                assert answer.headers["x-should-retry"] == "false"
                early = await it.read(id_of(answer), dialect)
                assert early.json()["submission"] == "sending"
            found = await metrics(it)
            route = '{route="/evolink/v1/videos/generations"}'
            # The upstream has taken some of the time already, although its call is not over.
            took_s = found[f"reelgate_request_duration_seconds_sum{route}"]
            assert 0 < found[f"reelgate_overhead_seconds_sum{route}"] < took_s
            gate.set()
            assert await it.parts.stories.drain(PROMPT_S) == 0
            for dialect, answer in answers.items():
                late = await it.read(id_of(answer), dialect)
                assert "submission" not in late.json()
            assert fake.accepted == len(fake.posts) == len(SPEECHES)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("trouble", "status", "should_retry"),
    [("400", 400, "false"), ("422", 400, "false"), ("429", 429, "true"), ("401", 503, "false"), ("503", 503, "true")],
)
def test_an_upstreams_refusal_says_whether_a_repeat_can_help(
    trouble: str, status: int, should_retry: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            answer = await it.create(prompt=f"p #sandbox:{trouble}")
            assert (answer.status_code, answer.headers["x-should-retry"]) == (status, should_retry)
            assert it.videos() == []
            # It was opened before it was sent, so there is a task that tells of it.
            read = await it.read(answer.headers["x-reelgate-task-id"])
            assert read.json()["status"] == "failed"
            for name in ("task-id", "upstream", "attempts", "price"):
                assert answer.headers[f"x-reelgate-{name}"] == read.headers[f"x-reelgate-{name}"]

    asyncio.run(scenario())


DOUBTS = ["500", "502", "503-html", "504", "drop", "drop-after-accept", "half-answer=1", "malformed", "no-id"]


def test_a_doubtful_answer_is_told_as_an_unconfirmed_task_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            for trouble in DOUBTS:
                before = len(it.requests("POST"))
                answer = await it.create(prompt=f"p #sandbox:{trouble}")
                assert answer.status_code == 200, trouble
                assert answer.json()["submission"] == "unconfirmed", trouble
                assert answer.headers["x-should-retry"] == "false"
                assert len(it.requests("POST")) == before + 1
                again = await it.read(id_of(answer))
                assert (again.json()["status"], again.json()["submission"]) == ("pending", "unconfirmed")

    asyncio.run(scenario())


def test_every_answer_of_a_socket_is_json_or_nothing(tmp_path: Path) -> None:
    """What the server itself refuses before the application hears of it must not say more than it should."""
    junk = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET /\r\n\r\n",
        b"POST /v1/videos/generations HTTP/9\r\n\r\n",
    ]

    async def scenario() -> None:
        async with world(tmp_path, on_socket=True) as it:
            for raw in junk:
                reader, writer = await asyncio.open_connection("127.0.0.1", it.http.base_url.port)
                writer.write(raw)
                writer.write_eof()
                async with asyncio.timeout(PROMPT_S):
                    said = await reader.read()
                assert b"Traceback" not in said
                writer.close()
                await writer.wait_closed()
            health: httpx.Response = await it.http.get("/healthz")
            assert json.loads(health.content)["status"] == "ok"
            assert it.requests() == []

    asyncio.run(scenario())


def test_an_answer_does_not_wait_until_the_client_has_acknowledged_its_head(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, on_socket=True) as it:
            durations_s: list[float] = []
            # A delayed acknowledgement takes 40 ms, and then every time; a busy machine takes as long now and then.
            while len(durations_s) < 300 and min(durations_s[2:], default=1.0) > 0.03:
                began = time.perf_counter()
                await it.http.get("/healthz")
                durations_s.append(time.perf_counter() - began)
            assert min(durations_s[2:]) < 0.03

    asyncio.run(scenario())
