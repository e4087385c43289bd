"""Keys and teams at the dashboard: made, shown once, bounded, revoked; what is wrong with a form stands beside it."""

import asyncio
import html
import re
from pathlib import Path

from tests.dashboard.house import House, house
from tests.dashboard.visitor import CONFIG, Visitor, text_of
from tests.world import bearer

MADE = re.compile(r'<code id="made">(sk-rg-[A-Za-z0-9_-]+)</code>')
FULL = {
    "id": "carol",
    "team": "films",
    "amount": "50",
    "period": "1d",
    "rpm": "30",
    "max_tasks": "5",
    "models": "MiniMax-Hailuo-*, T2V-01",
    "dialect": "toapis",
    "expires": "90d",
    "passthrough": "on",
}


async def made(visiting: Visitor, **fields: str) -> str:
    """The text of a key that was just made."""
    answer = await visiting.sends("/dashboard/keys", **fields)
    assert answer.status_code == 201, text_of(answer.text)
    (text,) = MADE.findall(answer.text)
    return str(text)


def key_of(it: House, name: str):  # type: ignore[no-untyped-def]
    return next(item for item in it.parts.admission.issued() if item.key.id == name)


def test_a_key_with_everything_is_made_and_shown_this_one_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            assert (await operator.sends("/dashboard/teams", id="films", amount="200")).status_code == 303
            text = await made(operator, **FULL)
            issued = key_of(it, "carol")
            key = issued.key
            assert (key.team, key.rpm, key.max_tasks, key.dialect, key.passthrough) == ("films", 30, 5, "toapis", True)
            assert key.models == ("MiniMax-Hailuo-*", "T2V-01")
            assert (key.budget.amount, key.budget.period) == (50_000_000, "1d")
            assert key.expires_at == it.parts.clock() + 90 * 86_400
            async with it.browse() as http:
                assert (await http.get("/v1/models", headers=bearer(text))).status_code == 200
            page = await operator.gets("/dashboard/keys")
            assert text not in page
            assert f"…{text[-4:]}" in page
            assert "0.00 spent of 50.00 each day; 50.00 left" in text_of(page)
            assert (
                "MiniMax-Hailuo-*, T2V-01; 30 creates a minute; 5 at once; speaks toapis; other routes too"
                in text_of(page)
            )

    asyncio.run(story())


