"""What comes of requests that were made to be read in two ways: on the gateway alone, and behind the usual proxies."""

import asyncio
import itertools
from pathlib import Path

import pytest

from gateway import serving
from tests.serving.payloads import CREATE, HOST, PAYLOADS, End, Payload, Seen
from tests.serving.proxies import PROXIES, proxy
from tests.serving.raw import Arrival, Recorder, connected
from tests.serving.tap import Tap, requests_in
from tests.world import world

PROBE = b"GET /healthz?probe HTTP/1.1\r\n" + HOST + b"x-request-id: probe\r\nConnection: close\r\n\r\n"
LEAST = 70
AT_ONCE = 12
QUIET_S = 0.3  # after which a proxy that said nothing more is left


async def comes_of(payload: Payload, url: str) -> tuple[list[int], End]:
    """Every answer's status, and how the connection is left."""
    async with connected(url) as line:
        await line.send(payload.sent)
        if payload.end is End.OPEN:
            await line.send(PROBE)
            answers = await line.answers()
            is_open = bool(answers) and answers[-1].headers["x-request-id"] == "probe"
            statuses = [answer.status for answer in answers[: -1 if is_open else None]]
            return statuses, End.OPEN if is_open else End.CLOSED
        if payload.end is End.WAITS:
            await asyncio.sleep(0.05)
            line.stop_sending()
        return [answer.status for answer in await line.answers()], payload.end


def test_each_payload_has_its_one_meaning_on_the_gateway_alone(tmp_path: Path) -> None:
    assert len(PAYLOADS) >= LEAST

    async def story() -> None:
        wrong = {}
        async with world(tmp_path) as it:
            recorder = Recorder(it.app)
            with serving.bind("127.0.0.1", 0) as listener:
                async with serving.running(recorder, listener) as url:
                    for name, payload in PAYLOADS.items():
                        recorder.arrivals.clear()
                        statuses, end = await comes_of(payload, url)
                        seen = [
                            (arrival.method, arrival.path, arrival.body_bytes)
                            for arrival in recorder.arrivals
                            if (b"x-request-id", b"probe") not in arrival.headers
                        ]
                        found = (tuple(statuses), tuple(seen), end)
                        if found != (payload.statuses, payload.seen, payload.end):
                            wrong[name] = found
            bought = sum(payload.statuses.count(200) for payload in PAYLOADS.values() if CREATE in payload.sent)
            assert wrong == {}
            assert len(it.videos()) == bought

    asyncio.run(story())


async def answered_through(payload: Payload, url: str) -> list[int]:
    """Every status that comes, until nothing more does."""
    found: list[int] = []
    async with connected(url) as line:
        try:
            await line.send(payload.sent)
            while True:
                async with asyncio.timeout(QUIET_S):
                    answer = await line.answer()
                if answer is None:
                    return found
                found.append(answer.status)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):  # nginx answers HTTP/0.9 without a head
            return found


def disagreements(said: list[Seen], arrivals: list[Arrival]) -> list[str]:
    """Whatever the gateway made of a connection that the proxy did not mean. It may refuse what the proxy let pass."""
    meant = iter(said)
    found = []
    for arrival in arrivals:
        for method, target, body_bytes in meant:
            if (method, target) == (arrival.method, arrival.path):
                if body_bytes != arrival.body_bytes and -1 not in (body_bytes, arrival.body_bytes):
                    found.append(f"{arrival} has {body_bytes} bytes of body")
                break
        else:
            found.append(f"{arrival} was never sent")
    return found


@pytest.mark.parametrize("name", PROXIES)
def test_behind_a_proxy_the_gateway_sees_the_requests_that_the_proxy_meant(name: str, tmp_path: Path) -> None:
    async def story() -> None:
        turns = asyncio.Semaphore(AT_ONCE)

        async def told(payload: Payload, url: str) -> list[int]:
            async with turns:
                return await answered_through(payload, url)

        async with world(tmp_path) as it:
            recorder, tap = Recorder(it.app), Tap()
            with serving.bind("127.0.0.1", 0) as listener:
                async with (
                    serving.running(recorder, listener) as url,
                    tap.before(url),
                    proxy(name, tap.url, tmp_path) as proxy_url,
                ):
                    answers = await asyncio.gather(*(told(payload, proxy_url) for payload in PAYLOADS.values()))
            wrong, ordered = [], 0
            for port, sent in tap.sent.items():
                meant = requests_in(bytes(sent))
                ordered += sum(method == "POST" and body_bytes > 0 for method, _, body_bytes in meant)
                wrong += disagreements(meant, [arrival for arrival in recorder.arrivals if arrival.port == port])
            assert wrong == []
            creates = [CREATE in payload.sent for payload in PAYLOADS.values()]
            bought = sum(statuses.count(200) for statuses in itertools.compress(answers, creates))
            assert 10 <= bought <= len(it.videos()) <= ordered  # some clients leave before they are answered

    asyncio.run(story())
