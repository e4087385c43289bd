"""Who may use the admin API, and how strictly it reads."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.web.admin import BODY_BYTES_MAX
from tests.admin.person import ADMIN_KEY, CONFIG, ask, new_key, refused, told
from tests.world import ALICE, World, bearer, world

TASK = "video_0b2nwchr8qfnk"  # well spelt, and nobody's
ROUTES = [
    ("GET", "/keys"),
    ("POST", "/keys"),
    ("POST", "/keys/alice/revoke"),
    ("DELETE", "/keys/alice"),
    ("GET", "/teams"),
    ("POST", "/teams"),
    ("PUT", "/teams"),
    ("GET", "/overview"),
    ("GET", "/usage"),
    ("GET", "/tasks"),
    ("GET", f"/tasks/{TASK}"),
    ("POST", f"/tasks/{TASK}/adopt"),
    ("POST", f"/tasks/{TASK}/release"),
    ("POST", f"/tasks/{TASK}/settle"),
    ("POST", "/reconcile"),
    ("GET", "/upstreams"),
    ("POST", "/freeze"),
    ("POST", "/unfreeze"),
]


@pytest.mark.parametrize("config", ["", "admin_key: ''\n", "admin_key: null\n"])
def test_without_an_admin_key_none_of_it_is_there(config: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, config) as it:
            for method, path in ROUTES:
                for headers in ({}, bearer(""), bearer(ALICE), bearer("null")):
                    answer = await it.http.request(method, f"/admin{path}", headers=headers)
                    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), (method, path)

    asyncio.run(scenario())


@pytest.mark.parametrize("headers", [{}, bearer(ALICE), bearer(""), bearer(ADMIN_KEY[:-1]), bearer(f"{ADMIN_KEY}x")])
def test_only_the_admin_key_opens_it(headers: dict[str, str], tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            before = await _everything(it)
            for method, path in ROUTES:
                for query in ("", f"?key={ADMIN_KEY}&admin_key={ADMIN_KEY}"):
                    answer = await it.http.request(method, f"/admin{path}{query}", headers=headers, json={})
                    assert answer.status_code == 401, (method, path)
                    assert set(answer.json()["error"]) == {"code", "message", "param"}
                    assert answer.headers["cache-control"] == "no-store"
            assert await _everything(it) == before

    asyncio.run(scenario())


def test_a_key_that_was_made_is_no_admin_key_and_the_admin_key_is_no_virtual_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            made = await new_key(it, "carol", passthrough=True)
            assert (await it.http.get("/admin/keys", headers=bearer(made))).status_code == 401
            assert (await it.create(key=ADMIN_KEY)).status_code == 401
            assert (await it.http.get("/v1/models", headers=bearer(ADMIN_KEY))).status_code == 401
            assert it.requests() == []

    asyncio.run(scenario())


def test_two_credentials_that_disagree_open_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            error = await refused(it, 400, "GET", "/keys", headers={"x-api-key": ALICE})
            assert error["param"] == "authorization"

    asyncio.run(scenario())


BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", "body"),
    (b"{", "body"),
    (b"[]", "body"),
    (b'{"id": "carol", "id": "dave"}', "body"),
    (b'{"id": NaN}', "body"),
    (b'{"id": "c\xff"}', "body"),
    (b'{"id": "carol", "colour": "red"}', "colour"),
    (b'{"id": ' + b"[" * 40 + b"]" * 40 + b"}", "body"),
]


@pytest.mark.parametrize(("body", "param"), BAD_BODIES)
@pytest.mark.parametrize(("method", "path"), [("POST", "/keys"), ("POST", "/teams"), ("PUT", "/teams")])
def test_bodies_are_read_to_the_letter(body: bytes, param: str, method: str, path: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            before = await _everything(it)
            error = await refused(it, 400, method, path, content=body, headers={"content-type": "application/json"})
            assert error["param"] == param
            assert await _everything(it) == before

    asyncio.run(scenario())


def test_bodies_are_bounded_typed_and_forbidden_where_there_is_nothing_to_say(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            large = json.dumps({"id": "carol", "models": ["x" * BODY_BYTES_MAX]}).encode()
            kind = {"content-type": "application/json"}
            assert (await refused(it, 413, "POST", "/keys", content=large, headers=kind))["code"] == "too_large"
            form = {"content-type": "application/x-www-form-urlencoded"}
            await refused(it, 400, "POST", "/keys", content=b"id=carol", headers=form)
            for path in ("/freeze", "/reconcile", "/keys/carol/revoke"):
                assert (await refused(it, 400, "POST", path, json={"reason": "?"}))["param"] == "reason"
            for path in ("/keys", "/teams", "/upstreams", "/usage", "/tasks"):
                assert (await refused(it, 400, "GET", f"{path}?colour=red"))["param"] == "colour"
            assert not it.parts.admission.is_frozen
            await told(it, "POST", "/freeze", json={})
            assert it.parts.admission.is_frozen

    asyncio.run(scenario())


def test_what_is_not_there_says_so_in_the_same_shape(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, CONFIG) as it:
            for path in (f"/tasks/{TASK}", "/tasks/17", "/tasks/no-such-spelling"):
                await refused(it, 404, "GET", path)
            for verb, body in (
                ("adopt", {"upstream_id": "u"}),
                ("release", {"reason": "r"}),
                ("settle", {"reason": "r"}),
            ):
                await refused(it, 404, "POST", f"/tasks/{TASK}/{verb}", json=body)
            await refused(it, 404, "POST", "/keys/nobody/revoke")
            await refused(it, 404, "DELETE", "/keys/nobody")
            await refused(it, 404, "PUT", "/teams", json={"id": "nobody", "budget": None})
            answer = await ask(it, "PATCH", "/keys")
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")

    asyncio.run(scenario())


async def _everything(it: World) -> Any:
    roll = await it.parts.callers.roll()
    return roll, await it.parts.registry.state_counts()
