"""The door to Jinja2, and the headers of every page.

Templates escape whatever is put into them; nothing anywhere marks a stranger's text as safe. The policy in the headers
is the second wall: no script and no style but our own files, nothing from another origin, no frame around us.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gateway import __version__
from gateway.headers import HeaderList
from gateway.web.cookies import cookie
from gateway.web.dashboard.charts import budget
from gateway.web.exchange import Answer, Exchange

FOLDER = Path(__file__).parent / "templates"
HTML = b"text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
THEME_COOKIE = "reelgate_theme"
THEMES = ("auto", "light", "dark")
SAFE: HeaderList = [
    (b"x-content-type-options", b"nosniff"),
    # With `no-referrer` a browser would send our own forms with the origin "null".
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
"""Of everything that the dashboard answers."""
HEADERS: HeaderList = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=()"),
    (b"cache-control", b"no-store"),
    *SAFE,
]
"""Of every page."""


class Renderer:
    """Makes pages of templates."""

    def __init__(self, *, entries: Callable[[Any], list[tuple[str, str]]], link: Callable[[str], str]) -> None:
        """`entries` are what a viewer's navigation shows, as path and word; `link` is where a static file is."""
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"when": when, "span": span, "number": number}
        self._templates.globals |= {"asset": link, "version": __version__, "budget_bar": budget_bar}
        self._entries = entries

    def page(
        self, template: str, exchange: Exchange | None, *, status: int = 200, viewer: Any = None, **values: Any
    ) -> Answer:
        """A page of this template. Without an exchange nothing is known of who reads it."""
        theme = None if exchange is None else cookie(exchange, THEME_COOKIE)
        said: Mapping[str, Any] = {
            "viewer": viewer,
            "path": "" if exchange is None else exchange.scope["path"],
            "entries": [] if viewer is None else self._entries(viewer),
            "theme": theme if theme in THEMES else THEMES[0],
            "themes": THEMES,
            **values,
        }
        body = self._templates.get_template(template).render(said)
        return Answer(status, body.encode(), list(HEADERS), HTML)

    def redirect(self, path: str, headers: HeaderList | None = None) -> Answer:
        """Read this page of the dashboard next."""
        return Answer(303, b"", [(b"location", path.encode()), *(headers or []), *HEADERS], HTML)


def budget_bar(words: str, balance: Mapping[str, Any]) -> Markup:
    """A limited balance as a bar; `words` say the same."""
    amounts = {name: float(balance[name]) for name in ("limit", "spent", "held")}
    return budget(words, **amounts)


def when(at: float | None, otherwise: str = "–") -> Markup | str:
    """A moment, in UTC; the script puts it into the viewer's own zone."""
    if at is None:
        return otherwise
    moment = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}" data-local>{}</time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment:%Y-%m-%d %H:%M} UTC"
    )


def span(seconds: float | None, otherwise: str = "–") -> str:
    """How long something takes or took, in two units at most."""
    if seconds is None:
        return otherwise
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, below in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def number(value: float) -> str:
    """A count, in groups of three."""
    return f"{value:,}".replace(",", "\u202f")
