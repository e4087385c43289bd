"""Polls that memory alone can answer are answered without a turn of the event loop, and say what the others say."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.dialects import DIALECTS
from gateway.dialects.speaking import Action
from gateway.structs import replace
from tests.world import ALICE, BOB, FAST, SLOW, World, bearer, id_of, world

READS = [
    (f"/{name}{endpoint.path}", endpoint.query_id)
    for name, dialect in DIALECTS.items()
    for endpoint in dialect.ENDPOINTS
    if endpoint.action is Action.READ
]
REST = "polling: {min_interval_s: 3600, max_interval_s: 7200}"
"""No look is due, so that memory is enough."""


def scope_of(url: str, headers: dict[str, str], method: str = "GET") -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "type": "http",
        "method": method,
        "path": parts.path,
        "query_string": parts.query.encode(),
        "headers": [(b"host", b"127.0.0.1"), *((name.encode(), said.encode()) for name, said in headers.items())],
        "scheme": "http",
        "server": ("127.0.0.1", 80),
    }


def address(path: str, query_id: str | None, task_id: str) -> str:
    return path.replace("{id}", task_id) if query_id is None else f"{path}?{query_id}={task_id}"


def at_once(opened: World, url: str, headers: dict[str, str], method: str = "GET") -> Any:
    app: Any = opened.app
    return app.at_once(scope_of(url, headers, method))


def fields_of(lines: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in lines.decode().splitlines())


def told(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    return answer.status_code, dict(answer.headers), answer.json()


@pytest.mark.parametrize("is_over", [False, True])
def test_what_is_answered_at_once_is_what_is_answered_otherwise(is_over: bool, tmp_path: Path) -> None:
    async def play() -> None:
        config = "" if is_over else REST
        async with world(tmp_path, config, speed=FAST if is_over else SLOW) as opened:
            task_id = await opened.finished_film() if is_over else id_of(await opened.create())
            headers = {**bearer(ALICE), "x-request-id": "the-same"}
            for path, query_id in READS:
                url = address(path, query_id, task_id)
                otherwise = told(await opened.http.get(url, headers=headers))
                del otherwise[1]["content-length"]  # the server says it
                status, lines, body = at_once(opened, url, headers)
                assert (status, fields_of(lines), json.loads(body)) == otherwise, url

    asyncio.run(play())


def test_what_memory_does_not_settle_is_left_to_the_ordinary_way(tmp_path: Path) -> None:
    async def play() -> None:
        async with world(tmp_path, REST, speed=SLOW) as opened:
            task_id = id_of(await opened.create())
            url = f"/v1/tasks/{task_id}"
            assert (await opened.http.get(url, headers=bearer(ALICE))).status_code == 200
            for headers in (
                {},
                bearer("sk-nobody"),
                bearer(BOB),
                {**bearer(ALICE), "x-api-key": BOB},
                {**bearer(ALICE), "prefer": "wait=1"},
                {**bearer(ALICE), "if-none-match": "*"},
            ):
                assert at_once(opened, url, headers) is None, headers
            for other in ("/v1/tasks/task_0", "/v1/tasks/junk", "/v1/models", "/v1/nothing", "/v1/tasks/a/b/c"):
                assert at_once(opened, other, bearer(ALICE)) is None, other
            assert at_once(opened, url, bearer(ALICE), method="DELETE") is None
            opened.parts.memory.tasks.clear()
            assert at_once(opened, url, bearer(ALICE)) is None

    asyncio.run(play())


def test_a_due_look_is_not_skipped(tmp_path: Path) -> None:
    async def play() -> None:
        async with world(tmp_path, "polling: {min_interval_s: 0.00001, max_interval_s: 0.00001}", speed=SLOW) as opened:
            url = f"/v1/tasks/{id_of(await opened.create())}"
            assert at_once(opened, url, bearer(ALICE)) is None

    asyncio.run(play())


def test_who_asks_again_in_the_same_scope_is_admitted_anew_and_told_anew(tmp_path: Path) -> None:
    async def play() -> None:
        async with world(tmp_path, REST, speed=SLOW) as opened:
            app, memory, admission = cast(Any, opened.app), opened.parts.memory, opened.parts.admission
            scope = scope_of(f"/v1/tasks/{id_of(await opened.create())}", bearer(ALICE))
            _, first_lines, first = app.at_once(scope)
            _, second_lines, second = app.at_once(scope)
            assert first == second
            assert fields_of(first_lines)["x-request-id"] != fields_of(second_lines)["x-request-id"]
            (task,) = memory.tasks.values()
            memory.keep(replace(task, progress=42))
            assert json.loads(app.at_once(scope)[2])["progress"] == 42
            memory.keep(replace(task, caller="bob"))
            assert app.at_once(scope) is None
            memory.keep(task)
            assert app.at_once(scope) is not None
            admission.callers = {}
            assert app.at_once(scope) is None

    asyncio.run(play())


def test_each_is_counted_once(tmp_path: Path) -> None:
    async def play() -> None:
        async with world(tmp_path, REST, speed=SLOW) as opened:
            url = f"/v1/tasks/{id_of(await opened.create())}"
            await opened.http.get(url, headers=bearer(ALICE))
            assert at_once(opened, url, bearer(ALICE)) is not None
            assert at_once(opened, url, {**bearer(ALICE), "prefer": "wait=0"}) is None
            exposition = opened.parts.metrics.exposition().decode()
            line = 'reelgate_requests_total{dialect="evolink",method="GET",route="/v1/tasks/{id}",status="200"} 2.0'
            assert line in exposition
            assert "reelgate_polls_saved_total 2.0" in exposition

    asyncio.run(play())
