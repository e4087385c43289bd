"""TLS through the door: to the judged address, for the name that was given."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from typing import Any

import pytest
import uvloop

from gateway.egress import Door, Reason
from tests.egress.world import ALSO_PUBLIC, CERTIFICATE, PUBLIC, Internet, door, film, names, post, probe, refusal
from tests.passthrough.upstream import Upstream


class Host:
    """Speaks TLS with the certificate of images.example, and remembers who it was taken for."""

    def __init__(self) -> None:
        self.names: list[Any] = []
        self.heads: list[bytes] = []
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Host"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        context.sni_callback = lambda connection, name, context: self.names.append(name)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage")
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client did not like the certificate
        finally:
            writer.close()


def door_to(host: Any, **addresses: str) -> Door:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_verify_locations(CERTIFICATE)
    network = Internet({(address, 443): host.url for address in (PUBLIC, ALSO_PUBLIC)})
    return door(resolve=names(**addresses).resolve, network=network, trust=trust)


@pytest.mark.parametrize("place", [probe, film, post])
def test_the_name_is_verified_and_told_although_the_address_is_connected_to(run, place: Any) -> None:
    async def story() -> None:
        async with Host().open() as host:
            await place(door_to(host, images_example=PUBLIC), "https://images.example/a.png")
            assert host.names == ["images.example"]
            assert b"\r\nhost: images.example\r\n" in host.heads[0].lower()

    run(story)


@pytest.mark.parametrize("place", [probe, film, post])
def test_a_certificate_of_another_name_is_refused_before_anything_is_said(run, place: Any) -> None:
    async def story() -> None:
        async with Host().open() as host:
            guarded = door_to(host, other_example=PUBLIC)
            assert (await refusal(place(guarded, "https://other.example/"))).reason is Reason.TLS
            assert (host.names, host.heads) == (["other.example"], [])

    run(story)


@pytest.mark.parametrize("place", [probe, film, post])
def test_it_is_the_same_under_the_event_loop_that_serves(place: Any) -> None:
    async def story() -> None:
        async with Host().open() as host, Upstream() as plain:
            await place(door_to(host, images_example=PUBLIC), "https://images.example/a.png")
            assert host.names == ["images.example"]
            error = await refusal(place(door_to(host, other_example=PUBLIC), "https://other.example/"))
            assert error.reason is Reason.TLS
            await place(door(opened=[ip_network("127.0.0.0/8")]), plain.url)  # its other end is looked at for real
            assert len(plain.visits) == 1

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


def test_an_address_as_host_needs_a_certificate_of_the_address(run) -> None:
    async def story() -> None:
        async with Host().open() as host:
            await probe(door_to(host), f"https://{PUBLIC}/")
            assert (await refusal(probe(door_to(host), f"https://{ALSO_PUBLIC}/"))).reason is Reason.TLS
            assert len(host.heads) == 1

    run(story)


def test_a_certificate_that_nobody_trusts_is_refused(run) -> None:
    async def story() -> None:
        async with Host().open() as host:
            network = Internet({(PUBLIC, 443): host.url})
            guarded = door(resolve=names(images_example=PUBLIC).resolve, network=network)
            assert (await refusal(probe(guarded, "https://images.example/"))).reason is Reason.TLS
            assert host.heads == []

    run(story)


def test_a_host_that_speaks_no_tls_is_refused(run) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        with suppress(OSError):
            await reader.read()
        writer.close()

    async def story() -> None:
        host = Host()
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        host.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        guarded = door_to(host, images_example=PUBLIC)
        assert (await refusal(probe(guarded, "https://images.example/"))).reason is Reason.TLS
        server.close()
        await server.wait_closed()

    run(story)
