"""The smallest internet: names that a test decides, and public addresses that stand on loopback sockets."""

import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore

from gateway.egress import Answer, Door, EgressRefused, Kind
from gateway.egress.urls import IPAddress
from tests.passthrough.upstream import Upstream

PUBLIC, ALSO_PUBLIC = "93.184.215.14", "151.101.1.69"
CERTIFICATE = Path(__file__).parent / "images.example.pem"
_NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Play = Callable[[Door, str], Awaitable[None]]


class Names:
    """A name server. Each look-up of a name takes its next answer, and the last one stays."""

    def __init__(self, answers: Mapping[str, Sequence[Iterable[str]]]) -> None:
        self._answers = {name.lower(): list(lists) for name, lists in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, name: str) -> tuple[IPAddress, ...]:
        self.asked.append(name)
        lists = self._answers.get(name)
        if lists is None:
            raise OSError("no such name")
        found = lists.pop(0) if len(lists) > 1 else lists[0]
        return tuple(ip_address(text) for text in found)


def names(**answers: str) -> Names:
    """Every name with its one address; `images_example` stands for images.example."""
    return Names({name.replace("_", "."): [[address]] for name, address in answers.items()})


class Internet(httpcore.AsyncNetworkBackend):
    """The network of a door: `hosts` leads from a public address and port to the URL of who plays it.

    Whatever else is asked for is tried for real, so that a guard with a hole is seen at the socket.
    """

    def __init__(self, hosts: Mapping[tuple[str, int], str] | None = None) -> None:
        self._hosts = dict(hosts or {})
        self.asked: list[tuple[str, int]] = []

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: Any = None, socket_options: Any = None
    ) -> httpcore.AsyncNetworkStream:
        self.asked.append((host, port))
        real = urlsplit(self._hosts.get((host, port), f"http://{host}:{port}" if ":" not in host else ""))
        stream = await httpcore.AnyIOBackend().connect_tcp(real.hostname or host, real.port or port, timeout=timeout)
        return Posing(stream, (host, port)) if (host, port) in self._hosts else stream


class Posing(httpcore.AsyncNetworkStream):
    """A stream that says it leads to another place than it does."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, peer: tuple[str, int]) -> None:
        self._stream = stream
        self._peer = peer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return Posing(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._peer)

    def get_extra_info(self, info: str) -> Any:
        return self._peer if info == "server_addr" else self._stream.get_extra_info(info)


def door(**parts: Any) -> Door:
    """A door for which nobody loads the certificates of this machine."""
    return Door(**{"trust": _NO_TRUST, **parts})


async def probe(door: Door, url: str) -> None:
    async with door.probe(url, bytes_max=1024) as answer:
        await read(answer)


async def film(door: Door, url: str) -> None:
    async with door.film(url) as answer:
        await read(answer)


async def post(door: Door, url: str) -> None:
    await door.post(url, b"{}", {"content-type": "application/json"})


async def vet_callback(door: Door, url: str) -> None:
    await door.vet(url, Kind.CALLBACK)


async def vet_image(door: Door, url: str) -> None:
    await door.vet(url, Kind.IMAGE)


PLACES: Mapping[str, Play] = {
    "image probe": probe,
    "film": film,
    "callback": post,
    "callback at create": vet_callback,
    "image at create": vet_image,
}


def place_of(host: Upstream) -> tuple[str, int]:
    """Where a fake listens."""
    name, _, port = host.url.removeprefix("http://").rpartition(":")
    return name, int(port)


async def read(answer: Answer) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks])


async def refusal(attempt: Awaitable[Any]) -> EgressRefused:
    """How an attempt was refused; one that succeeds fails the test."""
    try:
        await attempt
    except EgressRefused as error:
        return error
    raise AssertionError("it was not refused")
