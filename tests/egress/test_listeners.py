"""The gateway never calls itself, although the network it listens on was opened."""

from ipaddress import ip_address, ip_network

import pytest

from gateway.egress import Reason
from gateway.egress.listeners import is_ours
from tests.egress.recorder import Recorder
from tests.egress.world import PLACES, door, names, place_of, refusal
from tests.passthrough.upstream import Upstream

OPENED = [ip_network("127.0.0.0/8"), ip_network("0.0.0.0/8"), ip_network("::1/128")]


@pytest.mark.parametrize(
    ("listener", "address", "port", "ours"),
    [
        (("127.0.0.1", 8080), "127.0.0.1", 8080, True),
        (("127.0.0.1", 8080), "::ffff:127.0.0.1", 8080, True),
        (("127.0.0.1", 8080), "127.0.0.1", 8081, False),
        (("127.0.0.1", 8080), "127.0.0.2", 8080, False),
        (("127.0.0.1", 8080), "0.0.0.0", 8080, True),
        (("0.0.0.0", 8080), "127.0.0.2", 8080, True),
        (("0.0.0.0", 8080), "0.0.0.0", 8080, True),
        (("::", 8080), "127.0.0.1", 8080, True),
        (("0.0.0.0", 8080), "93.184.215.14", 8080, False),
        (("0.0.0.0", 443), "93.184.215.14", 443, False),
        (("93.184.215.14", 443), "93.184.215.14", 443, True),
        (("::1", 8080), "::1", 8080, True),
        (("::1", 8080), "127.0.0.1", 8080, False),
    ],
)
def test_our_own_sockets_are_known(listener: tuple[str, int], address: str, port: int, *, ours: bool) -> None:
    assert is_ours(ip_address(address), port, [listener]) is ours


@pytest.mark.parametrize("place", PLACES)
def test_an_opened_network_does_not_open_the_gateway_itself(run, recorder: Recorder, place: str) -> None:
    async def story() -> None:
        async with Upstream() as gateway, Upstream() as neighbour:
            for host in ("127.0.0.1", "0.0.0.0"):
                port = place_of(gateway)[1]
                guarded = door(opened=OPENED, listeners=[(host, port)], resolve=names(me_example="127.0.0.1").resolve)
                with recorder.only(place_of(neighbour)) as heard:
                    for name in ("127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "me.example"):
                        error = await refusal(PLACES[place](guarded, f"http://{name}:{port}/"))
                        assert error.reason is Reason.OWN
                    await PLACES[place](guarded, neighbour.url)
                assert heard.forbidden == []
            assert gateway.visits == []

    run(story)
