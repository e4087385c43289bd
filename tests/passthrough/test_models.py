"""The list of models: the gateway's own and, when asked, what the passthrough upstream lists besides."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.passthrough.upstream import Upstream, Visit, config
from tests.world import ALICE, bearer, world

THEIRS = [
    {"id": "gpt-x", "object": "model", "created": 1, "owned_by": "someone", "context": 8},
    {"id": "MiniMax-Hailuo-2.3", "object": "model", "created": 1, "owned_by": "a liar"},
    {"id": "MiniMax-M2", "object": "model", "created": 2, "owned_by": "minimax"},
]


def listing(data: object, status: int = 200) -> object:
    async def play(visit: Visit) -> None:
        await visit.answer(status, json.dumps({"object": "list", "data": data}).encode())

    return play


@pytest.mark.parametrize("prefix", ["", "/openai", "/evolink"])
def test_the_upstreams_models_follow_our_own_when_asked_for(prefix: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream(listing(THEIRS)) as upstream, world(tmp_path, config(), upstream=upstream.url) as it:
            own = (await it.http.get(f"{prefix}/v1/models", headers=bearer(ALICE))).json()
            again = (await it.http.get(f"{prefix}/v1/models?upstream=false", headers=bearer(ALICE))).json()
            assert again == own
            assert upstream.visits == []
            merged = (await it.http.get(f"{prefix}/v1/models?upstream=true", headers=bearer(ALICE))).json()
            assert merged["object"] == "list"
            assert merged["data"] == [*own["data"], THEIRS[0], THEIRS[2]]
            (visit,) = upstream.visits
            assert (visit.method, visit.target, visit.key) == ("GET", "/v1/models", "sk-up-main")

    asyncio.run(scenario())


def test_without_an_upstream_to_pass_to_the_list_is_our_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as it:
            own = await it.http.get("/v1/models", headers=bearer(ALICE))
            assert (await it.http.get("/v1/models?upstream=true", headers=bearer(ALICE))).content == own.content
            assert (await it.http.get("/v1/models?upstream=maybe", headers=bearer(ALICE))).status_code == 400
            assert it.requests() == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer",
    [listing("no list"), listing({}), listing([], 500), listing([], 404), listing([{"id": "x" * (5 << 20)}])],
)
def test_a_list_that_cannot_be_read_is_said_so(answer: object, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Upstream(answer) as upstream, world(tmp_path, config(), upstream=upstream.url) as it:
            found = await it.http.get("/openai/v1/models?upstream=true", headers=bearer(ALICE))
            assert (found.status_code, found.json()["error"]["code"]) == (502, "upstream_error")

    asyncio.run(scenario())


def test_what_is_no_model_in_their_list_is_left_out(tmp_path: Path) -> None:
    async def scenario() -> None:
        odd = [5, None, {}, {"id": 5}, {"id": "one"}, ["id"]]
        async with Upstream(listing(odd)) as upstream, world(tmp_path, config(), upstream=upstream.url) as it:
            merged = (await it.http.get("/v1/models?upstream=true", headers=bearer(ALICE))).json()
            assert [model["id"] for model in merged["data"]][-1] == "one"
            assert all(isinstance(model["id"], str) for model in merged["data"])

    asyncio.run(scenario())


def test_the_next_key_asks_when_the_first_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def play(visit: Visit) -> None:
            if visit.key == "sk-up-one":
                await visit.answer(401, b'{"error": {"message": "no"}}')
            else:
                await visit.answer(200, json.dumps({"data": THEIRS}).encode())

        async with Upstream(play) as upstream, world(tmp_path, config("one", "two"), upstream=upstream.url) as it:
            merged = await it.http.get("/v1/models?upstream=true", headers=bearer(ALICE))
            assert merged.json()["data"][-1]["id"] == "MiniMax-M2"
            assert upstream.keys_used == ["sk-up-one", "sk-up-two"]

    asyncio.run(scenario())
