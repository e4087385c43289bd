"""The same request under the same key, many times at once: one video and one answer, on however many gateways."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.fakes.upstream import FakeUpstream, answer, error_body, gated
from tests.life.process import serve
from tests.money.fleet import KINDS, crowd, fleet
from tests.world import ALICE, GIVE_UP_S, SLOW, SPEECHES, bearer, world

TWINS, TWINS_ELSEWHERE = 1_000, 200
KEY = {"idempotency-key": "order-1"}
SPEECH = SPEECHES["evolink"]
AS_ONE = (
    0.5  # seconds in which a twin surely arrives; one that does not is an ordinary create, and changes nothing here
)


def assert_one_answer(answers: list[httpx.Response]) -> None:
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["x-reelgate-task-id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == len(answers) - 1
    assert "submission" not in answers[0].json()


def test_a_thousand_twins_over_sockets_buy_one_video_and_get_one_answer(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, speed=SLOW, on_socket=True) as it, crowd() as clients:
            body = {**SPEECH.body, "prompt": "a ship #sandbox:slow=1"}
            url, headers = it.base_url + SPEECH.create, {**bearer(ALICE), **KEY}
            twins = (clients[number % len(clients)].post(url, json=body, headers=headers) for number in range(TWINS))
            assert_one_answer(await asyncio.gather(*twins))
            assert len(it.videos()) == 1

    asyncio.run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_twins_at_two_gateways_buy_one_video_and_get_one_answer(kind: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with fleet(tmp_path, kind, "", size=2) as it:
            prompt = "a ship #sandbox:slow=1"
            assert_one_answer(
                await asyncio.gather(*(it.create(number, ALICE, prompt, KEY) for number in range(TWINS_ELSEWHERE)))
            )
            assert len(it.videos()) == 1

    asyncio.run(story())


def test_a_twin_of_what_another_gateway_was_refused_is_refused_too(tmp_path: Path) -> None:
    async def story() -> None:
        gate = asyncio.Event()
        refusals = [gated(gate, answer(429, error_body()))] * 2
        async with (
            FakeUpstream(refusals) as fake,
            serve(tmp_path, fake.url) as here,
            serve(tmp_path, fake.url) as there,
            httpx.AsyncClient(trust_env=False, timeout=GIVE_UP_S, headers={**bearer(ALICE), **KEY}) as http,
        ):
            first = asyncio.create_task(http.post(here.base_url + SPEECH.create, json=SPEECH.body))
            await fake.wait_for_posts(1)
            twin = asyncio.create_task(http.post(there.base_url + SPEECH.create, json=SPEECH.body))
            await asyncio.sleep(AS_ONE)
            gate.set()
            assert (await first).status_code == 429
            assert (await twin).status_code in (409, 429), (await twin).text
            assert (await twin).headers["x-should-retry"] == "true"
            assert int((await twin).headers["retry-after"]) >= 1
            assert fake.accepted == 0

    asyncio.run(story())
