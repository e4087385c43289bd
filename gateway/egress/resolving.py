"""The look-up of a name, in threads of its own.

`getaddrinfo` cannot be given up: the C library waits its ten or more seconds for a name server that does not answer,
whatever deadline we have. In the event loop's own pool of a few threads, callers who name such hosts would hold up the
look-ups of our upstreams; and a thread of a pool is waited for when the process ends. So each look-up has a thread
that nobody waits for, and there are only so many of them.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address

from gateway.egress.urls import IPAddress

Resolve = Callable[[str], Awaitable[tuple[IPAddress, ...]]]
"""From a name to all of its addresses, in the order in which to try them. Raises OSError when there are none."""

# Threads that only wait. Four times as many as there are probes: one caller's share of those, given up after three
# seconds each, leaves no more than this behind at a name server that is silent for ten.
LOOKUPS_MAX = 256


class LookupsFull(OSError):
    """As many look-ups are under way as may be; this one was not begun."""


class Resolver:
    """The machine's own way of looking up names. `resolve` is a `Resolve`."""

    def __init__(self) -> None:
        self._under_way = 0

    async def resolve(self, name: str) -> tuple[IPAddress, ...]:
        """All addresses of a name. A caller who stops waiting leaves the thread its place until it is done.

        Raises LookupsFull at once where there is no place.
        """
        if self._under_way >= LOOKUPS_MAX:
            raise LookupsFull("too many look-ups are under way")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[tuple[IPAddress, ...]] = loop.create_future()

        def settle(addresses: tuple[IPAddress, ...], error: OSError | None) -> None:
            self._under_way -= 1
            if found.done():
                return
            if error is None:
                found.set_result(addresses)
            else:
                found.set_exception(error)

        def work() -> None:
            addresses, error = _look_up(name)
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(settle, addresses, error)

        self._under_way += 1
        try:
            threading.Thread(target=work, name="egress-lookup", daemon=True).start()
        except RuntimeError:  # the machine has no more threads
            self._under_way -= 1
            raise OSError("no thread for a look-up") from None
        return await found


def _look_up(name: str) -> tuple[tuple[IPAddress, ...], OSError | None]:
    try:
        rows = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys(ip_address(row[4][0]) for row in rows)), None
    except OSError as error:
        return (), error
    except ValueError:  # what the C library gave is no address, or its name no name
        return (), OSError("the name cannot be looked up")
