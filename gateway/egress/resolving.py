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

LOOKUPS_MAX = 64  # threads that only wait; the exchanges that need one are limited too


class Resolver:
    """The machine's own way of looking up names. `resolve` is a `Resolve`."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(LOOKUPS_MAX)

    async def resolve(self, name: str) -> tuple[IPAddress, ...]:
        """All addresses of a name. A caller who stops waiting leaves the thread its place until it is done."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        found: asyncio.Future[tuple[IPAddress, ...]] = loop.create_future()

        def settle(addresses: tuple[IPAddress, ...], error: OSError | None) -> None:
            self._places.release()
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

        try:
            threading.Thread(target=work, name="egress-lookup", daemon=True).start()
        except RuntimeError:  # the machine has no more threads
            self._places.release()
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
