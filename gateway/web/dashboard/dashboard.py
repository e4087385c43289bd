"""The paths of the dashboard, and the one guard that all of them stand behind.

Whoever comes is asked who he is before anything else, then whether the table of pages opens this path and method to
him, and, if he writes, whether the form is one of ours. What a handler is given has passed all of that.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gateway.bounds import Place
from gateway.errors import GatewayError, InvalidRequest, Unauthenticated, WrongMethod
from gateway.parts import Parts
from gateway.secret import Secret
from gateway.structs import Struct
from gateway.web.dashboard import keys, overview, playground, tasks, upstreams
from gateway.web.dashboard.assets import PATH as ASSETS_PATH
from gateway.web.dashboard.assets import Assets
from gateway.web.dashboard.forms import read_form, read_long_form, require_own_origin, require_token
from gateway.web.dashboard.logins import Logins
from gateway.web.dashboard.pages import NotThere, Page, Role, Viewer, Visit
from gateway.web.dashboard.rendering import THEME_COOKIE, THEMES, Renderer
from gateway.web.dashboard.sessions import Doorbook
from gateway.web.exchange import Answer, Exchange, Stream
from gateway.web.surface import Way

GROUPS: Sequence[Callable[[Parts], Sequence[Page]]] = (
    overview.pages,
    tasks.pages,
    playground.pages,
    keys.pages,
    upstreams.pages,
)
"""Every group of pages, in the order of the navigation."""

HOME, LOGIN, LOGOUT, THEME = "/dashboard", "/dashboard/login", "/dashboard/logout", "/dashboard/theme"
_READS, _WRITES = ("GET", "HEAD"), ("POST",)
_OWN_PATH = re.compile(r"/dashboard(/[A-Za-z0-9_-]{1,64}){0,3}", re.ASCII)
_THEME_LASTS_S = 365 * 86_400
_KEY_CHARACTERS_MAX = 1_024
_WRONG_KEY = "This key opens nothing here. Check it, or ask whoever runs the gateway."

Handle = Callable[[Exchange], Awaitable[Answer | Stream]]


class DashboardSettings(Struct, frozen=True):
    """What the configuration says about it."""

    admin_key: Secret
    public_url: str | None
    body_bytes_max: int
    body_within_s: float


class Dashboard:
    """Handlers of everything below `/dashboard`."""

    def __init__(self, parts: Parts, settings: DashboardSettings) -> None:
        self._parts = parts
        self._settings = settings
        self._doorbook = Doorbook(parts, settings.admin_key, public_url=settings.public_url)
        self._logins = Logins(parts.clock)
        self._assets = Assets()
        self._pages = [page for group in GROUPS for page in group(parts)]
        self._renderer = Renderer(entries=self._entries, link=self._assets.link)

    def ways(self) -> Mapping[str, Mapping[str, Way]]:
        """Path → method → what answers it."""
        handlers: dict[str, dict[str, Handle]] = {
            LOGIN: {"GET": self._show_login, "HEAD": self._show_login, "POST": self._login},
            LOGOUT: {"POST": self._logout},
            THEME: {"POST": self._choose_theme},
            f"{ASSETS_PATH}/{{id}}": dict.fromkeys(_READS, self._asset),
        }
        for page in self._pages:
            reads = dict.fromkeys(_READS, self._read(page)) if page.read else {}
            writes = dict.fromkeys(_WRITES, self._write(page)) if page.write else {}
            handlers[page.path] = {**reads, **writes}
        handlers["/dashboard/{rest:path}"] = dict.fromkeys((*_READS, *_WRITES), self._nowhere)
        return {
            path: {method: Way(self._rendered(handle), refuse=self._refuse) for method, handle in by_method.items()}
            for path, by_method in handlers.items()
        }

    async def lets_in(self, exchange: Exchange) -> bool:
        """Whether this request to the admin API comes from a page of an operator. What changes something carries the
        session's token, as the header of a script. Raises Foreign."""
        viewer = await self._doorbook.find(exchange)
        if viewer is None or viewer.role is not Role.OPERATOR:
            return False
        if exchange.method not in _READS:
            require_own_origin(exchange, self._settings.public_url)
            require_token(exchange, {}, viewer.csrf)
        return True

    # --- the guard -----------------------------------------------------------------------------------------------

    def _read(self, page: Page) -> Handle:
        async def handle(exchange: Exchange) -> Answer | Stream:
            viewer = await self._admit(exchange) or self._admit_key(exchange)
            if viewer is None:
                return self._to_login(exchange)
            handler = page.read.get(viewer.role)
            if handler is None:
                raise NotThere("there is no such page for you")
            with self._parts.bounds.listings.take(viewer.name):
                return await handler(Visit(exchange, viewer, exchange.query(), self._renderer))

        return handle

    def _write(self, page: Page) -> Handle:
        async def handle(exchange: Exchange) -> Answer | Stream:
            viewer = await self._admit_writer(exchange)
            if viewer is None:
                return self._to_login(exchange)
            if not page.takes_files:
                return await self._written(page, viewer, exchange, await read_form(exchange), ())
            # What may be an order stands in the same bounds as one that comes over the API.
            bounds = self._parts.bounds
            with bounds.creates.take(viewer.name) as place, bounds.body_bytes.take(viewer.name, 0) as weight:
                said = await read_long_form(
                    exchange,
                    bytes_max=self._settings.body_bytes_max,
                    within_s=self._settings.body_within_s,
                    weight=weight,
                )
                return await self._written(page, viewer, exchange, said, (place, weight))

        return handle

    async def _written(
        self, page: Page, viewer: Viewer, exchange: Exchange, said: dict[str, Any], held: Sequence[Place]
    ) -> Answer | Stream:
        _prove(exchange, said, viewer)
        handler = page.write.get(viewer.role)
        if handler is None:
            raise NotThere("there is no such page for you")
        return await handler(Visit(exchange, viewer, said, self._renderer, held))

    async def _admit(self, exchange: Exchange) -> Viewer | None:
        viewer = await self._doorbook.find(exchange)
        if viewer is not None:
            exchange.caller = viewer.caller
        return viewer

    def _admit_key(self, exchange: Exchange) -> Viewer | None:
        """A key that comes with the request opens what is read (CONTRACT section 5). Raises InvalidRequest for two."""
        viewer = self._doorbook.presents(exchange)
        if viewer is not None:
            exchange.caller = viewer.caller
        return viewer

    async def _admit_writer(self, exchange: Exchange) -> Viewer | None:
        """Asked before anything is read: a stranger's body is not."""
        require_own_origin(exchange, self._settings.public_url)
        return await self._admit(exchange)

    async def _admit_form(self, exchange: Exchange) -> tuple[Viewer | None, dict[str, Any]]:
        viewer = await self._admit_writer(exchange)
        if viewer is None:
            return None, {}
        said = await read_form(exchange)
        _prove(exchange, said, viewer)
        return viewer, said

    def _rendered(self, handle: Handle) -> Handle:
        """Errors as pages, with the frame of whoever reads them."""

        async def answer(exchange: Exchange) -> Answer | Stream:
            try:
                return await handle(exchange)
            except GatewayError as error:
                self._parts.metrics.error(error)
                return await self._error_page(error, exchange)

        return answer

    async def _error_page(self, error: GatewayError, exchange: Exchange) -> Answer:
        viewer = None
        with suppress(GatewayError):  # storage may be what is wrong
            viewer = await self._admit(exchange)
        page = self._renderer.page("error.html", exchange, status=error.status, viewer=viewer, error=error)
        if error.retry_after is not None:
            page.headers.append((b"retry-after", b"%d" % error.retry_after))
        return page

    def _refuse(self, error: GatewayError) -> Answer:
        """What the guard could not catch: a method that no page has, or a bug."""
        return self._renderer.page("error.html", None, status=error.status, error=error)

    # --- coming and going ----------------------------------------------------------------------------------------

    async def _show_login(self, exchange: Exchange) -> Answer:
        if await self._admit(exchange) is not None:
            return self._renderer.redirect(HOME)
        return self._login_page(exchange, to=self._place(exchange.query().get("to")))

    async def _login(self, exchange: Exchange) -> Answer:
        require_own_origin(exchange, self._settings.public_url)
        said = await read_form(exchange)
        address = (exchange.scope.get("client") or ("",))[0]
        to, key = self._place(said.get("to")), said.get("key", "").strip()[:_KEY_CHARACTERS_MAX].encode()
        is_known = self._doorbook.knows(key)  # asked first: the limit is for wrong keys, and keeps no right one out
        try:
            if not is_known:
                self._logins.begin(address)
        except GatewayError as error:
            self._parts.metrics.error(error)
            page = self._login_page(exchange, to=to, status=error.status, wrong=error.message)
            page.headers.append((b"retry-after", b"%d" % (error.retry_after or 1)))
            return page
        headers = await self._doorbook.open(key, exchange) if key else None
        if headers is None:
            self._parts.metrics.error(Unauthenticated("wrong key"))
            return self._login_page(exchange, to=to, status=401, wrong=_WRONG_KEY)
        if not is_known:
            self._logins.succeeded(address)
        return self._renderer.redirect(to, headers)

    async def _logout(self, exchange: Exchange) -> Answer:
        viewer, _ = await self._admit_form(exchange)
        return self._renderer.redirect(LOGIN, None if viewer is None else await self._doorbook.close(exchange))

    async def _choose_theme(self, exchange: Exchange) -> Answer:
        viewer, said = await self._admit_form(exchange)
        if viewer is None:
            return self._to_login(exchange)
        theme = said.get("theme")
        if theme not in THEMES:
            raise InvalidRequest.at("theme", "there is no such theme", *THEMES)
        lasts_s = 0 if theme == THEMES[0] else _THEME_LASTS_S
        cookie = f"{THEME_COOKIE}={theme}; Path=/dashboard; Max-Age={lasts_s}; HttpOnly; SameSite=Strict"
        return self._renderer.redirect(self._place(said.get("to")), [(b"set-cookie", cookie.encode())])

    def _to_login(self, exchange: Exchange) -> Answer:
        path = exchange.scope["path"]
        is_known = exchange.method in _READS and path != HOME and _OWN_PATH.fullmatch(path)
        return self._renderer.redirect(f"{LOGIN}?to={path}" if is_known else LOGIN)

    def _login_page(self, exchange: Exchange, *, to: str, status: int = 200, wrong: str | None = None) -> Answer:
        return self._renderer.page("login.html", exchange, status=status, to=to, wrong=wrong)

    # --- what is left --------------------------------------------------------------------------------------------

    async def _asset(self, exchange: Exchange) -> Answer:
        found = self._assets.answer(exchange)
        if found is None:
            raise NotThere("there is no such file")
        return found

    async def _nowhere(self, exchange: Exchange) -> Answer:
        """Below `/dashboard`, and nothing that the table knows: said to whoever is logged in, and to nobody else."""
        if exchange.scope["path"] == f"{HOME}/" and exchange.method in _READS:
            return self._renderer.redirect(HOME)
        if await self._admit(exchange) is None:
            return self._renderer.redirect(LOGIN)
        raise NotThere("there is no such page") if exchange.method in _READS else WrongMethod("nothing is sent here")

    def _entries(self, viewer: Viewer) -> list[tuple[str, str]]:
        return [(page.path, page.entry) for page in self._pages if page.entry and viewer.role in page.read]

    def _place(self, said: Any) -> str:
        """A page of ours to go to, whatever somebody put into a form or a link."""
        if isinstance(said, str) and _OWN_PATH.fullmatch(said):
            for page in self._pages:
                if page.read and re.fullmatch(page.path.replace("{id}", "[^/]+"), said):
                    return said
        return HOME


def _prove(exchange: Exchange, said: dict[str, Any], viewer: Viewer) -> None:
    """The form is one of this session; its token is taken out. Raises Foreign."""
    require_token(exchange, said, viewer.csrf)
    said.pop("csrf", None)
