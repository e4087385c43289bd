"""The one guard: who gets where, what a form must carry, and what every answer says to the browser."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.parts import Parts
from gateway.web.dashboard.dashboard import GROUPS
from gateway.web.dashboard.pages import Page, Role
from tests.dashboard.house import house
from tests.dashboard.visitor import ADMIN_KEY, text_of
from tests.world import ALICE, bearer

OWN = "http://127.0.0.1"
# What only the person who runs the gateway may do; said here once more, so that a slip in the table is noticed.
OF_OPERATORS = {
    "GET /dashboard/keys",
    "POST /dashboard/keys",
    "POST /dashboard/keys/{id}/revoke",
    "POST /dashboard/teams",
    "POST /dashboard/teams/{id}",
    "GET /dashboard/upstreams",
    "POST /dashboard/upstreams/recover",
    "POST /dashboard/upstreams/freeze",
    "POST /dashboard/upstreams/unfreeze",
    "POST /dashboard/tasks/{id}/adopt",
    "POST /dashboard/tasks/{id}/release",
    "POST /dashboard/tasks/{id}/settle",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def table(parts: Parts) -> list[Page]:
    return [page for group in GROUPS for page in group(parts)]


def ways(parts: Parts) -> Iterator[tuple[str, str, frozenset[Role]]]:
    """Method, path and whom it is open to."""
    for page in table(parts):
        for method, handlers in (("GET", page.read), ("POST", page.write)):
            if handlers:
                yield method, page.path, frozenset(handlers)


def filled(path: str) -> str:
    return path.replace("{id}", "video_0b2nwchr8qfnk")


def test_the_table_opens_to_virtual_keys_what_is_theirs_and_nothing_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it:
            closed = {f"{method} {path}" for method, path, roles in ways(it.parts) if Role.HOLDER not in roles}
            assert closed == OF_OPERATORS
            assert all(Role.OPERATOR in roles for _, _, roles in ways(it.parts))

    asyncio.run(story())


def test_without_a_session_no_page_is_read_and_no_form_is_taken(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            before = await it.parts.callers.version()
            for method, path, _ in [*ways(it.parts), ("GET", "/dashboard/nowhere", frozenset())]:
                no_session = {}, {"cookie": "reelgate_session=" + "A" * 43}
                # A key that comes with the request opens what is read, and nothing else.
                keys = (bearer(ADMIN_KEY), bearer(ALICE)) if method == "POST" or path == "/dashboard/nowhere" else ()
                for headers in (*no_session, *keys):
                    answer = await http.request(method, filled(path), headers=headers)
                    assert answer.status_code == 303, (method, path)
                    assert answer.headers["location"].startswith("/dashboard/login")
                    assert answer.text == ""
            assert await it.parts.callers.version() == before

    asyncio.run(story())


def test_a_key_that_comes_with_the_request_reads_what_its_login_would(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            for method, path, roles in ways(it.parts):
                if method == "GET":
                    for key, role in ((ADMIN_KEY, Role.OPERATOR), (ALICE, Role.HOLDER)):
                        answer = await http.get(filled(path), headers=bearer(key))
                        # The page of a task that is not there is none either.
                        is_there = role in roles and "{id}" not in path
                        assert answer.status_code == (200 if is_there else 404), (path, role)
                        assert "set-cookie" not in answer.headers
                    wrong = await http.get(filled(path), headers=bearer("sk-rg-nobodys-key"))
                    assert wrong.headers["location"].startswith("/dashboard/login")
            page = await http.get("/dashboard/keys", headers={"x-api-key": ADMIN_KEY})
            (token,) = set(re.findall(r'name="csrf" value="([^"]+)"', page.text))
            form = {"csrf": token, "id": "made"}
            for headers in (bearer(ADMIN_KEY), {}):
                refused = await http.post("/dashboard/keys", data=form, headers={**headers, "origin": OWN})
                assert refused.status_code == 303, "the token of such a page is good for nothing"

    asyncio.run(story())


def test_a_virtual_key_gets_none_of_the_operators_ways(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in(ALICE) as alice:
            before = await it.parts.callers.version()
            for way in sorted(OF_OPERATORS):
                method, path = way.split(" ")
                answer = await (alice.http.get(filled(path)) if method == "GET" else alice.sends(filled(path)))
                assert answer.status_code == 404, way
                assert "Nothing here" in text_of(answer.text)
            assert await it.parts.callers.version() == before
            entries = re.findall(r'<li><a href="(/dashboard[^"]*)"', await alice.gets("/dashboard"))
            assert entries == [page.path for page in table(it.parts) if page.entry and Role.HOLDER in page.read]
            assert (await alice.http.get("/admin/keys")).status_code == 401

    asyncio.run(story())


def test_a_form_without_its_sessions_token_does_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator, it.logged_in() as other:
            theirs = re.findall(r'name="csrf" value="([0-9a-f]{64})"', await other.gets("/dashboard"))[0]
            before = await it.parts.callers.version()
            writes = [path for method, path, _ in ways(it.parts) if method == "POST"]
            for path in [*writes, "/dashboard/logout", "/dashboard/theme"]:
                for token in ({}, {"csrf": ""}, {"csrf": theirs}, {"csrf": "0" * 64}, {"csrf": "ü"}):
                    answer = await operator.http.post(filled(path), data={"x": "y", **token})
                    assert answer.status_code == 403, (path, token)
                    assert "not of this session" in text_of(answer.text)
            assert await it.parts.callers.version() == before
            assert not it.parts.admission.is_frozen
            await operator.gets("/dashboard")  # still logged in

    asyncio.run(story())


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "http://127.0.0.1:8081"},
    {"origin": "http://127.0.0.1.evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": OWN, "sec-fetch-site": "cross-site"},
    {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_form_that_another_site_sends_does_nothing_whatever_it_carries(
    headers: dict[str, str], tmp_path: Path
) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            token = re.findall(r'name="csrf" value="([0-9a-f]{64})"', await operator.gets("/dashboard"))[0]
            for path in ("/dashboard/upstreams/freeze", "/dashboard/logout", "/dashboard/theme", "/dashboard/keys"):
                answer = await operator.http.post(path, data={"csrf": token, "id": "eve"}, headers=headers)
                assert answer.status_code == 403, path
            async with it.browse() as http:
                assert (await it.login(http, **headers)).status_code == 403
                assert http.cookies == {}
            assert not it.parts.admission.is_frozen
            await operator.gets("/dashboard")

    asyncio.run(story())


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": OWN, "sec-fetch-site": "same-origin"},
        {"origin": OWN},
        {"sec-fetch-site": "none"},
        {"origin": "https://films.example"},  # what the proxy before the gateway is called
    ],
)
def test_a_form_of_our_own_pages_is_taken(headers: dict[str, str], tmp_path: Path) -> None:
    async def story() -> None:
        config = f"admin_key: {ADMIN_KEY}\nserver: {{public_url: 'http://films.example'}}\n"
        async with house(tmp_path, config) as it, it.logged_in() as operator:
            token = re.findall(r'name="csrf" value="([0-9a-f]{64})"', await operator.gets("/dashboard"))[0]
            answer = await operator.http.post("/dashboard/upstreams/freeze", data={"csrf": token}, headers=headers)
            assert answer.status_code == 303
            assert it.parts.admission.is_frozen

    asyncio.run(story())


BAD_FORMS: list[tuple[bytes, str, int]] = [
    (b"csrf=x&id=a&id=b", "application/x-www-form-urlencoded", 400),
    (b"id=%ff", "application/x-www-form-urlencoded", 400),
    ("id=é".encode(), "application/x-www-form-urlencoded", 400),
    (b"&".join(b"f%d=" % number for number in range(101)), "application/x-www-form-urlencoded", 400),
    (b"id=" + b"x" * (64 << 10), "application/x-www-form-urlencoded", 413),
    (b'{"id": "a"}', "application/json", 400),
    (b"id=a", "text/plain", 400),
    (b"id=a", "", 400),
]


@pytest.mark.parametrize(("body", "kind", "status"), BAD_FORMS)
def test_a_form_that_cannot_be_read_is_refused_as_a_page(body: bytes, kind: str, status: int, tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator, it.browse() as stranger:
            headers = {"content-type": kind} if kind else {}
            for http, path in ((operator.http, "/dashboard/keys"), (stranger, "/dashboard/login")):
                answer = await http.post(path, content=body, headers=headers)
                assert answer.status_code == status, path
                assert_is_guarded(answer)
                assert "set-cookie" not in answer.headers

    asyncio.run(story())


def assert_is_guarded(answer: httpx.Response) -> None:
    """What every page says to the browser, whatever it is of."""
    headers = answer.headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert headers["content-type"] == "text/html; charset=utf-8"
    # Nothing that the policy would have to forbid.
    page = answer.text
    assert not re.search(r"<script(?![^>]* src=\"/dashboard/static/)|<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert not re.search(r"(?:src|action)=\"(?!/dashboard)", page)


def test_every_page_carries_the_headers_and_nothing_inline(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as stranger:
            for path in ("/dashboard", "/dashboard/login", "/dashboard/", "/dashboard/nowhere", "/dashboard/static/no"):
                assert_is_guarded(await stranger.get(path))
            assert_is_guarded(await it.login(stranger, "wrong"))
            assert_is_guarded(await stranger.put("/dashboard/keys"))
            for key in (ADMIN_KEY, ALICE):
                async with it.logged_in(key) as visiting:
                    for method, path, _ in ways(it.parts):
                        answer = await visiting.http.request(method, filled(path))
                        assert_is_guarded(answer)
                    assert_is_guarded(await visiting.http.get("/dashboard/nowhere"))
                    assert_is_guarded(await visiting.sends("/dashboard/logout"))

    asyncio.run(story())


def test_style_and_script_are_kept_by_browsers_for_as_long_as_they_are_the_same(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            page = (await http.get("/dashboard/login")).text
            links = re.findall(r'(?:href|src)="(/dashboard/static/[^"]+)"', page)
            assert {link.partition("?")[0].rpartition(".")[2] for link in links} == {"css", "js", "svg"}
            for link in links:
                answer = await http.get(link)
                assert answer.status_code == 200
                assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
                assert answer.headers["x-content-type-options"] == "nosniff"
                plain = await http.get(link.partition("?")[0], headers={"if-none-match": answer.headers["etag"]})
                assert (plain.status_code, plain.headers["cache-control"]) == (304, "no-cache")
                assert (await http.get(f"{link}0")).headers["cache-control"] == "no-cache"
                assert (await http.head(link)).text == ""
            for path in ("../__init__.py", "..%2fpages.py", "dashboard.css%00", ".", "pages.py"):
                assert (await http.get(f"/dashboard/static/{path}")).status_code in (303, 404)

    asyncio.run(story())


@pytest.mark.parametrize("config", ["", "admin_key: ''\n", "admin_key: null\n"])
def test_without_an_admin_key_there_is_no_dashboard(config: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, config) as it, it.browse() as http:
            for method in ("GET", "POST"):
                for path in ("/dashboard", "/dashboard/", "/dashboard/login", "/dashboard/keys", "/dashboard/static/x"):
                    answer = await http.request(method, path, headers=bearer(ALICE))
                    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path

    asyncio.run(story())


def test_the_admin_api_takes_the_dashboards_login_and_for_changes_its_token_too(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator, it.browse() as stranger:
            token = re.findall(r'data-csrf="([0-9a-f]{64})"', await operator.gets("/dashboard"))[0]
            assert (await operator.http.get("/admin/keys")).status_code == 200
            assert (await stranger.get("/admin/keys")).status_code == 401
            for headers in (
                {},
                {"x-reelgate-csrf": "0" * 64},
                {"x-reelgate-csrf": token, "origin": "https://evil.example"},
            ):
                answer = await operator.http.post("/admin/freeze", headers=headers)
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_form")
            assert not it.parts.admission.is_frozen
            assert (await operator.http.post("/admin/freeze", headers={"x-reelgate-csrf": token})).status_code == 200
            assert it.parts.admission.is_frozen
            # A key that is said counts, and not the cookie beside it.
            assert (await operator.http.get("/admin/keys", headers=bearer(ALICE))).status_code == 401

    asyncio.run(story())


def test_the_colours_that_somebody_chose_are_kept_for_a_year_and_only_ours(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            assert '<html lang="en" data-theme="auto">' in await operator.gets("/dashboard")
            answer = await operator.sends("/dashboard/theme", theme="dark", to="/dashboard/keys")
            assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/keys")
            assert '<html lang="en" data-theme="dark">' in await operator.gets("/dashboard")
            assert (await operator.sends("/dashboard/theme", theme='"><b>')).status_code == 400
            operator.http.cookies.set("reelgate_theme", '"><b>', path="/dashboard")
            assert 'data-theme="auto"' in await operator.gets("/dashboard")

    asyncio.run(story())


def test_while_storage_is_down_a_page_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            await it.parts.database.close()
            for method, path in (("GET", "/dashboard"), ("GET", "/dashboard/keys"), ("POST", "/dashboard/logout")):
                answer = await operator.http.request(method, path)
                assert answer.status_code == 503, path
                assert "This went wrong" in text_of(answer.text)
                assert_is_guarded(answer)

    asyncio.run(story())


def test_a_bug_is_a_page_that_tells_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(parts: Parts) -> None:
        raise ValueError("a secret of the house")

    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            monkeypatch.setattr("gateway.flows.board.board", broken)
            answer = await operator.http.get("/dashboard")
            assert answer.status_code == 500
            assert "internal error" in answer.text
            assert "secret of the house" not in answer.text
            assert_is_guarded(answer)

    asyncio.run(story())


def test_a_page_is_asked_about_without_being_sent(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            whole = await operator.http.get("/dashboard/upstreams")
            head = await operator.http.head("/dashboard/upstreams")
            assert (head.status_code, head.text) == (200, "")
            assert head.headers["content-length"] == whole.headers["content-length"]

    asyncio.run(story())
