"""How often somebody may try, and that a wrong key is told nothing but that it is wrong."""

import asyncio
from pathlib import Path

import pytest

from gateway.flows import callers
from gateway.parts import Parts
from gateway.web.dashboard.logins import ADDRESSES_MAX, OF_ALL_MAX, OF_ONE_ADDRESS_MAX, WITHIN_S, Logins, TooManyLogins
from tests.dashboard.house import house
from tests.dashboard.visitor import ADMIN_KEY, CONFIG, text_of
from tests.world import ALICE, BOB, Clock

WRONG = "This key opens nothing here."


def test_after_ten_wrong_keys_a_minute_the_next_wrong_one_is_told_to_wait(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        async with house(tmp_path, clock=clock) as it, it.browse() as http:
            for _ in range(OF_ONE_ADDRESS_MAX):
                assert (await it.login(http, "wrong")).status_code == 401
                clock.walk(2)
            for key in ("wrong", "another wrong one", f"{ADMIN_KEY}x", ""):
                refused = await it.login(http, key)
                assert refused.status_code == 429
                assert refused.headers["retry-after"] == str(int(WITHIN_S) - 2 * OF_ONE_ADDRESS_MAX)
                assert "too many wrong keys" in text_of(refused.text)
                assert "set-cookie" not in refused.headers
            # Somebody elsewhere is not kept out by it.
            async with it.browse("192.0.2.2") as other:
                assert (await it.login(other, "wrong")).status_code == 401
            clock.walk(WITHIN_S - 2 * OF_ONE_ADDRESS_MAX)
            assert (await it.login(http, "wrong")).status_code == 401

    asyncio.run(story())


def test_no_number_of_wrong_keys_keeps_a_right_one_out(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it:
            for number in range(OF_ALL_MAX + 1):
                async with it.browse(f"192.0.2.{number}") as http:
                    assert (await it.login(http, "wrong")).status_code == (401 if number < OF_ALL_MAX else 429)
            async with it.browse("198.51.100.1") as http:
                for key in (ADMIN_KEY, ALICE, BOB):
                    assert (await it.login(http, key)).status_code == 303
                # A right key is no way to begin a new count.
                assert (await it.login(http, "wrong")).status_code == 429

    asyncio.run(story())


def test_what_is_told_to_wait_asks_storage_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look_again = callers.look_again

    async def counted(parts: Parts) -> None:
        nonlocal looks
        looks += 1
        await look_again(parts)

    async def story() -> None:
        monkeypatch.setattr(callers, "look_again", counted)
        async with house(tmp_path) as it, it.browse() as http:
            for _ in range(3 * OF_ONE_ADDRESS_MAX):
                await it.login(http, "wrong")
        assert looks == OF_ONE_ADDRESS_MAX

    asyncio.run(story())


def test_right_keys_are_not_counted(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            for number in range(3 * OF_ONE_ADDRESS_MAX):
                assert (await it.login(http, (ADMIN_KEY, ALICE)[number % 2])).status_code == 303

    asyncio.run(story())


def test_many_addresses_together_have_a_limit_too() -> None:
    clock = Clock()
    logins = Logins(clock)
    for number in range(OF_ALL_MAX):
        logins.begin(f"192.0.2.{number}")
    with pytest.raises(TooManyLogins) as refused:
        logins.begin("198.51.100.1")
    assert refused.value.retry_after == WITHIN_S
    clock.walk(WITHIN_S)
    logins.begin("198.51.100.1")


def test_no_number_of_addresses_fills_memory() -> None:
    clock = Clock()
    logins = Logins(clock)
    for number in range(3 * ADDRESSES_MAX):
        logins.begin(f"address {number}")
        clock.walk(WITHIN_S)
    assert len(logins._of_address) == ADDRESSES_MAX
    assert len(logins._all) == OF_ALL_MAX


def test_tries_at_the_same_time_are_counted_before_any_of_them_is_judged(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            answers = await asyncio.gather(*(it.login(http, "wrong") for _ in range(3 * OF_ONE_ADDRESS_MAX)))
            statuses = [answer.status_code for answer in answers]
            assert (statuses.count(401), statuses.count(429)) == (OF_ONE_ADDRESS_MAX, 2 * OF_ONE_ADDRESS_MAX)

    asyncio.run(story())


@pytest.mark.parametrize("key", ["", " ", "wrong", ADMIN_KEY[:-1], f"{ADMIN_KEY}x", "x" * 5000, "schlüssel", "\x00"])
def test_every_wrong_key_is_told_the_same(key: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            answer = await it.login(http, key)
            assert answer.status_code == 401
            assert WRONG in text_of(answer.text)
            assert "set-cookie" not in answer.headers
            plain = (await it.login(http, "another wrong one")).text
            assert answer.text == plain

    asyncio.run(story())


def test_spaces_around_a_key_are_a_slip_of_the_hand(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.browse() as http:
            assert (await it.login(http, f" {ADMIN_KEY}\n")).status_code == 303

    asyncio.run(story())


def test_a_key_in_an_address_opens_nothing_and_no_log_holds_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        caplog.set_level("DEBUG")
        async with house(tmp_path) as it, it.browse() as http:
            for path in ("/dashboard", "/dashboard/login", "/dashboard/keys"):
                answer = await http.get(path, params={"key": ADMIN_KEY, "admin_key": ADMIN_KEY, "csrf": ADMIN_KEY})
                assert answer.status_code == (200 if path.endswith("login") else 303)
                assert ADMIN_KEY not in answer.text + str(answer.headers)
            for key in (ADMIN_KEY, ALICE, f"{BOB}-wrong"):
                answer = await it.login(http, key)
                assert key not in answer.text + str(answer.headers)
        ours = [record.getMessage() for record in caplog.records if record.name.startswith("reelgate")]
        said = "".join([*ours, *capfd.readouterr()])
        assert not any(key in said for key in (ADMIN_KEY, ALICE, BOB))

    asyncio.run(story())


def test_after_the_login_one_is_where_one_wanted_to_be_and_never_elsewhere(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, CONFIG) as it, it.browse() as http:
            asked = await http.get("/dashboard/keys")
            assert asked.headers["location"] == "/dashboard/login?to=/dashboard/keys"
            assert 'name="to" value="/dashboard/keys"' in (await http.get(asked.headers["location"])).text
            places = {
                "/dashboard/keys": "/dashboard/keys",
                "//evil.example": "/dashboard",
                "https://evil.example/dashboard": "/dashboard",
                "/dashboard/../v1/models": "/dashboard",
                "/dashboard/keys\r\nset-cookie: a=b": "/dashboard",
                "/dashboardx": "/dashboard",
                "": "/dashboard",
            }
            for said, goes in places.items():
                answer = await http.post("/dashboard/login", data={"key": ADMIN_KEY, "to": said})
                assert (answer.status_code, answer.headers["location"]) == (303, goes), said
                assert answer.headers.get_list("set-cookie")[0].startswith("reelgate_session=")
            # Who is logged in need not log in.
            assert (await http.get("/dashboard/login")).headers["location"] == "/dashboard"

    asyncio.run(story())
