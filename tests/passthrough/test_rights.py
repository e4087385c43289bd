"""Who may use it, what refusals look like, and what is written down of it."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from tests.life.process import serve
from tests.passthrough.upstream import Upstream, config
from tests.world import ALICE, BOB, PROMPT_S, bearer, error_of, world

CHAT = "/v1/chat/completions"
KEYS = f"""
virtual_keys:
  - {{id: alice, value: {ALICE}, budget: {{amount: 5}}}}
  - {{id: bob, value: {BOB}, budget: {{amount: 5}}, passthrough: true}}
  - {{id: carol, value: sk-rg-carol-key, team: films}}
  - {{id: dan, value: sk-rg-dan-key, team: free}}
  - {{id: eve, value: sk-rg-eve-key, team: films, passthrough: true}}
  - {{id: fay, value: sk-rg-fay-key}}
teams: [{{id: films, budget: {{amount: 5}}}}, {{id: free}}]
"""
ALLOWED = {ALICE: False, BOB: True, "sk-rg-carol-key": False, "sk-rg-dan-key": True}
ALLOWED |= {"sk-rg-eve-key": True, "sk-rg-fay-key": True}


def test_a_budget_closes_it_unless_the_key_says_otherwise(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(rest=KEYS), upstream=upstream.url) as it:
            for key, is_allowed in ALLOWED.items():
                answer = await it.http.post(CHAT, json={}, headers=bearer(key))
                models = await it.http.get("/v1/models?upstream=true", headers=bearer(key))
                if is_allowed:
                    assert answer.status_code == 200
                    continue
                assert answer.status_code == models.status_code == 403
                assert answer.headers["x-should-retry"] == "false"
                error = answer.json()["error"]
                assert (error["code"], error["type"]) == ("model_not_allowed", "permission_error")
                assert (await it.http.get("/v1/models", headers=bearer(key))).status_code == 200
            passed = [visit for visit in upstream.visits if visit.target == CHAT]
            assert len(passed) == sum(ALLOWED.values())

    asyncio.run(scenario())


def test_without_a_known_key_nothing_is_passed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url) as it:
            for headers in ({}, bearer("sk-wrong"), {**bearer(ALICE), "x-api-key": BOB}):
                for path in (CHAT, f"/openai{CHAT}", f"{CHAT}?api_key={ALICE}"):
                    answer = await it.http.post(path, json={}, headers=headers)
                    assert answer.status_code == (400 if "x-api-key" in headers else 401)
                    assert error_of("openai", answer)["code"] in ("invalid_api_key", "invalid_request")
            assert upstream.visits == []

    asyncio.run(scenario())


def test_refusals_speak_openai_unless_a_header_names_another_dialect(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(rest=KEYS), upstream=upstream.url) as it:
            for name in ("evolink", "toapis", "newapi", "openai"):
                told = {**bearer(ALICE), "x-reelgate-dialect": name}
                error = error_of(name, await it.http.post(CHAT, json={}, headers=told))
                assert error["message"].startswith("this key has a budget")
            told = {**bearer(ALICE), "x-reelgate-dialect": "minimax"}
            answer = await it.http.post(CHAT, json={}, headers=told)
            assert answer.json()["base_resp"]["status_code"] == 2061
            prefixed = await it.http.post(f"/openai{CHAT}", json={}, headers=told)
            assert error_of("openai", prefixed)["code"] == "model_not_allowed"
            unknown = await it.http.post(CHAT, json={}, headers={**bearer(ALICE), "x-reelgate-dialect": "klingon"})
            assert (unknown.status_code, error_of("openai", unknown)["param"]) == (400, "x-reelgate-dialect")
            assert upstream.visits == []

    asyncio.run(scenario())


@pytest.mark.parametrize("off", ["", "passthrough: null", "passthrough: {upstream: null}"])
def test_without_an_upstream_to_pass_to_there_is_no_such_path(off: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, off) as it:
            for path in (CHAT, f"/openai{CHAT}", "/v1/files", "/v1/models/x"):
                for method in ("GET", "POST", "DELETE", "OPTIONS"):
                    answer = await it.http.request(method, path, headers=bearer(ALICE))
                    assert (answer.status_code, error_of("openai", answer)["code"]) == (404, "not_found")
            assert (await it.http.get("/v1/a%2Fb", headers=bearer(ALICE))).status_code == 400
            assert it.requests() == []

    asyncio.run(scenario())


def test_a_shutdown_takes_nothing_new(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, world(tmp_path, config(), upstream=upstream.url) as it:
            it.parts.stories.stop_creates()
            answer = await it.http.post(CHAT, json={}, headers=bearer(ALICE))
            assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "true")
            assert int(answer.headers["retry-after"]) > 0
            assert upstream.visits == []

    asyncio.run(scenario())


def test_only_a_template_of_the_path_and_nothing_of_the_query_is_written_down(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream() as upstream, serve(tmp_path, upstream.url, config()) as process:
            async with httpx.AsyncClient(base_url=process.base_url, trust_env=False, timeout=PROMPT_S) as http:
                for path in ("/v1/secret-path?token=secret-query", "/openai/v1/secret-path/2?token=secret-query"):
                    asked = {**bearer(ALICE), "x-request-id": "one"}
                    assert (await http.post(path, json={"secret": "body"}, headers=asked)).status_code == 200
                assert (await http.get("/v1/secret-path/%2e%2e?token=secret-query")).status_code == 400
                counted = (await http.get("/metrics")).text
            assert (
                'reelgate_requests_total{dialect="openai",method="POST",route="/v1/{passthrough}",status="200"}'
                in counted
            )
            assert 'upstream_requests_total{operation="passthrough",outcome="2xx",upstream="other"} 2.0' in counted
            said = process.said()
            assert "secret" not in counted + said
            assert "sk-up-main" not in counted + said
            lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
            assert [line["route"] for line in lines if line["status"] == 200 and line["method"] == "POST"] == [
                "/v1/{passthrough}"
            ] * 2
            assert lines[0]["caller"] == "alice"

    asyncio.run(scenario())
