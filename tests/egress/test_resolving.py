"""The look-up of names: in threads that nobody else needs, and that nobody waits for."""

import asyncio
import socket
import threading
from ipaddress import ip_address
from typing import Any

import pytest

from gateway.egress import Kind, Reason
from gateway.egress import resolving as room
from gateway.egress.resolving import LookupsFull, Resolver
from tests.egress.world import door, refusal


class NameServer:
    """Stands for the C library's resolver, and can leave one waiting."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
        self.rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, 0)) for answer in answers]
        self.go = threading.Event()
        self.go.set()
        self.asked: list[str] = []
        self.threads: list[threading.Thread] = []
        self._news = threading.Semaphore(0)
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host: str, port: object, **options: Any) -> list[Any]:
        self.asked.append(host)
        self.threads.append(threading.current_thread())
        self._news.release()
        assert self.go.wait(30)
        if host == "overlong.example":
            raise UnicodeError("label too long")
        if not self.rows:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.rows

    def has_come(self, number: int) -> None:
        """Returns when so many more have asked."""
        for _ in range(number):
            assert self._news.acquire(timeout=30)


def test_all_addresses_are_given_once_and_in_order(run, monkeypatch: pytest.MonkeyPatch) -> None:
    NameServer(monkeypatch, "2606:4700::1", "1.1.1.1", "2606:4700::1")

    async def story() -> None:
        assert await Resolver().resolve("a.example") == (ip_address("2606:4700::1"), ip_address("1.1.1.1"))

    run(story)


@pytest.mark.parametrize("name", ["nobody.example", "overlong.example"])
def test_a_name_without_an_address_is_an_oserror(run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    NameServer(monkeypatch)

    async def story() -> None:
        with pytest.raises(OSError, match=r"not known|cannot be looked up"):
            await Resolver().resolve(name)

    run(story)


def test_an_answer_that_is_no_address_is_an_oserror(run, monkeypatch: pytest.MonkeyPatch) -> None:
    NameServer(monkeypatch, "1.1.1.1", "nonsense")

    async def story() -> None:
        with pytest.raises(OSError, match="cannot be looked up"):
            await Resolver().resolve("a.example")

    run(story)


def test_a_machine_without_threads_refuses_and_keeps_its_places(run, monkeypatch: pytest.MonkeyPatch) -> None:
    server = NameServer(monkeypatch, "1.1.1.1")
    monkeypatch.setattr(room, "LOOKUPS_MAX", 1)
    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def story() -> None:
        resolver = Resolver()
        monkeypatch.setattr(threading.Thread, "start", fail)
        for _ in range(3):
            with pytest.raises(OSError, match="no thread"):
                await resolver.resolve("a.example")
        monkeypatch.setattr(threading.Thread, "start", start)
        assert await resolver.resolve("a.example") == (ip_address("1.1.1.1"),)
        assert server.asked == ["a.example"]

    run(story)


def test_only_so_many_look_ups_wait_at_once_even_when_their_callers_have_gone(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = NameServer(monkeypatch, "1.1.1.1")
    server.go.clear()
    monkeypatch.setattr(room, "LOOKUPS_MAX", 3)

    async def story() -> None:
        resolver = Resolver()
        callers = [asyncio.create_task(resolver.resolve(f"{number}.example")) for number in range(3)]
        await asyncio.to_thread(server.has_come, 3)
        for caller in callers[:2]:
            caller.cancel()
        await asyncio.gather(*callers[:2], return_exceptions=True)
        with pytest.raises(LookupsFull):  # those who left still hold their threads
            await resolver.resolve("3.example")
        assert len(server.asked) == 3
        server.go.set()
        assert await callers[2] == (ip_address("1.1.1.1"),)
        for thread in server.threads:
            await asyncio.to_thread(thread.join, 30)
        assert await resolver.resolve("4.example") == (ip_address("1.1.1.1"),)
        assert server.asked[3:] == ["4.example"]

    run(story)


def test_a_hanging_look_up_leaves_the_loops_own_threads_alone_and_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`asyncio.run` waits for the threads of the loop's pool; it would not come back before the name server does."""
    server = NameServer(monkeypatch, "1.1.1.1")
    server.go.clear()

    async def story() -> None:
        monkeypatch.setattr("gateway.egress.door.RESOLVE_S", 0.02)
        guarded = door()
        for number in range(40):  # more than the pool of any event loop has
            assert (await refusal(guarded.vet(f"https://{number}.example/", Kind.IMAGE))).reason is Reason.UNRESOLVED
        await asyncio.to_thread(server.has_come, 40)

    asyncio.run(asyncio.wait_for(story(), 30))
    assert len(server.asked) == 40
    assert all(thread.daemon and thread.is_alive() for thread in server.threads)
    server.go.set()
    for thread in server.threads:
        thread.join(10)  # its answer finds the loop closed, and nobody is told
        assert not thread.is_alive()
