"""The person who runs a gateway, with the admin key in hand."""

from typing import Any

import httpx

from tests.world import World, bearer

ADMIN_KEY = "the-admin-key-of-this-test"
CONFIG = f"admin_key: {ADMIN_KEY}\n"


async def ask(it: World, method: str, path: str, **said: Any) -> httpx.Response:
    """An admin request; whatever comes back, no cache keeps it."""
    headers = {**bearer(ADMIN_KEY), **said.pop("headers", {})}
    answer = await it.http.request(method, f"/admin{path}", headers=headers, **said)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    return answer


async def told(it: World, method: str, path: str, **said: Any) -> Any:
    """What a request that works is answered."""
    answer = await ask(it, method, path, **said)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(it: World, status: int, method: str, path: str, **said: Any) -> dict[str, Any]:
    """The error of a request that does not, in the one shape there is."""
    answer = await ask(it, method, path, **said)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) - {"problems"} == {"code", "message", "param"}
    return error


async def new_key(it: World, name: str, **said: Any) -> str:
    """The text of a key that was just made."""
    answer = await ask(it, "POST", "/keys", json={"id": name, **said})
    assert answer.status_code == 201, answer.text
    text: str = answer.json()["key"]
    return text


async def keys_of(it: World) -> dict[str, dict[str, Any]]:
    """Every key by its name."""
    return {key["id"]: key for key in (await told(it, "GET", "/keys"))["keys"]}
