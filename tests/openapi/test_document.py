"""The OpenAPI document: valid, complete, public, and of what this gateway offers."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from httpx import Response

from gateway.catalog import Catalog
from gateway.dialects import DIALECTS
from gateway.web import routes
from gateway.web.openapi import Terms, document, of_dialect
from tests.openapi.world import ADMIN_KEY, CONFIG
from tests.world import ALICE, UPSTREAM_KEY, World, bearer, world

WHOLE = document(Terms(models=Catalog.shipped().models, has_admin=True))
METHODS = ("get", "head", "post", "put", "delete")


def told(answer: Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def operations(of: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and the operation itself."""
    for path, methods in of["paths"].items():
        for method, operation in methods.items():
            if method in METHODS:
                yield path, method.upper(), operation


def ids(of: dict[str, Any]) -> list[str]:
    return [operation["operationId"] for *_, operation in operations(of)]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolved(of: dict[str, Any], reference: str) -> Any:
    found: Any = of
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


@pytest.mark.parametrize("name", [None, *DIALECTS])
def test_it_is_valid_and_refers_to_nothing_that_is_not_there(name: str | None) -> None:
    of = WHOLE if name is None else of_dialect(WHOLE, name)
    schemathesis.openapi.from_dict(of).validate()
    for reference in references(of):
        assert resolved(of, reference)
    for schema in of["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    assert len(ids(of)) == len(set(ids(of)))
    links = [link for *_, item in operations(of) for link in item["responses"].get("200", {}).get("links", {}).values()]
    assert links
    assert {link["operationId"] for link in links} <= set(ids(of))


def test_every_route_of_the_router_is_in_it_and_nothing_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, f"admin_key: {ADMIN_KEY}\n") as opened:
            dispatch: Any = opened.app
            surfaces = {**dispatch.plain, **{route.path: route.app for route in dispatch._otherwise.routes}}
            offered = {
                (path, method)
                for path, surface in surfaces.items()
                for method, way in surface._ways.items()
                if way.handler not in (routes._not_offered, routes._not_there)
                # What is passed on is another's to describe, and pages are for people.
                and not path.startswith("/dashboard")
                and "{passthrough:" not in path
            }
            described = {(path, method) for path, method, _ in operations(told(await opened.http.get("/openapi.json")))}
            assert described == offered

    asyncio.run(story())


def test_answers_about_a_task_and_errors_of_a_film_are_told_with_their_headers() -> None:
    about_a_task = {f"x-reelgate-{name}" for name in ("task-id", "upstream", "attempts", "price")}
    for path, method, operation in operations(WHOLE):
        answers = operation["responses"]
        is_film = "/content" in path or "retrieve_content" in path
        assert ("416" in answers) is is_film
        if is_film or ("{id}" in path and not path.startswith("/admin")):
            for status, answer in answers.items():
                assert status == "304" or about_a_task <= set(answer["headers"]), (path, method, status)
        if is_film:
            assert "content-range" in answers["416"]["headers"]
            assert set(answers["416"].get("content", {})) == (set() if method == "HEAD" else {"application/json"})


def test_a_poll_of_toapis_tells_the_film_in_both_places_of_the_vendors_page() -> None:
    answer = WHOLE["components"]["schemas"]["ToapisReadAnswer"]
    film = answer["properties"]["result"]["properties"]["data"]["items"]["properties"]["url"]
    assert answer["properties"]["url"] == film
    assert "url" not in answer["required"]


def test_it_needs_no_key_and_tells_no_secret(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, f"admin_key: {ADMIN_KEY}\n") as opened:
            answer = await opened.http.get("/openapi.json")
            assert answer.headers["content-type"] == "application/json"
            assert told(answer)["openapi"] == "3.1.0"
            for secret in (ADMIN_KEY, ALICE, UPSTREAM_KEY, opened.sandbox_url, "alice", str(tmp_path)):
                assert secret not in answer.text
            bare = await opened.http.head("/openapi.json")
            assert (bare.status_code, bare.content) == (200, b"")
            assert bare.headers["content-length"] == str(len(answer.content))
            known = await opened.http.get("/openapi.json", headers={"if-none-match": answer.headers["etag"]})
            assert (known.status_code, known.content) == (304, b"")

    asyncio.run(story())