def test_a_key_with_nothing_but_a_name_has_no_limits(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            empty = dict.fromkeys(("amount", "rpm", "max_tasks", "models", "dialect", "expires", "team"), "")
            await made(operator, id="carol", period="30d", **empty)
            key = key_of(it, "carol").key
            assert (key.budget, key.rpm, key.max_tasks, key.models, key.expires_at) == (None, None, None, ("*",), None)
            assert not key.passthrough

    asyncio.run(story())


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            bad = {
                "id": "no good",
                "amount": "a lot",
                "period": "7d",
                "rpm": "fast",
                "max_tasks": "0",
                "expires": "yesterday",
                "dialect": "klingon",
                "models": "x" * 300,
            }
            before = it.parts.admission.version
            answer = await operator.sends("/dashboard/keys", **bad)
            assert answer.status_code == 400
            for field in ("id", "budget", "rpm", "max_tasks", "expires", "models"):
                assert f'aria-describedby="key-{field}-wrong"' in answer.text
                assert f'id="key-{field}-wrong"' in answer.text
            for name in ("id", "amount", "rpm", "max_tasks", "expires"):
                assert f'name="{name}" value="{bad[name]}"' in answer.text
            assert '<option value="7d" selected>' in answer.text
            assert it.parts.admission.version == before

    asyncio.run(story())


def test_a_name_that_is_taken_and_a_team_that_is_nowhere_are_said_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator:
            await made(operator, id="carol")
            for fields, words in (
                ({"id": "carol"}, "there is a key of the name carol"),
                ({"id": "alice"}, "the configuration has a key alice; take another name"),
                ({"id": "dave", "team": "nowhere"}, "there is no team nowhere; make it first"),
            ):
                answer = await operator.sends("/dashboard/keys", **fields)
                assert answer.status_code in (400, 409)
                assert words in text_of(answer.text)
                assert MADE.findall(answer.text) == []
            answer = await operator.sends("/dashboard/keys")
            assert "must be 1 to 64 letters, digits" in text_of(answer.text)

    asyncio.run(story())


def test_a_revoked_key_opens_nothing_and_stays_in_the_list_of_the_revoked(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path) as it, it.logged_in() as operator, it.browse() as http:
            text = await made(operator, id="carol@films.example")
            page = await operator.gets("/dashboard/keys")
            (path,) = re.findall(r'action="(/dashboard/keys/[^"]+/revoke)"', page)  # the configuration's have none
            answer = await operator.sends(html.unescape(path))
            assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/keys?done=revoked")
            assert (await http.get("/v1/models", headers=bearer(text))).status_code == 401
            assert "The key opens nothing any more" in await operator.reads(answer.headers["location"])
            assert "carol@films.example" not in await operator.reads("/dashboard/keys")
            assert "carol@films.example" in await operator.reads("/dashboard/keys?state=revoked")
            assert (await operator.sends("/dashboard/keys/nobody/revoke")).status_code == 404
            assert (await operator.sends("/dashboard/keys/alice/revoke")).status_code == 400

    asyncio.run(story())


def test_a_teams_budget_is_changed_and_taken_away(tmp_path: Path) -> None:
    async def story() -> None:
        async with house(tmp_path, f"{CONFIG}teams: [{{id: fixed}}]\n") as it, it.logged_in() as operator:
            for fields, status in (({"id": "films", "amount": "200", "period": "1mo"}, 303), ({"id": "films"}, 409)):
                assert (await operator.sends("/dashboard/teams", **fields)).status_code == status
            page = text_of(await operator.gets("/dashboard/keys"))
            assert "0.00 spent of 200.00 each month; 200.00 left" in page
            answer = await operator.sends("/dashboard/teams/films", amount="1,5")
            assert answer.status_code == 400
            assert 'value="1,5"' in answer.text
            assert "must be an amount from 0" in text_of(answer.text)
            assert (await operator.sends("/dashboard/teams/films", amount="1.5", period="")).status_code == 303
            assert "0.00 spent of 1.50 in all; 1.50 left" in text_of(await operator.gets("/dashboard/keys"))
            assert (await operator.sends("/dashboard/teams/films", amount="")).status_code == 303
            assert [team.budget for team in it.parts.admission.teams()] == [None, None]
            assert (await operator.sends("/dashboard/teams/nowhere", amount="1")).status_code == 404
            assert (await operator.sends("/dashboard/teams/fixed", amount="1")).status_code == 409
            assert (await operator.sends("/dashboard/teams", id="a b", amount="x")).status_code == 400

    asyncio.run(story())


def test_many_keys_come_a_hundred_at_a_time_and_are_found_by_name(tmp_path: Path) -> None:
    async def story() -> None:
        keys = "".join(f"  - {{id: key-{number:03}, value: sk-{number}}}\n" for number in range(250))
        async with house(tmp_path, f"{CONFIG}virtual_keys:\n{keys}") as it, it.logged_in() as operator:
            first = await operator.gets("/dashboard/keys")
            assert len(re.findall(r">key-\d\d\d<", first)) == 100
            (after,) = re.findall(r'href="(\?[^"]+)" rel="next"', first)
            second = await operator.gets(f"/dashboard/keys{html.unescape(after)}")
            assert ">key-100<" in second
            assert "101 to 200 of 250" in text_of(second)
            found = await operator.gets("/dashboard/keys?name=KEY-24&state=")
            assert re.findall(r">(key-\d\d\d)<", found) == [f"key-{number}" for number in range(240, 250)]
            assert "No such key." in await operator.reads("/dashboard/keys?name=nobody")
            await operator.gets("/dashboard/keys?first=x&state=%22%3E&name=%00")

    asyncio.run(story())
