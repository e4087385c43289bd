"""What a free call says of a key (FACTS 1.6, 2.4), and where a finished film is found again."""

import asyncio
from typing import Any

import pytest

from gateway.errors import LookFailed
from gateway.providers import PROVIDERS
from gateway.providers.protocol import Funds
from gateway.wire import Reply
from tests.providers.fakes import LINK, SITE, Upstream, answer


def funds(provider: str, *answers: Reply) -> tuple[Funds | None, Upstream]:
    upstream = Upstream(*answers)
    return asyncio.run(PROVIDERS[provider].balance(SITE, upstream.send)), upstream


def credits_(token: Any, user: Any) -> dict[str, Any]:
    return {"data": {"token": token, "user": user}, "message": "", "success": True}


LIMITED = {"remaining_credits": 99416.4429, "unlimited_credits": False, "used_credits": 583.5571}
UNLIMITED = {**LIMITED, "unlimited_credits": True}
USER = {"remaining_credits": 1095.3996, "used_credits": 135.9048}

EVOLINK: list[tuple[Any, Funds | None]] = [
    (credits_(LIMITED, USER), Funds(1095.3996)),
    (credits_({**LIMITED, "remaining_credits": 5}, USER), Funds(5)),
    (credits_({**LIMITED, "remaining_credits": "5.5"}, USER), Funds(5.5)),
    (credits_(LIMITED, {**USER, "remaining_credits": 0}), Funds(0)),
    (credits_(UNLIMITED, USER), Funds(1095.3996)),
    (credits_(UNLIMITED, None), Funds(None)),
    (credits_({}, {}), None),
    (credits_(LIMITED, {"used_credits": 1}), None),
    (credits_({**LIMITED, "remaining_credits": True}, USER), None),
    ({"data": None, "success": False}, None),
    ([], None),
]
TOAPIS: list[tuple[Any, Funds | None]] = [
    ({"success": True, "remain_balance": 10.5, "used_balance": 2.3, "unlimited_quota": False}, Funds(10.5)),
    ({"success": True, "remain_balance": "10.5", "unlimited_quota": False}, Funds(10.5)),
    ({"success": True, "remain_balance": 0, "unlimited_quota": False}, Funds(0)),
    ({"success": True, "remain_balance": -1, "unlimited_quota": True}, Funds(None)),
    ({"success": True, "remain_balance": -1}, Funds(None)),
    ({"success": True}, None),
    ({"success": True, "remain_balance": "much"}, None),
    ({"success": True, "remain_balance": "9" * 5000}, None),
    ({"success": False, "message": "unknown token"}, None),
    ({"success": False, "remain_balance": 10.5}, None),
    ({"remain_balance": 10.5}, None),
    ([], None),
]


@pytest.mark.parametrize(
    ("provider", "body", "found"),
    [("evolink", *case) for case in EVOLINK] + [("toapis", *case) for case in TOAPIS],
)
def test_a_balance_is_read_or_is_unknown(provider: str, body: Any, found: Funds | None) -> None:
    assert funds(provider, answer(body))[0] == found
    assert funds(provider, answer(body, 401))[0] is None
    assert funds(provider, answer(body, is_whole=False))[0] is None


def test_an_empty_balance_says_so_and_an_unlimited_one_never_does() -> None:
    assert [Funds(amount).is_empty for amount in (None, 0.01, 0, -3)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("provider", "urls"),
    [
        ("evolink", ["https://up.example/v1/credits"]),
        ("toapis", ["https://up.example/v1/balance"]),
        ("newapi", []),
        ("minimax", []),
    ],
)
def test_the_documented_address_is_asked_where_there_is_one(provider: str, urls: list[str]) -> None:
    found, upstream = funds(provider, *[answer("")] * len(urls))
    assert found is None
    assert [(call.method, call.url, call.operation) for call in upstream.calls] == [
        ("GET", url, "balance") for url in urls
    ]


FINISHED = {
    "evolink": {"status": "completed", "results": [LINK]},
    "toapis": {"status": "completed", "result": {"data": [{"url": LINK}]}},
    "newapi": {"status": "completed", "url": LINK},
}


@pytest.mark.parametrize("provider", FINISHED)
def test_a_link_that_stands_in_the_task_is_located_there(provider: str) -> None:
    upstream = Upstream(answer(FINISHED[provider]), answer({"status": "completed"}), answer("", 404))
    story = PROVIDERS[provider].locate
    assert asyncio.run(_text(story("task-1", SITE, upstream.send))) == LINK
    assert asyncio.run(_text(story("task-1", SITE, upstream.send))) is None
    with pytest.raises(LookFailed):
        asyncio.run(_text(story("task-1", SITE, upstream.send)))


def test_how_long_a_link_lives() -> None:
    lives = {name: provider.LINK_LIFE_S for name, provider in PROVIDERS.items()}
    assert lives == {"evolink": 86400, "toapis": 86400, "newapi": 86400, "minimax": 3600}


async def _text(story: Any) -> Any:
    return await story