def test_a_gateway_without_an_admin_key_tells_of_no_admin_paths(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as opened:
            of = told(await opened.http.get("/openapi.json"))
            assert not [path for path in of["paths"] if path.startswith("/admin")]
            assert set(of["components"]["securitySchemes"]) == {"bearer", "apiKey"}

    asyncio.run(story())


def test_one_dialect_alone_has_its_prefix_in_the_base_url(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, "server: {public_url: 'https://films.example.com', answer_within_s: 60}") as opened:
            of = told(await opened.http.get("/openapi.json", params={"dialect": "toapis"}))
            assert of["servers"] == [{"url": "https://films.example.com/toapis"}]
            assert {operation["operationId"] for *_, operation in operations(of)} == {
                *("toapis_create", "toapis_read", "toapis_credits"),
                *("toapis_film", "toapis_film_head", "toapis_events", "toapis_models"),
            }
            for path, _, _ in operations(of):
                assert f"/toapis{path}" in WHOLE["paths"]
            refused = await opened.http.get("/openapi.json", params={"dialect": "klingon"})
            assert refused.status_code == 400
            assert "dialect" in refused.text

    asyncio.run(story())


def test_it_offers_the_models_that_are_on_sale_here_and_no_others(tmp_path: Path) -> None:
    async def story(config: str, expected: set[str]) -> dict[str, Any]:
        async with world(tmp_path, config) as opened:
            of = told(await opened.http.get("/openapi.json"))
            model = of["components"]["schemas"]["MinimaxCreate"]["properties"]["model"]
            assert set(model.get("enum") or model["anyOf"][0]["enum"]) == expected
            return of

    hailuo = {model.name for model in Catalog.shipped().models if "evolink" in model.sold_by}
    aliases = {alias for model in Catalog.shipped().models if model.name in hailuo for alias in model.aliases}
    of = asyncio.run(story("", hailuo | aliases))
    assert "S2V-01" not in json.dumps(of)
    forwarding = asyncio.run(story("preflight: {unknown_models: forward, images: 'off'}", hailuo | aliases))
    create = jsonschema_rs.validator_for(forwarding["components"]["schemas"]["EvolinkCreate"])
    assert create.is_valid({"model": "somebody/else-9", "quality": "2000p", "duration": 77})
    assert not create.is_valid({"model": "MiniMax-Hailuo-2.3", "prompt": "a ship", "quality": "2000p"})


@pytest.mark.parametrize(
    ("default", "body", "is_valid"),
    [
        ("evolink", {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship"}, True),
        ("evolink", {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship", "quality": "768p"}, True),
        ("evolink", {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship", "resolution": "768P"}, True),
        (
            "evolink",
            {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship", "resolution": "768P", "quality": "768p"},
            False,
        ),
        # Without a mark it is the default, and toapis wants a prompt for this model.
        ("evolink", {"model": "MiniMax-Hailuo-2.3", "image_urls": ["https://example.com/a.png"]}, True),
        ("toapis", {"model": "MiniMax-Hailuo-2.3", "image_urls": ["https://example.com/a.png"]}, False),
        ("toapis", {"model": "MiniMax-Hailuo-2.3", "prompt": "a ship", "model_params": {}}, True),
    ],
)
def test_on_the_shared_path_the_marks_choose(default: str, body: dict[str, Any], is_valid: bool) -> None:
    of = document(Terms(models=Catalog.shipped().models, default_dialect=default))
    assert validator(of, "/v1/videos/generations").is_valid(body) is is_valid


def test_every_example_is_valid_and_would_be_taken(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, CONFIG) as opened:
            of = told(await opened.http.get("/openapi.json"))
            modes: dict[str, set[str]] = {}
            for path, _, operation in operations(of):
                content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
                for example in content.get("examples", {}).values():
                    assert validator(of, path).is_valid(example["value"]), example
                    quoted = await dry_run(opened, path, example["value"])
                    assert validator_of(of, {"$ref": "#/components/schemas/DryRun"}).is_valid(quoted)
                    modes.setdefault(operation["operationId"], set()).add(quoted["mode"])
            assert opened.videos() == []
            assert set(modes) == {name for name in ids(of) if name.endswith("_create") and "admin" not in name}
            assert all({"t2v", "i2v", "flf"} <= of_one for of_one in modes.values())

    asyncio.run(story())


async def dry_run(opened: World, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return told(await opened.http.post(path, json=body, headers={**bearer(ALICE), "x-reelgate-dry-run": "true"}))


def test_every_operation_refuses_whoever_has_no_key(tmp_path: Path) -> None:
    """In the words of whose path it is; but for those that say that they ask for none."""

    async def story() -> None:
        async with world(tmp_path, f"admin_key: {ADMIN_KEY}\n") as opened:
            for path, method, operation in operations(WHOLE):
                url = path.replace("{id}", "video_0000000000000").replace("{name}", "sandbox")
                answer = await opened.http.request(method, url)
                if operation.get("security") == []:
                    assert answer.status_code == 200, (path, answer.text)
                elif answer.status_code == 200:
                    assert answer.json()["base_resp"]["status_code"] == 1004, (path, answer.text)
                else:
                    assert answer.status_code == 401, (path, answer.text)

    asyncio.run(story())


def test_nothing_of_it_is_imported_before_it_is_asked_for() -> None:
    code = "import sys, gateway.app; print([name for name in sys.modules if 'openapi' in name])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def validator(of: dict[str, Any], path: str) -> Any:
    """Of the JSON bodies of the create on a path."""
    return validator_of(of, of["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"])


def validator_of(of: dict[str, Any], schema: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for({**schema, "components": of["components"]})
