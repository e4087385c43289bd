"""Who is logged in, for how long, and where that is known."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from gateway.flows import callers
from gateway.store.sessions import OF_ONE_HOLDER_MAX
from gateway.web.dashboard.sessions import LASTS_S
from tests.dashboard.house import COOKIE, house, is_let_in
from tests.dashboard.visitor import ADMIN_KEY, CONFIG, Visitor
from tests.world import ALICE, BOB, Clock

HTTPS = CONFIG + "server: {public_url: 'https://films.example'}\n"


def stored(folder: Path) -> list[tuple[str, str | None, str]]:
    with closing(sqlite3.connect(folder / "reelgate.db")) as connection:
        return connection.execute("SELECT digest, key_id, proof FROM sessions ORDER BY created_at").fetchall()


def test_the_cookie_is_for_this_host_and_no_script_and_its_token_is_kept_nowhere(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            answer = await it.login(http)
            assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
            name, *marks = answer.headers["set-cookie"].split("; ")
            assert set(marks) == {"Path=/", f"Max-Age={LASTS_S}", "HttpOnly", "SameSite=Strict"}
            token = name.removeprefix(f"{COOKIE}=")
            assert len(token) == 43
            assert await is_let_in(http)
            everything = str(stored(tmp_path))
            assert token not in everything
            assert ADMIN_KEY not in everything
            assert it.parts.admission.issued()[0].digest not in everything

    asyncio.run(story())


@pytest.mark.parametrize(("config", "base_url"), [(HTTPS, "http://127.0.0.1"), (CONFIG, "https://127.0.0.1")])
def test_over_https_the_cookie_is_of_a_name_that_no_other_host_can_plant(
    config: str, base_url: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with house(tmp_path, config) as it, it.browse(base_url=base_url) as http:
            said = (await it.login(http)).headers["set-cookie"]
            assert said.startswith("__Host-reelgate_session=")
            assert said.endswith("; HttpOnly; SameSite=Strict; Secure")
            token = said.partition(";")[0].partition("=")[2]
            http.cookies.clear()
            assert not await is_let_in_with(http, f"{COOKIE}={token}")
            assert await is_let_in_with(http, f"__Host-{COOKIE}={token}")

    asyncio.run(story())


async def is_let_in_with(http: httpx.AsyncClient, cookie: str) -> bool:
    return (await http.get("/dashboard", headers={"cookie": cookie})).status_code == 200


def test_a_token_from_before_the_login_is_worth_nothing_after_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            planted = "A" * 43
            http.cookies.set(COOKIE, planted)
            answer = await it.login(http)
            assert planted not in answer.headers["set-cookie"]
            http.cookies.clear()
            assert not await is_let_in_with(http, f"{COOKIE}={planted}")
            # And a session that was there is ended by the next login in the same browser.
            first = answer.headers["set-cookie"].partition(";")[0]
            assert await is_let_in_with(http, first)
            again = await http.post("/dashboard/login", data={"key": ADMIN_KEY}, headers={"cookie": first})
            second = again.headers["set-cookie"].partition(";")[0]
            assert second != first
            assert not await is_let_in_with(http, first)
            assert await is_let_in_with(http, second)
            # Two cookies of one name that disagree are none.
            assert not await is_let_in_with(http, f"{second}; {first}")

    asyncio.run(story())


def test_a_session_ends_when_its_owner_logs_out_and_not_because_a_stranger_asks(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as one, it.logged_in() as other:
            token = one.http.cookies[COOKIE]
            assert (await one.http.post("/dashboard/logout", data={"csrf": "0" * 64})).status_code == 403
            assert await is_let_in(one.http)
            answer = await one.sends("/dashboard/logout")
            assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/login")
            assert "Max-Age=0" in answer.headers["set-cookie"]
            assert COOKIE not in one.http.cookies
            assert not await is_let_in_with(one.http, f"{COOKIE}={token}")
            assert await is_let_in(other.http)

    asyncio.run(story())


def test_a_session_is_over_after_twelve_hours_and_leaves_storage_with_the_next_login(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with house(tmp_path, clock=clock) as it, it.logged_in() as one:
            clock.walk(LASTS_S - 1)
            assert await is_let_in(one.http)
            clock.walk(1)
            assert not await is_let_in(one.http)
            assert len(stored(tmp_path)) == 1
            async with it.logged_in():
                assert len(stored(tmp_path)) == 1

    asyncio.run(story())


def test_a_session_opens_every_replica_and_ends_in_all_of_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, house(tmp_path) as there:
            visitors = here.logged_in(), there.browse()
            async with visitors[0] as visiting, visitors[1] as http:
                ours = f"{COOKIE}={visiting.http.cookies[COOKIE]}"
                http.cookies.set(COOKIE, visiting.http.cookies[COOKIE])
                assert await is_let_in(http)
                elsewhere = Visitor(http)
                await elsewhere.gets("/dashboard")
                assert (await elsewhere.sends("/dashboard/logout")).status_code == 303
                assert not await is_let_in_with(visiting.http, ours)

    asyncio.run(story())


def test_another_admin_key_ends_the_sessions_of_the_one_before(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as before, before.logged_in() as visiting, before.logged_in(ALICE) as alice:
            async with house(tmp_path, "admin_key: another-one\n") as after, after.browse() as http:
                assert not await is_let_in_with(http, f"{COOKIE}={visiting.http.cookies[COOKIE]}")
                assert (await after.login(http)).status_code == 401
                # A virtual key's session has nothing to do with it.
                assert await is_let_in_with(http, f"{COOKIE}={alice.http.cookies[COOKIE]}")
            assert await is_let_in(visiting.http)

    asyncio.run(story())


def test_a_virtual_key_that_is_revoked_or_expired_ends_its_sessions(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with house(tmp_path, clock=clock) as it, it.logged_in() as operator:
            keys = {}
            for name, expires in (("carol", "1h"), ("dave", "")):
                page = (await operator.sends("/dashboard/keys", id=name, expires=expires)).text
                keys[name] = page.partition('<code id="made">')[2].partition("<")[0]
            async with it.logged_in(keys["carol"]) as carol, it.logged_in(keys["dave"]) as dave:
                clock.walk(3_600)
                assert not await is_let_in(carol.http)
                assert await is_let_in(dave.http)
                await callers.revoke_key("dave", it.parts)
                assert not await is_let_in(dave.http)
                async with it.browse() as http:
                    for key in keys.values():
                        assert (await it.login(http, key)).status_code == 401

    asyncio.run(story())


def test_a_key_of_the_same_name_with_another_text_is_another_key(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as before, before.logged_in(ALICE) as alice:
            changed = f"{CONFIG}virtual_keys: [{{id: alice, value: sk-rg-another-one}}]\n"
            async with house(tmp_path, changed) as after, after.browse() as http:
                assert not await is_let_in_with(http, f"{COOKIE}={alice.http.cookies[COOKIE]}")

    asyncio.run(story())


def test_a_key_that_was_made_elsewhere_a_moment_ago_logs_in(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as here, house(tmp_path) as there, here.logged_in() as operator:
            page = (await operator.sends("/dashboard/keys", id="carol")).text
            made = page.partition('<code id="made">')[2].partition("<")[0]
            async with there.logged_in(made) as carol:
                assert "with the key carol" in await carol.reads("/dashboard")

    asyncio.run(story())


def test_nobody_fills_storage_with_sessions(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with house(tmp_path, clock=clock) as it, it.logged_in(BOB) as bob, it.logged_in(ALICE) as first:
            for _ in range(OF_ONE_HOLDER_MAX):
                clock.walk(1)
                async with it.browse() as http:
                    assert (await it.login(http, ALICE)).status_code == 303
            assert [key for _, key, _ in stored(tmp_path)].count("alice") == OF_ONE_HOLDER_MAX
            assert not await is_let_in(first.http)
            assert await is_let_in(bob.http)

    asyncio.run(story())


@pytest.mark.parametrize(
    "cookie", ["", "=", f"{COOKIE}", f"{COOKIE}=", f"{COOKIE}=é", f"{COOKIE}=" + "A" * 9000, f"{COOKIE}={'A' * 43}"]
)
def test_a_cookie_that_is_none_of_ours_opens_nothing(cookie: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            answer = await http.get("/dashboard", headers={"cookie": cookie.encode()})
            assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/login")

    asyncio.run(story())


def test_a_gateway_that_lets_anyone_in_still_asks_for_a_key_here(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, f"{CONFIG}virtual_keys: []\n") as it, it.browse() as http:
            assert it.parts.admission.anyone is not None
            for key in ("local", "anything", ""):
                assert (await it.login(http, key)).status_code == 401
            assert (await it.login(http)).status_code == 303

    asyncio.run(story())
