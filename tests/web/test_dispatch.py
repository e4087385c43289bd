"""Which application a path leads to, and that the router has what is not plain."""

import asyncio
from pathlib import Path
from typing import Any

from starlette.routing import Router

from gateway.video import Route
from gateway.web.dispatch import Dispatch, is_plain
from tests.world import SLOW, id_of, world

TEMPLATES = ("/v1/tasks/{id}", "/v1/videos/{id}", "/v1/videos/generations", "/v1/videos/{id}/content", "/healthz")


def lead(path: str) -> tuple[str | None, str]:
    """The template a path leads to, None for the router; and the id."""
    seen: list[tuple[str, str]] = []

    def app(template: str) -> Any:
        async def answer(scope: Any, receive: Any, send: Any) -> None:
            seen.append((template, scope["path_params"]["id"]))

        return answer

    async def router(scope: Any, receive: Any, send: Any) -> None:
        seen.append(("router", ""))

    plain = {template: app(template) for template in TEMPLATES}
    dispatch = Dispatch(plain, Router(), nowhere=app("nowhere"), vital=frozenset())
    dispatch._otherwise = router  # type: ignore[assignment]
    asyncio.run(dispatch({"type": "http", "path": path}, None, None))  # type: ignore[arg-type]
    (found,) = seen
    return (None, "") if found[0] == "router" else found


def test_a_literal_segment_goes_before_an_id() -> None:
    assert lead("/v1/videos/generations") == ("/v1/videos/generations", "")
    assert lead("/v1/videos/video_1") == ("/v1/videos/{id}", "video_1")
    assert lead("/v1/videos/video_1/content") == ("/v1/videos/{id}/content", "video_1")
    assert lead("/v1/tasks/{id}") == ("/v1/tasks/{id}", "{id}")
    assert lead("/healthz") == ("/healthz", "")


def test_what_has_no_plain_template_is_the_routers() -> None:
    for path in (
        "/",
        "",
        "/v1",
        "/v1/tasks",
        "/v1/tasks/",
        "/v1/tasks//",
        "/v1/tasks/a/b",
        "/v1//tasks/a",
        "/healthz/",
    ):
        assert lead(path) == (None, ""), path


def test_a_template_with_a_converter_is_not_plain() -> None:
    assert all(map(is_plain, TEMPLATES))
    assert not is_plain("/v1/videos/{rest:path}")


def test_equal_upstreams_share_by_tasks_in_flight(tmp_path: Path) -> None:
    upstreams = "\n".join(
        f"  - {{name: {name}, provider: evolink, base_url: '${{UPSTREAM}}/evolink', keys: [{{id: k, value: {name}}}]}}"
        for name in ("first", "second")
    )

    async def story() -> None:
        async with world(tmp_path, f"upstreams:\n{upstreams}", speed=SLOW) as it:
            model = it.parts.catalog.find("MiniMax-Hailuo-2.3")
            assert model is not None
            for _ in range(3):
                assert it.parts.upstreams.reuse(Route("first", "k"), model)
            chosen = [(await it.create(prompt=f"film {number}")) for number in range(4)]
            assert all(id_of(answer) for answer in chosen)
            names = [answer.headers["x-reelgate-upstream"] for answer in chosen]
            assert names[:3] == ["second"] * 3

    asyncio.run(story())


def test_the_dry_run_says_which_upstream_and_why(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            body = {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship"}
            headers = {"authorization": "Bearer sk-rg-alice-key", "x-reelgate-dry-run": "true"}
            answer = await it.http.post("/v1/videos/generations", json=body, headers=headers)
            assert answer.json()["upstream"] == "sandbox"
            assert "1 of the configured upstreams sell" in answer.headers["x-reelgate-upstream-reason"]
            assert it.requests() == []

    asyncio.run(story())
