"""What answers where."""

import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.sandbox import control, evolink, minimax, newapi, toapis
from gateway.sandbox.downloads import Outside
from gateway.sandbox.front import Front, Protocol
from gateway.sandbox.sandbox import Sandbox

# Every protocol spoken here; each has its name for a prefix.
PROTOCOLS: tuple[Protocol, ...] = (evolink.PROTOCOL, toapis.PROTOCOL, newapi.PROTOCOL, minimax.PROTOCOL)


def create_app(
    *, speed: float = 1.0, clock: Callable[[], float] = time.time, seed: int | None = None, balance_usd: int = 100
) -> Starlette:
    """A sandbox of its own, `speed` times faster than life; `seed` makes its ids repeatable.

    Every key starts with `balance_usd`. The memory behind it is `app.state.sandbox`.
    """
    sandbox = Sandbox(speed=speed, clock=clock, seed=seed, balance_usd=balance_usd)
    app = Starlette(
        routes=[
            *(Mount(f"/{protocol.name}", app=Front(protocol, sandbox)) for protocol in PROTOCOLS),
            *control.routes(sandbox),
        ]
    )
    # Whatever matches nothing here, for want of a slash too.
    app.router.redirect_slashes, app.router.default = False, Outside(sandbox)
    app.state.sandbox = sandbox
    return app
