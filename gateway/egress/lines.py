"""A connection that goes to a judged address and nowhere else.

httpcore asks its network for a host by name; this network ignores the name, so that nothing is looked up a second
time. The name stays what TLS verifies and what the Host header says.
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import httpcore

from gateway.egress.networks import unwrapped
from gateway.egress.refusals import Reason, Refusal
from gateway.egress.urls import IPAddress

# A host with one dead address among good ones still answers within a probe's five seconds.
ATTEMPT_S = 2.0
ATTEMPTS_MAX = 3


class Line(httpcore.AsyncNetworkBackend):
    """The network of one exchange: the judged addresses of one host, tried in turn."""

    def __init__(self, network: httpcore.AsyncNetworkBackend, addresses: Sequence[IPAddress]) -> None:
        self._network = network
        self._addresses = [unwrapped(address) for address in addresses]
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A stream to one of the addresses, whose other end was looked at. Raises httpcore's errors, or Refusal."""
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses[:ATTEMPTS_MAX]:
            try:
                self._stream = await self._network.connect_tcp(str(address), port, timeout=ATTEMPT_S)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            _check_peer(self._stream, address, port)
            return self._stream
        raise failure

    async def close(self) -> None:
        """Also where httpcore would not: it forgets a stream whose TLS handshake was cancelled."""
        if self._stream is not None:
            await self._stream.aclose()


def _check_peer(stream: httpcore.AsyncNetworkStream, address: IPAddress, port: int) -> None:
    peer = stream.get_extra_info("server_addr")
    if not isinstance(peer, tuple) or (ip_address(peer[0]), peer[1]) != (address, port):
        raise Refusal(Reason.PEER, f"connected to {peer} instead of {address}")
